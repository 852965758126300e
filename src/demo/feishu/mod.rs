//! A fake of Feishu's open API (and Lark's, which differs only by address), groups' custom bots,
//! and the host of report images.
//!
//! Each part has a module. All of them share one state: the faults, a record of the calls, and the
//! data of each part. A call is answered as the platform does: HTTP 200 or 400 with a `code`, and
//! 99991663 for an unknown or revoked token.

mod bots;
mod card;
mod connection;
mod feedbacks;
mod host;
mod images;
mod messages;
mod press;
mod push;
mod reads;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use self::bots::Bots;
pub use self::bots::CustomBot;
use self::connection::Connections;
pub use self::connection::{PushAck, Pushed};
use self::feedbacks::Feedbacks;
use self::host::Host;
use self::images::Images;
use self::messages::Messages;
pub use self::messages::Posted;
pub use self::press::Press;
pub use self::push::EventKeys;
use self::reads::Reads;
use self::token::Tokens;
use super::{Faults, Server};

/// A kind of call, for which faults can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// `POST /open-apis/auth/v3/tenant_access_token/internal`.
    Token,
    /// `POST /open-apis/im/v1/images`.
    UploadImage,
    /// `POST /open-apis/im/v1/messages`.
    CreateMessage,
    /// `POST /open-apis/im/v1/messages/{id}/reply`.
    ReplyMessage,
    /// `PATCH /open-apis/im/v1/messages/{id}`.
    UpdateCard,
    /// `PATCH /open-apis/im/v1/messages/{id}/urgent_app` and its variants.
    Urgent,
    /// `GET /open-apis/application/v6/applications/:app_id/feedbacks`.
    ListFeedback,
    /// `PATCH /open-apis/application/v6/applications/:app_id/feedbacks/:feedback_id`.
    SetFeedback,
    /// `POST /callback/ws/endpoint`.
    Endpoint,
    /// The upgrade of a long connection.
    Connect,
    /// `GET /open-apis/application/v6/scopes`.
    Scopes,
    /// `GET /open-apis/im/v1/chats/{id}/members/is_in_chat`.
    InChat,
    /// `GET /open-apis/contact/v3/users/{id}`.
    Person,
    /// `POST /open-apis/contact/v3/users/batch_get_id`.
    FindPeople,
    /// `POST /open-apis/bot/v2/hook/{id}`: a custom bot's URL.
    CustomBot,
    /// The download of a report image.
    Picture,
}

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub api: Api,
    /// The path and query.
    pub path: String,
    /// The body if it was JSON; null otherwise.
    pub body: Value,
}

/// An app that the fake knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeApp {
    /// Its id, `cli_…`.
    pub app_id: String,
    pub app_secret: String,
}

/// The state that all parts share.
#[derive(Debug, Default)]
struct State {
    apps: Vec<FakeApp>,
    faults: Faults<Api>,
    calls: Mutex<Vec<Called>>,
    tokens: Tokens,
    images: Images,
    messages: Messages,
    feedbacks: Feedbacks,
    connections: Connections,
    reads: Reads,
    bots: Bots,
    host: Host,
}

/// A running fake. Dropping it stops it.
#[derive(Debug)]
pub struct FakeFeishu {
    server: Server,
    state: Arc<State>,
    /// Ends the long connections, which would outlive the server's own tasks.
    _ends: DropGuard,
}

impl FakeFeishu {
    /// Starts a fake on a free port of the loopback interface.
    pub async fn start(apps: Vec<FakeApp>) -> std::io::Result<Self> {
        let state = Arc::new(State {
            apps,
            ..State::default()
        });
        let routes = Router::new()
            .merge(token::routes())
            .merge(images::routes())
            .merge(messages::routes())
            .merge(feedbacks::routes())
            .merge(connection::routes())
            .merge(reads::routes())
            .merge(bots::routes())
            .merge(host::routes())
            .with_state(Arc::clone(&state));
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), routes).await?;
        let _ends = state.connections.ended().drop_guard();
        Ok(Self {
            server,
            state,
            _ends,
        })
    }

    /// Returns the value for an app's `base_url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the faults.
    pub fn faults(&self) -> &Faults<Api> {
        &self.state.faults
    }

    /// Returns the recorded calls in order.
    pub fn calls(&self) -> Vec<Called> {
        lock(&self.state.calls).clone()
    }

    /// Revokes every granted token.
    pub fn revoke_tokens(&self) {
        self.state.tokens.revoke_all();
    }

    /// Adds every app's bot to the chat `oc_…`.
    pub fn open_chat(&self, id: &str) {
        self.state.messages.open_chat(id);
    }

    /// Removes the bots from the chat.
    pub fn leave_chat(&self, id: &str) {
        self.state.messages.leave_chat(id);
    }

    /// Returns the messages of a chat `oc_…` or to a person `ou_…`, in order.
    pub fn messages(&self, receiver: &str) -> Vec<Posted> {
        self.state.messages.of(receiver)
    }

    /// Adds a person to the tenant, by open id or e-mail address.
    pub fn add_person(&self, id: &str) {
        self.state.reads.add_person(id);
    }

    /// Removes a permission from every app.
    pub fn take_scope(&self, scope: &str) {
        self.state.reads.take_scope(scope);
    }

    /// Recalls a message, as an administrator of its chat can.
    pub fn recall(&self, message: &str) {
        self.state.messages.recall(message);
    }

    /// Makes every image key invalid.
    pub fn forget_images(&self) {
        self.state.images.forget();
    }

    /// Returns the bytes uploaded under an image key.
    pub fn image(&self, key: &str) -> Option<axum::body::Bytes> {
        self.state.images.get(key)
    }
}

impl State {
    fn record(&self, api: Api, path: &str, body: Value) {
        lock(&self.calls).push(Called {
            api,
            path: path.to_owned(),
            body,
        });
    }

    /// Returns the id of the app that owns the call's token. Without a valid token returns the
    /// error response.
    fn caller(&self, headers: &HeaderMap) -> Result<String, Refused> {
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = bearer else {
            return Err(Refused::bad(99_991_661, "Missing access token"));
        };
        let invalid = Refused::bad(99_991_663, "Invalid access token for authorization");
        self.tokens.owner(token).ok_or(invalid)
    }
}

/// A failed call in the platform's format.
#[derive(Clone, Copy, Debug)]
struct Refused {
    status: StatusCode,
    code: i64,
    msg: &'static str,
}

impl Refused {
    /// Creates a failure with HTTP 400.
    const fn bad(code: i64, msg: &'static str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, code, msg }
    }

    /// Creates a failure with HTTP 200.
    const fn quiet(code: i64, msg: &'static str) -> Self {
        let status = StatusCode::OK;
        Self { status, code, msg }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "msg": self.msg});
        answer(self.status, &body)
    }
}

/// Returns a success with `data`.
fn success(data: &Value) -> Response {
    answer(
        StatusCode::OK,
        &json!({"code": 0, "msg": "success", "data": data}),
    )
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("x-tt-logid", "20260301000000000000000000000000"),
    ];
    (status, headers, body.to_string()).into_response()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
