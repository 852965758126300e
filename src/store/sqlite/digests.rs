//! Digests: the counts of each period, and their messages.

use rusqlite::{Connection, OptionalExtension, params};

use super::accept::accept;
use super::engine::tx::Tx;
use super::{Database, IfAbandoned, rows};
use crate::model::*;
use crate::store::digests::{quoted_by_digest, read_counts, write_counts};
use crate::store::{Arrival, LastDigest, StoreError};

impl Database {
    /// See [`crate::store::Store::last_digest`].
    pub(in crate::store) async fn last_digest(
        &self,
        name: &str,
    ) -> Result<Option<LastDigest>, StoreError> {
        let name = name.to_owned();
        self.read(move |conn| last(conn, &name)).await
    }

    /// See [`crate::store::Store::put_digest`].
    pub(in crate::store) async fn put_digest(
        &self,
        name: &str,
        last: LastDigest,
        message: Option<Arrival>,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(IfAbandoned::Run, move |tx| {
            let new = tx.prepare_cached(INSERT)?.execute(params![
                name,
                last.due_at,
                write_counts(&last.counts)
            ])?;
            if let Some(message) = message.as_ref().filter(|_| new > 0) {
                accept(tx, message)?;
            }
            Ok(new > 0)
        })
        .await
    }
}

const INSERT: &str =
    "INSERT INTO digests (name, due_at, counts) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

/// Selects the last period of a digest.
pub(super) const LAST: &str =
    "SELECT due_at, counts FROM digests WHERE name = ?1 ORDER BY due_at DESC LIMIT 1";

/// Deletes old periods. There are few.
const SWEEP: &str = "DELETE FROM digests WHERE due_at < ?1";

fn last(conn: &Connection, name: &str) -> rusqlite::Result<Option<LastDigest>> {
    let read = |row: &rusqlite::Row<'_>| {
        let counts: String = row.get(1)?;
        Ok(LastDigest {
            due_at: row.get(0)?,
            counts: read_counts(&counts).unwrap_or_default(),
        })
    };
    conn.prepare_cached(LAST)?
        .query_row([name], read)
        .optional()
}

/// Removes periods that ended before this time.
pub(super) fn sweep(tx: &Tx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached(SWEEP)?.execute([before])?;
    Ok(())
}

/// Returns the reports that a digest quotes, newest first.
pub(super) fn newest_reports(
    conn: &Connection,
    event: &StoredEvent,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let body = event.body.as_ref();
    let newest = body.map(|body| quoted_by_digest(body.expose()));
    let mut found = Vec::new();
    for seq in newest.unwrap_or_default() {
        found.extend(rows::event_by_seq(conn, seq)?);
    }
    Ok(found)
}
