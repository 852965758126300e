//! Silences: added by commands and buttons, applied to reports when they are accepted.

use super::{Store, StoreError};
use crate::model::*;

/// A silence to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSilence {
    pub target: SilenceTarget,
    pub ends_at: Timestamp,
    pub reason: Private,
    /// The author's name.
    pub author: Private,
}

/// The result of adding a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedSilence {
    pub id: SilenceId,
    /// The number of waiting messages that it muted.
    pub waiting: u64,
}

/// The result of ending a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedSilence {
    Done,
    /// It had ended at this time.
    Already(Timestamp),
    /// There is none with this id.
    Unknown,
}

/// A button action that mutes an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteIncident {
    pub incident: IncidentId,
    pub by: Actor,
    /// The destination whose message carries the button.
    pub destination: Option<DestinationName>,
}

/// The result of a button action that mutes an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MuteOutcome {
    /// It is muted until the silence ends.
    Muted(Mute),
    /// The incident has ended.
    Ended,
    /// The incident is not stored (any more).
    Unknown,
}

/// Selects silences, newest first.
#[derive(Clone, Debug, Default)]
pub struct SilenceFilter {
    /// Only active ones.
    pub active: bool,
    /// Only this one.
    pub id: Option<SilenceId>,
}

/// The number of messages of a rule that a silence muted for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceCount {
    pub rule: RuleName,
    pub destination: DestinationName,
    pub messages: u64,
}

impl Store {
    /// Adds a silence. Those of `waiting` that still wait and that it mutes are not sent. Open incidents that it
    /// mutes say so in their messages.
    pub async fn add_silence(
        &self,
        new: NewSilence,
        waiting: Vec<DeliveryId>,
    ) -> Result<AddedSilence, StoreError> {
        self.database.add_silence(new, waiting).await
    }

    /// Mutes an incident for [`BUTTON_SILENCE`] from now on. If a button muted it before, that silence is extended.
    pub async fn mute_incident(&self, action: MuteIncident) -> Result<MuteOutcome, StoreError> {
        self.database.mute_incident(action).await
    }

    /// Ends a silence early. Open incidents that it mutes say what was muted.
    pub async fn end_silence(&self, id: SilenceId) -> Result<EndedSilence, StoreError> {
        self.database.end_silence(id).await
    }

    /// Returns the silences that a filter selects.
    pub async fn silences(&self, filter: SilenceFilter) -> Result<Vec<Silence>, StoreError> {
        self.database.silences(filter, self.clock.now()).await
    }

    /// Returns how many messages a silence muted, by rule and destination.
    pub async fn silence_counts(&self, id: SilenceId) -> Result<Vec<SilenceCount>, StoreError> {
        self.database.silence_counts(id).await
    }

    /// Returns how many messages of each rule silences muted.
    pub async fn suppressed_messages(&self) -> Result<Vec<(RuleName, u64)>, StoreError> {
        self.database.suppressed_messages().await
    }

    /// Returns the silences of commands whose reminder is due because they muted reports.
    /// [`Self::silence_reminded`] ends that.
    pub async fn silences_to_remind(&self) -> Result<Vec<Silence>, StoreError> {
        self.database.silences_to_remind(self.clock.now()).await
    }

    /// Records that the reminder of a silence was sent.
    pub async fn silence_reminded(&self, id: SilenceId) -> Result<(), StoreError> {
        self.database.silence_reminded(id).await
    }
}
