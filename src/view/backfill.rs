//! The result of a backfill.

use serde::Serialize;

use super::{text, texts};
use crate::model::{AppName, EventId, Timestamp};

/// The result of a backfill.
#[derive(Clone, Debug, Serialize)]
pub struct BackfillView {
    #[serde(serialize_with = "text")]
    pub app: AppName,
    /// The start of the compared time.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// Whether nothing was taken in.
    pub dry_run: bool,
    /// The number of pages that were read.
    pub pages: u32,
    /// The number of reports in Feishu's list.
    pub listed: u64,
    /// Of these, the number that arrived as events.
    pub by_event: u64,
    /// Of these, the number that an earlier backfill took in.
    pub by_list: u64,
    /// The number of reports that never arrived as events.
    pub only_in_list: u64,
    /// The number of items without an id or a time.
    pub unreadable: u64,
    /// The reports that were, or in a dry run would be, taken in.
    pub taken: Vec<BackfilledView>,
    /// The ids of the late summaries that it created.
    #[serde(serialize_with = "texts")]
    pub summaries: Vec<EventId>,
    /// Why it stopped early; null if it is complete.
    pub error: Option<String>,
}

/// A report that a backfill took in.
#[derive(Clone, Debug, Serialize)]
pub struct BackfilledView {
    pub feedback_id: String,
    #[serde(serialize_with = "text")]
    pub reported_at: Timestamp,
    /// How destinations are notified.
    pub told: &'static str,
}
