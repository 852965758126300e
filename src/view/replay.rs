//! Results of a replay.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{by_name, text, text_or_null};
use crate::model::{DeliveryId, DestinationName, EventId};

/// A replayed event.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedEvent {
    #[serde(serialize_with = "text")]
    pub event_id: EventId,
    /// Whether nothing was sent.
    pub dry_run: bool,
    pub deliveries: Vec<ReplayedDelivery>,
}

/// A message of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedDelivery {
    /// The new delivery; null in a dry run.
    #[serde(serialize_with = "text_or_null")]
    pub id: Option<DeliveryId>,
    #[serde(serialize_with = "text")]
    pub destination: DestinationName,
}

/// The totals of a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayTotals {
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// The number of events.
    pub events: u64,
    /// The number of messages for each destination.
    #[serde(serialize_with = "by_name")]
    pub messages: BTreeMap<DestinationName, u64>,
    /// The number of events without any message.
    pub to_nobody: u64,
    /// The number of events that cannot be parsed.
    pub cannot_be_replayed: u64,
}
