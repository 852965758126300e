//! A fake of Slack: the part of the Web API that the relay calls, and simulated clicks.
//!
//! Each part has a module; all share a `State`. The Web API answers as Slack does: HTTP 200 with
//! `ok` and an error name, and 429 only for rate limits. Blocks that Slack would refuse are refused
//! (`blocks`), and a file can be shown only some time after its upload (`files`).

mod blocks;
mod files;
mod messages;
mod press;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{self, FromRequest};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use self::files::Files;
use self::messages::Channels;
pub use self::messages::{Access, Posted};
pub use self::press::Press;
use super::server::with_fault;
use super::{Faults, Server};
use crate::model::Secret;

/// A kind of call, for which faults can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// `chat.postMessage`.
    PostMessage,
    /// `chat.update`.
    Update,
    /// `files.getUploadURLExternal`.
    UploadUrl,
    /// The bytes of a file, sent to the upload URL.
    Upload,
    /// `files.completeUploadExternal`.
    CompleteUpload,
    /// `files.info`.
    FileInfo,
    /// `auth.test`.
    AuthTest,
    /// `conversations.info`.
    ConversationInfo,
    /// The `response_url` of a click.
    Respond,
}

/// A recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub api: Api,
    /// The arguments from JSON or a form; null for bytes.
    pub arguments: Value,
}

/// The simulated workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The bot's token, `xoxb-…`.
    pub token: Secret,
    /// The secret that signs clicks.
    pub signing_secret: Secret,
    /// The scopes granted to the bot.
    pub scopes: Vec<&'static str>,
    /// Channels by id, with the bot's access.
    pub channels: BTreeMap<String, Access>,
}

impl Workspace {
    /// Returns a workspace with one channel that the bot is in, and every scope that the relay can
    /// use.
    pub fn new(token: &str, signing_secret: &str, channel: &str) -> Self {
        Self {
            token: Secret::new(token),
            signing_secret: Secret::new(signing_secret),
            scopes: vec!["chat:write", "files:write", "files:read", "channels:read"],
            channels: BTreeMap::from([(channel.to_owned(), Access::Member)]),
        }
    }
}

/// The state that all parts share.
#[derive(Debug)]
struct State {
    workspace: Workspace,
    faults: Faults<Api>,
    calls: Mutex<Vec<Called>>,
    channels: Channels,
    files: Files,
}

/// A running fake. Dropping it stops it.
#[derive(Debug)]
pub struct FakeSlack {
    server: Server,
    state: Arc<State>,
}

impl FakeSlack {
    /// Starts a fake on a free port of the loopback interface.
    pub async fn start(workspace: Workspace) -> std::io::Result<Self> {
        let state = Arc::new(State {
            channels: Channels::new(workspace.channels.clone()),
            workspace,
            faults: Faults::default(),
            calls: Mutex::default(),
            files: Files::default(),
        });
        let routes = Router::new()
            .merge(messages::routes())
            .merge(files::routes())
            .route("/api/auth.test", post(auth_test))
            .with_state(Arc::clone(&state));
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), routes).await?;
        Ok(Self { server, state })
    }

    /// Returns the value for a destination's `base_url`.
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

    /// Returns the current messages, oldest first.
    pub fn messages(&self) -> Vec<Posted> {
        self.state.channels.messages()
    }

    /// Sets the bot's access to a channel.
    pub fn set_access(&self, channel: &str, access: Access) {
        self.state.channels.set_access(channel, access);
    }

    /// Returns the bytes of an uploaded file.
    pub fn file(&self, id: &str) -> Option<Bytes> {
        self.state.files.bytes(id)
    }

    /// Sets the time from upload until a file can be shown, for later uploads.
    pub fn set_ready_after(&self, span: Duration) {
        self.state.files.set_ready_after(span);
    }
}

impl State {
    fn record(&self, api: Api, arguments: &Value) {
        lock(&self.calls).push(Called {
            api,
            arguments: arguments.clone(),
        });
    }

    fn admit(&self, headers: &HeaderMap, scope: Option<&'static str>) -> Result<(), Refused> {
        let bearer = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = bearer.ok_or(Refused::word("not_authed"))?;
        if !self.workspace.token.matches(token) {
            return Err(Refused::word("invalid_auth"));
        }
        match scope.filter(|scope| !self.workspace.scopes.contains(scope)) {
            None => Ok(()),
            Some(needed) => Err(Refused::Answer(json!({
                "ok": false, "error": "missing_scope", "needed": needed,
                "provided": self.workspace.scopes.join(","),
            }))),
        }
    }
}

/// A received call of the Web API.
struct Call {
    state: Arc<State>,
    headers: HeaderMap,
    body: Bytes,
}

/// The formats that a method accepts. All accept forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Forms,
    JsonToo,
}

impl FromRequest<Arc<State>> for Call {
    type Rejection = BytesRejection;

    async fn from_request(
        mut request: extract::Request,
        state: &Arc<State>,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self {
            state: Arc::clone(state),
            headers: std::mem::take(request.headers_mut()),
            body: Bytes::from_request(request, state).await?,
        })
    }
}

impl Call {
    /// Serves a call: records its arguments, applies its fault, checks its token and scope.
    async fn serve(
        &self,
        api: Api,
        takes: Takes,
        scope: Option<&'static str>,
        answer: impl FnOnce(&State, &Value) -> Result<Value, Refused>,
    ) -> Response {
        let state = &self.state;
        let arguments = self.arguments(takes);
        state.record(api, arguments.as_ref().unwrap_or(&Value::Null));
        with_fault(state.faults.take(&api), async {
            let answered = state
                .admit(&self.headers, scope)
                .and(arguments.ok_or(Refused::word("invalid_arguments")))
                .and_then(|arguments| answer(state, &arguments));
            match answered {
                Ok(answer) => ok(answer),
                Err(refused) => refused.into_response(),
            }
        })
        .await
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn arguments(&self, takes: Takes) -> Option<Value> {
        if self.header("content-type")?.starts_with("application/json") {
            let arguments: Value = serde_json::from_slice(&self.body).ok()?;
            return (takes == Takes::JsonToo && arguments.is_object()).then_some(arguments);
        }
        let fields = url::form_urlencoded::parse(&self.body);
        let fields = fields.map(|(name, value)| (name.into_owned(), value.into_owned().into()));
        Some(Value::Object(fields.collect()))
    }
}

/// A failed call in Slack's format.
#[derive(Clone, Debug, PartialEq)]
enum Refused {
    /// An answer with HTTP 200.
    Answer(Value),
    /// HTTP 429 with the seconds to wait.
    TooFast(u64),
}

impl Refused {
    fn word(error: &str) -> Self {
        Self::Answer(json!({"ok": false, "error": error}))
    }

    /// Creates the failure for refused blocks.
    fn blocks(problems: &[String]) -> Self {
        let messages: Vec<String> = problems
            .iter()
            .map(|one| format!("[ERROR] {one}"))
            .collect();
        Self::Answer(
            json!({"ok": false, "error": "invalid_blocks", "errors": problems,
            "response_metadata": {"messages": messages}}),
        )
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Answer(answer) => json_answer(&answer),
            Self::TooFast(secs) => {
                let body = json!({"ok": false, "error": "ratelimited"}).to_string();
                let headers = [("retry-after", secs.to_string())];
                (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response()
            }
        }
    }
}

/// Returns a success. `answer` is an object.
fn ok(mut answer: Value) -> Response {
    answer["ok"] = true.into();
    json_answer(&answer)
}

fn json_answer(answer: &Value) -> Response {
    let media_type = [("content-type", "application/json; charset=utf-8")];
    (media_type, answer.to_string()).into_response()
}

async fn auth_test(call: Call) -> Response {
    let mut answer = call
        .serve(Api::AuthTest, Takes::JsonToo, None, |_, _| {
            Ok(
                json!({"url": "https://example.slack.com/", "team": "example", "user": "relay",
                "team_id": "T0FAKE", "user_id": "U0FAKEBOT", "bot_id": "B0FAKEBOT"}),
            )
        })
        .await;
    if let Ok(scopes) = call.state.workspace.scopes.join(",").parse() {
        answer.headers_mut().insert("x-oauth-scopes", scopes);
    }
    answer
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
