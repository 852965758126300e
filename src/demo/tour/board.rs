//! The state that the page shows, as one value: chats with messages, and recent events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};

use super::chats::{Chat, ONCALL, PRODUCT};
use super::journal::Journal;
use super::script::Pause;
use super::settings::Settings;
use super::world::World;
use crate::demo::{Taken, feishu, slack};

/// The largest number of messages shown per chat.
const MESSAGES_MAX: usize = 40;
/// The time between two polls.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// The source of everything that the page shows.
pub(super) struct Board {
    pub(super) world: Arc<World>,
    pub(super) settings: Arc<Settings>,
    pub(super) pause: Arc<Pause>,
    /// Opened after the relay has created it.
    journal: OnceCell<Journal>,
    shown: watch::Sender<Arc<str>>,
}

impl Board {
    pub(super) fn new(world: Arc<World>, settings: Arc<Settings>, pause: Arc<Pause>) -> Self {
        Self {
            world,
            settings,
            pause,
            journal: OnceCell::new(),
            shown: watch::Sender::new(Arc::from("")),
        }
    }

    /// Returns the state as JSON, and its changes. It is empty before the first poll.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<str>> {
        self.shown.subscribe()
    }

    /// Polls as long as somebody watches.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            // An editor may be replacing the file; the next poll finds the new one.
            self.settings.look().ok();
            if self.shown.receiver_count() > 0 {
                let now: Arc<str> = self.state().await.to_string().into();
                self.shown.send_if_modified(|shown| {
                    let modified = *shown != now;
                    *shown = now;
                    modified
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the current state.
    pub(super) async fn state(&self) -> Value {
        let read = self.settings.read();
        let chats: Vec<Value> = Chat::ALL.into_iter().map(|chat| self.chat(chat)).collect();
        json!({
            "chats": chats,
            "events": self.events().await,
            "paused": self.pause.is_set(),
            "config": {"version": read.version, "in_force": read.in_force},
        })
    }

    /// Returns no events if the store does not exist yet or cannot be read at the moment.
    async fn events(&self) -> Vec<Value> {
        let config = self.settings.config().get();
        let journal = self
            .journal
            .get_or_try_init(|| async { Journal::open(&config) })
            .await;
        let Ok(journal) = journal else {
            return Vec::new();
        };
        match journal.events(&config, &self.world).await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!(%error, "failed to read the demo's store");
                Vec::new()
            }
        }
    }

    fn chat(&self, chat: Chat) -> Value {
        let mut shown = chat.about();
        shown["condition"] = json!(self.world.condition(chat));
        shown["messages"] = match chat {
            Chat::Oncall => last(&self.world.feishu.messages(ONCALL), feishu_json),
            Chat::Product => last(&self.world.feishu.messages(PRODUCT), feishu_json),
            Chat::Slack => last(&self.world.slack.messages(), slack_json),
            Chat::Warehouse => last(&self.world.receiver.taken(), taken_json),
        };
        shown
    }
}

fn last<T>(all: &[T], json: impl Fn(&T) -> Value) -> Value {
    let from = all.len().saturating_sub(MESSAGES_MAX);
    all.iter().skip(from).map(json).collect()
}

fn feishu_json(posted: &feishu::Posted) -> Value {
    json!({
        "id": posted.id,
        "at": posted.created_at.as_millis(),
        "type": posted.msg_type,
        "content": posted.content,
        "parent": posted.parent,
        "edits": posted.edits,
    })
}

fn slack_json(posted: &slack::Posted) -> Value {
    let secs = posted
        .ts
        .split('.')
        .next()
        .and_then(|secs| secs.parse().ok());
    json!({
        "id": posted.ts,
        "at": secs.map(|secs: i64| secs * 1000),
        "text": posted.text,
        "blocks": posted.blocks,
        "parent": posted.thread_ts,
        "edits": posted.edits,
    })
}

fn taken_json(taken: &Taken) -> Value {
    json!({"id": taken.id, "at": taken.taken_at.as_millis(), "body": taken.body})
}
