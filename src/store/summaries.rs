//! The stored form of a late summary: only numbers. The reports are looked up when the summary is sent,
//! so that erased ones are not shown.

use serde::{Deserialize, Serialize};

use crate::model::{Summary, Timestamp};

/// The event type of a summary in the store.
pub const SUMMARY: &str = "feedback_relay.summary";

#[derive(Serialize, Deserialize)]
struct Body {
    count: u64,
    first_at_ms: i64,
    last_at_ms: i64,
}

/// Serializes the body of a summary.
pub(super) fn write_summary(summary: &Summary) -> String {
    let body = Body {
        count: summary.count,
        first_at_ms: summary.first_at.as_millis(),
        last_at_ms: summary.last_at.as_millis(),
    };
    serde_json::to_string(&body).expect("three numbers are JSON")
}

/// Parses the body of an event of type [`SUMMARY`], without its reports.
pub fn read_summary(body: &str) -> Option<Summary> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(Summary {
        count: body.count,
        first_at: Timestamp::from_millis(body.first_at_ms),
        last_at: Timestamp::from_millis(body.last_at_ms),
        newest: Vec::new(),
    })
}
