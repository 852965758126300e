//! Results of erasing a person's data.

use serde::Serialize;

use super::text;
use crate::model::EventId;

/// What was, or in a dry run would be, removed from an event.
#[derive(Clone, Debug, Serialize)]
pub struct ErasedEvent {
    #[serde(serialize_with = "text")]
    pub event_id: EventId,
    /// Whether it was removed; false in a dry run.
    pub erased: bool,
    /// Whether its words were stored.
    pub words: bool,
    /// How many of its images were stored.
    pub images: u64,
}

/// The button actions from which a person was, or in a dry run would be, removed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ErasedClicks {
    /// How many there are.
    pub clicks: u64,
    /// Whether the person was removed; false in a dry run.
    pub erased: bool,
}

/// Where removed words may still be.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ErasedLog {
    pub log: LogState,
}

/// The state of the store's log after removed words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogState {
    /// Removed words are still in the log, because something reads it. The relay empties it afterwards.
    Owed,
}
