//! Edits sent messages, so that they show the current status of their feedback.
//!
//! An edit is a delivery with three differences. Its rendering is not kept, because each attempt shows
//! the current status. A message has at most one open edit. A failed edit is discarded, because nobody
//! waits for it.

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use crate::model::*;

/// Selects the editable messages of event `?1`: those sent after `?2` as a card or blocks. Plainer forms
/// show no status.
pub(super) const EDITABLE: &str = "
    FROM messages m JOIN deliveries d ON d.id = m.delivery_id
    WHERE m.event_seq = ?1 AND m.sent_at > ?2
      AND d.trigger IN ('event', 'fallback', 'replay') AND d.form IN ('full', 'no_images')";

/// Requests an edit of every message of the event that is still editable.
pub(super) fn request_all(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<u64> {
    let sql = format!("SELECT m.delivery_id {EDITABLE} ORDER BY m.delivery_id");
    let mut messages = tx.prepare_cached(&sql)?;
    let messages: Vec<DeliveryId> = messages
        .query_map(params![event, tx.now - EDITABLE_FOR], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for message in &messages {
        request(tx, *message)?;
    }
    Ok(u64::try_from(messages.len()).unwrap_or(u64::MAX))
}

/// Requests an edit of the message that the delivery `message` sent. A waiting edit is reused. An edit
/// in progress may have an old rendering, so another one follows it.
pub(super) fn request(tx: &Tx<'_>, message: DeliveryId) -> rusqlite::Result<()> {
    let open = tx
        .prepare_cached(
            "SELECT id, state FROM deliveries
             WHERE edits = ?1 AND (state = 'pending' OR state = 'sending')",
        )?
        .query_row([message], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match open {
        Some((id, DeliveryState::Sending)) => {
            let id: DeliveryId = id;
            tx.prepare_cached("UPDATE deliveries SET again = 1 WHERE id = ?1")?
                .execute([id])?;
        }
        Some(_) => {}
        None => insert(tx, message)?,
    }
    Ok(())
}

fn insert(tx: &Tx<'_>, message: DeliveryId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, destination, rank, trigger, state, form,
                                 created_at, due_at, first_due_at, due_since, spec, edits)
         SELECT ?2, event_seq, destination, rank, 'edit', 'pending', form, ?3, ?3, ?3, ?4, spec, id
         FROM deliveries WHERE id = ?1 RETURNING destination",
    )?
    .query_row(
        params![message, tx.generators.delivery(tx.now), tx.now, tx.uptime],
        |row| row.get(0),
    )
    .map(|destination| tx.notify_destination(&destination))
}

/// Ends an edit, and starts the next one if it was requested meanwhile.
pub(super) fn ended(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    let again: Option<DeliveryId> = tx
        .prepare_cached("SELECT edits FROM deliveries WHERE id = ?1 AND again = 1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    match again {
        Some(message) => request(tx, message),
        None => Ok(()),
    }
}

/// Returns the message that the delivery edits, if it is an edit.
pub(super) fn message_of(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<DeliveryId>> {
    let edits = tx
        .prepare_cached("SELECT edits FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(edits.flatten())
}
