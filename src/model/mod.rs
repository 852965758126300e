//! Value types of the relay, without I/O, async or frameworks. Every other module may use them; they use
//! no other module.

mod backoff;
mod clock;
mod current;
mod delivery;
mod digest;
mod event;
mod feedback_status;
mod hours;
mod id;
mod image;
mod incident;
mod lease;
mod plan;
mod private;
mod retry_after;
mod silence;
pub mod similar;
mod time;
mod uptime;

pub use backoff::{STOPPED_PROBE, backoff, lengthened};
pub use clock::{Clock, ManualClock, SystemClock};
pub use current::Current;
pub use delivery::{
    Attempt, Delivery, DeliveryState, EXCERPT_BYTES_MAX, Form, HeldFor, MessageHandle, Outcome,
    OutcomeKind, Trigger, Verdict,
};
pub use digest::{Compared, DIGEST_LINES_MAX, Digest, DigestCounts};
pub use event::{
    Content, Event, EventKind, EventState, FaultKind, Feedback, FeedbackKind, FeedbackStatus,
    Notice, NoticeKind, OddCodes, SUMMARY_NEWEST_MAX, SourceKind, StatusChange, StoredEvent,
    Summarised, Summary, UserIds,
};
pub use feedback_status::{
    Actor, ChangeSource, EDITABLE_FOR, Effect, FeedbackAct, FeedbackChange, FeedbackState,
    SentMessage, StatusJob, StatusJobRecord, StatusJobState, TriageAction,
};
pub use hours::{DAY_MINUTES, HOURS_MAX, Hours, Minutes, Moment, Window};
pub use id::{
    AppName, BadDeliveryId, BadImageId, DeliveryId, DeliveryIds, DestinationName, EventId,
    EventSeq, ImageId, RuleName, hex,
};
pub use image::{IMAGES_PER_EVENT_MAX, Image, ImageFormat, ImageJob, ImageState, KeptImage};
pub use incident::{
    AlikeReports, BurstPeriod, CountedReport, EARLIER_COMPARED_MAX, EDIT_PACE_MIN,
    ESCALATION_STEPS_MAX, EscalateAt, EscalationStep, FLAPPING_WITHIN, GroupKey, GroupTerms,
    INCIDENT_AGE_MAX, INCIDENT_IMAGES_MAX, INCIDENT_NEWEST_MAX, INCIDENT_WORDS_MAX, Incident,
    IncidentId, IncidentKey, IncidentNews, IncidentProgress, IncidentReports, IncidentState,
    IncidentTimer, OPEN_INCIDENTS_MAX, PlannedIncident, ReportWords, SEEN_BEFORE_FOR, SeenBefore,
    WRITTEN_MAX,
};
pub use lease::{Lease, LeaseToken, Recorded};
pub use plan::{
    Condition, Finding, HeldUntil, MessageSpec, Plan, PlannedDelivery, Rank, RuleTrace, Severity,
    Trace,
};
pub use private::{Private, Secret};
pub use retry_after::{RETRY_AFTER_MAX, parse_retry_after};
pub use silence::{
    BUTTON_SILENCE, Mute, MuteNote, SILENCE_LONG, SILENCE_MAX, SILENCE_REMINDER,
    SILENCE_WAITING_MAX, Silence, SilenceId, SilenceSource, SilenceTarget,
};
pub use time::Timestamp;
pub use uptime::Uptime;
