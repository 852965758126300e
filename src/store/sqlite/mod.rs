//! The store in an SQLite file.

mod accept;
mod admin;
mod complete_attempt;
mod deliveries;
mod digests;
mod edits;
mod engine;
mod erase;
mod failover;
mod feedback_lookup;
mod feedback_rows;
mod feedback_status;
mod gates;
mod held;
mod image_leases;
mod images;
mod incidents;
mod late_images;
mod lease;
mod leasing;
mod marks;
mod memory;
mod messages;
mod orphans;
mod queries;
mod replay;
mod retention;
mod rows;
mod silences;
mod stats;
mod status_history;
mod status_outbox;
mod values;

#[cfg(test)]
pub(super) mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

use super::StoreError;
use super::wakeups::Topic;
use crate::model::{EventSeq, Uptime};
use engine::file_watch::FileWatch;
pub use engine::files::explain_access;
pub(super) use engine::open::{open, open_for_command};
use engine::readers::Readers;
use engine::tx::Tx;
use engine::uptime::UptimeClock;
use engine::writer::{IfAbandoned, Writer};
pub use memory::{HeldDelivery, MemoryStore, Ran};

/// An open store.
pub(super) struct Database {
    writer: Writer,
    readers: Arc<Readers>,
    watch: Arc<FileWatch>,
    /// Image jobs that were leased when the previous relay process crashed.
    interrupted_images: Vec<(EventSeq, u8)>,
    uptime: UptimeClock,
    /// Held while the store is open; `None` beside a running relay.
    _lock: Option<File>,
}

impl Database {
    /// Runs a command that may write, and returns when it is on disk.
    async fn write<T: Send + 'static>(
        &self,
        unawaited: IfAbandoned,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.call(unawaited, act).await
    }

    /// Runs a command whose success is acknowledged. It fails if the files are no longer in place, even
    /// if it was written.
    async fn promise<T: Send + 'static>(
        &self,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.promise(act).await
    }

    /// Checks that all files are where they were opened.
    pub(super) async fn check_place(&self) -> Result<(), StoreError> {
        let watch = Arc::clone(&self.watch);
        // A check that panicked has no result; the next one has.
        tokio::task::spawn_blocking(move || watch.check())
            .await
            .unwrap_or(Ok(()))
    }

    /// Runs a query on one snapshot of the store.
    async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(act).await
    }

    /// Writes a copy to `file`, which must not exist.
    pub(super) async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.readers
            .with(move |conn| engine::migrations::copy_to(conn, &file))
            .await
    }

    /// Returns a channel that closes when the store stops writing.
    pub(super) fn works(&self) -> watch::Receiver<()> {
        self.writer.works()
    }

    /// Returns a counter that changes when there may be new work of this topic.
    pub(super) fn wakeups(&self, topic: Topic) -> watch::Receiver<u64> {
        self.writer.wakeups().subscribe(topic)
    }

    /// See [`crate::store::Store::interrupted_images`].
    pub(super) fn interrupted_images(&self) -> &[(EventSeq, u8)] {
        &self.interrupted_images
    }

    /// Returns how long the relay has run.
    pub(super) fn uptime(&self) -> Uptime {
        self.uptime.now()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.readers.close();
    }
}
