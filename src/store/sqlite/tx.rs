//! What an act on the journal works with.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;

use super::{ids, meta};
use crate::model::*;

/// A transaction that is under way. It is the connection, the time, and fresh ids.
pub(in crate::store) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) makers: &'a Makers,
    pub(super) ids: &'a ids::Shared,
    pub(super) now: Timestamp,
    pub(super) marks: Cell<Marks>,
}

/// What is to be done once the transaction is committed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// There may be new work: tell the workers.
    pub(super) news: bool,
    /// Words were erased: empty the write-ahead log too.
    pub(super) erased: bool,
}

impl Marks {
    /// What one more act left to be done.
    pub(super) fn add(&mut self, more: Self) {
        self.news |= more.news;
        self.erased |= more.erased;
    }
}

impl Tx<'_> {
    /// There may be new work when this is committed.
    pub(super) fn announce(&self) {
        self.marks.set(Marks {
            news: true,
            ..self.marks.get()
        });
    }

    /// Words were erased: they must be gone from the log as well. That is owed, by whoever has the journal open, until
    /// it is done.
    pub(super) fn scrub(&self) -> rusqlite::Result<()> {
        meta::owe_erasure(self)?;
        self.marks.set(Marks {
            erased: true,
            ..self.marks.get()
        });
        Ok(())
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// Makes ids and tokens that no other run of the program has made.
#[derive(Debug)]
pub(super) struct Makers {
    deliveries: DeliveryIds,
    tokens: AtomicI64,
}

impl Makers {
    /// `seed` is random.
    pub(super) fn new(seed: u64) -> Self {
        // Half of the numbers are left for counting up.
        let start = i64::try_from(seed >> 2).unwrap_or_default();
        Self {
            deliveries: DeliveryIds::new(seed),
            tokens: AtomicI64::new(start),
        }
    }

    pub(super) fn delivery(&self, now: Timestamp) -> DeliveryId {
        self.deliveries.next(now)
    }

    pub(super) fn token(&self) -> LeaseToken {
        LeaseToken(self.tokens.fetch_add(1, Ordering::SeqCst))
    }
}
