//! Keeps the write-ahead log short and free of erased text.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::file_watch::FileWatch;
use super::{connection, meta_table};

/// The log is moved into the database when it has this many pages. A high number means that a page written
/// repeatedly is moved only once.
const LOG_PAGES: i64 = 8000;

/// The length of the log is checked after this many transactions.
const LOG_LOOK: u32 = 8;

/// Free pages released at once. The limit keeps the delay of a command to milliseconds.
const VACUUM_PAGES: u32 = 500;

/// The first wait before retrying to remove erased text from the log. Each later wait is twice as long.
const DEBT_WAIT: Duration = Duration::from_millis(500);

/// The longest of these waits. A reader may hold the log for hours.
const DEBT_WAIT_MAX: Duration = Duration::from_secs(8);

/// Maintains the log for the writing thread, between transactions.
pub(in crate::store::sqlite) struct LogKeeper {
    path: PathBuf,
    watch: Arc<FileWatch>,
    /// The number of transactions since the start.
    transactions: u32,
    /// The thread that moves the log into the database; `None` if there is none.
    mover: Option<JoinHandle<()>>,
    /// Whether something was written since the log was last emptied.
    untidy: bool,
    debt: Debt,
}

/// When to check for erased text that may still be in the log. The `meta` table records whether there is
/// any.
struct Debt {
    may_be: bool,
    look_at: Instant,
    wait: Duration,
}

impl Debt {
    /// Assumes erased text in the log, because text was erased or another process wrote.
    fn new() -> Self {
        Self {
            may_be: true,
            look_at: Instant::now(),
            wait: DEBT_WAIT,
        }
    }

    fn put_off(&mut self) {
        self.look_at = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(DEBT_WAIT_MAX);
    }
}

impl LogKeeper {
    /// Creates the maintenance state for the store at `path`.
    pub(in crate::store::sqlite) fn new(path: PathBuf, watch: Arc<FileWatch>) -> Self {
        Self {
            path,
            watch,
            transactions: 0,
            mover: None,
            untidy: true,
            debt: Debt::new(),
        }
    }

    /// Records that something was written.
    pub(in crate::store::sqlite) fn wrote(&mut self) {
        self.untidy = true;
    }

    /// Records that text was erased, by this process or possibly by another.
    pub(in crate::store::sqlite) fn may_owe(&mut self) {
        self.debt.may_be = true;
        self.debt.look_at = self.debt.look_at.min(Instant::now() + DEBT_WAIT);
    }

    /// Removes just erased text from the log at once, unless a reader holds the log.
    pub(in crate::store::sqlite) fn erased(&mut self, conn: &Connection) {
        self.debt = Debt::new();
        self.pay_erasure(conn);
    }

    /// Empties the log if it may contain erased text. It never waits for readers. A long log is first
    /// moved by another thread, so that the writer is not delayed.
    pub(in crate::store::sqlite) fn pay_erasure(&mut self, conn: &Connection) {
        if !self.debt.may_be || Instant::now() < self.debt.look_at {
            return;
        }
        match meta_table::erasure_owed(conn) {
            Ok(None) => self.debt.may_be = false,
            Ok(Some(debt)) => {
                let paid = self.is_short(conn)
                    && self.empty(conn)
                    && meta_table::erasure_paid(conn, debt).is_ok();
                if paid {
                    self.debt.may_be = false;
                } else {
                    self.debt.put_off();
                }
            }
            // The next command reports the store's error.
            Err(_) => self.debt.put_off(),
        }
    }

    /// Returns whether the log is short enough to move without delay. If not, starts moving it in
    /// another thread.
    fn is_short(&mut self, conn: &Connection) -> bool {
        if self.is_moving() {
            return false;
        }
        let short = connection::checkpoint(conn, "NOOP")
            .is_ok_and(|log| log.pages - log.moved <= connection::LEFT_PAGES);
        if !short {
            self.begin_to_move();
        }
        short
    }

    fn is_moving(&self) -> bool {
        self.mover
            .as_ref()
            .is_some_and(|mover| !mover.is_finished())
    }

    /// Starts the thread that moves the log. It opens the file by its path, so the path must still
    /// lead to the same file.
    fn begin_to_move(&mut self) {
        if self.watch.check().is_ok() {
            let (path, watch) = (self.path.clone(), Arc::clone(&self.watch));
            let mover = std::thread::Builder::new().name("store-checkpoint".into());
            // Ignore errors: the log stays, and is moved later.
            let moving = move || drop(watch.checkpoint(|| connection::move_log(&path)));
            self.mover = mover.spawn(moving).ok();
        }
    }

    /// Handles the end of a transaction. Another thread moves a long log into the database; this one
    /// then moves the short rest. So the next transaction restarts the log without a long wait.
    pub(in crate::store::sqlite) fn shorten(&mut self, conn: &Connection) {
        self.transactions = self.transactions.wrapping_add(1);
        if self.is_moving() {
            return;
        }
        if self.mover.take().is_some() {
            // Ignore errors: the rest stays safely in the log, and SQLite's own limit shortens it.
            self.watch
                .checkpoint(|| connection::checkpoint(conn, "PASSIVE"));
        } else if self.is_long(conn) {
            self.begin_to_move();
        }
    }

    fn is_long(&self, conn: &Connection) -> bool {
        self.transactions.is_multiple_of(LOG_LOOK)
            && connection::checkpoint(conn, "NOOP").is_ok_and(|log| log.pages >= LOG_PAGES)
    }

    /// Empties the log and releases free pages while the writer is idle.
    pub(in crate::store::sqlite) fn tidy(&mut self, conn: &Connection) {
        if !self.untidy {
            return;
        }
        let left = conn
            .execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))
            .and_then(|()| {
                conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))
            });
        let emptied = self.empty(conn);
        self.untidy = !(emptied && left.is_ok_and(|pages| pages == 0));
    }

    /// Moves the log into the database and truncates it, unless a reader needs it. A long reader, such
    /// as a backup, must not delay the writer. Returns whether the log is empty.
    fn empty(&mut self, conn: &Connection) -> bool {
        self.untidy = true;
        self.watch.checkpoint(|| empty(conn)).unwrap_or(false)
    }
}

/// See [`LogKeeper::empty`].
fn empty(conn: &Connection) -> bool {
    // Move it first, because others can write meanwhile. They cannot write while it is truncated.
    let moved = connection::checkpoint(conn, "PASSIVE");
    if !moved.is_ok_and(|log| !log.busy && log.moved == log.pages) {
        return false;
    }
    let emptied = conn
        .busy_timeout(Duration::ZERO)
        .and_then(|()| connection::checkpoint(conn, "TRUNCATE"));
    let restored = connection::wait_for_locks(conn);
    restored.is_ok() && emptied.is_ok_and(|log| !log.busy)
}
