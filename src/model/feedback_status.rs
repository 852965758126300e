//! How a feedback stands, and who moved it: what people do about reports after they were told.

use std::time::Duration;

use super::event::keyed;
use super::{AppName, DestinationName, EventSeq, FeedbackStatus, LeaseToken, Private, Timestamp};

/// How long a message is changed: 14 days, as Feishu has it for cards (doc "更新应用发送的消息卡片"), less an
/// hour for clocks that differ.
pub const EDITABLE_FOR: Duration = Duration::from_secs(14 * 86_400 - 3600);

keyed!(
    /// What a button does.
    TriageAction {
        /// Somebody takes it.
        Claim => "claim",
        /// It is done.
        Done => "done",
        /// It is for others, and closed here.
        NotOurs => "not_ours",
        /// The last of these is taken back.
        Undo => "undo",
    }
);

impl TriageAction {
    /// The status that it leads to; [`TriageAction::Undo`] leads back to the one before.
    pub const fn status(self) -> Option<FeedbackStatus> {
        match self {
            Self::Claim => Some(FeedbackStatus::PROCESSING),
            Self::Done => Some(FeedbackStatus::PROCESSED),
            Self::NotOurs => Some(FeedbackStatus::CLOSED),
            Self::Undo => None,
        }
    }

    /// What can sensibly be done about a feedback with this status, beside undoing.
    pub const fn next(status: FeedbackStatus) -> &'static [Self] {
        match status {
            FeedbackStatus::PROCESSING => &[Self::Done, Self::NotOurs],
            // Whoever takes it again reopens it.
            FeedbackStatus::PROCESSED | FeedbackStatus::CLOSED => &[Self::Claim],
            _ => &[Self::Claim, Self::Done, Self::NotOurs],
        }
    }
}

keyed!(
    /// Through what a status changed.
    ChangeSource {
        /// A button of a card in Feishu.
        Feishu => "feishu",
        /// A button of a message in Slack.
        Slack => "slack",
        /// The platform itself: somebody changed it in Feishu's console, or another program did.
        Platform => "platform",
    }
);

/// Who acted. All of it may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// What people call them.
    pub name: Option<Private>,
    /// Feishu's open id, or Slack's user id.
    pub id: Option<Private>,
    /// The app that knows the open id as this person's.
    pub app: Option<AppName>,
}

/// How a feedback stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackState {
    /// Its status.
    pub status: FeedbackStatus,
    /// When it changed to that. It also tells one change from another.
    pub changed_at: Timestamp,
    /// Who changed it.
    pub by: Actor,
    /// Through what.
    pub through: ChangeSource,
    /// Until when it can be undone, if it can be.
    pub undo_until: Option<Timestamp>,
    /// The platform does not know of it and will not: it holds here alone.
    pub local_only: bool,
}

/// The platform says that feedback has another status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackChange {
    /// The app it is about, by its id.
    pub app_id: String,
    /// Which feedback.
    pub feedback_ids: Vec<String>,
    /// The status now.
    pub status: FeedbackStatus,
    /// When it changed, as the platform says in a time without a zone.
    pub updated_at: Option<Timestamp>,
    /// When the platform told of it.
    pub told_at: Option<Timestamp>,
    /// Who changed it.
    pub by: Actor,
}

keyed!(
    /// What came of a word about a status.
    Effect {
        /// It changed.
        Changed => "changed",
        /// It was so already; the platform may have told of what we had asked it for.
        Known => "known",
        /// A newer word was here before.
        Stale => "stale",
    }
);

/// What somebody did about a feedback, or the platform said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackAct {
    /// When.
    pub at: Timestamp,
    /// The button, if it was one.
    pub act: Option<TriageAction>,
    /// The status it led, or would have led, to.
    pub status: FeedbackStatus,
    /// Who.
    pub by: Actor,
    /// Through what.
    pub through: ChangeSource,
    /// What came of it.
    pub effect: Effect,
}

/// A message that can be answered and perhaps changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The delivery that sent it.
    pub delivery: super::DeliveryId,
    /// Where it is.
    pub destination: DestinationName,
    /// What the platform calls it.
    pub handle: super::MessageHandle,
    /// When it was sent.
    pub sent_at: Timestamp,
}

keyed!(
    /// How far the platform has been told of a status.
    StatusJobState {
        /// It is still to be told.
        Pending => "pending",
        /// It knows.
        Done => "done",
        /// It will not take it.
        Dead => "dead",
    }
);

/// A status that the platform is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusJob {
    /// The event that brought the feedback.
    pub event: EventSeq,
    /// The app that received it, in whose name the platform is told.
    pub via: AppName,
    /// The app the feedback is about, by its id.
    pub app_id: String,
    /// The feedback.
    pub feedback_id: String,
    /// The status it is to have.
    pub status: FeedbackStatus,
    /// The open id of the person who acted.
    pub operator: Private,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the first attempt was due.
    pub first_due_at: Timestamp,
}

/// How far a [`StatusJob`] has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusJobRecord {
    /// The status the platform is to have.
    pub status: FeedbackStatus,
    /// How far it has come.
    pub state: StatusJobState,
    /// Attempts made.
    pub attempts: u32,
    /// When the next one is due, or the lease of this one ends.
    pub due_at: Timestamp,
    /// Why the last attempt did not succeed.
    pub reason: Option<String>,
    /// Held by whoever has this token.
    pub lease: Option<LeaseToken>,
}
