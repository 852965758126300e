//! A summary as the store keeps it: numbers alone. The reports it tells of are looked up when it is
//! sent, so that what was erased meanwhile is in none.

use serde::{Deserialize, Serialize};

use crate::model::{Summary, Timestamp};

/// The type of a summary in the store.
pub const SUMMARY: &str = "feedback_relay.summary";

#[derive(Serialize, Deserialize)]
struct Body {
    count: u64,
    first_at_ms: i64,
    last_at_ms: i64,
}

/// The body of a summary.
pub(super) fn write_summary(summary: &Summary) -> String {
    let body = Body {
        count: summary.count,
        first_at_ms: summary.first_at.as_millis(),
        last_at_ms: summary.last_at.as_millis(),
    };
    serde_json::to_string(&body).expect("three numbers are JSON")
}

/// Reads the body of an event whose type is [`SUMMARY`], without the reports it tells of.
pub fn read_summary(body: &str) -> Option<Summary> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(Summary {
        count: body.count,
        first_at: Timestamp::from_millis(body.first_at_ms),
        last_at: Timestamp::from_millis(body.last_at_ms),
        newest: Vec::new(),
    })
}
