//! A preview of how an event is handled.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{RuleView, SendView, SimulationView, SpecView, text, text_or_null, texts};
use crate::model::{
    AppName, DestinationName, EventId, EventState, GroupKey, PlannedIncident, Private, RuleName,
    Timestamp,
};

/// The result of the rules and templates for an event.
#[derive(Clone, Debug, Serialize)]
pub struct TrialView {
    #[serde(serialize_with = "text")]
    pub event_id: EventId,
    /// The app that receives it.
    #[serde(serialize_with = "text")]
    pub via: AppName,
    /// The state that the event would have.
    #[serde(serialize_with = "text")]
    pub state: EventState,
    pub rules: Vec<RuleView>,
    /// How each matched rule that groups the report counts it.
    pub incidents: Vec<GroupView>,
    pub deliveries: Vec<PreviewView>,
    /// What would be sent over time if the event came several times; null if that was not asked for.
    pub simulation: Option<SimulationView>,
}

/// The incident that a rule counts a report in.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    /// The values of `group_by`, in its order; null where the report has none.
    #[serde(serialize_with = "key")]
    pub key: Vec<(GroupKey, Option<Private>)>,
    /// How many reports of the incident are delivered individually.
    pub group_from: u64,
    /// The destinations that get later reports only in the incident's message.
    #[serde(serialize_with = "texts")]
    pub merged_for: Vec<DestinationName>,
}

impl From<&PlannedIncident> for GroupView {
    fn from(incident: &PlannedIncident) -> Self {
        Self {
            rule: incident.rule.clone(),
            key: incident.key.0.clone(),
            group_from: incident.terms.from,
            merged_for: incident.destinations.clone(),
        }
    }
}

/// Serializes the key of an incident as an object.
pub(super) fn key<S: Serializer>(
    key: &[(GroupKey, Option<Private>)],
    to: S,
) -> Result<S::Ok, S::Error> {
    let pair = |(key, value): &(GroupKey, Option<Private>)| {
        let value = value.as_ref().map(|value| value.expose().to_owned());
        (key.key(), value)
    };
    to.collect_map(key.iter().map(pair))
}

/// A message that would be sent.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewView {
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    #[serde(flatten)]
    pub spec: SpecView,
    /// Until when `hold` of its rules would keep the message; null if it would be sent at once.
    #[serde(serialize_with = "text_or_null")]
    pub held_until: Option<Timestamp>,
    /// Why the template failed and the built-in one is used; null if it did not.
    pub template_error: Option<String>,
    /// The rendered message; text if it is not JSON.
    pub payload: Value,
    /// The request; null if the destination is not configured.
    pub request: Option<RequestView>,
    /// The result of sending it as a test; null if it was not sent.
    pub sent: Option<SendView>,
}

/// A request as it would be sent, without credentials and signatures.
#[derive(Clone, Debug, Serialize)]
pub struct RequestView {
    /// The kind of the destination.
    pub kind: &'static str,
    /// The receiver, without secrets.
    pub to: String,
    /// The size of the body as it is sent, in bytes.
    pub bytes: usize,
    /// The body; text if it is not JSON. JSON inside a string is expanded.
    pub body: Value,
}
