//! The triage of a feedback: its status, who changed it, and the messages where it can be changed.

use serde::{Serialize, Serializer};

use super::{exposed, text, text_or_null};
use crate::model::{
    Actor, ChangeSource, DeliveryId, DestinationName, Effect, FeedbackAct, FeedbackState,
    FeedbackStatus, Private, SentMessage, StatusJobRecord, StatusJobState, Timestamp, TriageAction,
};

/// The triage of a feedback. Serialized as the fields of [`FeedbackView`] with `in_feishu` and `acts`, and as null
/// until somebody changes the status.
#[derive(Clone, Debug, Default)]
pub struct TriageView {
    pub state: Option<FeedbackView>,
    /// The progress of writing the status to Feishu; `None` if it is not written there.
    pub in_feishu: Option<StatusJobView>,
    /// The history, oldest first.
    pub acts: Vec<ActView>,
}

impl Serialize for TriageView {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Changed<'a> {
            #[serde(flatten)]
            state: &'a FeedbackView,
            in_feishu: &'a Option<StatusJobView>,
            acts: &'a [ActView],
        }
        let changed = self.state.as_ref().map(|state| Changed {
            state,
            in_feishu: &self.in_feishu,
            acts: &self.acts,
        });
        changed.serialize(to)
    }
}

/// The current status of a feedback.
#[derive(Clone, Debug, Serialize)]
pub struct FeedbackView {
    #[serde(serialize_with = "status")]
    pub status: FeedbackStatus,
    #[serde(serialize_with = "text")]
    pub changed_at: Timestamp,
    pub by: ActorView,
    #[serde(serialize_with = "text")]
    pub through: ChangeSource,
    /// Until when the change can be undone; null if it cannot.
    #[serde(serialize_with = "text_or_null")]
    pub undo_until: Option<Timestamp>,
    /// Whether Feishu does not get the status.
    #[serde(rename = "here_only")]
    pub local_only: bool,
}

impl From<FeedbackState> for FeedbackView {
    fn from(state: FeedbackState) -> Self {
        Self {
            status: state.status,
            changed_at: state.changed_at,
            by: state.by.into(),
            through: state.through,
            undo_until: state.undo_until,
            local_only: state.local_only,
        }
    }
}

/// Who changed a status.
#[derive(Clone, Debug, Serialize)]
pub struct ActorView {
    /// The platform's name for the person; null if unknown.
    #[serde(serialize_with = "exposed")]
    pub name: Option<Private>,
    /// An open id, or Slack's id; null if unknown.
    #[serde(serialize_with = "exposed")]
    pub id: Option<Private>,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        Self {
            name: actor.name,
            id: actor.id,
        }
    }
}

/// An entry in the history of a feedback's status.
#[derive(Clone, Debug, Serialize)]
pub struct ActView {
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The button; null if the platform reported the change.
    #[serde(serialize_with = "text_or_null")]
    pub act: Option<TriageAction>,
    #[serde(serialize_with = "status")]
    pub status: FeedbackStatus,
    pub by: ActorView,
    #[serde(serialize_with = "text")]
    pub through: ChangeSource,
    #[serde(serialize_with = "text")]
    pub effect: Effect,
}

impl From<FeedbackAct> for ActView {
    fn from(act: FeedbackAct) -> Self {
        Self {
            at: act.at,
            act: act.act,
            status: act.status,
            by: act.by.into(),
            through: act.through,
            effect: act.effect,
        }
    }
}

/// The progress of writing a status to Feishu.
#[derive(Clone, Debug, Serialize)]
pub struct StatusJobView {
    #[serde(serialize_with = "text")]
    pub state: StatusJobState,
    #[serde(serialize_with = "status")]
    pub status: FeedbackStatus,
    /// The number of attempts so far.
    pub attempts: u32,
    /// When the next attempt is due.
    #[serde(serialize_with = "text")]
    pub due_at: Timestamp,
    /// Why the last attempt failed; null if it did not.
    pub reason: Option<String>,
}

impl From<StatusJobRecord> for StatusJobView {
    fn from(job: StatusJobRecord) -> Self {
        Self {
            state: job.state,
            status: job.status,
            attempts: job.attempts,
            due_at: job.due_at,
            reason: job.reason,
        }
    }
}

/// A sent message that shows the status and is edited when it changes.
#[derive(Clone, Debug, Serialize)]
pub struct MessageView {
    #[serde(serialize_with = "text")]
    pub delivery: DeliveryId,
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    /// The platform's id of the message.
    pub handle: String,
    #[serde(serialize_with = "text")]
    pub sent_at: Timestamp,
}

impl From<SentMessage> for MessageView {
    fn from(message: SentMessage) -> Self {
        Self {
            delivery: message.delivery,
            destination: message.destination,
            handle: message.handle.0,
            sent_at: message.sent_at,
        }
    }
}

/// Serializes a status as its number, and its name if it has one.
fn status<S: Serializer>(status: &FeedbackStatus, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Status {
        code: i64,
        key: Option<&'static str>,
    }
    let (code, key) = (status.0, status.key());
    Status { code, key }.serialize(to)
}
