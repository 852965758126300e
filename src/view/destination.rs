//! Destinations, their queues and the reasons for delays.

use serde::{Serialize, Serializer};

use super::{text, text_or_null};
use crate::model::{DestinationName, Timestamp};

/// A destination that is configured, or that the store still has deliveries to.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationView {
    #[serde(serialize_with = "text")]
    pub name: DestinationName,
    /// The kind in the configuration; null if it is no longer configured.
    pub kind: Option<&'static str>,
    /// The number of waiting deliveries.
    pub pending: u64,
    /// The number of deliveries that are being sent.
    pub sending: u64,
    /// The number of dead deliveries.
    pub dead: u64,
    /// The number of deliveries that are held until their time.
    pub held: u64,
    /// When the oldest waiting delivery was created; null if none waits.
    #[serde(serialize_with = "text_or_null")]
    pub oldest_at: Option<Timestamp>,
    /// The end of the pause that the platform asked for; null if there is none.
    #[serde(serialize_with = "text_or_null")]
    pub paced_until: Option<Timestamp>,
    /// When its circuit breaker opened; null if it is closed.
    #[serde(serialize_with = "text_or_null")]
    pub broken_since: Option<Timestamp>,
    /// Since when every attempt has failed; null after a success.
    #[serde(serialize_with = "text_or_null")]
    pub failing_since: Option<Timestamp>,
    /// Why it is stopped until somebody acts; null if it is not.
    pub stopped: Option<String>,
    /// The rate limits, e.g. `5/s`.
    pub paces: Vec<String>,
    /// In seconds, how long the waiting deliveries take because of rate limits; null if that is short.
    #[serde(rename = "wait_s", serialize_with = "seconds")]
    pub wait: Option<Wait>,
}

/// How long the waiting deliveries of a destination take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The rate limit that delays them.
    pub pace: String,
    pub seconds: u64,
}

fn seconds<S: Serializer>(wait: &Option<Wait>, to: S) -> Result<S::Ok, S::Error> {
    wait.as_ref().map(|wait| wait.seconds).serialize(to)
}
