//! What comes in.

use super::sqlite::{self, IfAbandoned};
use super::{Accepted, Arrival, LateTelling, NewDelivery, Store, StoreError};
use crate::model::*;

impl Store {
    /// Commits an event with its deliveries and image jobs, or knows it as a repeat.
    /// When this returns `Ok`, it is on the disk.
    pub async fn accept(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        let _waiting = self.rush.begin();
        self.database
            .promise(move |tx| sqlite::accept(tx, &arrival))
            .await
    }

    /// The same for an event of the relay's own, which nobody outside is promised: it is taken even where the
    /// files are not in their place any more, for the operator is to hear just that.
    pub async fn accept_notice(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::accept(tx, &arrival))
            .await
    }

    /// How many events wait for the store, if they are so many right now that what can wait should.
    pub fn rush(&self) -> Option<usize> {
        self.rush.crowd()
    }

    /// [`Self::accept`] for a report that came late: who is in `late` hears of it in a summary, which is still
    /// to be made when this returns. See [`Self::summarise_late`].
    pub async fn accept_late(
        &self,
        arrival: Arrival,
        late: Vec<LateTelling>,
    ) -> Result<Accepted, StoreError> {
        self.database
            .promise(move |tx| sqlite::accept_late(tx, &arrival, &late))
            .await
    }

    /// Makes one summary for each rule and destination that has late reports to hear of, in one
    /// transaction, so that each report is told of once whatever happens. Returns the summaries' ids.
    pub async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.database
            .write(IfAbandoned::Run, sqlite::summarise_late)
            .await
    }

    /// Which summary told each destination of a late event; `None`: it is still to be made.
    pub async fn summaries_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<(DestinationName, Option<EventId>)>, StoreError> {
        self.database
            .read(move |conn| sqlite::summaries_of(conn, event))
            .await
    }

    /// For each feedback (the app it is about, and its id) the event by which the store knows it through `via`.
    pub async fn known_feedback(
        &self,
        via: AppName,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.database
            .read(move |conn| sqlite::known_feedback(conn, &via, &feedback))
            .await
    }

    /// The events that brought these feedbacks (the app each is about, and its id), as far as they are
    /// kept.
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

    /// What a list of the platform says of the statuses of kept feedback, in one transaction with an edit of
    /// every message that shows one. Returns how many were not known.
    pub async fn platform_lists(&self, listed: Vec<FeedbackChange>) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::platform_lists(tx, &listed)
            })
            .await
    }

    /// A point in time that is kept under this name.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let name = name.to_owned();
        self.database
            .read(move |conn| sqlite::mark(conn, &name))
            .await
    }

    /// The same; at the first call with this name it is now.
    pub async fn begin_mark(&self, name: &str) -> Result<Timestamp, StoreError> {
        let name = name.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::begin_mark(tx, &name))
            .await
    }

    /// Keeps a point in time under this name.
    pub async fn put_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::put_mark(tx, &name, at))
            .await
    }

    /// Adds the deliveries of a replay, and settles the event: it is in the state `now` from then on. Does
    /// nothing if the event is no longer in the state `before`: somebody else has replayed it.
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

    /// Adds deliveries to an event that is kept: a replay, a fallback, a test.
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
