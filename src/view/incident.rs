//! Incidents, and the reports that they count.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::preview::key;
use super::{DeliveryView, FeedbackView, ReportView, text, text_or_null, texts};
use crate::model::{
    Delivery, DestinationName, EscalateAt, EscalationStep, FeedbackKind, GroupKey, GroupTerms,
    Incident, IncidentId, IncidentNews, IncidentState, IncidentTimer, Private, RuleName,
    SeenBefore, Severity, SilenceId, Timestamp,
};

/// An incident in a list.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentSummary {
    #[serde(serialize_with = "text")]
    pub id: IncidentId,
    #[serde(serialize_with = "text")]
    pub state: IncidentState,
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    #[serde(serialize_with = "text")]
    pub severity: Severity,
    /// The type of its reports, in the words of rules, otherwise its number; null if they have none.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The values of `group_by`, in its order; null where its reports have none.
    #[serde(serialize_with = "key")]
    pub key: Vec<(GroupKey, Option<Private>)>,
    /// For a collective incident, which has no key: the number of keys that it counts; else 0.
    pub keys: u64,
    /// The number of reports.
    pub count: u64,
    /// The number of reporters whose ids are known.
    pub people: u64,
    /// The number of tenants.
    pub tenants: u64,
    /// When the first report was accepted.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// When the newest report was accepted.
    #[serde(serialize_with = "text")]
    pub last_at: Timestamp,
    /// When it ended; null while it is open.
    #[serde(serialize_with = "text_or_null")]
    pub ended_at: Option<Timestamp>,
    /// Whether it has messages of its own.
    pub merging: bool,
}

impl From<&Incident> for IncidentSummary {
    fn from(incident: &Incident) -> Self {
        let progress = &incident.progress;
        Self {
            id: incident.id,
            state: progress.state,
            rule: incident.rule.clone(),
            severity: incident.severity,
            kind: incident.kind.map(kind),
            key: incident.key.0.clone(),
            keys: incident.keys,
            count: progress.count,
            people: incident.people,
            tenants: incident.tenants,
            since: progress.opened_at,
            last_at: progress.last_at,
            ended_at: progress.ended_at,
            merging: progress.shown_at.is_some(),
        }
    }
}

fn kind(kind: FeedbackKind) -> String {
    kind.key().map_or_else(|| kind.0.to_string(), str::to_owned)
}

/// Everything that is known about an incident.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentView {
    #[serde(flatten)]
    pub summary: IncidentSummary,
    /// Whether somebody has claimed it.
    pub claimed: bool,
    /// The status that the last button action gave it, and who acted; null if nobody has.
    pub handled: Option<FeedbackView>,
    /// The number of reports in the last minute before the newest one, and in the minute before that.
    pub trend: [u64; 2],
    /// The silence that mutes it, or its last one; null if there was none.
    #[serde(serialize_with = "text_or_null")]
    pub silence: Option<SilenceId>,
    /// When that silence ends; null if there was none.
    #[serde(serialize_with = "text_or_null")]
    pub muted_until: Option<Timestamp>,
    /// The number of reports that silences muted.
    pub silenced: u64,
    /// The incident before it with the same key; null if there was none.
    #[serde(serialize_with = "text_or_null")]
    pub previous: Option<IncidentId>,
    /// The ended incident that was probably about the same fault; null if there was none in 14 days.
    pub seen_before: Option<SeenBeforeView>,
    pub terms: TermsView,
    /// Its timers, soonest first.
    pub timers: Vec<TimerView>,
    /// Its messages and their edits, oldest first.
    pub messages: Vec<IncidentMessageView>,
    /// Its newest reports, newest first.
    pub newest: Vec<ReportView>,
}

/// An ended incident that was probably about the same fault.
#[derive(Clone, Debug, Serialize)]
pub struct SeenBeforeView {
    #[serde(serialize_with = "text")]
    pub id: IncidentId,
    #[serde(serialize_with = "text")]
    pub state: IncidentState,
    #[serde(serialize_with = "text_or_null")]
    pub ended_at: Option<Timestamp>,
    /// The number of reports.
    pub count: u64,
    /// Whether only its reports are similar. Otherwise, it has the same rule and key.
    pub similar: bool,
    /// The status that the last button action gave it, and who acted; null if nobody has.
    pub handled: Option<FeedbackView>,
}

impl From<SeenBefore> for SeenBeforeView {
    fn from(seen: SeenBefore) -> Self {
        let incident = seen.incident;
        Self {
            id: incident.id,
            state: incident.progress.state,
            ended_at: incident.progress.ended_at,
            count: incident.progress.count,
            similar: seen.is_similar,
            handled: incident.handled.map(Into::into),
        }
    }
}

/// A rule's terms for an incident. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct TermsView {
    /// How many reports are delivered individually.
    pub group_from: u64,
    #[serde(rename = "group_interval_s", serialize_with = "seconds")]
    pub group_interval: Duration,
    /// Null if it never notifies again.
    #[serde(rename = "repeat_after_s", serialize_with = "seconds_or_null")]
    pub repeat_after: Option<Duration>,
    #[serde(rename = "resolve_after_s", serialize_with = "seconds")]
    pub resolve_after: Duration,
    pub escalate: Vec<StepView>,
}

impl From<&GroupTerms> for TermsView {
    fn from(terms: &GroupTerms) -> Self {
        Self {
            group_from: terms.from,
            group_interval: terms.interval,
            repeat_after: terms.repeat_after,
            resolve_after: terms.resolve_after,
            escalate: terms.steps.iter().map(Into::into).collect(),
        }
    }
}

/// A step of `escalate`. One of `count` and `after_s` is not null.
#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    /// The number of reports at which it notifies.
    pub count: Option<u64>,
    /// The time after the first report at which it notifies, in seconds.
    #[serde(rename = "after_s", serialize_with = "seconds_or_null")]
    pub after: Option<Duration>,
    /// Whether a claim cancels it.
    pub unless_claimed: bool,
    /// Names of `[mentions]`, and `all`.
    pub mentions: Vec<String>,
    /// Destinations that are notified beside those of the incident.
    #[serde(serialize_with = "texts")]
    pub send_to: Vec<DestinationName>,
}

impl From<&EscalationStep> for StepView {
    fn from(step: &EscalationStep) -> Self {
        let (count, after) = match step.at {
            EscalateAt::Count(count) => (Some(count), None),
            EscalateAt::After(after) => (None, Some(after)),
        };
        Self {
            count,
            after,
            unless_claimed: step.unless_claimed,
            mentions: step.mentions.clone(),
            send_to: step.send_to.clone(),
        }
    }
}

/// A timer of an incident.
#[derive(Clone, Debug, Serialize)]
pub struct TimerView {
    #[serde(serialize_with = "text")]
    pub due_at: Timestamp,
    /// What the incident does then.
    #[serde(flatten, serialize_with = "timer")]
    pub timer: IncidentTimer,
}

/// Serializes a timer as its kind, and the step or state that belongs to it.
fn timer<S: Serializer>(timer: &IncidentTimer, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Timer {
        action: &'static str,
        /// The position in `escalate`, from 0; null for other actions.
        step: Option<usize>,
        /// How the incident ends; null for other actions.
        state: Option<&'static str>,
    }
    let (action, step, state) = match timer {
        IncidentTimer::Open => ("open", None, None),
        IncidentTimer::Edit => ("edit", None, None),
        IncidentTimer::Apply => ("apply", None, None),
        IncidentTimer::Digest => ("digest", None, None),
        IncidentTimer::Step(step) => ("escalate", Some(*step), None),
        IncidentTimer::Repeat => ("repeat", None, None),
        IncidentTimer::Unmute => ("unmute", None, None),
        IncidentTimer::End(state) => ("end", None, Some(state.key())),
    };
    let timer = Timer {
        action,
        step,
        state,
    };
    timer.serialize(to)
}

/// A message of an incident.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentMessageView {
    /// The reason for it; null if it has none.
    #[serde(serialize_with = "text_or_null")]
    pub news: Option<IncidentNews>,
    #[serde(flatten)]
    pub delivery: DeliveryView,
}

impl From<Delivery> for IncidentMessageView {
    fn from(delivery: Delivery) -> Self {
        Self {
            news: delivery.spec.news,
            delivery: delivery.into(),
        }
    }
}

/// An incident that counts an event.
#[derive(Clone, Debug, Serialize)]
pub struct CountedView {
    #[serde(serialize_with = "text")]
    pub id: IncidentId,
    #[serde(serialize_with = "text")]
    pub state: IncidentState,
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    /// The position of the event among the reports, from 1.
    pub number: u64,
    /// The number of reports.
    pub count: u64,
    /// The values of `group_by`, in its order; null where the report has none. Empty for an incident of many keys.
    #[serde(serialize_with = "key")]
    pub key: Vec<(GroupKey, Option<Private>)>,
    /// The number of its reports that are delivered individually: the first ones.
    pub individual: u64,
}

fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(duration.as_secs())
}

fn seconds_or_null<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs()).serialize(to)
}
