//! Closing the loop: what people do about a report where they were told of it.
//!
//! A message carries **buttons**; each stands for a [`ButtonAction`] that we signed ([`ButtonSigner`]). Whoever
//! receives a click (a card's callback in `intake`, Slack's in `web`) has checked that the platform sent
//! it, and hands it to [`Closing::press`]. That moves the feedback in the store, in one transaction with
//! an edit of every message that can be changed and the wish that Feishu be told; `deliver` makes the
//! edits, and the [`StatusSync`] tells Feishu, in the name of whoever clicked.
//!
//! What is promised: a click is answered well within the platform's 3 s; what was answered is on the
//! disk; the same click again, by anyone, changes nothing and says so. The message changes by its edit a
//! moment later, alike in Feishu and Slack; an answer carries words only.
//!
//! In Feishu's own record a change needs a person of Feishu behind it. Who clicks in Slack is found by
//! `[mentions]`: the entry with exactly that Slack id and one open id. Without one, or without the secret of
//! the app that received the feedback, the state changes here alone, and the message says so.

mod button;
mod replies;
mod slack;
mod status_sync;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::button::{ButtonAction, ButtonSigner, MadeFor};
pub use self::slack::{EphemeralReply, NotTaken, SlackTarget};
pub use self::status_sync::StatusSync;
use crate::feishu::{CardAction, FeishuClient};
use crate::model::{
    Actor, AppName, ChangeSource, Current, DestinationName, Private, StoredEvent, TriageAction,
};
use crate::render::Mention;
use crate::store::{ActionOutcome, ApplyAction, Store, StoreError};
use crate::telemetry::Metrics;
use crate::telemetry::events::ButtonPressed;

/// How long the store may take: the platforms wait 3 s for an answer, and the webhook gives up after 900 ms,
/// with an answer that says nothing to whoever clicked.
const COMMIT_WITHIN: Duration = Duration::from_millis(800);

/// What a reload replaces.
#[derive(Debug, Default)]
pub struct Settings {
    /// Who can tell Feishu of a status: the apps that have a secret.
    pub clients: BTreeMap<AppName, FeishuClient>,
    /// `[mentions]`: people by their names.
    pub mentions: BTreeMap<String, Mention>,
    /// The destinations in Feishu at which an app speaks, and which one.
    pub feishu: BTreeMap<DestinationName, AppName>,
    /// The destinations in Slack whose messages carry buttons.
    pub slack: BTreeMap<DestinationName, SlackTarget>,
}

/// Takes clicks. Clones share everything.
#[derive(Clone)]
pub struct Closing {
    store: Store,
    metrics: Arc<Metrics>,
    buttons: ButtonSigner,
    settings: Current<Settings>,
}

/// Who clicked, as the platform says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonUser {
    /// In a card of this app.
    Feishu {
        /// Which.
        app: AppName,
        /// The person, as that app knows them.
        open_id: Option<Private>,
    },
    /// In Slack.
    Slack {
        /// The destination whose address Slack called. Several destinations of one Slack app share one address.
        destination: DestinationName,
        /// `U…` or `W…`.
        user: Option<String>,
        /// The name that the workspace shows.
        name: Option<String>,
    },
}

/// Who brought a feedback to its state, as whoever clicks later is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Whoever clicks now.
    ButtonUser,
    /// Somebody of this name.
    Named(String),
    /// Somebody whose name we do not know.
    Somebody,
}

/// What came of a click.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// It is done.
    Done {
        /// What.
        act: TriageAction,
        /// Feishu is not told.
        local_only: bool,
    },
    /// It was so before.
    Already {
        /// What was to be done.
        act: TriageAction,
        /// Who had done it.
        by: Holder,
    },
    /// It can no longer be undone.
    TooLate,
    /// The feedback is not kept any more.
    Unknown,
    /// The button is none of ours.
    Forged,
    /// The store did not take it in time.
    NotSaved,
}

impl Closing {
    /// Takes clicks on buttons that `buttons` signed.
    pub fn new(
        store: Store,
        metrics: Arc<Metrics>,
        buttons: ButtonSigner,
        settings: Current<Settings>,
    ) -> Self {
        Self {
            store,
            metrics,
            buttons,
            settings,
        }
    }

    /// What Feishu is to be told about a click on a card of `app`: JSON for the callback's answer.
    pub async fn card_pressed(&self, app: &AppName, action: CardAction) -> Value {
        let clicker = ButtonUser::Feishu {
            app: app.clone(),
            open_id: action.operator.open_id,
        };
        let pressed = self.press(action.relay.as_deref(), &clicker).await;
        let (zh, en) = pressed.says();
        json!({"toast": {
            "type": pressed.tone(),
            "content": zh,
            "i18n": {"zh_cn": zh, "en_us": en},
        }})
    }

    /// Does what a button stands for, once.
    pub async fn press(&self, value: Option<&str>, clicker: &ButtonUser) -> ActionResult {
        let press = value.and_then(|value| self.buttons.read(value));
        let settings = self.settings.get();
        let press = press.filter(|press| settings.fits(press.made_for, clicker));
        let pressed = match press {
            None => ActionResult::Forged,
            Some(press) => {
                match tokio::time::timeout(COMMIT_WITHIN, self.act(press, clicker)).await {
                    Ok(Ok(pressed)) => pressed,
                    Ok(Err(error)) => {
                        tracing::error!(%error, "a click is not kept");
                        ActionResult::NotSaved
                    }
                    // It may be kept after all: then the message will show it.
                    Err(_elapsed) => ActionResult::NotSaved,
                }
            }
        };
        self.metrics.emit(ButtonPressed {
            through: clicker.through(),
            act: press.map(|press| press.act),
            result: pressed.kind(),
        });
        pressed
    }

    async fn act(
        &self,
        press: ButtonAction,
        clicker: &ButtonUser,
    ) -> Result<ActionResult, StoreError> {
        let Some(event) = self.store.event_by_seq(press.event).await? else {
            return Ok(ActionResult::Unknown);
        };
        let settings = self.settings.get();
        let acting = ApplyAction {
            event: press.event,
            act: press.act,
            undoes: press.undoes,
            by: clicker.actor(&settings),
            through: clicker.through(),
            operator: clicker.operator(&settings, &event),
        };
        Ok(match self.store.apply_action(acting).await? {
            ActionOutcome::Changed(state) => ActionResult::Done {
                act: press.act,
                local_only: state.local_only,
            },
            ActionOutcome::Already(state) => ActionResult::Already {
                act: press.act,
                by: settings.holder(&state.by, &clicker.actor(&settings)),
            },
            ActionOutcome::TooLate(_) => ActionResult::TooLate,
            ActionOutcome::Unknown => ActionResult::Unknown,
        })
    }
}

impl ButtonUser {
    const fn through(&self) -> ChangeSource {
        match self {
            Self::Feishu { .. } => ChangeSource::Feishu,
            Self::Slack { .. } => ChangeSource::Slack,
        }
    }

    fn actor(&self, settings: &Settings) -> Actor {
        match self {
            Self::Feishu { app, open_id } => Actor {
                name: None,
                id: open_id.clone(),
                app: Some(app.clone()),
            },
            Self::Slack { user, name, .. } => {
                let known = || settings.in_feishu(user.as_deref()?).map(|(name, _)| name);
                Actor {
                    name: name.as_deref().or_else(known).map(Private::new),
                    id: user.as_deref().map(Private::new),
                    app: None,
                }
            }
        }
    }

    /// In whose name Feishu is told by the app that received the event, if it can be. An open id is good
    /// for one app alone.
    fn operator(&self, settings: &Settings, event: &StoredEvent) -> Option<Private> {
        if !settings.clients.contains_key(&event.via) {
            return None;
        }
        match self {
            Self::Feishu { app, open_id } => open_id.clone().filter(|_| *app == event.via),
            Self::Slack { user, .. } => {
                let (_, open_id) = settings.in_feishu(user.as_deref()?)?;
                Some(Private::new(open_id))
            }
        }
    }
}

impl Settings {
    /// Whether a button that was made for a destination can have been clicked there: in a card of the app that speaks
    /// there, or in the workspace of the Slack app that does.
    fn fits(&self, made_for: MadeFor, clicker: &ButtonUser) -> bool {
        let is_it = |name: &DestinationName| MadeFor::destination(name) == made_for;
        match clicker {
            ButtonUser::Feishu { app, .. } => {
                let mut destinations = self.feishu.iter();
                destinations.any(|(name, speaks)| is_it(name) && speaks == app)
            }
            ButtonUser::Slack { destination, .. } => {
                let called = self.slack.get(destination);
                let secret = called.map(|place| &place.signing_secret);
                let mut destinations = self.slack.iter();
                destinations
                    .any(|(name, place)| is_it(name) && Some(&place.signing_secret) == secret)
            }
        }
    }

    /// Who acted before: by the name that Slack gave, else by that of `[mentions]`.
    fn holder(&self, by: &Actor, clicker: &Actor) -> Holder {
        let Some(id) = &by.id else {
            return Holder::Somebody;
        };
        if by.id == clicker.id && by.app == clicker.app {
            return Holder::ButtonUser;
        }
        let known = || {
            let is_of = |mention: &&Mention| match mention {
                Mention::All | Mention::Shown(_) => false,
                Mention::Person { feishu, slack, .. } => {
                    let mut open_ids = feishu.iter().filter(|id| id.starts_with("ou_"));
                    let ids = [open_ids.next(), slack.first()];
                    let alone = open_ids.next().is_none() && slack.len() <= 1;
                    alone && ids.into_iter().flatten().any(|one| one == id.expose())
                }
            };
            match self.mentions.values().find(is_of)? {
                Mention::Person { name, .. } => Some(name.as_str()),
                Mention::All | Mention::Shown(_) => None,
            }
        };
        // In Slack a name stands in mrkdwn.
        let plain = |c: &char| !c.is_control() && !"<>&*_~`".contains(*c);
        let name = by.name.as_ref().map(Private::expose).or_else(known);
        let name: String = name
            .unwrap_or_default()
            .chars()
            .filter(plain)
            .take(64)
            .collect();
        if name.trim().is_empty() {
            Holder::Somebody
        } else {
            Holder::Named(name)
        }
    }

    /// The name and open id of whoever has this Slack id, where `[mentions]` has an entry for them alone.
    fn in_feishu(&self, slack_id: &str) -> Option<(&str, &str)> {
        self.mentions.values().find_map(|mention| match mention {
            Mention::All | Mention::Shown(_) => None,
            Mention::Person {
                name,
                feishu,
                slack,
            } => {
                let [one] = slack.as_slice() else { return None };
                let mut open_ids = feishu.iter().filter(|id| id.starts_with("ou_"));
                match (open_ids.next(), open_ids.next()) {
                    (Some(open_id), None) if one == slack_id => {
                        Some((name.as_str(), open_id.as_str()))
                    }
                    (_, _) => None,
                }
            }
        })
    }
}
