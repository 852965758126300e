//! Accepting events, late reports and status changes.

use super::{Accepted, Arrival, FormerNames, LateTelling, NewDelivery, Store, StoreError};
use crate::model::*;

impl Store {
    /// Commits an event with its deliveries and image jobs, or detects it as a repeat. When this returns
    /// `Ok`, the event is on disk.
    pub async fn accept(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        let _waiting = self.intake_pressure.begin();
        let former = self.former_names.get();
        self.database.accept(arrival, former).await
    }

    /// Sets the former names of destinations, before events are accepted for the current ones. Accepted status
    /// changes then find messages that [`Self::rename_sent`] has not renamed yet.
    pub fn set_former_names(&self, former: FormerNames) {
        self.former_names.set(former);
    }

    /// Commits an event of the relay itself. Unlike [`Self::accept`], it works even if the store's files
    /// were moved, because the operator must be notified of that.
    pub async fn accept_notice(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        self.database.accept_notice(arrival).await
    }

    /// Returns the number of events that wait for the store, if intake is overloaded. Other work should then
    /// wait.
    pub fn intake_overload(&self) -> Option<usize> {
        self.intake_pressure.recent_peak()
    }

    /// Commits a late report like [`Self::accept`]. The destinations in `late` get it in a late summary,
    /// which [`Self::summarise_late`] creates. Those of `incidents` that are open count it.
    pub async fn accept_late(
        &self,
        arrival: Arrival,
        late: Vec<LateTelling>,
        incidents: Vec<PlannedIncident>,
    ) -> Result<Accepted, StoreError> {
        self.database.accept_late(arrival, late, incidents).await
    }

    /// Creates one summary for each rule and destination that has late reports. One transaction ensures
    /// that each report is in one summary only. Returns the summaries' ids.
    pub async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.database.summarise_late().await
    }

    /// Returns each destination's summary of a late event; `None` if it is not created yet.
    pub async fn summaries_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<(DestinationName, Option<EventId>)>, StoreError> {
        self.database.summaries_of(event).await
    }

    /// Returns the stored event for each feedback, given by app id and feedback id. Only events received
    /// through `via` count.
    pub async fn known_feedback(
        &self,
        via: AppName,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.database.known_feedback(via, feedback).await
    }

    /// Returns the events that created these feedbacks, as far as they are kept. Each is given by app id
    /// and feedback id.
    pub async fn feedback_events(
        &self,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        if feedback.is_empty() {
            return Ok(Vec::new());
        }
        self.database.feedback_events(feedback).await
    }

    /// Applies the statuses from a platform's list to kept feedback, in one transaction with the edits
    /// of every message. Returns how many were new.
    pub async fn platform_lists(&self, listed: Vec<FeedbackChange>) -> Result<u64, StoreError> {
        self.database.platform_lists(listed).await
    }

    /// Returns the time stored under this name.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        self.database.mark(name).await
    }

    /// Returns the time stored under this name. The first call with a name stores the current time.
    pub async fn begin_mark(&self, name: &str) -> Result<Timestamp, StoreError> {
        self.database.begin_mark(name).await
    }

    /// Stores a time under this name.
    pub async fn put_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        self.database.put_mark(name, at).await
    }

    /// Adds the deliveries of a replay and sets the event's state to `now`. Does nothing if the state is
    /// no longer `before`, because somebody else replayed it.
    pub async fn replay(
        &self,
        event: EventSeq,
        before: EventState,
        now: EventState,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Option<Vec<DeliveryId>>, StoreError> {
        self.database.replay(event, before, now, deliveries).await
    }

    /// Adds deliveries to a kept event: a replay, a fallback or a test.
    pub async fn add_deliveries(
        &self,
        event: EventSeq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.database.add_deliveries(event, deliveries).await
    }
}
