//! Results of erasing a person's data.

use serde::Serialize;

use super::text;
use crate::model::EventId;

/// The data that was removed from an event, or would be in a dry run.
#[derive(Clone, Debug, Serialize)]
pub struct ErasedEvent {
    #[serde(serialize_with = "text")]
    pub event_id: EventId,
    /// Whether it was removed; false in a dry run.
    pub erased: bool,
    /// Whether its text was stored.
    pub words: bool,
    /// How many of its images were stored.
    pub images: u64,
}

/// The button actions from which a person was removed, or would be in a dry run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ErasedClicks {
    /// How many there are.
    pub clicks: u64,
    /// Whether the person was removed; false in a dry run.
    pub erased: bool,
}

/// The places where removed text may still be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ErasedLog {
    pub log: LogState,
}

/// The state of the store's log after text was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogState {
    /// Removed text is still in the log, because another process reads it. The relay empties the log
    /// afterwards.
    Owed,
}
