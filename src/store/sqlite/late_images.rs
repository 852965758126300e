//! Sends images that arrive after the message, several at once, to destinations that have not shown
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::engine::tx::Tx;
use super::values::SpecColumn;
use super::{deliveries, rows};
use crate::model::*;
use crate::store::NewDelivery;

/// How long late images wait for other images of their event, so that they are sent together.
const TOGETHER: Duration = Duration::from_secs(3);

/// The messages that one destination got about an event.
struct Told {
    /// The spec of the first delivered message, which late images reuse; `None` if none was delivered.
    spec: Option<MessageSpec>,
    /// Ordinals of the images it was shown, one bit each.
    shown: u32,
    /// Whether a delivery is in progress. When it ends, this check runs again.
    under_way: bool,
}

/// Creates a delivery for each destination that was notified of the event and misses kept images.
pub(super) fn send_late_images(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let kept = kept_mask(tx, event)?;
    if kept == 0 {
        return Ok(());
    }
    let unsettled = rows::images_unsettled(tx, event)?;
    for (destination, sent) in messages_by_destination(tx, event)? {
        let Some(spec) = sent.spec else { continue };
        if sent.under_way || kept & !sent.shown == 0 {
            continue;
        }
        let new = NewDelivery {
            destination,
            // People who were mentioned once are not mentioned again for an image.
            spec: MessageSpec {
                mentions: Vec::new(),
                ..spec
            },
            trigger: Trigger::LateImages,
            due_at: tx.now + TOGETHER,
        };
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

fn messages_by_destination(
    conn: &Connection,
    event: EventSeq,
) -> rusqlite::Result<BTreeMap<DestinationName, Told>> {
    let mut all = BTreeMap::new();
    let mut rows = conn.prepare_cached(
        "SELECT destination, state, shown, spec, severity FROM deliveries
         WHERE event_seq = ?1 AND trigger <> 'edit' ORDER BY id",
    )?;
    let mut rows = rows.query([event])?;
    while let Some(row) = rows.next()? {
        let sent = all.entry(row.get("destination")?).or_insert(Told {
            spec: None,
            shown: 0,
            under_way: false,
        });
        match row.get("state")? {
            DeliveryState::Pending | DeliveryState::Sending => sent.under_way = true,
            DeliveryState::Delivered => {
                sent.shown |= row.get::<_, u32>("shown")?;
                if sent.spec.is_none() {
                    let spec: SpecColumn = row.get("spec")?;
                    sent.spec = Some(spec.into_spec(row.get("severity")?));
                }
            }
            DeliveryState::Dead | DeliveryState::Discarded | DeliveryState::Unconfirmed => {}
        }
    }
    Ok(all)
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
