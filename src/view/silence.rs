//! Silences, and what they mute.

use serde::Serialize;

use super::{ReportView, exposed, text, text_or_null};
use crate::model::{
    DestinationName, IncidentId, Private, RuleName, Silence, SilenceId, SilenceSource, Timestamp,
};

/// A silence in a list.
#[derive(Clone, Debug, Serialize)]
pub struct SilenceSummary {
    #[serde(serialize_with = "text")]
    pub id: SilenceId,
    /// Whether it mutes messages now.
    pub active: bool,
    #[serde(flatten)]
    pub target: SilenceTargetView,
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// When it ends, unless an operator ends it earlier.
    #[serde(serialize_with = "text")]
    pub ends_at: Timestamp,
    /// When an operator ended it; null if nobody did.
    #[serde(serialize_with = "text_or_null")]
    pub ended_at: Option<Timestamp>,
    /// Null for a button.
    #[serde(serialize_with = "exposed")]
    pub reason: Option<Private>,
    /// Null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub author: Option<Private>,
    #[serde(serialize_with = "text")]
    pub source: SilenceSource,
    /// The number of reports of which it muted messages.
    pub reports: u64,
    /// The number of messages that it muted.
    pub messages: u64,
}

/// The reports that a silence mutes: those for which everything that is not null holds.
#[derive(Clone, Debug, Serialize)]
pub struct SilenceTargetView {
    /// The rule of the messages.
    #[serde(serialize_with = "text_or_null")]
    pub rule: Option<RuleName>,
    /// Conditions, as in `match` of a rule.
    #[serde(rename = "match")]
    pub conditions: Option<String>,
    /// The incident with whose key it mutes reports.
    #[serde(serialize_with = "text_or_null")]
    pub incident: Option<IncidentId>,
}

impl SilenceSummary {
    /// Describes a silence at `now`.
    pub fn new(silence: Silence, now: Timestamp) -> Self {
        Self {
            active: silence.is_active(now),
            id: silence.id,
            target: silence.target.into(),
            since: silence.created_at,
            ends_at: silence.ends_at,
            ended_at: silence.ended_at,
            reason: silence.reason,
            author: silence.author,
            source: silence.source,
            reports: silence.reports,
            messages: silence.messages,
        }
    }
}

impl From<crate::model::SilenceTarget> for SilenceTargetView {
    fn from(target: crate::model::SilenceTarget) -> Self {
        let texts = target.conditions.iter();
        let lines = texts.flat_map(|text| text.lines()).collect::<Vec<_>>();
        Self {
            rule: target.rule,
            conditions: (!lines.is_empty()).then(|| lines.join(", ")),
            incident: target.incident,
        }
    }
}

/// The messages that a silence muted, or would have muted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MutedView {
    /// The number of reports.
    pub reports: u64,
    /// The number of messages.
    pub messages: u64,
    /// The number of messages by rule and destination, largest first.
    pub counts: Vec<MutedCount>,
    /// The newest reports, newest first.
    pub newest: Vec<ReportView>,
}

/// The number of muted messages of a rule to a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MutedCount {
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    pub messages: u64,
}

/// Everything about a silence.
#[derive(Clone, Debug, Serialize)]
pub struct SilenceView {
    #[serde(flatten)]
    pub summary: SilenceSummary,
    pub muted: MutedView,
}

/// A silence to be added: what it would have muted, and the result.
#[derive(Clone, Debug, Serialize)]
pub struct AddedSilenceView {
    /// Null for a dry run.
    #[serde(serialize_with = "text_or_null")]
    pub id: Option<SilenceId>,
    pub dry_run: bool,
    #[serde(flatten)]
    pub target: SilenceTargetView,
    #[serde(serialize_with = "text")]
    pub ends_at: Timestamp,
    /// What it would have muted in the last day.
    pub would_have_muted: MutedView,
    /// The number of events of the last day that were examined.
    pub examined: u64,
    /// Whether these are all events of the last day.
    pub complete: bool,
    /// The number of waiting messages that it mutes.
    pub waiting: u64,
}
