//! Keeping the write-ahead log short, and free of what was erased.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::file_watch::FileWatch;
use super::{connection, meta};

/// A log of so many pages is moved into the database: so many that a page which is written again and again is
/// moved once.
const LOG_PAGES: i64 = 8000;

/// After so many transactions it is looked how long the log is.
const LOG_LOOK: u32 = 8;

/// Pages given back in one go, so that an act that comes meanwhile waits for milliseconds only.
const VACUUM_PAGES: u32 = 500;

/// After this, and then after twice as long each time, it is tried again to empty the log of erased words.
const DEBT_WAIT: Duration = Duration::from_millis(500);

/// The longest of these waits: a reader may hold the log for hours.
const DEBT_WAIT_MAX: Duration = Duration::from_secs(8);

/// What the writing thread does about the log, between transactions.
pub(in crate::store::sqlite) struct LogKeeper {
    path: PathBuf,
    watch: Arc<FileWatch>,
    /// Since the start.
    transactions: u32,
    /// Moves the log into the database.
    mover: Option<JoinHandle<rusqlite::Result<()>>>,
    /// Something was written since the log was last emptied.
    untidy: bool,
    debt: Debt,
}

/// Erased words that may still stand in the log. The store itself knows; this is when to look.
struct Debt {
    may_be: bool,
    look_at: Instant,
    wait: Duration,
}

impl Debt {
    /// There may be one: words were erased, or another process wrote.
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
    /// For the store at `path`.
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

    /// Something was written.
    pub(in crate::store::sqlite) fn wrote(&mut self) {
        self.untidy = true;
    }

    /// Words were erased, by this process or perhaps by another.
    pub(in crate::store::sqlite) fn may_owe(&mut self) {
        self.debt.may_be = true;
        self.debt.look_at = self.debt.look_at.min(Instant::now() + DEBT_WAIT);
    }

    /// Words were erased just now: they leave the log at once, if nobody reads it.
    pub(in crate::store::sqlite) fn erased(&mut self, conn: &Connection) {
        self.debt = Debt::new();
        self.pay_erasure(conn);
    }

    /// Empties the log of erased words, where that is owed. It waits for nobody, and a long log is moved beside the
    /// writer first, so that nothing else waits for it either.
    pub(in crate::store::sqlite) fn pay_erasure(&mut self, conn: &Connection) {
        if !self.debt.may_be || Instant::now() < self.debt.look_at {
            return;
        }
        match meta::erasure_owed(conn) {
            Ok(None) => self.debt.may_be = false,
            Ok(Some(debt)) => {
                let paid = self.is_short(conn)
                    && self.empty(conn)
                    && meta::erasure_paid(conn, debt).is_ok();
                if paid {
                    self.debt.may_be = false;
                } else {
                    self.debt.put_off();
                }
            }
            // The next act tells what is wrong with the store.
            Err(_) => self.debt.put_off(),
        }
    }

    /// Whether so little is in the log that moving it delays nobody. If not, it is moved beside the writer.
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

    /// Opens the file by its path, so it must be the same file still.
    fn begin_to_move(&mut self) {
        if self.watch.check().is_ok() {
            let path = self.path.clone();
            let mover = std::thread::Builder::new().name("store-checkpoint".into());
            self.mover = mover.spawn(move || connection::move_log(&path)).ok();
        }
    }

    /// A transaction is over. Moves a long log into the database beside the writer, then what came meanwhile,
    /// which is little: so the next transaction begins the log anew, and none waits for the whole.
    pub(in crate::store::sqlite) fn shorten(&mut self, conn: &Connection) {
        self.transactions = self.transactions.wrapping_add(1);
        if self.is_moving() {
            return;
        }
        if self.mover.take().is_some() {
            // What stays in the log is in no danger; SQLite's own limit shortens it.
            connection::checkpoint(conn, "PASSIVE").ok();
        } else if self.is_long(conn) {
            self.begin_to_move();
        }
    }

    fn is_long(&self, conn: &Connection) -> bool {
        self.transactions.is_multiple_of(LOG_LOOK)
            && connection::checkpoint(conn, "NOOP").is_ok_and(|log| log.pages >= LOG_PAGES)
    }

    /// Empties the log and gives free pages back, while nobody waits.
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

    /// Moves the log into the database and cuts it to nothing, unless a reader needs it: a long one, such as a backup,
    /// must not hold the writer up. Tells whether it did.
    fn empty(&mut self, conn: &Connection) -> bool {
        self.untidy = true;
        // Others can write meanwhile, as they cannot while it is cut.
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
}
