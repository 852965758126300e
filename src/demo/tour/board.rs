//! The state that the page shows, as one value: chats with messages, and recent events.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};

use super::chats::{Chat, ONCALL, PRODUCT};
use super::journal::Journal;
use super::relay::{Found, Relay};
use super::script::Pause;
use super::settings::Settings;
use super::storm::{self, Storm};
use super::world::World;
use crate::demo::{Taken, feishu, slack};
use crate::store::StoreError;

/// The largest number of messages shown per chat.
const MESSAGES_MAX: usize = 40;
/// The time between two polls.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// The source of everything that the page shows.
pub(super) struct Board {
    pub(super) relay: Arc<Relay>,
    pub(super) storm: Storm,
    pub(super) world: Arc<World>,
    pub(super) settings: Settings,
    pub(super) pause: Arc<Pause>,
    /// Opened after the relay has created it.
    journal: OnceCell<Journal>,
    shown: watch::Sender<Arc<str>>,
}

impl Board {
    pub(super) fn new(
        relay: Arc<Relay>,
        storm: Storm,
        world: Arc<World>,
        settings: Settings,
        pause: Arc<Pause>,
    ) -> Self {
        Self {
            relay,
            storm,
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

    /// Writes `relay.toml`. The relay reads it again.
    pub(super) fn save(&self, text: &str) -> io::Result<()> {
        self.settings.write(text)?;
        self.look()
    }

    fn look(&self) -> io::Result<()> {
        match self.settings.look()? {
            true => self.relay.reload(),
            false => Ok(()),
        }
    }

    /// Polls the file and restarts of the relay, and the state as long as somebody watches.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            // An editor may be replacing the file; the next poll finds the new one.
            self.look().ok();
            if self.relay.wants_check() {
                self.check_restart().await;
            }
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
            "storm": self.storm_json().await,
            "relay": self.relay.json(),
            "paused": self.pause.is_set(),
            "config": {"version": read.version, "in_force": read.in_force},
        })
    }

    /// Returns no events if the store does not exist yet or cannot be read at the moment.
    async fn events(&self) -> Vec<Value> {
        let config = self.settings.config().get();
        let Some(journal) = self.journal().await else {
            return Vec::new();
        };
        readable(journal.events(&config, &self.world).await).unwrap_or_default()
    }

    /// Returns `None` if the store does not exist yet.
    async fn journal(&self) -> Option<&Journal> {
        let config = self.settings.config().get();
        let open = || async { Journal::open(&config) };
        self.journal.get_or_try_init(open).await.ok()
    }

    /// Looks which acknowledged events are in the store after a restart.
    async fn check_restart(&self) {
        let acknowledged = self.world.acknowledged();
        let Some(journal) = self.journal().await else {
            return;
        };
        if let Some(lost) = readable(journal.missing(&acknowledged).await) {
            let acknowledged = acknowledged.len();
            self.relay.set_found(Found { acknowledged, lost });
        }
    }

    /// Returns the last storm: what was acknowledged, and what the relay and the on-call group made of it.
    async fn storm_json(&self) -> Option<Value> {
        let run = self.storm.last()?;
        let [acknowledged, suggestions, repeats] = run.counts();
        let counted = match (run.first(), self.journal().await) {
            (Some(first), Some(journal)) => readable(journal.counted(&first).await).flatten(),
            (None, _) | (_, None) => None,
        };
        let posted = self.world.feishu.messages(ONCALL);
        let cards = counted.as_ref().map(|counted| &*counted.messages);
        let is_own = |one: &&feishu::Posted| cards.unwrap_or_default().contains(&one.id);
        let own: Vec<&feishu::Posted> = posted.iter().filter(is_own).collect();
        let individual = counted.as_ref().map_or(0, |counted| counted.individual);
        Some(json!({
            "running": run.is_running(),
            "reports": storm::REPORTS,
            "acknowledged": acknowledged,
            "suggestions": suggestions,
            "repeats": repeats,
            "counted": counted.as_ref().map_or(0, |counted| counted.reports),
            "messages": individual + own.len(),
            "edits": own.iter().map(|one| one.edits).sum::<u32>(),
            "cards": cards,
        }))
    }

    fn chat(&self, chat: Chat) -> Value {
        let mut shown = chat.about();
        shown["condition"] = json!(self.world.condition(chat));
        shown["messages"] = match chat {
            Chat::Oncall => last(&self.world.feishu.messages(ONCALL), feishu_json),
            Chat::Product => last(&self.world.feishu.messages(PRODUCT), feishu_json),
            Chat::Slack => last(&self.world.slack.messages(), slack_json),
            Chat::Warehouse => last(&self.world.receiver.newest(MESSAGES_MAX), taken_json),
        };
        shown
    }
}

/// Logs why the store cannot be read.
fn readable<T>(read: Result<T, StoreError>) -> Option<T> {
    read.inspect_err(|error| tracing::error!(%error, "failed to read the demo's store"))
        .ok()
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
