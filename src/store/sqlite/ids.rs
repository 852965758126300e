//! By its id an event is known.
//!
//! Ids come in no order. An index that takes each with its event changes a page of its own for nearly every
//! event, and that was half of all that was written. So the newest ids wait in memory, in order, and for each that
//! comes one goes into the table `event_ids`: in turn, with its neighbours, so that a page takes several at
//! once. When all have had their turn, a round has ended and a mark is set: no event up to it waits any more.
//! The ids of those above it are read again at the start, and when another process has written.
//!
//! What stands for an id is half of a hash. Two ids may have the same, so the event itself is asked in the end.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use rusqlite::{Connection, OptionalExtension, params};

use super::connect::data_version;
use super::meta;
use super::tx::Tx;
use crate::model::{AppName, EventId, EventSeq};

/// So many ids wait: with a million in the table, five go into each of its pages at once.
const WAITING: usize = 16_384;

/// How many more than that may go into the table with one transaction.
const AT_ONCE: usize = 256;

/// Under this name in `meta`: up to this event none waits.
const MARK: &str = "ids_up_to";

/// What stands for an id, and its event.
type Entry = (i64, EventSeq);

/// The ids that are not in the table yet.
#[derive(Debug)]
pub(super) struct NewIds {
    waiting: BTreeSet<Entry>,
    waiting_max: usize,
    /// The one that went last; `None` where a round begins.
    hand: Option<Entry>,
    /// The newest event when this round began.
    round_from: EventSeq,
    /// The newest event.
    newest: EventSeq,
    /// What `PRAGMA data_version` said when they were read; `None`: they are to be read.
    seen: Option<i64>,
}

impl NewIds {
    pub(super) fn new() -> Self {
        Self::of_at_most(WAITING)
    }

    pub(super) fn of_at_most(waiting_max: usize) -> Self {
        Self {
            waiting: BTreeSet::new(),
            waiting_max,
            hand: None,
            round_from: EventSeq(0),
            newest: EventSeq(0),
            seen: None,
        }
    }

    /// To be called when a transaction has begun. Another process may have written since the last.
    pub(super) fn catch_up(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let version = data_version(conn)?;
        if self.seen == Some(version) {
            return Ok(());
        }
        *self = Self::of_at_most(self.waiting_max);
        self.newest = newest(conn)?;
        self.round_from = self.newest;
        let mut above = conn.prepare_cached("SELECT id, seq FROM events WHERE seq > ?1")?;
        let mut above = above.query([mark(conn)?])?;
        while let Some(row) = above.next()? {
            self.waiting
                .insert((key(row.get_ref(0)?.as_str()?), row.get(1)?));
        }
        self.seen = Some(version);
        Ok(())
    }

    /// Something was taken back, or may have been: they are read again before the next use.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    /// Puts those whose turn it is into the table. To be called before the commit.
    pub(super) fn file(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut due = self
            .waiting
            .len()
            .saturating_sub(self.waiting_max)
            .min(AT_ONCE);
        while due > 0 {
            let from = self.hand.map_or(Unbounded, Excluded);
            let next: Vec<Entry> = self
                .waiting
                .range((from, Unbounded))
                .take(due)
                .copied()
                .collect();
            let mut insert = conn.prepare_cached(
                "INSERT OR IGNORE INTO event_ids (key, event_seq) VALUES (?1, ?2)",
            )?;
            for entry in &next {
                insert.execute(params![entry.0, entry.1])?;
                self.waiting.remove(entry);
            }
            due -= next.len();
            self.hand = next.last().copied();
            if due > 0 {
                self.end_round(conn)?;
            }
        }
        Ok(())
    }

    /// All that were there when it began are in the table.
    fn end_round(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        set_mark(conn, self.round_from)?;
        self.round_from = self.newest;
        self.hand = None;
        Ok(())
    }

    fn with_key(&self, key: i64) -> Vec<EventSeq> {
        let entries = self
            .waiting
            .range((key, EventSeq(i64::MIN))..=(key, EventSeq(i64::MAX)));
        entries.map(|(_key, event)| *event).collect()
    }
}

/// The event that came through `via` with this id.
pub(super) fn find(tx: &Tx<'_>, id: &EventId, via: &AppName) -> rusqlite::Result<Option<EventSeq>> {
    let key = key(id.as_str());
    let mut found = tx.ids.borrow().with_key(key);
    found.extend(filed(tx, key)?);
    for event in found {
        let is_it = "SELECT 1 FROM events WHERE seq = ?1 AND id = ?2 AND via = ?3";
        if tx.prepare_cached(is_it)?.exists(params![event, id, via])? {
            return Ok(Some(event));
        }
    }
    Ok(None)
}

/// Takes the id of a new event.
pub(super) fn add(tx: &Tx<'_>, id: &EventId, event: EventSeq) {
    let mut ids = tx.ids.borrow_mut();
    ids.waiting.insert((key(id.as_str()), event));
    ids.newest = ids.newest.max(event);
}

/// Forgets the id of an event that is about to be removed.
pub(super) fn remove(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let id: Option<String> = tx
        .prepare_cached("SELECT id FROM events WHERE seq = ?1")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(()) };
    let key = key(&id);
    tx.ids.borrow_mut().waiting.remove(&(key, event));
    tx.prepare_cached("DELETE FROM event_ids WHERE key = ?1 AND event_seq = ?2")?
        .execute(params![key, event])?;
    Ok(())
}

/// To be called when events were removed: the numbers of the newest are given again, and who gets them waits.
pub(super) fn removed(tx: &Tx<'_>) -> rusqlite::Result<()> {
    let newest = newest(tx)?;
    if mark(tx)? > newest {
        set_mark(tx, newest)?;
    }
    let mut ids = tx.ids.borrow_mut();
    ids.newest = newest;
    ids.round_from = ids.round_from.min(newest);
    Ok(())
}

/// The newest event with this id, through whatever it came. For connections that only read.
pub(super) fn newest_with(conn: &Connection, id: &str) -> rusqlite::Result<Option<EventSeq>> {
    let mut is_it = conn.prepare_cached("SELECT 1 FROM events WHERE seq = ?1 AND id = ?2")?;
    let mut found: Option<EventSeq> = conn
        .prepare_cached(NEWEST_WAITING)?
        .query_row(params![mark(conn)?, id], |row| row.get(0))
        .optional()?;
    for event in filed(conn, key(id))? {
        if found < Some(event) && is_it.exists(params![event, id])? {
            found = Some(event);
        }
    }
    Ok(found)
}

/// Of those that may not be in the table yet.
pub(super) const NEWEST_WAITING: &str =
    "SELECT seq FROM events WHERE seq > ?1 AND id = ?2 ORDER BY seq DESC LIMIT 1";

/// What the table has under a key.
pub(super) const FILED: &str = "SELECT event_seq FROM event_ids WHERE key = ?1";

fn filed(conn: &Connection, key: i64) -> rusqlite::Result<Vec<EventSeq>> {
    conn.prepare_cached(FILED)?
        .query_map([key], |row| row.get(0))?
        .collect()
}

fn newest(conn: &Connection) -> rusqlite::Result<EventSeq> {
    conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))
}

fn mark(conn: &Connection) -> rusqlite::Result<EventSeq> {
    let kept = meta::get(conn, MARK)?;
    Ok(EventSeq(kept.map_or(0, i64::from_be_bytes)))
}

fn set_mark(conn: &Connection, event: EventSeq) -> rusqlite::Result<()> {
    meta::put(conn, MARK, &event.0.to_be_bytes())
}

/// What stands for an id.
fn key(id: &str) -> i64 {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(id).into();
    let (key, _rest) = hash.split_first_chunk().expect("a hash is longer");
    i64::from_be_bytes(*key)
}

/// What transactions share of them.
pub(super) type Shared = RefCell<NewIds>;
