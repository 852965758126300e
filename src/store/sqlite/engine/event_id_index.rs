//! Finds events by their id.
//!
//! Ids come in random order. An ordinary index changed one page for nearly every event, which was half of all
//! writes. So the newest ids wait in memory, sorted. For each new id, one waiting id moves to the table
//! `event_ids`. Ids move in sorted order, so that one page takes several at once. When all ids have moved, the
//! round ends, and a mark is stored. The ids of all events up to the mark are in the table. The mark lags by
//! two to four times the number of waiting ids. The ids of later events are read again at the start, and when
//! another process has written.
//!
//! The key of an id is a part of its hash. Two ids may share a key, so the event itself is checked in
//! the end.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use rusqlite::{Connection, OptionalExtension, params};

use super::connection::data_version;
use super::meta;
use super::tx::Tx;
use crate::model::{AppName, EventId, EventSeq};

/// The number of waiting ids. With a million ids in the table, five ids go into each page at once.
const WAITING: usize = 16_384;

/// How many ids beyond that may move to the table in one transaction.
const AT_ONCE: usize = 256;

/// The name of the mark in `meta`. The ids of all events up to the mark are in the table.
const MARK: &str = "ids_up_to";

/// The key of an id, and its event.
type Entry = (i64, EventSeq);

/// The ids that are not in the table yet.
#[derive(Debug)]
pub(in crate::store::sqlite) struct NewIds {
    waiting: BTreeSet<Entry>,
    waiting_max: usize,
    /// The last id that moved in this round; `None` at its start.
    last: Option<Entry>,
    /// The newest event when this round began.
    round_up_to: EventSeq,
    /// The newest event.
    newest: EventSeq,
    /// Whether the last read found many ids. Then this round must end soon, because the next read would take
    /// even longer.
    behind: bool,
    /// The value of `PRAGMA data_version` when the ids were read; `None` if they must be read.
    seen: Option<i64>,
    /// Whether the ids are valid for this transaction.
    current: bool,
}

/// The ids shared by all transactions.
pub(in crate::store::sqlite) type Shared = RefCell<NewIds>;

impl NewIds {
    pub(in crate::store::sqlite) fn new() -> Self {
        Self::at_most(WAITING)
    }

    pub(in crate::store::sqlite) fn at_most(waiting_max: usize) -> Self {
        Self {
            waiting: BTreeSet::new(),
            waiting_max,
            last: None,
            round_up_to: EventSeq(0),
            newest: EventSeq(0),
            behind: false,
            seen: None,
            current: false,
        }
    }

    /// Begins a transaction. Another process may have written since the last one.
    pub(in crate::store::sqlite) fn begin(&mut self) {
        self.current = false;
    }

    /// Discards the ids after a possible rollback, so that the next use reads them again.
    pub(in crate::store::sqlite) fn forget(&mut self) {
        self.seen = None;
        self.current = false;
    }

    /// Reads the ids again if needed. Only commands that look up an id pay for this.
    fn catch_up(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.current {
            return Ok(());
        }
        let version = data_version(conn)?;
        if self.seen != Some(version) {
            self.read(conn)?;
            self.seen = Some(version);
        }
        self.current = true;
        Ok(())
    }

    fn read(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        *self = Self::at_most(self.waiting_max);
        self.newest = newest(conn)?;
        self.round_up_to = self.newest;
        let mut above = conn.prepare_cached("SELECT id, seq FROM events WHERE seq > ?1")?;
        let mut above = above.query([mark(conn)?])?;
        while let Some(row) = above.next()? {
            let key = key(row.get_ref(0)?.as_str()?);
            self.waiting.insert((key, row.get(1)?));
        }
        self.behind = self.waiting.len() > 2 * self.waiting_max;
        Ok(())
    }

    /// Moves the ids that are due to the table. Call it before the commit.
    pub(in crate::store::sqlite) fn put_away(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if !self.current {
            return Ok(());
        }
        let kept = if self.behind { 0 } else { self.waiting_max };
        let mut due = self.waiting.len().saturating_sub(kept).min(AT_ONCE);
        while due > 0 {
            let from = self.last.map_or(Unbounded, Excluded);
            let next = self.waiting.range((from, Unbounded)).take(due);
            let next: Vec<Entry> = next.copied().collect();
            let mut insert = conn.prepare_cached(
                "INSERT OR IGNORE INTO event_ids (key, event_seq) VALUES (?1, ?2)",
            )?;
            for entry in &next {
                insert.execute(params![entry.0, entry.1])?;
                self.waiting.remove(entry);
            }
            due -= next.len();
            self.last = next.last().copied().or(self.last);
            if self.is_round_over() {
                self.end_round(conn)?;
            }
        }
        Ok(())
    }

    fn is_round_over(&self) -> bool {
        let from = self.last.map_or(Unbounded, Excluded);
        self.waiting.range((from, Unbounded)).next().is_none()
    }

    /// Ends the round: all events up to its start are in the table.
    fn end_round(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        set_mark(conn, self.round_up_to)?;
        self.round_up_to = self.newest;
        self.last = None;
        self.behind = false;
        Ok(())
    }

    fn with_key(&self, key: i64) -> Vec<EventSeq> {
        let all = (key, EventSeq(i64::MIN))..=(key, EventSeq(i64::MAX));
        let entries = self.waiting.range(all);
        entries.map(|(_key, event)| *event).collect()
    }
}

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
    let mut ids = current(tx)?;
    ids.waiting.insert((key(id.as_str()), event));
    ids.newest = ids.newest.max(event);
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
    current(tx)?.waiting.remove(&(key, event));
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
    let mut ids = current(tx)?;
    ids.newest = newest;
    ids.round_up_to = ids.round_up_to.min(newest);
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

fn newest(conn: &Connection) -> rusqlite::Result<EventSeq> {
    conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))
}

/// Returns the event up to which no id waits.
pub(in crate::store::sqlite) fn mark(conn: &Connection) -> rusqlite::Result<EventSeq> {
    let kept = meta::get(conn, MARK)?;
    Ok(EventSeq(kept.map_or(0, i64::from_be_bytes)))
}

fn set_mark(conn: &Connection, event: EventSeq) -> rusqlite::Result<()> {
    meta::put(conn, MARK, &event.0.to_be_bytes())
}

/// Returns the key of an id.
fn key(id: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(id).into();
    let (key, _rest) = hash.split_first_chunk().expect("a hash is longer");
    i64::from_be_bytes(*key)
}
