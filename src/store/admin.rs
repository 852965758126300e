//! Queries and admin actions of the operator.

use super::{AdminResult, DeliveryFilter, EventFilter, EventRow, Store, StoreError};
use crate::model::*;

impl Store {
    /// Returns events, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventRow>, StoreError> {
        self.database.events(filter).await
    }

    /// Returns an event by its event id or feedback id.
    pub async fn event(&self, id: &str) -> Result<Option<StoredEvent>, StoreError> {
        self.database.event(id).await
    }

    /// Returns an event by its row id.
    pub async fn event_by_seq(&self, seq: EventSeq) -> Result<Option<StoredEvent>, StoreError> {
        self.database.event_by_seq(seq).await
    }

    /// Returns an event's images in order.
    pub async fn images_of(&self, event: EventSeq) -> Result<Vec<Image>, StoreError> {
        self.database.images_of(event).await
    }

    /// Resends a delivery to another destination. There it is a new message and is rendered anew.
    pub async fn retry_at(
        &self,
        id: DeliveryId,
        destination: &DestinationName,
    ) -> Result<AdminResult, StoreError> {
        self.database.retry_at(id, destination).await
    }

    /// Returns deliveries, newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.database.deliveries(filter).await
    }

    /// Returns the attempts of a delivery in order.
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.database.attempts(delivery).await
    }

    /// Makes a dead or waiting delivery due now, with a fresh `retry_for` and the same deduplication
    /// key.
    pub async fn retry(&self, delivery: DeliveryId) -> Result<AdminResult, StoreError> {
        self.database.retry(delivery).await
    }

    /// Discards a delivery that is not finished.
    pub async fn discard(&self, delivery: DeliveryId) -> Result<AdminResult, StoreError> {
        self.database.discard(delivery).await
    }

    /// Removes a person's text and images from an event and keeps the bare record. Returns the images
    /// that no event uses any more.
    pub async fn erase(&self, event: EventSeq) -> Result<Vec<ImageId>, StoreError> {
        self.database.erase(event).await
    }

    /// Returns whether erased text may still be in the log, because a reader holds it. The process that
    /// has the store open removes it as soon as possible.
    pub async fn owes_erasure(&self) -> Result<bool, StoreError> {
        self.database.owes_erasure().await
    }

    /// Returns the events whose reporter has this open id, union id or user id.
    pub async fn events_of_user(&self, user: &str) -> Result<Vec<EventSeq>, StoreError> {
        self.database.events_of_user(user).await
    }

    /// Returns how many button actions of this person are stored. `person` is an open id or a Slack id.
    pub async fn clicks_of(&self, person: &str) -> Result<u64, StoreError> {
        self.database.clicks_of(person).await
    }

    /// Removes the identity of this person from button actions; `person` is an open id or a Slack id.
    /// The resulting statuses stay. Pending status writes in their name become local-only. Returns the
    /// number of actions.
    pub async fn forget_clicks(&self, person: &str) -> Result<u64, StoreError> {
        self.database.forget_clicks(person).await
    }
}
