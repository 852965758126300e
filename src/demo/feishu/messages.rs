//! Messages of apps' bots: creating, answering, updating, urgent notifications, and the content of
//! each chat. Sources: doc "发送消息", "回复消息", "更新已发送的消息卡片", "发送应用内加急".

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::card;
use super::{Api, Refused, State, answer, lock, success};
use crate::demo::server::with_fault;
use crate::model::{Clock, SystemClock, Timestamp};

/// How long a `uuid` is remembered.
const UUID_KEPT: Duration = Duration::from_secs(3600);
/// The longest `uuid`, in characters.
const UUID_CHARS_MAX: usize = 50;
/// "卡片及富文本消息请求体最大不能超过 30KB".
const CARD_BYTES_MAX: usize = 30 * 1024;
/// "文本消息请求体最大不能超过 150KB".
const TEXT_BYTES_MAX: usize = 150 * 1024;

/// A message in a chat.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// Its id, `om_…`.
    pub id: String,
    /// The chat, `oc_…`, or the person, `ou_…`, that received it.
    pub receiver: String,
    /// The id of the sending app.
    pub app_id: String,
    /// `interactive`, `post` or `text`.
    pub msg_type: String,
    /// The current content.
    pub content: Value,
    /// The message that it answers, if any.
    pub parent: Option<String>,
    /// The thread that it belongs to or started, if any.
    pub thread: Option<String>,
    /// How often it was updated.
    pub edits: u32,
    /// Whether it was recalled.
    pub recalled: bool,
    /// The urgent notifications: the last part of the call's path, and the people.
    pub rung: Vec<(String, Vec<String>)>,
    /// When it was created, by the monotonic clock.
    pub posted_at: Instant,
    /// When it was created, by the wall clock.
    pub created_at: Timestamp,
}

impl Posted {
    fn new(id: String, receiver: &str, app_id: &str, msg_type: &str, content: Value) -> Self {
        Self {
            id,
            receiver: receiver.to_owned(),
            app_id: app_id.to_owned(),
            msg_type: msg_type.to_owned(),
            content,
            parent: None,
            thread: None,
            edits: 0,
            recalled: false,
            rung: Vec::new(),
            posted_at: Instant::now(),
            created_at: SystemClock.now(),
        }
    }
}

/// The messages of all chats.
#[derive(Debug, Default)]
pub(super) struct Messages(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The chats that the bots are in.
    chats: HashSet<String>,
    messages: Vec<Posted>,
    /// The message of each app's `uuid`, and when it was created.
    uuids: HashMap<(String, String), (String, Instant)>,
}

impl Messages {
    pub(super) fn open_chat(&self, id: &str) {
        lock(&self.0).chats.insert(id.to_owned());
    }

    pub(super) fn leave_chat(&self, id: &str) {
        lock(&self.0).chats.remove(id);
    }

    pub(super) fn is_open(&self, id: &str) -> bool {
        lock(&self.0).chats.contains(id)
    }

    pub(super) fn of(&self, receiver: &str) -> Vec<Posted> {
        let kept = lock(&self.0);
        let all = kept.messages.iter();
        all.filter(|message| message.receiver == receiver)
            .cloned()
            .collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Posted> {
        lock(&self.0).find(id).cloned()
    }

    /// Adds a message that no app's bot sent.
    pub(super) fn post(&self, receiver: &str, sender: &str, msg_type: &str, content: Value) {
        let mut kept = lock(&self.0);
        let id = kept.next_id("om");
        kept.put(Posted::new(id, receiver, sender, msg_type, content), None);
    }

    pub(super) fn recall(&self, id: &str) {
        if let Some(message) = lock(&self.0).find(id) {
            message.recalled = true;
        }
    }
}

/// Why a call is refused.
enum No {
    Plain(Refused),
    /// 230099, with the rule that the card breaks.
    Card(u32),
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self::Plain(refused)
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        match self {
            Self::Plain(refused) => refused.into_response(),
            Self::Card(rule) => answer(StatusCode::BAD_REQUEST, &card::refusal(rule)),
        }
    }
}

const BAD_CONTENT: Refused = Refused::bad(
    230_001,
    "Your request contains an invalid request parameter, ext=invalid message content.",
);
const BAD_MESSAGE: Refused = Refused::bad(
    230_001,
    "Your request contains an invalid request parameter, ext=invalid message_id.",
);
const BAD_RECEIVER: Refused = Refused::bad(
    230_001,
    "Your request contains an invalid request parameter, ext=invalid receive_id.",
);

impl Kept {
    fn find(&mut self, id: &str) -> Option<&mut Posted> {
        self.messages.iter_mut().find(|message| message.id == id)
    }

    /// Returns the app's own message unless it was recalled.
    fn own(&mut self, id: &str, app_id: &str) -> Result<&mut Posted, Refused> {
        let message = self.find(id).ok_or(BAD_MESSAGE)?;
        if message.app_id != app_id {
            return Err(Refused::bad(
                230_012,
                "Bot is NOT the sender of the message.",
            ));
        }
        if message.recalled {
            return Err(Refused::bad(230_011, "The message was withdrawn."));
        }
        Ok(message)
    }

    /// Returns the message that this `uuid` created within the last hour.
    fn repeated(&self, app_id: &str, uuid: &str) -> Option<&Posted> {
        let key = (app_id.to_owned(), uuid.to_owned());
        let (id, made_at) = self.uuids.get(&key)?;
        let fresh = made_at.elapsed() < UUID_KEPT;
        self.messages
            .iter()
            .find(|message| fresh && message.id == *id)
    }

    fn put(&mut self, message: Posted, uuid: Option<String>) -> Value {
        if let Some(uuid) = uuid {
            let made = (message.id.clone(), message.posted_at);
            self.uuids.insert((message.app_id.clone(), uuid), made);
        }
        let data = data(&message);
        self.messages.push(message);
        data
    }

    fn next_id(&self, prefix: &str) -> String {
        format!("{prefix}_fake_{}", self.messages.len() + 1)
    }
}

/// Returns the platform's data about a message.
fn data(message: &Posted) -> Value {
    let now = SystemClock.now().as_millis().to_string();
    let created = message.created_at.as_millis().to_string();
    json!({
        "message_id": message.id,
        "root_id": message.parent, "parent_id": message.parent, "thread_id": message.thread,
        "msg_type": message.msg_type,
        "create_time": created, "update_time": now, "deleted": false, "updated": message.edits > 0,
        "chat_id": message.receiver,
        "sender": {"id": message.app_id, "id_type": "app_id", "sender_type": "app"},
        "body": {"content": message.content.to_string()},
    })
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/open-apis/im/v1/messages", post(create))
        .route("/open-apis/im/v1/messages/{id}", patch(update))
        .route("/open-apis/im/v1/messages/{id}/reply", post(reply))
        .route("/open-apis/im/v1/messages/{id}/{how}", patch(ring))
}

/// A call to this part.
struct Asked<'a> {
    state: &'a State,
    app_id: String,
    body: Value,
    bytes: usize,
}

impl Asked<'_> {
    fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }

    fn uuid(&self) -> Result<Option<String>, Refused> {
        match self.body.get("uuid").and_then(Value::as_str) {
            Some(uuid) if uuid.chars().count() > UUID_CHARS_MAX => {
                Err(Refused::bad(99_992_402, "field validation failed"))
            }
            uuid => Ok(uuid.filter(|uuid| !uuid.is_empty()).map(str::to_owned)),
        }
    }

    /// Returns the content of the message if the platform would show it.
    fn content(&self, msg_type: &str) -> Result<Value, No> {
        let content: Value = serde_json::from_str(self.text("content"))
            .ok()
            .filter(Value::is_object)
            .ok_or(BAD_CONTENT)?;
        let bytes_max = if msg_type == "text" {
            TEXT_BYTES_MAX
        } else {
            CARD_BYTES_MAX
        };
        if self.bytes > bytes_max {
            return Err(Refused::bad(
                230_025,
                "The length of the message content reaches its limit.",
            )
            .into());
        }
        let good = match msg_type {
            "interactive" => {
                let known = |key: &str| self.state.images.get(key).is_some();
                return match card::broken_rule(&content, &known) {
                    Some(rule) => Err(No::Card(rule)),
                    None => Ok(content),
                };
            }
            "text" => content["text"].is_string(),
            // The `post` format of custom bots is not accepted here.
            "post" => content
                .as_object()
                .is_some_and(|all| all.values().all(|one| one["content"].is_array())),
            _ => false,
        };
        if good {
            Ok(content)
        } else {
            Err(BAD_CONTENT.into())
        }
    }
}

/// Serves a call to `api` with a valid token.
async fn served(
    state: &State,
    api: Api,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    serve: impl FnOnce(&Asked<'_>) -> Result<Value, No>,
) -> Response {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let path = uri
        .path_and_query()
        .map_or(uri.path(), |path| path.as_str());
    state.record(api, path, parsed.clone());
    with_fault(state.faults.take(&api), async {
        let served = state.caller(headers).map_err(No::from).and_then(|app_id| {
            let bytes = body.len();
            serve(&Asked {
                state,
                app_id,
                body: parsed,
                bytes,
            })
        });
        match served {
            Ok(data) => success(&data),
            Err(no) => no.into_response(),
        }
    })
    .await
}

async fn create(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    served(&state, Api::CreateMessage, &uri, &headers, &body, |asked| {
        let receiver = asked.text("receive_id");
        let msg_type = asked.text("msg_type");
        let content = asked.content(msg_type)?;
        let uuid = asked.uuid()?;
        let mut kept = lock(&asked.state.messages.0);
        match query.as_str() {
            "receive_id_type=chat_id" if kept.chats.contains(receiver) => {}
            "receive_id_type=chat_id" if receiver.starts_with("oc_") => {
                return Err(Refused::bad(230_002, "Bot/User can NOT be out of the chat.").into());
            }
            "receive_id_type=open_id" if receiver.starts_with("ou_") => {}
            _ => return Err(BAD_RECEIVER.into()),
        }
        let known = uuid
            .as_deref()
            .and_then(|uuid| kept.repeated(&asked.app_id, uuid));
        if let Some(known) = known {
            return Ok(data(known));
        }
        let id = kept.next_id("om");
        let message = Posted::new(id, receiver, &asked.app_id, msg_type, content);
        Ok(kept.put(message, uuid))
    })
    .await
}

async fn reply(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    served(&state, Api::ReplyMessage, &uri, &headers, &body, |asked| {
        let msg_type = asked.text("msg_type");
        let content = asked.content(msg_type)?;
        let uuid = asked.uuid()?;
        let mut kept = lock(&asked.state.messages.0);
        let known = uuid
            .as_deref()
            .and_then(|uuid| kept.repeated(&asked.app_id, uuid));
        if let Some(known) = known {
            return Ok(data(known));
        }
        let (new_id, new_thread) = (kept.next_id("om"), kept.next_id("omt"));
        let parent = kept.find(&id).ok_or(BAD_MESSAGE)?;
        if parent.recalled {
            return Err(Refused::bad(230_011, "The message was withdrawn.").into());
        }
        if asked.body["reply_in_thread"] == true {
            parent.thread.get_or_insert(new_thread);
        }
        let message = Posted {
            parent: Some(id),
            thread: parent.thread.clone(),
            ..Posted::new(new_id, &parent.receiver, &asked.app_id, msg_type, content)
        };
        Ok(kept.put(message, uuid))
    })
    .await
}

async fn update(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    served(&state, Api::UpdateCard, &uri, &headers, &body, |asked| {
        let content = asked.content("interactive")?;
        let mut kept = lock(&asked.state.messages.0);
        let message = kept.own(&id, &asked.app_id)?;
        if message.msg_type != "interactive" {
            return Err(Refused::bad(230_001, "This message is NOT a card.").into());
        }
        message.content = content;
        message.edits += 1;
        Ok(json!({}))
    })
    .await
}

async fn ring(
    extract::State(state): extract::State<Arc<State>>,
    Path((id, how)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    served(&state, Api::Urgent, &uri, &headers, &body, |asked| {
        let listed = asked.body["user_id_list"].as_array().cloned();
        let ids = listed.unwrap_or_default();
        let ids = ids.iter().filter_map(Value::as_str).map(str::to_owned);
        let (people, strangers): (Vec<_>, Vec<_>) = ids.partition(|id| id.starts_with("ou_"));
        let mut kept = lock(&asked.state.messages.0);
        let message = kept.own(&id, &asked.app_id)?;
        message.rung.push((how, people));
        Ok(json!({"invalid_user_id_list": strangers}))
    })
    .await
}

#[cfg(test)]
mod tests;
