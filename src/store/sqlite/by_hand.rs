//! What an operator, or a destination that works again, changes about deliveries.

use rusqlite::{OptionalExtension, params};

use super::tx::Tx;
use super::{deliveries, edits};
use crate::model::*;
use crate::store::ByHand;

fn state_of(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<DeliveryState>> {
    tx.prepare_cached("SELECT state FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// See [`crate::store::Store::retry`].
pub(in crate::store) fn retry(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<ByHand> {
    match state_of(tx, id)? {
        None => Ok(ByHand::NotFound),
        Some(state @ (DeliveryState::Sending | DeliveryState::Delivered)) => {
            Ok(ByHand::Refused(state))
        }
        Some(DeliveryState::Pending | DeliveryState::Dead | DeliveryState::Discarded) => {
            if let Some(message) = edits::message_of(tx, id)? {
                // Another may be under way: the message is what is to be changed, by whichever.
                edits::request(tx, message)?;
                return Ok(ByHand::Done);
            }
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'pending', due_at = ?2, first_due_at = ?2,
                                       waits_for_images = 0
                 WHERE id = ?1",
            )?
            .execute(params![id, tx.now])?;
            tx.announce();
            Ok(ByHand::Done)
        }
    }
}

/// See [`crate::store::Store::discard`].
pub(in crate::store) fn discard(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<ByHand> {
    match state_of(tx, id)? {
        None => Ok(ByHand::NotFound),
        Some(
            state @ (DeliveryState::Sending | DeliveryState::Delivered | DeliveryState::Discarded),
        ) => Ok(ByHand::Refused(state)),
        Some(DeliveryState::Pending | DeliveryState::Dead) => {
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'discarded', waits_for_images = 0 WHERE id = ?1",
            )?
            .execute([id])?;
            deliveries::drop_payload(tx, id)?;
            Ok(ByHand::Done)
        }
    }
}

/// See [`crate::store::Store::make_due`].
pub(in crate::store) fn make_due(
    tx: &Tx<'_>,
    destination: &DestinationName,
) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for severity in Severity::ALL {
        changed += tx
            .prepare_cached(
                "UPDATE deliveries SET due_at = ?3
                 WHERE destination = ?1 AND severity = ?2 AND state = 'pending' AND due_at > ?3
                   AND waits_for_images = 0",
            )?
            .execute(params![destination, severity, tx.now])?;
    }
    if changed > 0 {
        tx.announce();
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// See [`crate::store::Store::bury_unknown`].
pub(in crate::store) fn bury_unknown(
    tx: &Tx<'_>,
    known: &[DestinationName],
    reason: &str,
) -> rusqlite::Result<Vec<(DeliveryId, DestinationName)>> {
    let mut buried = Vec::new();
    for destination in destinations_with_work(tx)? {
        if known.contains(&destination) {
            continue;
        }
        for state in ["pending", "sending"] {
            let mut bury = tx.prepare_cached(&format!(
                "UPDATE deliveries SET state = iif(trigger = 'edit', 'discarded', 'dead'),
                                       reason = ?2, waits_for_images = 0,
                                       lease_token = NULL, lease_until = NULL
                 WHERE state = '{state}' AND destination = ?1 RETURNING id"
            ))?;
            for id in bury.query_map(params![destination, reason], |row| row.get(0))? {
                buried.push((id?, destination.clone()));
            }
        }
    }
    buried.sort_unstable_by_key(|(id, _)| *id);
    Ok(buried)
}

/// Destinations of deliveries that are pending or in flight: from one to the next by an index, so
/// that their number counts, not that of their deliveries.
fn destinations_with_work(tx: &Tx<'_>) -> rusqlite::Result<Vec<DestinationName>> {
    let mut found = Vec::new();
    for state in ["pending", "sending"] {
        let mut next = tx.prepare_cached(&format!(
            "SELECT min(destination) FROM deliveries WHERE state = '{state}' AND destination > ?1"
        ))?;
        let mut last = String::new();
        while let Some(name) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
            found.push(DestinationName::from(name.as_str()));
            last = name;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
