//! What an act on the store works with.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;

use super::{event_id_index, meta};
use crate::model::*;
use crate::store::wakeups::Topic;

/// A transaction that is under way. It is the connection, the time, and fresh ids.
pub(in crate::store) struct Tx<'a> {
    pub(in crate::store::sqlite) conn: &'a Connection,
    pub(in crate::store::sqlite) makers: &'a Makers,
    pub(in crate::store::sqlite) ids: &'a event_id_index::Shared,
    pub(in crate::store::sqlite) now: Timestamp,
    /// `None` in a command beside the relay, which does not know for how long the relay has run.
    pub(in crate::store::sqlite) uptime: Option<Uptime>,
    pub(in crate::store::sqlite) marks: RefCell<Marks>,
}

/// What is to be done once the transaction is committed.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Marks {
    /// There may be new work of these topics.
    pub(in crate::store::sqlite) topics: HashSet<Topic>,
    /// Words were erased: empty the write-ahead log too.
    pub(in crate::store::sqlite) erased: bool,
}

impl Marks {
    /// What one more act left to be done.
    pub(in crate::store::sqlite) fn add(&mut self, more: Self) {
        self.topics.extend(more.topics);
        self.erased |= more.erased;
    }
}

impl Tx<'_> {
    /// There may be new work of this topic when the transaction is committed.
    pub(in crate::store::sqlite) fn announce(&self, topic: Topic) {
        self.marks.borrow_mut().topics.insert(topic);
    }

    /// There may be new deliveries for this destination when the transaction is committed.
    pub(in crate::store::sqlite) fn announce_delivery(&self, destination: &DestinationName) {
        self.announce(Topic::Destination(destination.clone()));
    }

    /// Words were erased: they must be gone from the log as well. That is owed, by whoever has the store open, until
    /// it is done.
    pub(in crate::store::sqlite) fn scrub(&self) -> rusqlite::Result<()> {
        meta::owe_erasure(self)?;
        self.marks.borrow_mut().erased = true;
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
pub(in crate::store::sqlite) struct Makers {
    deliveries: DeliveryIds,
    tokens: AtomicI64,
}

impl Makers {
    /// `seed` is random.
    pub(in crate::store::sqlite) fn new(seed: u64) -> Self {
        // Half of the numbers are left for counting up.
        let start = i64::try_from(seed >> 2).unwrap_or_default();
        Self {
            deliveries: DeliveryIds::new(seed),
            tokens: AtomicI64::new(start),
        }
    }

    pub(in crate::store::sqlite) fn delivery(&self, now: Timestamp) -> DeliveryId {
        self.deliveries.next(now)
    }

    pub(in crate::store::sqlite) fn token(&self) -> LeaseToken {
        LeaseToken(self.tokens.fetch_add(1, Ordering::SeqCst))
    }
}
