//! The event ids that are not in the table `event_ids` yet.
//!
//! Ids come in random order. An ordinary index changed one page for nearly every event, which was half
//! of all writes. So the newest ids wait in memory, sorted. For each new id, one waiting id moves to the
//! table `event_ids`. Ids move in sorted order, so that one page takes several at once. When all have
//! moved, the round ends, and a mark is stored. The ids of all events up to the mark are in the table. The mark
//! lags by two to four times the number of waiting ids. The ids of later events are read again at the start, and when
//! another process has written.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use rusqlite::{Connection, params};

use super::connection::data_version;
use super::meta_table;
use crate::model::EventSeq;

/// The number of waiting ids. With a million ids in the table, five ids go into each page at once.
const WAITING: usize = 16_384;

/// How many ids beyond that may move to the table in one transaction.
const AT_ONCE: usize = 256;

/// The name of the mark in `meta`: no event up to it waits.
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
    /// Whether so many ids were read that this round must end soon. Otherwise the next read would take
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
    pub(super) fn catch_up(&mut self, conn: &Connection) -> rusqlite::Result<()> {
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

    pub(super) fn add(&mut self, entry: Entry) {
        self.waiting.insert(entry);
        self.newest = self.newest.max(entry.1);
    }

    pub(super) fn remove(&mut self, entry: Entry) {
        self.waiting.remove(&entry);
    }

    /// Adjusts the round after the newest events were deleted.
    pub(super) fn shrink_to(&mut self, newest: EventSeq) {
        self.newest = newest;
        self.round_up_to = self.round_up_to.min(newest);
    }

    pub(super) fn with_key(&self, key: i64) -> Vec<EventSeq> {
        let all = (key, EventSeq(i64::MIN))..=(key, EventSeq(i64::MAX));
        let entries = self.waiting.range(all);
        entries.map(|(_key, event)| *event).collect()
    }
}

/// Returns the newest event.
pub(super) fn newest(conn: &Connection) -> rusqlite::Result<EventSeq> {
    conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))
}

/// Returns the event up to which no id waits.
pub(in crate::store::sqlite) fn mark(conn: &Connection) -> rusqlite::Result<EventSeq> {
    let kept = meta_table::get(conn, MARK)?;
    Ok(EventSeq(kept.map_or(0, i64::from_be_bytes)))
}

pub(super) fn set_mark(conn: &Connection, event: EventSeq) -> rusqlite::Result<()> {
    meta_table::put(conn, MARK, &event.0.to_be_bytes())
}

/// Returns the key of an id.
pub(super) fn key(id: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(id).into();
    let (key, _rest) = hash.split_first_chunk().expect("a hash is longer");
    i64::from_be_bytes(*key)
}
