//! Deliveries, their attempts, and the results of manual actions on them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{text, text_or_null};
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryState, DestinationName, EventId, Form, HeldFor,
    IncidentId, MessageSpec, OutcomeKind, RuleName, Severity, SilenceId, Timestamp, Trigger,
};

/// What a rule asks of a message.
#[derive(Clone, Debug, Serialize)]
pub struct SpecView {
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    #[serde(serialize_with = "text")]
    pub severity: Severity,
    pub template: String,
    /// Names of `[mentions]`, and `all`.
    pub mentions: Vec<String>,
    pub labels: BTreeMap<String, String>,
}

impl From<MessageSpec> for SpecView {
    fn from(spec: MessageSpec) -> Self {
        Self {
            rule: spec.rule,
            severity: spec.severity,
            template: spec.template,
            mentions: spec.mentions,
            labels: spec.labels,
        }
    }
}

/// A delivery.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    #[serde(serialize_with = "text")]
    pub id: DeliveryId,
    #[serde(serialize_with = "text")]
    pub event_id: EventId,
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    #[serde(serialize_with = "text")]
    pub state: DeliveryState,
    #[serde(serialize_with = "text")]
    pub trigger: Trigger,
    #[serde(flatten)]
    pub spec: SpecView,
    /// The form of the next attempt.
    #[serde(serialize_with = "text")]
    pub form: Form,
    /// The number of attempts so far.
    pub attempts: u32,
    #[serde(serialize_with = "text")]
    pub created_at: Timestamp,
    /// When the next attempt is, or the last one was due.
    #[serde(serialize_with = "text")]
    pub due_at: Timestamp,
    /// Why the last attempt failed; null if it did not.
    pub reason: Option<String>,
    /// The incident into which it is merged; null if it is not.
    #[serde(serialize_with = "text_or_null")]
    pub merged_into: Option<IncidentId>,
    /// The silence that muted it; null if none did.
    #[serde(serialize_with = "text_or_null")]
    pub suppressed_by: Option<SilenceId>,
    /// Why it is held or was summarised: `late`, `hold` or `stale`; null if neither.
    #[serde(serialize_with = "text_or_null")]
    pub held_for: Option<HeldFor>,
    /// The summary that counts it; null if none does.
    #[serde(serialize_with = "text_or_null")]
    pub summary: Option<EventId>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            destination: delivery.destination,
            state: delivery.state,
            trigger: delivery.trigger,
            spec: delivery.spec.into(),
            form: delivery.form,
            attempts: delivery.attempts,
            created_at: delivery.created_at,
            due_at: delivery.due_at,
            reason: delivery.reason,
            merged_into: delivery
                .incident
                .filter(|_| delivery.state == DeliveryState::Merged),
            suppressed_by: delivery
                .silence
                .filter(|_| delivery.state == DeliveryState::Suppressed),
            held_for: delivery.held_for,
            summary: delivery
                .summary
                .filter(|_| delivery.state == DeliveryState::Merged),
        }
    }
}

/// A delivery with its attempts.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRecordView {
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// The attempts, oldest first.
    pub attempt_log: Vec<AttemptView>,
}

/// One attempt of a delivery.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    /// Counts from 1.
    pub number: u32,
    #[serde(serialize_with = "text")]
    pub started_at: Timestamp,
    /// In milliseconds.
    pub duration_ms: u32,
    #[serde(serialize_with = "text")]
    pub form: Form,
    #[serde(flatten)]
    pub result: SendView,
}

/// The result of sending a message.
#[derive(Clone, Debug, Serialize)]
pub struct SendView {
    #[serde(serialize_with = "text")]
    pub outcome: OutcomeKind,
    /// The HTTP status; null if there was no answer.
    pub status: Option<u16>,
    /// The platform's own code; null if it has none.
    pub code: Option<String>,
    /// Why it failed; null if it did not.
    pub reason: Option<String>,
    /// The beginning of the platform's answer; null if there was none.
    pub excerpt: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: attempt.duration_ms,
            form: attempt.form,
            result: SendView {
                outcome: attempt.outcome,
                status: attempt.status,
                code: attempt.code,
                reason: attempt.reason,
                excerpt: attempt.excerpt,
            },
        }
    }
}
