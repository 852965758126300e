//! Typed views of records: the data that `--json` prints and that programs and pages receive.
//!
//! The names and the order of fields are a promise to programs. A view depends on `model` and records of the store
//! alone. It holds values as they are, and `serde` writes them:
//!
//! - Times are RFC 3339 in UTC with milliseconds; ids, names and states are text.
//! - An absent value is `null`.
//! - Text of people ([`Private`]) is written in full, so only the operator may see a view.

mod backfill;
mod backup;
mod comparison;
mod delivery;
mod destination;
mod digest;
mod erase;
mod event;
mod event_summary;
mod image;
mod incident;
mod preview;
mod replay;
mod rule;
mod silence;
mod simulation;
mod status;
mod triage;

pub use self::backfill::{BackfillView, BackfilledView};
pub use self::backup::BackupView;
pub use self::comparison::{ComparisonView, ExampleView, RouteChangeView, RouteView};
pub use self::delivery::{AttemptView, DeliveryRecordView, DeliveryView, SendView, SpecView};
pub use self::destination::{DestinationView, Wait};
pub use self::digest::{ComparedView, DigestSummary, DigestView};
pub use self::erase::{ErasedClicks, ErasedEvent, ErasedLog, LogState};
pub use self::event::{ArrivalView, EventView, StatusChangeView};
pub use self::event_summary::{EventSummary, ReportView};
pub use self::image::ImageView;
pub use self::incident::{
    CountedView, IncidentMessageView, IncidentSummary, IncidentView, SeenBeforeView, StepView,
    TermsView, TimerView,
};
pub use self::preview::{GroupView, PreviewView, RequestView, TrialView};
pub use self::replay::{ReplayTotals, ReplayedDelivery, ReplayedEvent};
pub use self::rule::{FindingKey, RuleView, rule_views};
pub use self::silence::{
    AddedSilenceView, MutedCount, MutedView, SilenceSummary, SilenceTargetView, SilenceView,
};
pub use self::simulation::{
    HeldView, SimulatedIncident, SimulatedSilence, SimulationView, StretchView,
};
pub use self::status::{
    ActiveSilenceView, AppStatus, BackfillStatus, ConnectionView, OpenIncidentView,
    OpenIncidentsView, Problem, QueueView, RelayStatus, StatusQueueView,
};
pub use self::triage::{ActView, ActorView, FeedbackView, MessageView, StatusJobView, TriageView};

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::model::{DestinationName, Private};

/// The result of an operator's action on one thing: a delivery, an incident, a silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ManualResult<I: Display> {
    #[serde(serialize_with = "text")]
    pub id: I,
    /// Whether it was done.
    pub done: bool,
    /// The result in words, or why it was refused.
    pub message: String,
}

/// Serializes a value as its text.
fn text<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Serializes a value as its text, or null.
fn text_or_null<S: Serializer>(value: &Option<impl Display>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// Serializes values as a list of their texts.
fn texts<S: Serializer>(values: &[impl Display], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}

/// Serializes numbers as an object, by name.
fn by_name<S: Serializer>(
    counts: &BTreeMap<DestinationName, u64>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(counts.iter().map(|(name, count)| (name.as_str(), count)))
}

/// Serializes pairs as an object, in their order.
fn object<S: Serializer>(
    pairs: &[(impl Display, impl Serialize)],
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(key, value)| (key.to_string(), value)))
}

/// Serializes what a person wrote, or null.
fn exposed<S: Serializer>(words: &Option<Private>, to: S) -> Result<S::Ok, S::Error> {
    words.as_ref().map(Private::expose).serialize(to)
}
