//! What the page shows, as one value: chats with their messages, and events on their way.

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

/// How many messages of a chat are shown.
const MESSAGES_MAX: usize = 40;
/// How soon what happens is seen.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Everything that is shown comes from here.
pub(super) struct Board {
    pub(super) world: Arc<World>,
    pub(super) settings: Arc<Settings>,
    pub(super) pause: Arc<Pause>,
    /// Opened when the relay has made it.
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

    /// What is shown, as JSON, and what it becomes; empty until it was looked at for the first time.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<str>> {
        self.shown.subscribe()
    }

    /// Looks again and again, as long as somebody watches.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            // An editor may be putting the new file in the place of the old one: the next look finds it.
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

    /// What is to be shown now.
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

    /// None where there is no store yet, or it cannot be read just now.
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
                tracing::error!(%error, "the demo's store cannot be read");
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
