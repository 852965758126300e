//! Finds events by their id, in memory ([`NewIds`]) and in the table `event_ids`.
//!
//! The key of an id is a part of its hash. Two ids may share a key, so the event itself is checked in
//! the end.

use std::cell::RefMut;

use rusqlite::{Connection, OptionalExtension, params};

use super::new_ids::{NewIds, key, mark, newest, set_mark};
use super::tx::Tx;
use crate::model::{AppName, EventId, EventSeq};

fn current<'a>(tx: &Tx<'a>) -> rusqlite::Result<RefMut<'a, NewIds>> {
    let mut ids = tx.ids.borrow_mut();
    ids.catch_up(tx)?;
    Ok(ids)
}

/// Returns the event received through `via` with this id.
pub(in crate::store::sqlite) fn find(
    tx: &Tx<'_>,
    id: &EventId,
    via: &AppName,
) -> rusqlite::Result<Option<EventSeq>> {
    let key = key(id.as_str());
    let mut found = current(tx)?.with_key(key);
    found.extend(in_table(tx, key)?);
    for event in found {
        let is_it = "SELECT 1 FROM events WHERE seq = ?1 AND id = ?2 AND via = ?3";
        if tx.prepare_cached(is_it)?.exists(params![event, id, via])? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// Adds the id of a new event.
pub(in crate::store::sqlite) fn add(
    tx: &Tx<'_>,
    id: &EventId,
    event: EventSeq,
) -> rusqlite::Result<()> {
    current(tx)?.add((key(id.as_str()), event));
    Ok(())
}

/// Removes the id of an event that is about to be deleted. Call [`free_numbers`] afterwards.
pub(in crate::store::sqlite) fn remove(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let id: Option<String> = tx
        .prepare_cached("SELECT id FROM events WHERE seq = ?1")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(()) };
    let key = key(&id);
    current(tx)?.remove((key, event));
    tx.prepare_cached("DELETE FROM event_ids WHERE key = ?1 AND event_seq = ?2")?
        .execute(params![key, event])?;
    Ok(())
}

/// Adjusts the round after events were deleted. The numbers of the newest are reused, and their new
/// events wait again.
pub(in crate::store::sqlite) fn free_numbers(tx: &Tx<'_>) -> rusqlite::Result<()> {
    let newest = newest(tx)?;
    if mark(tx)? > newest {
        set_mark(tx, newest)?;
    }
    current(tx)?.shrink_to(newest);
    Ok(())
}

/// Returns the newest event with this id, received through any app. For connections that only read.
pub(in crate::store::sqlite) fn newest_with(
    conn: &Connection,
    id: &str,
) -> rusqlite::Result<Option<EventSeq>> {
    let mut is_it = conn.prepare_cached("SELECT 1 FROM events WHERE seq = ?1 AND id = ?2")?;
    let mut found: Option<EventSeq> = conn
        .prepare_cached(NEWEST_WAITING)?
        .query_row(params![mark(conn)?, id], |row| row.get(0))
        .optional()?;
    for event in in_table(conn, key(id))? {
        if found < Some(event) && is_it.exists(params![event, id])? {
            found = Some(event);
        }
    }
    Ok(found)
}

/// Searches events whose ids may not be in the table yet.
pub(in crate::store::sqlite) const NEWEST_WAITING: &str =
    "SELECT seq FROM events WHERE seq > ?1 AND id = ?2 ORDER BY seq DESC LIMIT 1";

/// Searches the table for a key.
pub(in crate::store::sqlite) const IN_TABLE: &str =
    "SELECT event_seq FROM event_ids WHERE key = ?1";

fn in_table(conn: &Connection, key: i64) -> rusqlite::Result<Vec<EventSeq>> {
    conn.prepare_cached(IN_TABLE)?
        .query_map([key], |row| row.get(0))?
        .collect()
}
