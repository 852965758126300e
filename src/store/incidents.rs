//! Incidents: their timers, their lists, and the stored form of their own events.

use serde::{Deserialize, Serialize};

use super::{ActionOutcome, ApplyIncidentAction, Store, StoreError};
use crate::model::*;

/// The event type of an incident's own event in the store.
pub const INCIDENT: &str = "feedback_relay.incident";

#[derive(Serialize, Deserialize)]
struct Body {
    incident: i64,
}

/// Serializes the body of an incident's own event.
pub(super) fn write_incident(id: IncidentId) -> String {
    serde_json::to_string(&Body { incident: id.0 }).expect("a number is JSON")
}

/// Parses the body of an event of type [`INCIDENT`].
pub fn read_incident(body: &str) -> Option<IncidentId> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(IncidentId(body.incident))
}

/// Selects incidents, newest first.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Only open ones.
    pub open: bool,
    /// Only those of this rule.
    pub rule: Option<RuleName>,
    /// Only those before this one.
    pub before: Option<IncidentId>,
    /// At most so many.
    pub limit: usize,
}

/// An incident with its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRecord {
    pub incident: Incident,
    /// The deliveries of its own messages, oldest first.
    pub messages: Vec<Delivery>,
    /// The ids of its newest reports, newest first, at most [`INCIDENT_NEWEST_MAX`].
    pub newest: Vec<EventId>,
    /// The timers that are set, with their due times, soonest first.
    pub timers: Vec<(IncidentTimer, Timestamp)>,
}

/// Ended incidents that may have been about the same fault as another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlierIncidents {
    /// The last one with the same rule and key.
    pub same_key: Option<Incident>,
    /// Those of the same app and fault, newest first, with their newest reports. Empty if `same_key` is present.
    pub same_fault: Vec<(Incident, Vec<StoredEvent>)>,
}

/// An open incident that has messages of its own, so later reports are merged into them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergingIncident {
    pub id: IncidentId,
    pub rule: RuleName,
    /// When the first report was accepted.
    pub opened_at: Timestamp,
    /// The number of reports.
    pub count: u64,
    /// How many of them are delivered individually.
    pub individual: u64,
    /// Whether it counts the reports of its rule that would open too many incidents.
    pub is_collective: bool,
}

impl Store {
    /// Runs the due timers of incidents, in one transaction. Returns when the next timer is due; `None` if no
    /// incident is open.
    pub async fn advance_incidents(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.advance_incidents(self.clock.now()).await
    }

    /// Returns the incidents that a filter selects.
    pub async fn incidents(&self, filter: IncidentFilter) -> Result<Vec<Incident>, StoreError> {
        self.database.incidents(filter).await
    }

    /// Returns an incident with its messages; `None` if there is none with this id.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<IncidentRecord>, StoreError> {
        self.database.incident(id).await
    }

    /// Returns the newest reports of an incident and the earlier incidents, as its message shows them; `None` if
    /// there is no incident with this id.
    pub async fn incident_content(
        &self,
        id: IncidentId,
    ) -> Result<Option<(Vec<StoredEvent>, EarlierIncidents)>, StoreError> {
        self.database.incident_content(id).await
    }

    /// Returns the incident that counts this event for each rule.
    pub async fn incidents_of(&self, event: EventSeq) -> Result<Vec<Incident>, StoreError> {
        self.database.incidents_of(event).await
    }

    /// Returns the position of an event among the reports of an incident, from 1.
    pub async fn report_number(
        &self,
        incident: IncidentId,
        event: EventSeq,
    ) -> Result<u64, StoreError> {
        self.database.report_number(incident, event).await
    }

    /// Returns the open incidents that have messages of their own.
    pub async fn merging_incidents(&self) -> Result<Vec<MergingIncident>, StoreError> {
        self.database.merging_incidents().await
    }

    /// Applies a button action to an incident: to its messages at once, and to its reports by its timers. The first
    /// action wins. A claim cancels the steps of `escalate` that it may cancel.
    pub async fn apply_incident_action(
        &self,
        acting: ApplyIncidentAction,
    ) -> Result<ActionOutcome, StoreError> {
        self.database.apply_incident_action(acting).await
    }

    /// Closes an open incident. Returns its state before; `None` if there is none with this id.
    pub async fn close_incident(
        &self,
        id: IncidentId,
    ) -> Result<Option<IncidentState>, StoreError> {
        self.database.close_incident(id).await
    }
}
