//! A preview of how an event is handled.

use serde::Serialize;
use serde_json::Value;

use super::{RuleView, SendView, SpecView, text};
use crate::model::{AppName, DestinationName, EventId, EventState};

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
    pub deliveries: Vec<PreviewView>,
}

/// A message that would be sent.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewView {
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
    #[serde(flatten)]
    pub spec: SpecView,
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
