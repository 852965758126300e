//! Keeping the write-ahead log short, and free of what was erased.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::connect;
use super::file_watch::FileWatch;

/// A log of so many pages is moved into the database: so many that a page which is written again and again is
/// moved once.
const LOG_PAGES: i64 = 8000;

/// After so many transactions it is looked how long the log is.
const LOG_LOOK: u32 = 8;

/// Pages given back in one go, so that an act that comes meanwhile waits for milliseconds only.
const VACUUM_PAGES: u32 = 500;

/// How long it is tried to empty the log after an erasure, though a reader needs it; then it is tried
/// with every poll.
const ERASE_PATIENCE: Duration = Duration::from_secs(1);

/// What the writing thread does about the log, between transactions.
pub(super) struct LogKeeper {
    path: PathBuf,
    watch: Arc<FileWatch>,
    /// Since the start.
    transactions: u32,
    /// Moves the log into the database.
    mover: Option<JoinHandle<rusqlite::Result<()>>>,
    /// Something was written since the log was last emptied.
    untidy: bool,
    /// A reader kept erased words in the log.
    owes_erasure: bool,
}

impl LogKeeper {
    /// For the journal at `path`.
    pub(super) fn new(path: PathBuf, watch: Arc<FileWatch>) -> Self {
        Self {
            path,
            watch,
            transactions: 0,
            mover: None,
            untidy: true,
            owes_erasure: false,
        }
    }

    /// Something was written.
    pub(super) fn wrote(&mut self) {
        self.untidy = true;
    }

    /// Words were erased, and are to be gone from the log before this is answered.
    pub(super) fn erased(&mut self, conn: &Connection) {
        self.owes_erasure = !self.empty(conn, ERASE_PATIENCE);
    }

    /// A relay that is never idle must not owe it for ever.
    pub(super) fn pay_erasure(&mut self, conn: &Connection) {
        self.owes_erasure = self.owes_erasure && !self.empty(conn, Duration::ZERO);
    }

    /// A transaction is over. Moves a long log into the database beside the writer, then what came meanwhile,
    /// which is little: so the next transaction begins the log anew, and none waits for the whole.
    pub(super) fn shorten(&mut self, conn: &Connection) {
        self.transactions = self.transactions.wrapping_add(1);
        match &self.mover {
            Some(mover) if !mover.is_finished() => {}
            Some(_) => {
                self.mover = None;
                // What stays in the log is in no danger; SQLite's own limit shortens it.
                connect::checkpoint(conn, "PASSIVE").ok();
            }
            // The mover opens the file by its path.
            None if self.is_long(conn) && self.watch.check().is_ok() => {
                let path = self.path.clone();
                let mover = std::thread::Builder::new().name("journal-log".into());
                self.mover = mover.spawn(move || connect::move_log(&path)).ok();
            }
            None => {}
        }
    }

    fn is_long(&self, conn: &Connection) -> bool {
        self.transactions.is_multiple_of(LOG_LOOK)
            && connect::checkpoint(conn, "NOOP").is_ok_and(|log| log.pages >= LOG_PAGES)
    }

    /// Empties the log and gives free pages back, while nobody waits.
    pub(super) fn tidy(&mut self, conn: &Connection) {
        if !self.untidy {
            return;
        }
        let left = conn
            .execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))
            .and_then(|()| {
                conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))
            });
        // A long reader, such as a backup, must not hold the writer up.
        let emptied = self.empty(conn, Duration::ZERO);
        self.untidy = !(emptied && left.is_ok_and(|pages| pages == 0));
    }

    /// Moves the log into the database and cuts it to nothing, unless a reader needs it. Tells whether it did.
    fn empty(&mut self, conn: &Connection, patience: Duration) -> bool {
        self.untidy = true;
        let emptied = conn
            .busy_timeout(patience)
            .and_then(|()| connect::checkpoint(conn, "TRUNCATE"));
        let restored = connect::wait_for_locks(conn);
        restored.is_ok() && emptied.is_ok_and(|log| !log.busy)
    }
}
