//! The transaction that a command works with.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;

use super::{meta_table, new_ids};
use crate::model::*;
use crate::store::wakeups::Topic;

/// An open transaction: the connection, the time, and fresh ids.
pub(in crate::store) struct Tx<'a> {
    pub(in crate::store::sqlite) conn: &'a Connection,
    pub(in crate::store::sqlite) generators: &'a IdGenerators,
    pub(in crate::store::sqlite) ids: &'a new_ids::Shared,
    pub(in crate::store::sqlite) now: Timestamp,
    /// `None` in a command beside a running relay, which does not know the uptime.
    pub(in crate::store::sqlite) uptime: Option<Uptime>,
    pub(in crate::store::sqlite) effects: RefCell<Effects>,
}

/// The effects to apply after the commit.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Effects {
    /// Topics that may have new work.
    pub(in crate::store::sqlite) topics: HashSet<Topic>,
    /// Whether text was erased, so that the write-ahead log must be emptied.
    pub(in crate::store::sqlite) erased: bool,
}

impl Effects {
    /// Adds the effects of another command.
    pub(in crate::store::sqlite) fn add(&mut self, more: Self) {
        self.topics.extend(more.topics);
        self.erased |= more.erased;
    }
}

impl Tx<'_> {
    /// Notifies the workers of this topic after the commit.
    pub(in crate::store::sqlite) fn notify(&self, topic: Topic) {
        self.effects.borrow_mut().topics.insert(topic);
    }

    /// Notifies the workers of this destination after the commit.
    pub(in crate::store::sqlite) fn notify_destination(&self, destination: &DestinationName) {
        self.notify(Topic::Destination(destination.clone()));
    }

    /// Requests that erased text is also removed from the log. The process that has the store open
    /// retries until it succeeds.
    pub(in crate::store::sqlite) fn scrub(&self) -> rusqlite::Result<()> {
        meta_table::owe_erasure(self)?;
        self.effects.borrow_mut().erased = true;
        Ok(())
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.conn
    }
}

/// Generates ids and tokens that no other run of the program has generated.
#[derive(Debug)]
pub(in crate::store::sqlite) struct IdGenerators {
    deliveries: DeliveryIds,
    tokens: AtomicI64,
}

impl IdGenerators {
    /// Creates the generators of delivery ids and lease tokens. `seed` must be random: both start at a position
    /// derived from it.
    pub(in crate::store::sqlite) fn new(seed: u64) -> Self {
        // Half of the range is left for counting up.
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
