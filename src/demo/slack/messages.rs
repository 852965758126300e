//! Messages, channels, and the incoming webhook. Sources: docs.slack.dev `chat.postMessage`,
//! `chat.update`, `conversations.info`, "Sending messages using incoming webhooks", "Rate limits".

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, Call, Refused, State, Takes, blocks, lock};
use crate::demo::server::with_fault;
use crate::model::{Clock, SystemClock};

/// The largest burst in a channel: "One message a second in a channel; short bursts pass". One more
/// than the relay's own limit, because network delays bunch messages.
const BURST: f64 = 4.0;
/// The longest text for `chat.update`, in characters.
const UPDATE_TEXT_CHARS_MAX: usize = 4000;

/// The bot's access to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The bot is a member.
    Member,
    /// The bot is not a member.
    Outside,
    /// The channel is archived.
    Archived,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    pub channel: String,
    /// Its timestamp, which identifies it in the channel.
    pub ts: String,
    /// The message that it replies to, if any.
    pub thread_ts: Option<String>,
    pub text: String,
    /// Its blocks; null if it has none.
    pub blocks: Value,
    /// How often it was updated.
    pub edits: u32,
}

/// Channels and their messages.
#[derive(Debug)]
pub(super) struct Channels(Mutex<Content>);

#[derive(Debug)]
struct Content {
    access: BTreeMap<String, Access>,
    messages: Vec<Posted>,
    buckets: HashMap<String, Bucket>,
}

/// The rest of a channel's burst.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Channels {
    pub(super) fn new(access: BTreeMap<String, Access>) -> Self {
        Self(Mutex::new(Content {
            access,
            messages: Vec::new(),
            buckets: HashMap::new(),
        }))
    }

    pub(super) fn messages(&self) -> Vec<Posted> {
        lock(&self.0).messages.clone()
    }

    pub(super) fn message(&self, channel: &str, ts: &str) -> Option<Posted> {
        let content = lock(&self.0);
        let mut messages = content.messages.iter();
        messages
            .find(|one| one.channel == channel && one.ts == ts)
            .cloned()
    }

    pub(super) fn set_access(&self, channel: &str, access: Access) {
        lock(&self.0).access.insert(channel.to_owned(), access);
    }

    fn access(&self, channel: &str) -> Result<Access, Refused> {
        let access = lock(&self.0).access.get(channel).copied();
        access.ok_or(Refused::word("channel_not_found"))
    }

    /// Returns an error if the channel's rate limit is reached.
    fn pace(&self, channel: &str) -> Result<(), Refused> {
        let now = Instant::now();
        let mut content = lock(&self.0);
        let fresh = Bucket {
            left: BURST,
            at: now,
        };
        let bucket = content.buckets.entry(channel.to_owned()).or_insert(fresh);
        let refilled = bucket.left + now.duration_since(bucket.at).as_secs_f64();
        *bucket = Bucket {
            left: refilled.min(BURST),
            at: now,
        };
        if bucket.left < 1.0 {
            return Err(Refused::TooFast(1));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    fn add(&self, channel: &str, arguments: &Value) -> Posted {
        let mut content = lock(&self.0);
        let number = content.messages.len();
        let posted = Posted {
            channel: channel.to_owned(),
            // The number keeps timestamps unique, whatever the clock does.
            ts: format!("{}.{number:06}", SystemClock.now().as_secs()),
            thread_ts: arguments["thread_ts"].as_str().map(str::to_owned),
            text: arguments["text"].as_str().unwrap_or_default().to_owned(),
            blocks: arguments["blocks"].clone(),
            edits: 0,
        };
        content.messages.push(posted.clone());
        posted
    }

    fn change(&self, channel: &str, ts: &str, arguments: &Value) -> Option<Posted> {
        let mut content = lock(&self.0);
        let mut messages = content.messages.iter_mut();
        let message = messages.find(|one| one.channel == channel && one.ts == ts)?;
        if let Some(text) = arguments["text"].as_str() {
            text.clone_into(&mut message.text);
        }
        // Absent blocks stay unchanged.
        if let Some(blocks) = arguments.get("blocks") {
            message.blocks = blocks.clone();
        }
        message.edits += 1;
        Some(message.clone())
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/chat.postMessage", post(post_message))
        .route("/api/chat.update", post(update))
        .route("/api/conversations.info", post(conversation))
        .route("/actions/{team}/{number}/{secret}", post(respond))
}

async fn post_message(call: Call) -> Response {
    call.serve(
        Api::PostMessage,
        Takes::JsonToo,
        Some("chat:write"),
        |state, arguments| {
            let channel = arguments["channel"].as_str().unwrap_or_default();
            match state.channels.access(channel)? {
                Access::Member => {}
                Access::Outside => return Err(Refused::word("not_in_channel")),
                Access::Archived => return Err(Refused::word("is_archived")),
            }
            state.channels.pace(channel)?;
            check(state, arguments)?;
            if let Some(thread) = arguments["thread_ts"].as_str()
                && state.channels.message(channel, thread).is_none()
            {
                return Err(Refused::word("thread_not_found"));
            }
            Ok(told(&state.channels.add(channel, arguments)))
        },
    )
    .await
}

async fn update(call: Call) -> Response {
    call.serve(
        Api::Update,
        Takes::JsonToo,
        Some("chat:write"),
        |state, arguments| {
            let word = |name: &str| arguments[name].as_str().unwrap_or_default();
            state.channels.access(word("channel"))?;
            check(state, arguments)?;
            if word("text").chars().count() > UPDATE_TEXT_CHARS_MAX {
                return Err(Refused::word("msg_too_long"));
            }
            let changed = state
                .channels
                .change(word("channel"), word("ts"), arguments);
            Ok(told(&changed.ok_or(Refused::word("message_not_found"))?))
        },
    )
    .await
}

async fn conversation(call: Call) -> Response {
    let scope = Some("channels:read");
    call.serve(
        Api::ConversationInfo,
        Takes::Forms,
        scope,
        |state, arguments| {
            let channel = arguments["channel"].as_str().unwrap_or_default();
            let access = state.channels.access(channel)?;
            Ok(json!({"channel": {"id": channel, "name": "fake",
                "is_member": access == Access::Member, "is_archived": access == Access::Archived}}))
        },
    )
    .await
}

async fn respond(extract::State(state): extract::State<Arc<State>>, body: Bytes) -> Response {
    let arguments: Value = serde_json::from_slice(&body).unwrap_or_default();
    state.record(Api::Respond, &arguments);
    with_fault(state.faults.take(&Api::Respond), async {
        "ok".into_response()
    })
    .await
}

/// Makes the checks that apply to every message.
fn check(state: &State, arguments: &Value) -> Result<(), Refused> {
    let text = arguments["text"].as_str().unwrap_or_default();
    let blocks = arguments.get("blocks").filter(|blocks| !blocks.is_null());
    if text.is_empty() && blocks.is_none() {
        return Err(Refused::word("no_text"));
    }
    let problems = blocks.map_or_else(Vec::new, |blocks| blocks::problems(blocks, &state.files));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Refused::blocks(&problems))
    }
}

fn told(posted: &Posted) -> Value {
    json!({"channel": posted.channel, "ts": posted.ts,
        "message": {"type": "message", "text": posted.text, "blocks": posted.blocks}})
}
