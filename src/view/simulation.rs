//! The result of a simulation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{IncidentSummary, SilenceTargetView, by_name, text, text_or_null};
use crate::model::{
    DestinationName, Incident, IncidentId, IncidentNews, Silence, SilenceId, Timestamp,
};

/// What a simulation sent over time.
#[derive(Clone, Debug, Serialize)]
pub struct SimulationView {
    /// When its first event happened.
    #[serde(serialize_with = "text")]
    pub started_at: Timestamp,
    /// The number of events.
    pub events: u64,
    /// The number of messages to each destination, without edits.
    #[serde(serialize_with = "by_name")]
    pub messages: BTreeMap<DestinationName, u64>,
    /// The number of edits at each destination.
    #[serde(serialize_with = "by_name")]
    pub edits: BTreeMap<DestinationName, u64>,
    /// The incidents that were opened, as they were at the end, oldest first.
    pub incidents: Vec<SimulatedIncident>,
    /// The silences, as they were at the end, oldest first.
    pub silences: Vec<SimulatedSilence>,
    /// The messages that were still held at the end.
    pub held: Vec<HeldView>,
    /// All messages and edits, ordered by the time of the first in each entry.
    pub timeline: Vec<StretchView>,
}

/// An incident of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct SimulatedIncident {
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// The number of its reports that are delivered individually, unless they are muted. The others are merged into its
    /// messages.
    pub individual: u64,
    /// The number of its reports that a silence muted.
    pub muted: u64,
}

impl From<&Incident> for SimulatedIncident {
    fn from(incident: &Incident) -> Self {
        let progress = &incident.progress;
        Self {
            summary: incident.into(),
            individual: progress.count.min(progress.terms.from),
            muted: progress.silenced,
        }
    }
}

/// A silence of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct SimulatedSilence {
    #[serde(serialize_with = "text")]
    pub id: SilenceId,
    #[serde(flatten)]
    pub target: SilenceTargetView,
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    #[serde(serialize_with = "text")]
    pub ends_at: Timestamp,
    /// The number of reports of which it muted messages.
    pub reports: u64,
    /// The number of messages that it muted.
    pub messages: u64,
}

impl From<&Silence> for SimulatedSilence {
    fn from(silence: &Silence) -> Self {
        Self {
            id: silence.id,
            target: silence.target.clone().into(),
            since: silence.created_at,
            ends_at: silence.ends_at,
            reports: silence.reports,
            messages: silence.messages,
        }
    }
}

/// The messages to one destination that are still held.
#[derive(Clone, Debug, Serialize)]
pub struct HeldView {
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    pub messages: u64,
    /// The end of the first window.
    #[serde(serialize_with = "text")]
    pub until: Timestamp,
}

/// Messages of one kind to one destination, without others between them.
#[derive(Clone, Debug, Serialize)]
pub struct StretchView {
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    /// When the first was sent, in milliseconds from the start.
    pub first_after_ms: u64,
    /// When the last was sent, in milliseconds from the start.
    pub last_after_ms: u64,
    /// The number of messages.
    pub count: u64,
    /// Whether they change earlier messages.
    pub is_edit: bool,
    /// Whether `hold` delayed them.
    pub was_held: bool,
    /// The positions of the first and the last event among all, from 1; null for a summary and messages of an incident.
    pub events: Option<[u64; 2]>,
    /// The incident that sends them; null for messages about one event.
    #[serde(serialize_with = "text_or_null")]
    pub incident: Option<IncidentId>,
    /// Why the incident sends them; for edits, why the edited message was sent.
    #[serde(serialize_with = "text_or_null")]
    pub news: Option<IncidentNews>,
    /// The number of reports that a summary or the last message of an incident counts; null for messages about one event.
    pub reports: Option<u64>,
    /// For a summary of held messages: the windows of `hold`; null for others.
    pub summary_of: Option<String>,
    /// Names of the people that they mention.
    pub mentions: Vec<String>,
}
