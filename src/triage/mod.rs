//! Triage: people change the status of feedback with buttons on its messages.
//!
//! Each **button** of a message stands for a signed [`ButtonAction`] ([`ButtonSigner`]), on one feedback or on an
//! incident with all its feedback. The receiver of a
//! button action (a card's callback in `intake`, Slack's in `web`) verifies that the platform sent it, and
//! passes it to [`Triage::press`]. That changes the status in the store. The same transaction enqueues an edit
//! of every message that can be changed, and a status outbox entry for Feishu. `deliver` makes the edits.
//! [`StatusSync`] sends the status to Feishu, in the actor's name.
//!
//! Guarantees:
//!
//! - A button action is answered well within the platform's 3 s.
//! - A confirmed action is on the disk.
//! - A repeated action, by anyone, changes nothing, and the reply says so.
//! - The message changes a moment later by its edit, alike in Feishu and Slack. The reply contains text only.
//!
//! Feishu's own record requires a Feishu person for each change. A Slack user is found by `[mentions]`: the
//! entry with exactly that Slack id and one open id. The change is local-only without such an entry, or without
//! the secret of the app that received the feedback. The message then says so.

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

pub use self::button::{ButtonAction, ButtonSigner, ButtonTarget, MadeFor};
pub use self::slack::{EphemeralReply, NotTaken, SlackTarget};
pub use self::status_sync::StatusSync;
use crate::feishu::{CardAction, FeishuClient};
use crate::model::{Actor, AppName, ChangeSource, Current, DestinationName, Private, TriageAction};
use crate::render::Mention;
use crate::store::{
    ActionOutcome, ApplyAction, ApplyIncidentAction, MuteIncident, MuteOutcome, Store, StoreError,
};
use crate::telemetry::Metrics;
use crate::telemetry::events::ButtonPressed;

/// The time limit of a commit. The platforms wait 3 s for an answer. The webhook gives up after 900 ms with an
/// answer that explains nothing to the actor.
const COMMIT_WITHIN: Duration = Duration::from_millis(800);

/// Settings of triage; a reload replaces them.
#[derive(Debug, Default)]
pub struct Settings {
    /// Clients that can send statuses to Feishu: those of the apps that have a secret.
    pub clients: BTreeMap<AppName, FeishuClient>,
    /// The people of `[mentions]` by their names.
    pub mentions: BTreeMap<String, Mention>,
    /// Destinations in Feishu with an app's own bot, each with the app.
    pub feishu: BTreeMap<DestinationName, AppName>,
    /// The destinations in Slack whose messages carry buttons.
    pub slack: BTreeMap<DestinationName, SlackTarget>,
}

/// Handles button actions. Clones share everything.
#[derive(Clone)]
pub struct Triage {
    store: Store,
    metrics: Arc<Metrics>,
    buttons: ButtonSigner,
    settings: Current<Settings>,
}

/// The actor, as the platform names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ButtonUser {
    /// In a card of a Feishu app.
    Feishu {
        /// Name of the app.
        app: AppName,
        /// The person, as that app knows them; `None` if the platform does not say.
        open_id: Option<Private>,
    },
    /// In Slack.
    Slack {
        /// The destination whose URL Slack called. Several destinations of one Slack app share one URL.
        destination: DestinationName,
        /// The user's id, `U…` or `W…`; `None` if Slack does not say.
        user: Option<String>,
        /// The name that the workspace shows; `None` if Slack does not say.
        name: Option<String>,
    },
}

/// Who made an earlier change, as the reply to a later action names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The actor of this action.
    ButtonUser,
    /// Somebody of this name.
    Named(String),
    /// Somebody whose name is unknown.
    Somebody,
}

/// The result of a button action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionResult {
    /// The action was applied.
    Done {
        /// The applied action.
        act: TriageAction,
        /// Whether the change is local-only, so that Feishu does not get it.
        local_only: bool,
    },
    /// The action had been applied before.
    Already {
        /// The requested action.
        act: TriageAction,
        /// Who had applied it.
        by: Holder,
    },
    /// The time for an undo is over.
    TooLate,
    /// The incident has ended.
    Ended,
    /// The feedback is not stored any more.
    Unknown,
    /// This relay did not make the button.
    Forged,
    /// The store did not commit the action in time.
    NotSaved,
}

impl Triage {
    /// Builds the handler of actions by buttons that `buttons` signed.
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

    /// Handles an action on a card of `app`. Returns the JSON answer of the callback.
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

    /// Applies the action of a button, once.
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
                        tracing::error!(%error, "failed to commit a button action");
                        ActionResult::NotSaved
                    }
                    // It may be committed nevertheless; the message then shows it.
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
        let settings = self.settings.get();
        let (by, through) = (clicker.actor(&settings), clicker.through());
        let outcome = match press.target {
            ButtonTarget::Feedback(event) => {
                let Some(stored) = self.store.event_by_seq(event).await? else {
                    return Ok(ActionResult::Unknown);
                };
                let acting = ApplyAction {
                    event,
                    act: press.act,
                    undoes: press.undoes,
                    by,
                    through,
                    operator: clicker.operator(&settings, &stored.via),
                };
                self.store.apply_action(acting).await?
            }
            ButtonTarget::Incident(incident) if press.act == TriageAction::Mute => {
                let action = MuteIncident {
                    incident,
                    by: settings.named(by),
                    destination: settings.destination(press.made_for),
                };
                return Ok(match self.store.mute_incident(action).await? {
                    MuteOutcome::Muted(_) => ActionResult::Done {
                        act: press.act,
                        local_only: false,
                    },
                    MuteOutcome::Ended => ActionResult::Ended,
                    MuteOutcome::Unknown => ActionResult::Unknown,
                });
            }
            ButtonTarget::Incident(incident) => {
                let acting = ApplyIncidentAction {
                    incident,
                    act: press.act,
                    by,
                    through,
                    operators: clicker.operators(&settings),
                };
                self.store.apply_incident_action(acting).await?
            }
        };
        Ok(match outcome {
            ActionOutcome::Changed(state) => ActionResult::Done {
                act: press.act,
                local_only: state.local_only,
            },
            ActionOutcome::Already(state) => ActionResult::Already {
                act: press.act,
                by: settings.holder(&state.by, &clicker.actor(&settings)),
            },
            ActionOutcome::TooLate(_) => ActionResult::TooLate,
            ActionOutcome::Ended => ActionResult::Ended,
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

    /// Returns the person in whose name each app can send statuses to Feishu.
    fn operators(&self, settings: &Settings) -> BTreeMap<AppName, Private> {
        let apps = settings.clients.keys();
        let operators = apps.map(|via| Some((via.clone(), self.operator(settings, via)?)));
        operators.flatten().collect()
    }

    /// Returns the person in whose name the receiving app `via` sends the status to Feishu, if it can. An open id
    /// is valid for one app alone.
    fn operator(&self, settings: &Settings, via: &AppName) -> Option<Private> {
        if !settings.clients.contains_key(via) {
            return None;
        }
        match self {
            Self::Feishu { app, open_id } => open_id.clone().filter(|_| app == via),
            Self::Slack { user, .. } => {
                let (_, open_id) = settings.in_feishu(user.as_deref()?)?;
                Some(Private::new(open_id))
            }
        }
    }
}

impl Settings {
    /// Returns whether a button for a destination can have been used there: in a card of the app that sends
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

    /// Returns the destination that a button was made for.
    fn destination(&self, made_for: MadeFor) -> Option<DestinationName> {
        let mut names = self.feishu.keys().chain(self.slack.keys());
        names
            .find(|name| MadeFor::destination(name) == made_for)
            .cloned()
    }

    /// Adds the name of a person to an actor without one, if `[mentions]` has an entry for only this person.
    fn named(&self, by: Actor) -> Actor {
        let known = || Some(Private::new(self.person(by.id.as_ref()?.expose())?));
        let name = by.name.clone().or_else(known);
        Actor { name, ..by }
    }

    /// Returns the entry of `[mentions]` that contains only the person with this id.
    fn person(&self, id: &str) -> Option<&str> {
        let is_of = |mention: &&Mention| match mention {
            Mention::All | Mention::Shown(_) => false,
            Mention::Person { feishu, slack, .. } => {
                let mut open_ids = feishu.iter().filter(|id| id.starts_with("ou_"));
                let ids = [open_ids.next(), slack.first()];
                let alone = open_ids.next().is_none() && slack.len() <= 1;
                alone && ids.into_iter().flatten().any(|one| one == id)
            }
        };
        match self.mentions.values().find(is_of)? {
            Mention::Person { name, .. } => Some(name.as_str()),
            Mention::All | Mention::Shown(_) => None,
        }
    }

    /// Returns who acted before: by the name from Slack, else by that in `[mentions]`.
    fn holder(&self, by: &Actor, clicker: &Actor) -> Holder {
        let Some(id) = &by.id else {
            return Holder::Somebody;
        };
        if by.id == clicker.id && by.app == clicker.app {
            return Holder::ButtonUser;
        }
        let known = || self.person(id.expose());
        // In Slack a name becomes part of mrkdwn.
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

    /// Returns the name and open id of the person with this Slack id, if `[mentions]` has an entry for only
    /// this person.
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
