//! Changes to deliveries by an operator, or by a destination that works again.

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use super::{Database, IfAbandoned, deliveries, edits};
use crate::model::*;
use crate::store::{AdminResult, StoreError};

impl Database {
    /// See [`crate::store::Store::make_due`].
    pub(in crate::store) async fn make_due(
        &self,
        destination: &DestinationName,
    ) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| make_due(tx, &destination))
            .await
    }

    /// See [`crate::store::Store::retry`].
    pub(in crate::store) async fn retry(
        &self,
        delivery: DeliveryId,
    ) -> Result<AdminResult, StoreError> {
        self.write(IfAbandoned::Run, move |tx| retry(tx, delivery))
            .await
    }

    /// See [`crate::store::Store::discard`].
    pub(in crate::store) async fn discard(
        &self,
        delivery: DeliveryId,
    ) -> Result<AdminResult, StoreError> {
        self.write(IfAbandoned::Run, move |tx| discard(tx, delivery))
            .await
    }
}

fn state_of(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<DeliveryState>> {
    tx.prepare_cached("SELECT state FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

pub(super) fn retry(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<AdminResult> {
    match state_of(tx, id)? {
        None => Ok(AdminResult::NotFound),
        Some(state @ (DeliveryState::Sending | DeliveryState::Delivered)) => {
            Ok(AdminResult::Refused(state))
        }
        Some(
            DeliveryState::Pending
            | DeliveryState::Held
            | DeliveryState::Dead
            | DeliveryState::Discarded
            | DeliveryState::Unconfirmed
            | DeliveryState::Merged
            | DeliveryState::Suppressed,
        ) => {
            if let Some(message) = edits::message_of(tx, id)? {
                // Request an edit of the message, because another edit may be in progress.
                edits::request(tx, message)?;
                return Ok(AdminResult::Done);
            }
            start_anew(tx, id)?;
            Ok(AdminResult::Done)
        }
    }
}

/// Makes a delivery due now, as if it had never been tried.
fn start_anew(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'pending', due_at = ?2, first_due_at = ?2, due_since = ?3,
                               waits_for_images = 0, failures = 0, unanswered = 0, tried = 0,
                               failed_at = NULL, rerouted = 0
         WHERE id = ?1 RETURNING destination",
    )?
    .query_row(params![id, tx.now, tx.uptime], |row| row.get(0))
    .map(|destination| tx.notify_destination(&destination))
}

fn discard(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<AdminResult> {
    match state_of(tx, id)? {
        None => Ok(AdminResult::NotFound),
        Some(
            state @ (DeliveryState::Sending
            | DeliveryState::Delivered
            | DeliveryState::Discarded
            | DeliveryState::Merged
            | DeliveryState::Suppressed),
        ) => Ok(AdminResult::Refused(state)),
        Some(
            DeliveryState::Pending
            | DeliveryState::Held
            | DeliveryState::Dead
            | DeliveryState::Unconfirmed,
        ) => {
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'discarded', waits_for_images = 0 WHERE id = ?1",
            )?
            .execute([id])?;
            deliveries::drop_payload(tx, id)?;
            Ok(AdminResult::Done)
        }
    }
}

fn make_due(tx: &Tx<'_>, destination: &DestinationName) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for rank in Rank::ALL {
        changed += tx
            .prepare_cached(
                "UPDATE deliveries SET due_at = ?3
                 WHERE destination = ?1 AND rank = ?2 AND tried = 1 AND state = 'pending'
                   AND due_at > ?3",
            )?
            .execute(params![destination, rank, tx.now])?;
    }
    if changed > 0 {
        tx.notify_destination(destination);
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}
