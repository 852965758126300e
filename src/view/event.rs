//! Everything about one event.

use serde::Serialize;
use serde_json::Value;

use super::{
    CountedView, DeliveryRecordView, ImageView, MessageView, RuleView, SilenceSummary, TriageView,
    text, texts,
};
use crate::model::{AppName, EventId, EventState, FeedbackStatus, StatusChange, Timestamp};

/// Everything that is known about an event.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    #[serde(serialize_with = "text")]
    pub id: EventId,
    /// The feedback that the event created; null if it created none.
    pub feedback_id: Option<String>,
    /// The content of a change of status; null for other events.
    pub change: Option<StatusChangeView>,
    #[serde(flatten)]
    pub arrival: ArrivalView,
    /// The results of today's rules; null if they could not be applied.
    pub rules_today: Option<Vec<RuleView>>,
    /// Why today's rules could not be applied; null if they were.
    pub rules_error: Option<String>,
    pub images: Vec<ImageView>,
    /// The newest deliveries, newest first.
    pub deliveries: Vec<DeliveryRecordView>,
    /// The incidents that count the event.
    pub incidents: Vec<CountedView>,
    /// The silences that muted deliveries of it, as far as they are stored.
    pub silences: Vec<SilenceSummary>,
    /// For a summary: the newest reports in it, newest first.
    #[serde(serialize_with = "texts")]
    pub summarises: Vec<EventId>,
    pub messages: Vec<MessageView>,
    pub feedback: TriageView,
    /// The stored body with secrets masked, which contains what the reporter typed. Null if it is not stored (any
    /// more); absent if it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// How an event arrived.
#[derive(Clone, Debug, Serialize)]
pub struct ArrivalView {
    /// The app that received it.
    #[serde(serialize_with = "text")]
    pub via: AppName,
    /// The platform's name of the event type.
    #[serde(rename = "type")]
    pub event_type: String,
    #[serde(serialize_with = "text")]
    pub received_at: Timestamp,
    #[serde(serialize_with = "text")]
    pub state: EventState,
}

/// A change of status.
#[derive(Clone, Debug, Serialize)]
pub struct StatusChangeView {
    pub feedback_ids: Vec<String>,
    /// The number of the new status; null if the event has none of 64 bits.
    #[serde(serialize_with = "code")]
    pub status: Option<FeedbackStatus>,
    /// The new status as it was written if it is no whole number of 64 bits; otherwise null.
    pub odd_status: Option<String>,
    /// The name of the new status; null if it has none.
    pub status_key: Option<&'static str>,
}

impl From<&StatusChange> for StatusChangeView {
    fn from(change: &StatusChange) -> Self {
        Self {
            feedback_ids: change.feedback_ids.clone(),
            status: change.status,
            odd_status: change.odd_status.clone(),
            status_key: change.status.and_then(FeedbackStatus::key),
        }
    }
}

fn code<S: serde::Serializer>(status: &Option<FeedbackStatus>, to: S) -> Result<S::Ok, S::Error> {
    status.map(|status| status.0).serialize(to)
}
