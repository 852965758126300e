//! The result of comparing rules with stored events.

use serde::Serialize;

use super::{text, text_or_null};
use crate::model::{DestinationName, EventId, RuleName, Timestamp};

/// The destinations that the rules of a configuration would choose for stored events, compared with those they went to.
#[derive(Clone, Debug, Serialize)]
pub struct ComparisonView {
    /// Only events received from this time on are compared.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// The number of events that were compared.
    pub compared: u64,
    /// The number of events that cannot be compared, because their bodies were removed or cannot be read.
    pub not_comparable: u64,
    /// The number of compared events that would go elsewhere.
    pub changed: u64,
    /// The changed routes, those with the most events first.
    pub changes: Vec<RouteChangeView>,
}

/// Events that would go from one set of destinations to another.
#[derive(Clone, Debug, Serialize)]
pub struct RouteChangeView {
    /// The number of events.
    pub events: u64,
    /// The destinations that they went to; empty: none.
    pub from: Vec<RouteView>,
    /// The destinations that they would go to; empty: none.
    pub to: Vec<RouteView>,
    /// The newest of them, newest first.
    pub examples: Vec<ExampleView>,
}

/// A destination, and the rule that names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RouteView {
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    /// Null for a destination that got the event in a late summary.
    #[serde(serialize_with = "text_or_null")]
    pub rule: Option<RuleName>,
}

/// An event that would go elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct ExampleView {
    #[serde(serialize_with = "text")]
    pub id: EventId,
    #[serde(serialize_with = "text")]
    pub received_at: Timestamp,
}
