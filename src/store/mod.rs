//! The store: received events, their results, and pending work.
//!
//! The rows are the only state. An **event** is accepted once, with its **deliveries** and **image
//! jobs**, in one transaction. Workers poll for due rows, **lease** them, and complete each in one more
//! transaction. So a restart, a repeated poll and a lost wake-up share one code path.
//!
//! ```text
//!            accept, retry            lease_due                finish_attempt
//!                  │                      │            ┌──→ delivered
//!                  └──→ pending ──────────┴→ sending ──┼──→ dead ──── retry ──→ pending
//!                        ↑  │                          │
//!                        │  └──→ discarded             └──→ pending, due later
//!                        └─── the lease ended, or the relay was restarted
//!
//!     accept ──→ held ── its time comes ──→ pending, if it is the only one of its rule
//!                  └──────────────────────→ merged: a summary or a message of its incident counts it
//!             pending ── `stale_after` ───→ merged
//! ```
//!
//! Guarantees:
//!
//! - When a writing method returns `Ok`, its changes are on disk (`fsync`). When it returns an error, it
//!   wrote nothing. The one exception is a log that cannot be synced. The store then writes nothing more
//!   ([`Store::ended`]), and only a restart shows what was written. [`StoreError::Busy`] is returned at
//!   once, not after a wait.
//! - Data that is only read may not be on disk yet, so it must not be acknowledged.
//! - Repeats are detected by the receiving app and event id or feedback id, while ids are kept.
//! - Work is completed with its lease's token, or not at all ([`Recorded::LeaseLost`]).
//! - A delivery waits until its event's images are settled, or until its due time. Images kept after a
//!   destination was notified become a delivery of their own.
//! - A delivery that is late, or that `hold` keeps back, is stored as held until a time. One transaction ends the wait
//!   of all that are due: it creates their summary and merges them into it.
//! - The configuration at arrival is stored with the deliveries ([`MessageSpec`]), so a reload does not
//!   change existing deliveries.
//! - `erase` removes a person's text from every file of the store. If a reader holds the log, this
//!   happens as soon as the reader ends ([`Store::owes_erasure`]). Copies and backups are separate
//!   files.
//!
//! Not supported: messages in the order of events (critical ones go first), a second concurrent writer,
//! and network file systems.
//!
//! The methods of [`Store`] know no database. Each calls the method of the same name on `Database`, which is
//! SQLite today. All SQL is in `sqlite`, one file for each subject. `decide` has the decisions that are the
//! same for every database. `conformance` tests that a database keeps the guarantees.
//!
//! A second database gets a module beside `sqlite` with the same methods, a variant of [`StoreLocation`], and a
//! bench in `conformance`. `Database` then becomes an enum of both. Callers of `Store` do not change.

mod admin;
#[cfg(test)]
mod conformance;
mod decide;
mod deliveries;
mod digests;
mod feedback_status;
mod images;
mod incidents;
mod intake;
mod intake_pressure;
mod plan_deliveries;
mod records;
mod silences;
mod sqlite;
mod summaries;
mod upkeep;
mod wakeups;

pub use digests::{DIGEST, LastDigest, read_digest, write_digest};
use incidents::write_incident;
pub use incidents::{
    EarlierIncidents, INCIDENT, IncidentFilter, IncidentRecord, MergingIncident, read_incident,
};
pub use plan_deliveries::{EventImages, ImageWaits, plan_deliveries};
pub use records::*;
pub use silences::{
    AddedSilence, EndedSilence, MuteIncident, MuteOutcome, NewSilence, SilenceCount, SilenceFilter,
};
pub use sqlite::{HeldDelivery, MemoryStore, Ran, explain_access};
use summaries::write_summary;
pub use summaries::{SUMMARY, read_summary};
pub use wakeups::Topic;

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::*;
use intake_pressure::IntakePressure;

/// The open database.
type Database = sqlite::Database;

/// The store of one relay. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    intake_pressure: Arc<IntakePressure>,
    former_names: Current<FormerNames>,
}

impl Store {
    /// Opens the store for `serve`: locks it, migrates it after a copy, and releases leases of a
    /// previous process.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let StoreLocation::Sqlite(path) = &settings.location;
        Ok(Self::over(sqlite::open(path, Arc::clone(&clock))?, clock))
    }

    /// Opens the store for a command, which may run beside a relay that serves it. It neither migrates nor
    /// creates the store.
    pub fn open_for_command(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let StoreLocation::Sqlite(path) = &settings.location;
        let database = sqlite::open_for_command(path, Arc::clone(&clock))?;
        Ok(Self::over(database, clock))
    }

    fn over(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            database: Arc::new(database),
            clock,
            intake_pressure: Arc::default(),
            former_names: Current::new(FormerNames::new()),
        }
    }

    /// Returns a counter that changes when there may be new work of this topic. Changes of another
    /// process appear within a second. It is only a hint.
    pub fn wakeups(&self, topic: Topic) -> watch::Receiver<u64> {
        self.database.wakeups(topic)
    }

    /// Returns how long the relay has run with this store. Beside a running relay: the value of its last
    /// write.
    pub fn uptime(&self) -> Uptime {
        self.database.uptime()
    }

    /// Resolves when the store stops writing, because a sync failed or the writer panicked. A new
    /// process has to open the store, because this one may hold data that is not on disk.
    pub async fn ended(&self) {
        let mut works = self.database.works();
        while works.changed().await.is_ok() {}
    }

    /// Returns whether the store has stopped writing.
    pub fn has_ended(&self) -> bool {
        self.database.works().has_changed().is_err()
    }

    /// Checks that the store that was opened is still the one at its location.
    ///
    /// # Errors
    /// Fails if it was removed, moved or replaced, and says what. Events must not be acknowledged then.
    pub async fn check_place(&self) -> Result<(), StoreError> {
        self.database.check_place().await
    }

    /// Checks whether the store is writable now, for `readyz`.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.database.probe().await
    }

    /// Returns this store's secret of 32 random bytes for `name`. The first call creates it.
    pub async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        self.database.secret(name).await
    }
}
