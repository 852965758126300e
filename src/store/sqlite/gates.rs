//! What is known of each destination's gate, beyond a restart.

use rusqlite::{Connection, params};

use super::tx::Tx;
use crate::store::GateRecord;

/// See [`crate::store::Store::gates`].
pub(in crate::store) fn gates(conn: &Connection) -> rusqlite::Result<Vec<GateRecord>> {
    conn.prepare_cached(
        "SELECT destination, blocked_until, open_since, stopped, failing_since FROM gates
         ORDER BY destination",
    )?
    .query_map([], |row| {
        Ok(GateRecord {
            destination: row.get("destination")?,
            blocked_until: row.get("blocked_until")?,
            open_since: row.get("open_since")?,
            stopped: row.get("stopped")?,
            failing_since: row.get("failing_since")?,
        })
    })?
    .collect()
}

/// See [`crate::store::Store::put_gate`].
pub(in crate::store) fn put_gate(tx: &Tx<'_>, gate: &GateRecord) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO gates (destination, blocked_until, open_since, stopped, failing_since)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (destination) DO UPDATE SET
             blocked_until = excluded.blocked_until, open_since = excluded.open_since,
             stopped = excluded.stopped, failing_since = excluded.failing_since",
    )?
    .execute(params![
        gate.destination,
        gate.blocked_until,
        gate.open_since,
        gate.stopped,
        gate.failing_since
    ])?;
    Ok(())
}
