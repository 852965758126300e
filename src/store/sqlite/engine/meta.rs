//! Values that belong to the store as a whole.

use rusqlite::Connection;

use super::connection::refusal;
use super::meta_table::{get, put};
use super::tx::Tx;
use crate::model::Timestamp;

/// See [`crate::store::Store::probe`]. It also inserts an event and rolls that back, so that damaged
/// pages are detected.
pub(in crate::store) fn probe(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached("SAVEPOINT probe")?.execute([])?;
    let taken = take_probe(tx);
    let taken_back = tx.execute_batch("ROLLBACK TO probe; RELEASE probe");
    // Report the first failure, because SQLite may have rolled back by itself.
    taken.and(taken_back)?;
    put(tx, "probed_at", &tx.now.as_millis().to_be_bytes())
}

fn take_probe(tx: &Tx<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO events (id, via, type, received_at, state)
         VALUES (hex(randomblob(16)), '', 'probe', ?1, 'noted')",
    )?
    .execute([tx.now])?;
    let event = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO bodies (event_seq, body) VALUES (?1, '')")?
        .execute([event])?;
    tx.prepare_cached("INSERT INTO event_ids (key, event_seq) VALUES (random(), ?1)")?
        .execute([event])?;
    Ok(())
}

/// See [`crate::store::Store::secret`].
pub(in crate::store) fn secret(tx: &Tx<'_>, name: &str) -> rusqlite::Result<[u8; 32]> {
    let name = format!("secret:{name}");
    if let Some(secret) = get(tx, &name)? {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| refusal(error.to_string()))?;
    put(tx, &name, &secret)?;
    Ok(secret)
}

/// See [`crate::store::Store::mark`].
pub(in crate::store) fn mark(conn: &Connection, name: &str) -> rusqlite::Result<Option<Timestamp>> {
    let millis = get(conn, &format!("mark:{name}"))?;
    Ok(millis.map(|millis| Timestamp::from_millis(i64::from_be_bytes(millis))))
}

/// See [`crate::store::Store::put_mark`].
pub(in crate::store) fn put_mark(tx: &Tx<'_>, name: &str, at: Timestamp) -> rusqlite::Result<()> {
    put(tx, &format!("mark:{name}"), &at.as_millis().to_be_bytes())
}

/// See [`crate::store::Store::begin_mark`].
pub(in crate::store) fn begin_mark(tx: &Tx<'_>, name: &str) -> rusqlite::Result<Timestamp> {
    if let Some(at) = mark(tx, name)? {
        return Ok(at);
    }
    put_mark(tx, name, tx.now)?;
    Ok(tx.now)
}
