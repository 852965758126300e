//! What waits for a destination that does not deliver goes to its fallback.

use rusqlite::{Row, params};

use super::tx::Tx;
use super::values::OrderColumn;
use super::{deliveries, rows};
use crate::model::*;
use crate::store::{FallBack, NewDelivery};

/// How many go in one act, so that other acts do not wait long for it.
const BITE: u32 = 256;

/// Late pictures stay behind: the fallback sends those it has not shown by itself. So do edits, whose
/// message is there and nowhere else.
const ALL: &str = "SELECT id, event_seq, severity, terms FROM deliveries
     WHERE destination = ?1 AND state = 'pending' AND trigger NOT IN ('late_images', 'edit') LIMIT ?2";

/// Those that are critical and of whose event the fallback has not heard.
pub(super) const CRITICAL: &str = "SELECT id, event_seq, severity, terms FROM deliveries d
     WHERE destination = ?1 AND state = 'pending' AND trigger NOT IN ('late_images', 'edit')
       AND severity = 'critical'
       AND NOT EXISTS (SELECT 1 FROM deliveries f
                       WHERE f.event_seq = d.event_seq AND f.destination = ?3
                         AND f.trigger = 'fallback')
     LIMIT ?2";

struct Waiting {
    id: DeliveryId,
    event: EventSeq,
    order: Order,
}

/// See [`crate::store::Store::fall_back`].
pub(in crate::store) fn fall_back(
    tx: &Tx<'_>,
    from: &DestinationName,
    to: &DestinationName,
    which: FallBack,
) -> rusqlite::Result<u64> {
    let all = waiting(tx, from, to, which)?;
    for one in &all {
        let order = one.order.clone();
        let (destination, due_at) = (to.clone(), tx.now);
        let new = NewDelivery {
            destination,
            order,
            trigger: Trigger::Fallback,
            due_at,
        };
        send(tx, one.event, &new)?;
        if which == FallBack::Everything {
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'dead', waits_for_images = 0, reason = ?2
                 WHERE id = ?1",
            )?
            .execute(params![
                one.id,
                format!("its destination is stopped; sent to {to} instead")
            ])?;
        }
    }
    Ok(u64::try_from(all.len()).unwrap_or(u64::MAX))
}

fn waiting(
    tx: &Tx<'_>,
    from: &DestinationName,
    to: &DestinationName,
    which: FallBack,
) -> rusqlite::Result<Vec<Waiting>> {
    let read = |row: &Row<'_>| {
        let terms: OrderColumn = row.get("terms")?;
        let order = terms.into_order(row.get("severity")?);
        Ok(Waiting {
            id: row.get("id")?,
            event: row.get("event_seq")?,
            order,
        })
    };
    match which {
        FallBack::Everything => tx
            .prepare_cached(ALL)?
            .query_map(params![from, BITE], read)?
            .collect(),
        FallBack::Critical => tx
            .prepare_cached(CRITICAL)?
            .query_map(params![from, BITE, to], read)?
            .collect(),
    }
}

/// Whether the fallback has heard of an event by this way.
pub(super) const HEARD: &str = "SELECT 1 FROM deliveries
     WHERE event_seq = ?1 AND destination = ?2 AND trigger = 'fallback'";

/// Makes the fallback's delivery, unless it has heard of the event by this way before.
pub(super) fn send(tx: &Tx<'_>, event: EventSeq, new: &NewDelivery) -> rusqlite::Result<()> {
    let known = tx
        .prepare_cached(HEARD)?
        .exists(params![event, new.destination])?;
    if !known {
        let waits = rows::images_unsettled(tx, event)?;
        deliveries::insert(tx, event, new, waits)?;
    }
    Ok(())
}
