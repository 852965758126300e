//! One event on its way to one destination: its states, its attempts and their outcomes.

use std::time::Duration;

use super::event::keyed;
use super::{
    DeliveryId, DestinationName, EventId, EventSeq, IncidentId, MessageSpec, RuleName, SilenceId,
    Timestamp, Uptime,
};

keyed!(
    /// The state of a delivery.
    DeliveryState {
        /// Waits until it is due.
        Pending => "pending",
        /// A worker holds its lease.
        Sending => "sending",
        /// The platform confirmed the message.
        Delivered => "delivered",
        /// Given up. It is kept, and an operator can retry it.
        Dead => "dead",
        /// Discarded by the operator, or a failed edit, which nobody waits for.
        Discarded => "discarded",
        /// Possibly delivered: the responses were lost, and the destination cannot detect a repeat.
        Unconfirmed => "unconfirmed",
        /// Kept back until its due time: see [`HeldFor`].
        Held => "held",
        /// Not sent by itself: a message of an incident or a summary counts it.
        Merged => "merged",
        /// Not sent, because of a silence. An operator can send it.
        Suppressed => "suppressed",
    }
);

keyed!(
    /// Why a delivery is not sent by itself at once. Together with others of its rule it becomes a summary.
    HeldFor {
        /// The report was found more than an hour after it was made.
        Late => "late",
        /// Its rule holds messages at this time.
        Hold => "hold",
        /// It waited longer than `stale_after`, because its destination or the relay did not work.
        Stale => "stale",
    }
);

keyed!(
    /// Why a delivery exists.
    Trigger {
        /// An event arrived.
        Event => "event",
        /// Images arrived after the message was sent.
        LateImages => "late_images",
        /// A sent message is edited to show the current status of its feedback.
        Edit => "edit",
        /// Another destination gave up the delivery, or failed for too long.
        Fallback => "fallback",
        /// The operator ran the event through the rules again.
        Replay => "replay",
        /// The operator sent a test message.
        Test => "test",
        /// An incident has news: see [`IncidentNews`](super::IncidentNews).
        Incident => "incident",
    }
);

keyed!(
    /// How rich a message is. If a platform rejects one form, the next plainer one is sent.
    Form {
        /// With everything, images included.
        Full => "full",
        /// Without images.
        NoImages => "no_images",
        /// The platform's simple rich text.
        Post => "post",
        /// Plain text.
        Text => "text",
    }
);

/// The platform's id of a sent message, needed to reply to it or to edit it. Only its own destination
/// can interpret the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHandle(pub String);

impl MessageHandle {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A delivery as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The id, which is also the deduplication key.
    pub id: DeliveryId,
    /// The event that the message is about.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    pub destination: DestinationName,
    /// The message spec of the rule.
    pub spec: MessageSpec,
    pub trigger: Trigger,
    pub state: DeliveryState,
    /// The form of the next attempt.
    pub form: Form,
    /// The number of attempts so far.
    pub attempts: u32,
    /// Attempts that count for the backoff. Rate limits, rejected forms and stops do not count.
    pub failures: u32,
    /// Failed attempts whose response was lost.
    pub unanswered: u32,
    /// The uptime at the last failure; `None` if there was none.
    pub failed_at: Option<Uptime>,
    /// The uptime when it first became due; `retry_for` counts from here. `None` if a command made it
    /// due and the relay has not seen it since.
    pub due_since: Option<Uptime>,
    /// When the delivery was created.
    pub created_at: Timestamp,
    /// When the next attempt is due.
    pub due_at: Timestamp,
    /// When the first attempt was due.
    pub first_due_at: Timestamp,
    /// Why the last attempt failed, fit for a log; `None` if it did not.
    pub reason: Option<String>,
    /// The incident whose messages count the report, if its state is [`DeliveryState::Merged`] or was until a
    /// retry.
    pub incident: Option<IncidentId>,
    /// The silence that muted it, if its state is [`DeliveryState::Suppressed`] or was until a retry.
    pub silence: Option<SilenceId>,
    /// The rules that name its destination. It is muted if all of them are. Empty: it is never muted.
    pub rules: Vec<RuleName>,
    /// Why it is held, or was; `None`: it never was.
    pub held_for: Option<HeldFor>,
    /// The event of the summary that counts it, under the same conditions as `incident`.
    pub summary: Option<EventId>,
}

/// The outcome of one attempt, derived from the destination's response (status and body). Every reason
/// is fit for a log: no secret, no secret URL, no text of a reporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform confirmed the message.
    Delivered,
    /// Sent, but the response was lost. A repeat may duplicate the message.
    Ambiguous {
        /// What happened.
        reason: String,
    },
    /// This attempt failed; a later one may succeed.
    Retry {
        /// What happened.
        reason: String,
    },
    /// The platform asks the whole destination to wait. It does not count as a failure of this delivery.
    SlowDown {
        /// How long to wait; `None` if the platform did not say.
        pause: Option<Duration>,
        /// The platform's explanation.
        reason: String,
    },
    /// The platform rejected this form; the next plainer one is due at once.
    Degrade {
        /// What was wrong with the form.
        reason: String,
    },
    /// The platform will never accept this message.
    Rejected {
        /// Why.
        reason: String,
    },
    /// No message can succeed until an operator acts.
    Stop {
        /// What the operator has to do.
        reason: String,
    },
    /// Rejected for an unknown reason. A plainer form is tried first, because the form may be the cause.
    /// The plainest form is retried.
    Unknown {
        /// The platform's explanation.
        reason: String,
    },
}

keyed!(
    /// The kind of an [`Outcome`], for the store and metrics.
    OutcomeKind {
        /// See [`Outcome::Delivered`].
        Delivered => "delivered",
        /// See [`Outcome::Ambiguous`].
        Ambiguous => "ambiguous",
        /// See [`Outcome::Retry`].
        Retry => "retry",
        /// See [`Outcome::SlowDown`].
        SlowDown => "slow_down",
        /// See [`Outcome::Degrade`].
        Degrade => "degrade",
        /// See [`Outcome::Rejected`].
        Rejected => "rejected",
        /// See [`Outcome::Stop`].
        Stop => "stop",
        /// See [`Outcome::Unknown`].
        Unknown => "unknown",
    }
);

impl Outcome {
    /// Returns the kind of this outcome.
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Self::Delivered => OutcomeKind::Delivered,
            Self::Ambiguous { .. } => OutcomeKind::Ambiguous,
            Self::Retry { .. } => OutcomeKind::Retry,
            Self::SlowDown { .. } => OutcomeKind::SlowDown,
            Self::Degrade { .. } => OutcomeKind::Degrade,
            Self::Rejected { .. } => OutcomeKind::Rejected,
            Self::Stop { .. } => OutcomeKind::Stop,
            Self::Unknown { .. } => OutcomeKind::Unknown,
        }
    }

    /// Returns why the attempt failed; `None` if it succeeded.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Delivered => None,
            Self::Ambiguous { reason }
            | Self::Retry { reason }
            | Self::SlowDown { reason, .. }
            | Self::Degrade { reason }
            | Self::Rejected { reason }
            | Self::Stop { reason }
            | Self::Unknown { reason } => Some(reason),
        }
    }
}

/// The next step after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Done,
    /// Retry later, in this form.
    RetryAt {
        /// When the retry is due.
        due_at: Timestamp,
        /// The form of the retry.
        form: Form,
    },
    /// Given up; the delivery is kept.
    Dead {
        /// Why.
        reason: String,
    },
    /// Possibly delivered; not sent again.
    Unconfirmed {
        /// What happened.
        reason: String,
    },
}

/// The record of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt's number, from 1.
    pub number: u32,
    pub started_at: Timestamp,
    /// Duration in milliseconds.
    pub duration_ms: u32,
    /// The form that was sent.
    pub form: Form,
    pub outcome: OutcomeKind,
    /// The HTTP status; `None` if there was no response, or it was removed.
    pub status: Option<u16>,
    /// The platform's own code in the response; `None` if it has none.
    pub code: Option<String>,
    /// Why the attempt failed; `None` if it succeeded.
    pub reason: Option<String>,
    /// The beginning of the response, at most [`EXCERPT_BYTES_MAX`]; `None` if there was no response.
    pub excerpt: Option<String>,
}

/// How many bytes of a response are kept with an attempt.
pub const EXCERPT_BYTES_MAX: usize = 1024;
