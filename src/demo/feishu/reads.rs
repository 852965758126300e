//! Read calls: an app's permissions, whether its bot is in a chat, and people. Sources: doc
//! "查询租户授权状态", doc "判断用户或机器人是否在群里", doc "获取单个用户信息", doc "通过手机号或邮箱获取用户 ID".

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Api, Refused, State, answer, lock, success};
use crate::demo::server::with_fault;

/// The people in the tenant, and the missing permissions.
#[derive(Debug, Default)]
pub(super) struct Reads(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Open ids and e-mail addresses.
    people: BTreeSet<String>,
    /// Permissions that are not granted; all others are.
    lacking: BTreeSet<String>,
}

/// The permissions of the fake's apps unless they are removed.
const SCOPES: &[&str] = &[
    "application:application.feedback.feedback_info",
    "contact:contact.base:readonly",
    "contact:user.id:readonly",
    "im:chat:readonly",
    "im:message:send_as_bot",
    "im:message.urgent",
    "im:resource",
];

impl Reads {
    pub(super) fn add_person(&self, id: &str) {
        lock(&self.0).people.insert(id.to_owned());
    }

    pub(super) fn take_scope(&self, scope: &str) {
        lock(&self.0).lacking.insert(scope.to_owned());
    }

    fn knows(&self, id: &str) -> bool {
        lock(&self.0).people.contains(id)
    }

    /// Returns an error if the permission was removed.
    fn admit(&self, scope: &'static str) -> Result<(), Lacking> {
        match lock(&self.0).lacking.contains(scope) {
            true => Err(Lacking(scope)),
            false => Ok(()),
        }
    }
}

/// A missing permission in the platform's words.
struct Lacking(&'static str);

impl IntoResponse for Lacking {
    fn into_response(self) -> Response {
        let msg = format!(
            "Access denied. One of the following scopes is required: [{}].",
            self.0
        );
        let body = json!({"code": 99_991_672, "msg": msg});
        answer(StatusCode::BAD_REQUEST, &body)
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/open-apis/application/v6/scopes", get(scopes))
        .route(
            "/open-apis/im/v1/chats/{id}/members/is_in_chat",
            get(in_chat),
        )
        .route("/open-apis/im/v1/chats/{id}", get(chat))
        .route("/open-apis/contact/v3/users/{id}", get(person))
        .route("/open-apis/contact/v3/users/batch_get_id", post(find))
}

/// Serves a call with a token.
async fn serve(
    state: &State,
    api: Api,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    reply: impl FnOnce(&Value) -> Response,
) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    state.record(api, uri.path(), body.clone());
    with_fault(state.faults.take(&api), async {
        match state.caller(headers) {
            Ok(_) => reply(&body),
            Err(refused) => refused.into_response(),
        }
    })
    .await
}

async fn scopes(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    serve(&state, Api::Scopes, &uri, &headers, &Bytes::new(), |_| {
        let kept = lock(&state.reads.0);
        let granted = SCOPES
            .iter()
            .filter(|scope| !kept.lacking.contains(**scope));
        let all: Vec<Value> = granted
            .map(|scope| json!({"scope_name": scope, "grant_status": 1}))
            .collect();
        success(&json!({ "scopes": all }))
    })
    .await
}

async fn in_chat(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    about_chat(
        &state,
        &uri,
        &headers,
        || json!({"is_in_chat": state.messages.is_open(&id)}),
    )
    .await
}

async fn chat(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    about_chat(&state, &uri, &headers, || {
        let open = state.messages.is_open(&id);
        json!({"chat_status": if open { "normal" } else { "dissolved" }})
    })
    .await
}

/// Answers a question about a chat, which needs a scope.
async fn about_chat(
    state: &State,
    uri: &Uri,
    headers: &HeaderMap,
    answer: impl Fn() -> Value,
) -> Response {
    serve(
        state,
        Api::InChat,
        uri,
        headers,
        &Bytes::new(),
        |_| match state.reads.admit("im:chat:readonly") {
            Ok(()) => success(&answer()),
            Err(lacking) => lacking.into_response(),
        },
    )
    .await
}

async fn person(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    serve(&state, Api::Person, &uri, &headers, &Bytes::new(), |_| {
        if let Err(lacking) = state.reads.admit("contact:contact.base:readonly") {
            return lacking.into_response();
        }
        if !state.reads.knows(&id) {
            return Refused::bad(99_992_351, "the request's open_id is not existed")
                .into_response();
        }
        let status = json!({"is_frozen": false, "is_resigned": false, "is_activated": true});
        success(&json!({"user": {"open_id": id, "status": status}}))
    })
    .await
}

async fn find(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&state, Api::FindPeople, &uri, &headers, &body, |asked| {
        if let Err(lacking) = state.reads.admit("contact:user.id:readonly") {
            return lacking.into_response();
        }
        let emails = asked["emails"].as_array().cloned().unwrap_or_default();
        let found = |email: &Value| {
            let address = email.as_str().unwrap_or_default();
            match state.reads.knows(address) {
                true => json!({"user_id": "ou_found", "email": address}),
                false => json!({ "email": address }),
            }
        };
        let list: Vec<Value> = emails.iter().map(found).collect();
        success(&json!({ "user_list": list }))
    })
    .await
}
