//! Sends images that arrive after the message, several at once, to destinations that have not shown
//! them.

use rusqlite::{Connection, params};

use super::engine::tx::Tx;
use super::values::SpecColumn;
use super::{deliveries, rows};
use crate::model::*;
use crate::store::decide::late_images::{Sent, follow_ups};

/// Creates a delivery for each destination that was notified of the event and misses kept images.
pub(super) fn send_late_images(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let kept = kept_mask(tx, event)?;
    if kept == 0 {
        return Ok(());
    }
    let unsettled = rows::images_unsettled(tx, event)?;
    for new in follow_ups(kept, sent(tx, event)?, tx.now) {
        deliveries::insert(tx, event, &new, unsettled)?;
    }
    Ok(())
}

/// Returns the ordinals of the event's kept images, one bit each. Returns none once its text is removed.
fn kept_mask(conn: &Connection, event: EventSeq) -> rusqlite::Result<u32> {
    let mut kept = conn.prepare_cached(
        "SELECT j.ordinal FROM image_jobs j JOIN images i ON i.id = j.image_id
         WHERE j.event_seq = ?1 AND j.state = 'kept' AND i.state = 'kept'
           AND EXISTS (SELECT 1 FROM bodies WHERE event_seq = ?1)",
    )?;
    let mut mask = 0;
    for ordinal in kept.query_map([event], |row| row.get::<_, u32>(0))? {
        mask |= 1 << ordinal?;
    }
    Ok(mask)
}

/// Returns the event's deliveries other than edits, in the order of creation.
fn sent(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<Sent>> {
    conn.prepare_cached(
        "SELECT destination, state, shown, spec, rank FROM deliveries
         WHERE event_seq = ?1 AND trigger <> 'edit' ORDER BY id",
    )?
    .query_map([event], |row| {
        let state = row.get("state")?;
        Ok(Sent {
            destination: row.get("destination")?,
            state,
            shown: row.get("shown")?,
            spec: match state == DeliveryState::Delivered {
                true => {
                    let spec: SpecColumn = row.get("spec")?;
                    Some(spec.into_spec(row.get::<_, Rank>("rank")?.severity()))
                }
                false => None,
            },
        })
    })?
    .collect()
}

/// Selects the images that one destination was shown.
pub(super) const SHOWN: &str = "SELECT shown FROM deliveries
     WHERE event_seq = ?1 AND destination = ?2 AND state = 'delivered' AND trigger <> 'edit'";

/// Returns the ordinals of the event's images that the destination was shown, one bit each.
pub(super) fn shown(
    conn: &Connection,
    event: EventSeq,
    destination: &DestinationName,
) -> rusqlite::Result<u32> {
    let mut masks = conn.prepare_cached(SHOWN)?;
    let mut shown = 0;
    for mask in masks.query_map(params![event, destination], |row| row.get::<_, u32>(0))? {
        shown |= mask?;
    }
    Ok(shown)
}
