//! The stored form of a summary: numbers, and why it is one. The reports are looked up when the summary is sent,
//! so that erased ones are not shown.

use serde::{Deserialize, Serialize};

use crate::model::{HeldFor, Summary, Timestamp};

/// The event type of a summary in the store.
pub const SUMMARY: &str = "feedback_relay.summary";

#[derive(Serialize, Deserialize)]
struct Body {
    count: u64,
    first_at_ms: i64,
    last_at_ms: i64,
    held_for: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hours: Option<String>,
}

/// Serializes the body of a summary.
pub(super) fn write_summary(summary: &Summary) -> String {
    let body = Body {
        count: summary.count,
        first_at_ms: summary.first_at.as_millis(),
        last_at_ms: summary.last_at.as_millis(),
        held_for: summary.held_for.key().to_owned(),
        hours: summary.hours.clone(),
    };
    serde_json::to_string(&body).expect("texts and numbers are JSON")
}

/// Parses the body of an event of type [`SUMMARY`], without its reports.
pub fn read_summary(body: &str) -> Option<Summary> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(Summary {
        count: body.count,
        first_at: Timestamp::from_millis(body.first_at_ms),
        last_at: Timestamp::from_millis(body.last_at_ms),
        held_for: HeldFor::from_key(&body.held_for)?,
        hours: body.hours,
        newest: Vec::new(),
    })
}
