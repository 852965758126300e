//! The gate state of each destination, kept across restarts.

use rusqlite::{Connection, params};

use super::engine::tx::Tx;
use super::values::unsigned;
use super::{Database, IfAbandoned};
use crate::model::DestinationName;
use crate::store::{GateRecord, StoreError};

impl Database {
    /// See [`crate::store::Store::gates`].
    pub(in crate::store) async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.read(gates).await
    }

    /// See [`crate::store::Store::resume`].
    pub(in crate::store) async fn resume(
        &self,
        destination: &DestinationName,
    ) -> Result<(), StoreError> {
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| resume(tx, &destination))
            .await
    }

    /// See [`crate::store::Store::resumes`].
    pub(in crate::store) async fn resumes(
        &self,
        destination: &DestinationName,
    ) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.read(move |conn| resumes(conn, &destination)).await
    }

    /// See [`crate::store::Store::put_gate`].
    pub(in crate::store) async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.write(IfAbandoned::Run, move |tx| put_gate(tx, &gate))
            .await
    }
}

fn gates(conn: &Connection) -> rusqlite::Result<Vec<GateRecord>> {
    conn.prepare_cached(
        "SELECT destination, blocked_until, open_since, stopped, failing_since, failing_from, resumes
         FROM gates ORDER BY destination",
    )?
    .query_map([], |row| {
        Ok(GateRecord {
            destination: row.get("destination")?,
            blocked_until: row.get("blocked_until")?,
            open_since: row.get("open_since")?,
            stopped: row.get("stopped")?,
            failing_since: row.get("failing_since")?,
            failing_from: row.get("failing_from")?,
            resumes: unsigned(row.get("resumes")?),
        })
    })?
    .collect()
}

/// See [`crate::store::Store::put_gate`]. It does not change `resumes`, which only commands write.
fn put_gate(tx: &Tx<'_>, gate: &GateRecord) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO gates (destination, blocked_until, open_since, stopped, failing_since, failing_from)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (destination) DO UPDATE SET
             blocked_until = excluded.blocked_until, open_since = excluded.open_since,
             stopped = excluded.stopped, failing_since = excluded.failing_since,
             failing_from = excluded.failing_from",
    )?
    .execute(params![
        gate.destination,
        gate.blocked_until,
        gate.open_since,
        gate.stopped,
        gate.failing_since,
        gate.failing_from
    ])?;
    Ok(())
}

fn resume(tx: &Tx<'_>, destination: &DestinationName) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO gates (destination, resumes) VALUES (?1, 1)
         ON CONFLICT (destination) DO UPDATE SET
             blocked_until = NULL, open_since = NULL, stopped = NULL, failing_since = NULL,
             failing_from = NULL, resumes = resumes + 1",
    )?
    .execute([destination])?;
    tx.notify_destination(destination);
    Ok(())
}

fn resumes(conn: &Connection, destination: &DestinationName) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT coalesce(max(resumes), 0) FROM gates WHERE destination = ?1")?
        .query_row([destination], |row| row.get(0))
        .map(unsigned)
}
