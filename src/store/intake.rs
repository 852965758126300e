//! Accepting events, late reports and status changes.

use super::sqlite::{self, IfAbandoned};
use super::{Accepted, Arrival, LateTelling, NewDelivery, Store, StoreError};
use crate::model::*;

impl Store {
    /// Commits an event with its deliveries and image jobs, or detects it as a repeat. When this returns
    /// `Ok`, the event is on disk.
    pub async fn accept(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        let _waiting = self.intake_pressure.begin();
        self.database
            .promise(move |tx| sqlite::accept(tx, &arrival))
            .await
    }

    /// Commits an event of the relay itself. Unlike [`Self::accept`], it works even if the store's files
    /// were moved, because the operator must be notified of that.
    pub async fn accept_notice(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::accept(tx, &arrival))
            .await
    }

    /// Returns how many events wait for the store, if they are enough for intake overload. Other work
    /// should wait then.
    pub fn rush(&self) -> Option<usize> {
        self.intake_pressure.recent_peak()
    }

    /// Commits a late report like [`Self::accept`]. The destinations in `late` get it in a late summary,
    /// which [`Self::summarise_late`] creates.
    pub async fn accept_late(
        &self,
        arrival: Arrival,
        late: Vec<LateTelling>,
    ) -> Result<Accepted, StoreError> {
        self.database
            .promise(move |tx| sqlite::accept_late(tx, &arrival, &late))
            .await
    }

    /// Creates one summary for each rule and destination that has late reports. One transaction ensures
    /// that each report is in one summary only. Returns the summaries' ids.
    pub async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.database
            .write(IfAbandoned::Run, sqlite::summarise_late)
            .await
    }

    /// Returns each destination's summary of a late event; `None` if it is not created yet.
    pub async fn summaries_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<(DestinationName, Option<EventId>)>, StoreError> {
        self.database
            .read(move |conn| sqlite::summaries_of(conn, event))
            .await
    }

    /// Returns the stored event for each feedback, given by app id and feedback id. Only events received
    /// through `via` count.
    pub async fn known_feedback(
        &self,
        via: AppName,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.database
            .read(move |conn| sqlite::known_feedback(conn, &via, &feedback))
            .await
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
        self.database
            .read(move |conn| sqlite::feedback_events(conn, &feedback))
            .await
    }

    /// Applies the statuses from a platform's list to kept feedback, in one transaction with the edits
    /// of every message. Returns how many were new.
    pub async fn platform_lists(&self, listed: Vec<FeedbackChange>) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::platform_lists(tx, &listed)
            })
            .await
    }

    /// Returns the time stored under this name.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let name = name.to_owned();
        self.database
            .read(move |conn| sqlite::mark(conn, &name))
            .await
    }

    /// Returns the time stored under this name. The first call with a name stores the current time.
    pub async fn begin_mark(&self, name: &str) -> Result<Timestamp, StoreError> {
        let name = name.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::begin_mark(tx, &name))
            .await
    }

    /// Stores a time under this name.
    pub async fn put_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::put_mark(tx, &name, at))
            .await
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
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::replay(tx, event, before, now, &deliveries)
            })
            .await
    }

    /// Adds deliveries to a kept event: a replay, a fallback or a test.
    pub async fn add_deliveries(
        &self,
        event: EventSeq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::add_deliveries(tx, event, &deliveries)
            })
            .await
    }
}
