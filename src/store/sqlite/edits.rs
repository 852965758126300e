//! Changing what was sent, so that it shows how its feedback stands now.
//!
//! An edit is a delivery like others, but for this: nothing of it is kept to be repeated, for each
//! attempt shows what holds then; a message has one open edit at most; and one that comes to nothing is
//! discarded, for nobody waits for it.

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use crate::model::*;

/// The messages of event `?1` that are changed with its feedback: those sent after `?2` as a card or
/// blocks, for plainer forms show no status.
pub(super) const EDITABLE: &str = "
    FROM messages m JOIN deliveries d ON d.id = m.delivery_id
    WHERE m.event_seq = ?1 AND m.sent_at > ?2
      AND d.trigger IN ('event', 'fallback', 'replay') AND d.form IN ('full', 'no_images')";

/// Asks for an edit of every message of the event that can still be changed.
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

/// Asks for an edit of the message that the delivery `message` sent. One that waits will do; one in
/// flight may have been rendered before now, so another follows it.
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
        "INSERT INTO deliveries (id, event_seq, destination, severity, trigger, state, form,
                                 created_at, due_at, first_due_at, due_since, spec, edits)
         SELECT ?2, event_seq, destination, severity, 'edit', 'pending', form, ?3, ?3, ?3, ?4, spec, id
         FROM deliveries WHERE id = ?1 RETURNING destination",
    )?
    .query_row(
        params![message, tx.makers.delivery(tx.now), tx.now, tx.uptime],
        |row| row.get(0),
    )
    .map(|destination| tx.announce_delivery(&destination))
}

/// An edit has ended. If another was asked for meanwhile, it follows.
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

/// The message that the delivery changes, if it is an edit.
pub(super) fn message_of(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<DeliveryId>> {
    let edits = tx
        .prepare_cached("SELECT edits FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(edits.flatten())
}
