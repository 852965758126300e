//! A pool of a few read-only connections beside the writer. One thread at a time uses each.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::{self, failure};
use super::file_watch::FileWatch;
use super::group_commit::FAULT;
use crate::store::StoreError;

/// The most connections. More gain nothing on the relay's disks, and each has its own cache.
const READERS: usize = 3;

/// The pool of connections.
pub(in crate::store::sqlite) struct Readers {
    path: PathBuf,
    watch: Arc<FileWatch>,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// Number of calls, so that tests can count the work.
    #[cfg(test)]
    pub(in crate::store::sqlite) calls: std::sync::atomic::AtomicUsize,
}

impl Readers {
    /// Creates an empty pool. Connections are opened when needed.
    pub(in crate::store::sqlite) fn new(path: PathBuf, watch: Arc<FileWatch>) -> Self {
        Self {
            path,
            watch,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(READERS)),
            #[cfg(test)]
            calls: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// Runs `act` on one snapshot of the store, outside the async threads.
    pub(in crate::store::sqlite) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with(|conn| {
            conn.prepare_cached("BEGIN")?.execute([])?;
            let value = act(conn)?;
            conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        })
        .await
    }

    /// Runs `act` outside of a transaction.
    pub(in crate::store::sqlite) async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(test)]
        self.calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let gone = |reason: &str| StoreError::Unavailable(reason.to_owned());
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_closed| gone("its readers have ended"))?;
        let readers = Arc::clone(self);
        let reading = move || {
            let _permit = permit;
            let conn = match readers.take() {
                Some(conn) => conn,
                None => readers.open()?,
            };
            // After a failure, the connection is dropped, because its state is unknown.
            let value = act(&conn)?;
            readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(conn);
            Ok(value)
        };
        match tokio::task::spawn_blocking(reading).await {
            Ok(read) => read.map_err(failure),
            Err(_panicked) => Err(gone(FAULT)),
        }
    }

    /// Opens a connection, unless the path now leads to another file.
    fn open(&self) -> rusqlite::Result<Connection> {
        let conn = connection::reader(&self.path)?;
        self.watch
            .check_database()
            .map_err(|error| connection::refusal(error.to_string()))?;
        Ok(conn)
    }

    fn take(&self) -> Option<Connection> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    /// Closes idle connections, so that the writer closes last and cleans up.
    pub(in crate::store::sqlite) fn close(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
