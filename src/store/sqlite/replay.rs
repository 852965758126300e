//! Replays an event through the rules, and resends a delivery to another destination.

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use super::{Database, IfAbandoned, accept, admin, deliveries};
use crate::model::*;
use crate::store::{AdminResult, NewDelivery, StoreError};

impl Database {
    /// See [`crate::store::Store::replay`].
    pub(in crate::store) async fn replay(
        &self,
        event: EventSeq,
        before: EventState,
        now: EventState,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Option<Vec<DeliveryId>>, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            replay(tx, event, before, now, &deliveries)
        })
        .await
    }

    /// See [`crate::store::Store::retry_at`].
    pub(in crate::store) async fn retry_at(
        &self,
        id: DeliveryId,
        destination: &DestinationName,
    ) -> Result<AdminResult, StoreError> {
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| retry_at(tx, id, &destination))
            .await
    }
}

fn replay(
    tx: &Tx<'_>,
    event: EventSeq,
    before: EventState,
    now: EventState,
    new: &[NewDelivery],
) -> rusqlite::Result<Option<Vec<DeliveryId>>> {
    let settled = tx
        .prepare_cached("UPDATE events SET state = ?3 WHERE seq = ?1 AND state = ?2")?
        .execute(params![event, before, now])?;
    if settled == 0 {
        return Ok(None);
    }
    accept::add_deliveries(tx, event, new).map(Some)
}

fn retry_at(
    tx: &Tx<'_>,
    id: DeliveryId,
    destination: &DestinationName,
) -> rusqlite::Result<AdminResult> {
    let found: Option<(DeliveryState, Trigger)> = tx
        .prepare_cached("SELECT state, trigger FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((state, trigger)) = found else {
        return Ok(AdminResult::NotFound);
    };
    // An edit changes a message that exists elsewhere.
    if matches!(state, DeliveryState::Sending | DeliveryState::Delivered)
        || trigger == Trigger::Edit
    {
        return Ok(AdminResult::Refused(state));
    }
    // A rendering for another destination has another form and other fields.
    deliveries::drop_payload(tx, id)?;
    tx.prepare_cached(
        "UPDATE deliveries SET destination = ?2, form = 'full', reason = NULL WHERE id = ?1",
    )?
    .execute(params![id, destination])?;
    admin::retry(tx, id)
}
