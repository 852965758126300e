//! Retention: removes data that is too old or too large.

use rusqlite::{Connection, params};

use super::engine::event_id_index;
use super::engine::tx::Tx;
use super::values::{signed, unsigned};
use super::{Database, IfAbandoned, digests, erase, feedback_status, incidents, silences};
use crate::model::*;
use crate::store::{StoreError, Swept};

impl Database {
    /// See [`crate::store::Store::sweep`].
    pub(in crate::store) async fn sweep(
        &self,
        bodies_before: Timestamp,
        ids_before: Timestamp,
    ) -> Result<Swept, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            sweep(tx, bodies_before, ids_before)
        })
        .await
    }

    /// See [`crate::store::Store::remove_images`].
    pub(in crate::store) async fn remove_images(
        &self,
        before: Timestamp,
        bytes_max: u64,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            remove_images(tx, before, bytes_max)
        })
        .await
    }

    /// See [`crate::store::Store::image_bytes`].
    pub(in crate::store) async fn image_bytes(&self) -> Result<u64, StoreError> {
        self.read(kept_bytes).await
    }
}

/// Events per batch. The limit holds the writer for milliseconds instead of the whole run.
const BATCH: usize = 200;

/// Selects events whose bodies are too old, in order of arrival, except those still to be delivered. The
/// second condition ends the search. If the clock was set back, a later event may be older. A later run
/// finds such an event.
pub(super) const OLD_BODIES: &str = "
    SELECT b.event_seq FROM bodies b JOIN events e ON e.seq = b.event_seq
    WHERE e.received_at < ?1
      AND b.event_seq <= (SELECT seq FROM events WHERE received_at < ?1
                          ORDER BY received_at DESC LIMIT 1)
      AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = b.event_seq
                      AND (d.state = 'pending' OR d.state = 'sending' OR d.state = 'held'))
    ORDER BY b.event_seq LIMIT ?2";

/// Selects events that are too old entirely, by the same method.
pub(super) const OLD_EVENTS: &str = "
    SELECT e.seq FROM events e
    WHERE e.received_at < ?1
      AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq
                      AND (d.state = 'pending' OR d.state = 'sending' OR d.state = 'held'))
    ORDER BY e.received_at LIMIT ?2";

pub(super) fn sweep(
    tx: &Tx<'_>,
    bodies_before: Timestamp,
    ids_before: Timestamp,
) -> rusqlite::Result<Swept> {
    let bodies = old(tx, OLD_BODIES, bodies_before)?;
    let mut swept = Swept {
        more: bodies.len() >= BATCH,
        ..Swept::default()
    };
    for event in bodies {
        swept.bodies += u64::from(erase::remove_words(tx, event)?);
    }
    let events = old(tx, OLD_EVENTS, ids_before)?;
    swept.more |= events.len() >= BATCH;
    for event in events {
        remove_event(tx, event)?;
        swept.events += 1;
    }
    if swept.events > 0 {
        event_id_index::free_numbers(tx)?;
    }
    feedback_status::remove_unknown(tx, ids_before)?;
    incidents::sweep(tx, ids_before)?;
    silences::sweep(tx, ids_before)?;
    digests::sweep(tx, ids_before)?;
    Ok(swept)
}

fn old(conn: &Connection, sql: &str, before: Timestamp) -> rusqlite::Result<Vec<EventSeq>> {
    conn.prepare_cached(sql)?
        .query_map(params![before, signed(BATCH)], |row| row.get(0))?
        .collect()
}

/// Deletes an event and everything that belongs to it. Image rows stay until `remove_images` returns
/// them, because their bytes still exist. Rows of removed images are deleted.
fn remove_event(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let images = erase::image_ids(tx, event)?;
    event_id_index::remove(tx, event)?;
    tx.prepare_cached("DELETE FROM events WHERE seq = ?1")?
        .execute([event])?;
    for image in images {
        tx.prepare_cached(
            "DELETE FROM images WHERE id = ?1 AND state = 'removed'
               AND NOT EXISTS (SELECT 1 FROM image_jobs WHERE image_id = ?1)",
        )?
        .execute([image])?;
    }
    Ok(())
}

fn remove_images(tx: &Tx<'_>, before: Timestamp, bytes_max: u64) -> rusqlite::Result<Vec<ImageId>> {
    let mut bytes = kept_bytes(tx)?;
    let mut removed: Vec<ImageId> = Vec::new();
    {
        let mut oldest = tx.prepare_cached(
            "SELECT id, kept_at, bytes FROM images WHERE state = 'kept' ORDER BY kept_at, bytes",
        )?;
        let mut oldest = oldest.query([])?;
        while let Some(row) = oldest.next()? {
            if row.get::<_, Timestamp>("kept_at")? >= before && bytes <= bytes_max {
                break;
            }
            bytes = bytes.saturating_sub(unsigned(row.get("bytes")?));
            removed.push(row.get("id")?);
        }
    }
    for image in &removed {
        tx.prepare_cached("UPDATE images SET state = 'removed' WHERE id = ?1")?
            .execute([image])?;
        tx.prepare_cached("DELETE FROM image_keys WHERE image_id = ?1")?
            .execute([image])?;
        tx.prepare_cached(
            "DELETE FROM images WHERE id = ?1
               AND NOT EXISTS (SELECT 1 FROM image_jobs WHERE image_id = ?1)",
        )?
        .execute([image])?;
    }
    Ok(removed)
}

fn kept_bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM images WHERE state = 'kept'")?
        .query_row([], |row| row.get(0))
        .map(unsigned)
}
