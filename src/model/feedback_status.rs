//! The status of a feedback, who changed it, and the buttons that change it.

use std::time::Duration;

use super::event::keyed;
use super::{AppName, DestinationName, EventSeq, FeedbackStatus, LeaseToken, Private, Timestamp};

/// How long after sending a message can be edited: 14 days less an hour for clock differences. Source:
/// Feishu's limit for cards, doc "更新应用发送的消息卡片".
pub const EDITABLE_FOR: Duration = Duration::from_secs(14 * 86_400 - 3600);

keyed!(
    /// The action of a button.
    TriageAction {
        /// Somebody takes the feedback.
        Claim => "claim",
        /// The feedback is done.
        Done => "done",
        /// The feedback is for another team, and closed here.
        NotOurs => "not_ours",
        /// Reverts the last action.
        Undo => "undo",
        /// No messages about the incident for [`BUTTON_SILENCE`](super::BUTTON_SILENCE).
        Mute => "mute",
    }
);

impl TriageAction {
    /// Returns the resulting status; `None` for [`TriageAction::Undo`], which restores the previous one, and for
    /// [`TriageAction::Mute`], which changes none.
    pub const fn status(self) -> Option<FeedbackStatus> {
        match self {
            Self::Claim => Some(FeedbackStatus::PROCESSING),
            Self::Done => Some(FeedbackStatus::PROCESSED),
            Self::NotOurs => Some(FeedbackStatus::CLOSED),
            Self::Undo | Self::Mute => None,
        }
    }

    /// Returns the actions offered at this status, apart from undo.
    pub const fn next(status: FeedbackStatus) -> &'static [Self] {
        match status {
            FeedbackStatus::PROCESSING => &[Self::Done, Self::NotOurs],
            // Claiming it again reopens it.
            FeedbackStatus::PROCESSED | FeedbackStatus::CLOSED => &[Self::Claim],
            _ => &[Self::Claim, Self::Done, Self::NotOurs],
        }
    }
}

keyed!(
    /// How a status was changed.
    ChangeSource {
        /// A button of a card in Feishu.
        Feishu => "feishu",
        /// A button of a message in Slack.
        Slack => "slack",
        /// The platform itself: somebody changed it in Feishu's console, or another program did.
        Platform => "platform",
    }
);

/// The person who acted. Every field may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The display name.
    pub name: Option<Private>,
    /// Feishu's open id, or Slack's user id.
    pub id: Option<Private>,
    /// The app in which the open id is valid; `None` for Slack.
    pub app: Option<AppName>,
}

/// The current status of a feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackState {
    pub status: FeedbackStatus,
    /// When it changed to that status. The time also identifies the change.
    pub changed_at: Timestamp,
    /// Who changed it.
    pub by: Actor,
    pub through: ChangeSource,
    /// Until when it can be undone; `None` if it cannot.
    pub undo_until: Option<Timestamp>,
    /// Whether the status is local-only: the platform does not have it and will not get it.
    pub local_only: bool,
}

/// A status change reported by the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackChange {
    /// The id of the app it is about.
    pub app_id: String,
    /// The ids of the feedbacks.
    pub feedback_ids: Vec<String>,
    /// The new status.
    pub status: FeedbackStatus,
    /// When it changed, from a platform time without a zone.
    pub updated_at: Option<Timestamp>,
    /// When the platform reported it.
    pub told_at: Option<Timestamp>,
    /// Who changed it.
    pub by: Actor,
}

keyed!(
    /// The effect of an action or a platform report on a status.
    Effect {
        /// The status changed.
        Changed => "changed",
        /// The status was the same already; the platform may be reporting the relay's own request.
        Known => "known",
        /// A newer change was stored already.
        Stale => "stale",
    }
);

/// One entry of a feedback's history: an action, or a change reported by the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackAct {
    /// When it happened.
    pub at: Timestamp,
    /// The button; `None` if the platform reported the change.
    pub act: Option<TriageAction>,
    /// The resulting status, or the intended one if nothing changed.
    pub status: FeedbackStatus,
    /// Who acted.
    pub by: Actor,
    pub through: ChangeSource,
    pub effect: Effect,
}

/// A sent message that can be answered and perhaps edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The delivery that sent it.
    pub delivery: super::DeliveryId,
    pub destination: DestinationName,
    /// The platform's id of the message.
    pub handle: super::MessageHandle,
    /// When it was sent.
    pub sent_at: Timestamp,
}

keyed!(
    /// The progress of writing a status to the platform.
    StatusJobState {
        /// Not written yet.
        Pending => "pending",
        /// Written.
        Done => "done",
        /// The platform rejects it.
        Dead => "dead",
    }
);

/// A status outbox entry: a status to write to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusJob {
    /// The event that created the feedback.
    pub event: EventSeq,
    /// The app that received the event; the request is made in its name.
    pub via: AppName,
    /// The id of the app the feedback is about.
    pub app_id: String,
    pub feedback_id: String,
    /// The status to write.
    pub status: FeedbackStatus,
    /// The open id of the person who acted.
    pub operator: Private,
    /// The number of attempts so far.
    pub attempts: u32,
    /// When the first attempt was due.
    pub first_due_at: Timestamp,
}

/// The progress of a [`StatusJob`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusJobRecord {
    /// The status to write.
    pub status: FeedbackStatus,
    pub state: StatusJobState,
    /// The number of attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, or when the current lease ends.
    pub due_at: Timestamp,
    /// Why the last attempt failed; `None` if it did not.
    pub reason: Option<String>,
    /// The token of the lease; `None` if nobody holds one.
    pub lease: Option<LeaseToken>,
}
