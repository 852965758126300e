//! The store: what came, what became of it, what is still to do.
//!
//! The row is the state. An **event** is accepted once, with its **deliveries** and **image jobs**,
//! in one transaction; workers look for rows that are due, **lease** them, and close each with what
//! came of it, in one transaction again. A restart, a second look and a lost wake-up are therefore
//! one code path.
//!
//! ```text
//!            accept, retry            lease_due                finish_attempt
//!                  │                      │            ┌──→ delivered
//!                  └──→ pending ──────────┴→ sending ──┼──→ dead ──── retry ──→ pending
//!                        ↑  │                          │
//!                        │  └──→ discarded             └──→ pending, due later
//!                        └─── the lease ended, or the relay was started again
//! ```
//!
//! What is promised:
//!
//! - When a writing method returns `Ok`, what it did is on the disk (`fsync`); when it returns an
//!   error, nothing of it was written, but for a log that could not be synced: then nothing more is written
//!   ([`Store::ended`]), and only a new start tells what is there. [`StoreError::Busy`] comes at once, not after a wait.
//! - What is only read may not be on the disk yet: nothing is acknowledged for it alone.
//! - A repeat is known by event id or feedback id, and the app that received it, for as long as ids are kept.
//! - Work is closed by its lease's token, or not at all ([`Recorded::LeaseLost`]).
//! - While images of its event are not settled, a delivery waits, until its due time at the latest.
//!   Images that are kept after a destination was told are a delivery of their own.
//! - A report that came late is in the store together with who is to hear of it in a summary; making
//!   the summaries is one transaction.
//! - What the configuration said when an event came stands with its deliveries ([`MessageSpec`]); a reload
//!   changes nothing that was promised before it.
//! - `erase` leaves no word of a person in any file of the store; where somebody reads the log, as soon as they end
//!   ([`Store::owes_erasure`]). Copies and backups are other files.
//!
//! Deliberately not: the order of events is not that of messages (critical goes first); there is no
//! second writer at a time, and no network file system.
//!
//! Everything that knows SQL is below `sqlite`. One thread writes and commits for many at once, a few
//! connections read; see the headers there.

mod admin;
#[cfg(test)]
mod conformance;
mod deliveries;
mod feedback_status;
mod images;
mod intake;
mod intake_pressure;
mod records;
mod sqlite;
mod summaries;
mod upkeep;
mod wakeups;

pub use records::*;
use summaries::write_summary;
pub use summaries::{SUMMARY, read_summary};
pub use wakeups::Topic;

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::*;
use intake_pressure::IntakePressure;
use sqlite::{Database, IfAbandoned};

/// The store of one relay. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    rush: Arc<IntakePressure>,
}

impl Store {
    /// Opens the store for `serve`: takes its lock, migrates it (after making a copy), and makes
    /// due at once what a dead relay held.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = sqlite::open(settings, Arc::clone(&clock))?;
        Ok(Self {
            database: Arc::new(database),
            clock,
            rush: Arc::default(),
        })
    }

    /// Opens the store for a command beside a running relay: neither locks nor migrates nor makes it.
    pub fn open_beside(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let database = sqlite::open_beside(settings, Arc::clone(&clock))?;
        Ok(Self {
            database: Arc::new(database),
            clock,
            rush: Arc::default(),
        })
    }

    /// Changes whenever there may be new work of this topic, whoever made it; another process's within a
    /// second. A hint.
    pub fn wakeups(&self, topic: Topic) -> watch::Receiver<u64> {
        self.database.wakeups(topic)
    }

    /// For how long the relay has run with this store. Beside a running relay: when it last wrote.
    pub fn uptime(&self) -> Uptime {
        self.database.uptime()
    }

    /// Resolves when nothing is written any more, because a sync failed or the writer fell. The store is to be
    /// opened anew, by a new process: this one holds what may not be on the disk.
    pub async fn ended(&self) {
        let mut works = self.database.works();
        while works.changed().await.is_ok() {}
    }

    /// Whether that is so.
    pub fn has_ended(&self) -> bool {
        self.database.works().has_changed().is_err()
    }

    /// Fails unless the store's files are where they were opened. Looks at the disk.
    ///
    /// # Errors
    /// One was removed, moved or replaced; says which. What is taken in then is not acknowledged.
    pub fn check_place(&self) -> Result<(), StoreError> {
        self.database.check_place()
    }

    /// Whether the store can be written to now: for `readyz`.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.database.promise(sqlite::probe).await
    }

    /// A secret of 32 random bytes that belongs to this store, made at the first call with this name.
    pub async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::secret(tx, name))
            .await
    }
}
