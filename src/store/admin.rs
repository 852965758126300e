//! What the operator looks at and changes.

use super::sqlite::{self, IfAbandoned};
use super::{AdminResult, DeliveryFilter, EventFilter, EventRow, Store, StoreError};
use crate::model::*;

impl Store {
    /// Events, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventRow>, StoreError> {
        self.database
            .read(move |conn| sqlite::events(conn, &filter))
            .await
    }

    /// An event by its id (or feedback id).
    pub async fn event(&self, id: &str) -> Result<Option<StoredEvent>, StoreError> {
        let id = id.to_owned();
        self.database
            .read(move |conn| sqlite::event_by_id(conn, &id))
            .await
    }

    /// An event by its row.
    pub async fn event_by_seq(&self, seq: EventSeq) -> Result<Option<StoredEvent>, StoreError> {
        self.database
            .read(move |conn| sqlite::event_by_seq(conn, seq))
            .await
    }

    /// An event's images in order.
    pub async fn images_of(&self, event: EventSeq) -> Result<Vec<Image>, StoreError> {
        self.database
            .read(move |conn| sqlite::images_of(conn, event))
            .await
    }

    /// Retries a delivery at another destination than the one it was for: there it is a new message, rendered
    /// anew.
    pub async fn retry_at(
        &self,
        id: DeliveryId,
        destination: &DestinationName,
    ) -> Result<AdminResult, StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::retry_at(tx, id, &destination)
            })
            .await
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.database
            .read(move |conn| sqlite::deliveries(conn, &filter))
            .await
    }

    /// The attempts of a delivery in order.
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.database
            .read(move |conn| sqlite::attempts(conn, delivery))
            .await
    }

    /// Makes a dead (or waiting) delivery due now, with a fresh `retry_for`, under its old key.
    pub async fn retry(&self, delivery: DeliveryId) -> Result<AdminResult, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::retry(tx, delivery))
            .await
    }

    /// Ends a delivery that is not done.
    pub async fn discard(&self, delivery: DeliveryId) -> Result<AdminResult, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::discard(tx, delivery))
            .await
    }

    /// Removes a person's words and images from an event and keeps the bare record. Returns the
    /// images that no event needs any more.
    pub async fn erase(&self, event: EventSeq) -> Result<Vec<ImageId>, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::erase(tx, event))
            .await
    }

    /// Whether words that were erased may still stand in the log, because somebody reads it. Whoever has the store
    /// open removes them by itself, as soon as that is possible.
    pub async fn owes_erasure(&self) -> Result<bool, StoreError> {
        let owed = self.database.read(sqlite::erasure_owed).await?;
        Ok(owed.is_some())
    }

    /// The events whose reporter has this open id (union id, user id).
    pub async fn events_of_user(&self, user: &str) -> Result<Vec<EventSeq>, StoreError> {
        let user = user.to_owned();
        self.database
            .read(move |conn| sqlite::events_of_user(conn, &user))
            .await
    }

    /// How many clicks the store knows to be this person's: an open id, or a Slack id.
    pub async fn clicks_of(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.database
            .read(move |conn| sqlite::clicks_of(conn, &person))
            .await
    }

    /// Forgets who made the clicks of this person: an open id, or a Slack id. What they led to holds; what
    /// the platform was still to be told in their name holds here only. Returns how many clicks they were.
    pub async fn forget_clicks(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::forget_clicks(tx, &person)
            })
            .await
    }
}
