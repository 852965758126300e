//! The platforms' ids of sent messages.

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::tx::Tx;
use super::{Database, edits};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::messages`].
    pub(in crate::store) async fn messages(
        &self,
        event: EventSeq,
    ) -> Result<Vec<SentMessage>, StoreError> {
        self.read(move |conn| messages_of(conn, event)).await
    }
}

/// Stores the platform's id of a delivery's message.
pub(super) fn keep(tx: &Tx<'_>, id: DeliveryId, handle: &MessageHandle) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO messages (delivery_id, event_seq, destination, handle, sent_at)
         SELECT id, event_seq, destination, ?2, ?3 FROM deliveries WHERE id = ?1
         ON CONFLICT (delivery_id) DO UPDATE SET
             handle = excluded.handle, sent_at = excluded.sent_at",
    )?
    .execute(params![id, handle, tx.now])?;
    Ok(())
}

/// Returns the first message to `destination` about the event. Delivery ids grow with time.
pub(super) fn first(
    conn: &Connection,
    event: EventSeq,
    destination: &DestinationName,
) -> rusqlite::Result<Option<MessageHandle>> {
    conn.prepare_cached(
        "SELECT handle FROM messages WHERE event_seq = ?1 AND destination = ?2
         ORDER BY delivery_id LIMIT 1",
    )?
    .query_row(params![event, destination], |row| row.get(0))
    .optional()
}

/// Selects the live messages of an incident's event `?1`, at destination `?2` or at all: the first card or blocks at
/// each destination that the platform still changes. Later messages reply to it.
pub(super) const LIVE: &str = "
    SELECT min(m.delivery_id), m.handle FROM messages m JOIN deliveries d ON d.id = m.delivery_id
    WHERE m.event_seq = ?1 AND (?2 IS NULL OR m.destination = ?2) AND m.is_final = 0
      AND d.form IN ('full', 'no_images')
    GROUP BY m.destination";

/// Returns the live message of an incident's event at `destination`.
pub(super) fn live(
    conn: &Connection,
    event: EventSeq,
    destination: &DestinationName,
) -> rusqlite::Result<Option<MessageHandle>> {
    conn.prepare_cached(LIVE)?
        .query_row(params![event, destination], |row| row.get(1))
        .optional()
}

/// Returns whether `destination` has or had a card or blocks about the event that could be edited.
pub(super) fn has_card(
    conn: &Connection,
    event: EventSeq,
    destination: &DestinationName,
) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM messages m JOIN deliveries d ON d.id = m.delivery_id
         WHERE m.event_seq = ?1 AND m.destination = ?2 AND d.form IN ('full', 'no_images')",
    )?
    .exists(params![event, destination])
}

/// Notes that the platform no longer changes the message that the edit `id` was for. The replies to it are not edited
/// instead.
pub(super) fn mark_final(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE messages SET is_final = 1
         WHERE (event_seq, destination) = (SELECT event_seq, destination FROM deliveries WHERE id = ?1)
           AND delivery_id >= (SELECT edits FROM deliveries WHERE id = ?1)",
    )?
    .execute([id])?;
    Ok(())
}

/// Returns the message that the edit `id` changes.
pub(super) fn edited_by(
    conn: &Connection,
    id: DeliveryId,
) -> rusqlite::Result<Option<MessageHandle>> {
    conn.prepare_cached(
        "SELECT m.handle FROM deliveries d JOIN messages m ON m.delivery_id = d.edits
         WHERE d.id = ?1",
    )?
    .query_row([id], |row| row.get(0))
    .optional()
}

/// Returns the destinations whose messages of the event are edited when its feedback changes.
pub(super) fn editable_at(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<Vec<DestinationName>> {
    tx.prepare_cached(&format!(
        "SELECT DISTINCT m.destination {}",
        edits::EDITABLE
    ))?
    .query_map(params![event, tx.now - EDITABLE_FOR], |row| row.get(0))?
    .collect()
}

/// Returns the messages about an event, in the order of creation.
fn messages_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<SentMessage>> {
    conn.prepare_cached(
        "SELECT delivery_id, destination, handle, sent_at FROM messages
         WHERE event_seq = ?1 ORDER BY delivery_id",
    )?
    .query_map([event], |row| {
        Ok(SentMessage {
            delivery: row.get("delivery_id")?,
            destination: row.get("destination")?,
            handle: row.get("handle")?,
            sent_at: row.get("sent_at")?,
        })
    })?
    .collect()
}

/// Deletes the handles of an event's messages. Without its text they cannot be rendered again.
pub(super) fn forget(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM messages WHERE event_seq = ?1")?
        .execute([event])?;
    Ok(())
}
