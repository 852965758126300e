//! One event on its way to one destination: states, attempts, and what follows from each.

use std::time::Duration;

use super::event::keyed;
use super::{DeliveryId, DestinationName, EventId, EventSeq, MessageSpec, Timestamp, Uptime};

keyed!(
    /// Where a delivery stands.
    DeliveryState {
        /// Waits for its time.
        Pending => "pending",
        /// A worker holds its lease.
        Sending => "sending",
        /// The platform said it has it.
        Delivered => "delivered",
        /// Given up; kept, and can be retried by hand.
        Dead => "dead",
        /// Thrown away by the operator; or an edit that came to nothing, which nobody misses.
        Discarded => "discarded",
        /// Perhaps delivered: the answers were lost, and the destination cannot recognise a repeat.
        Unconfirmed => "unconfirmed",
    }
);

keyed!(
    /// Why a delivery exists.
    Trigger {
        /// An event arrived.
        Event => "event",
        /// Images came after the message had gone.
        LateImages => "late_images",
        /// A message that was sent is changed to show how its feedback stands now.
        Edit => "edit",
        /// Another destination gave up or failed for too long.
        Fallback => "fallback",
        /// The operator ran the event through the rules again.
        Replay => "replay",
        /// The operator tries an event out.
        Test => "test",
    }
);

keyed!(
    /// How rich a message is. A platform that refuses one form is sent the next plainer one.
    Form {
        /// All there is.
        Full => "full",
        /// Without images.
        NoImages => "no_images",
        /// The platform's simple rich text.
        Post => "post",
        /// Plain text.
        Text => "text",
    }
);

/// How a platform names a message that it took, so that it can be answered or changed later: text
/// that only its own destination reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHandle(pub String);

impl MessageHandle {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A delivery as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which is also the key against doubles.
    pub id: DeliveryId,
    /// The event it tells of.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    /// Where to.
    pub destination: DestinationName,
    /// How the rule wants it told.
    pub spec: MessageSpec,
    /// Why it exists.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: DeliveryState,
    /// In which form it goes next.
    pub form: Form,
    /// Attempts made so far.
    pub attempts: u32,
    /// Attempts that count for the backoff. A refused rate, a refused form and a stop do not.
    pub failures: u32,
    /// Failed attempts whose answer was lost.
    pub unanswered: u32,
    /// Uptime of the last failure.
    pub failed_at: Option<Uptime>,
    /// Uptime when it was due first, which `retry_for` counts from. `None`: a command made it due, and the
    /// relay has not seen it since.
    pub due_since: Option<Uptime>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the next attempt is due.
    pub due_at: Timestamp,
    /// When the first attempt was due.
    pub first_due_at: Timestamp,
    /// Why the last attempt did not succeed, in words fit for a log.
    pub reason: Option<String>,
}

/// What one attempt came to, as the destination's answer says (status and body). Every reason is
/// fit for a log: no secret, no URL that is one, nothing a reporter typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The platform says it has it.
    Delivered,
    /// Sent, but the answer was lost: repeating it may double the message.
    Ambiguous {
        /// What happened.
        reason: String,
    },
    /// It did not get through this time.
    Retry {
        /// What happened.
        reason: String,
    },
    /// The whole destination is asked to wait; not this delivery's fault.
    SlowDown {
        /// How long, if the platform said so.
        pause: Option<Duration>,
        /// What it said.
        reason: String,
    },
    /// This form was refused; the next plainer one is due at once.
    Degrade {
        /// What was wrong with it.
        reason: String,
    },
    /// This message will never be taken.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Nothing will get through until an operator acts.
    Stop {
        /// What to do.
        reason: String,
    },
    /// Refused for a reason we do not know. A plainer form is tried first, because the form may be the
    /// cause; in the plainest form it is retried.
    Unknown {
        /// What the platform said.
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
    /// Which kind this is.
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

    /// Why it did not succeed.
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

/// What follows from an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered.
    Done,
    /// Again later, in this form.
    RetryAt {
        /// When.
        due_at: Timestamp,
        /// In which form.
        form: Form,
    },
    /// Given up; kept.
    Dead {
        /// Why.
        reason: String,
    },
    /// Perhaps delivered; not sent again.
    Unconfirmed {
        /// What was answered.
        reason: String,
    },
}

/// The record of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// In which form it went.
    pub form: Form,
    /// What it came to.
    pub outcome: OutcomeKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The platform's own code in the answer, if it has such.
    pub code: Option<String>,
    /// Why it did not succeed.
    pub reason: Option<String>,
    /// The beginning of the answer, at most [`EXCERPT_BYTES_MAX`].
    pub excerpt: Option<String>,
}

/// How much of an answer is kept with an attempt.
pub const EXCERPT_BYTES_MAX: usize = 1024;
