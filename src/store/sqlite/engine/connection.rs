//! Connections to the file, and how they are set.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

/// How long a connection waits for another process's lock: a command beside the relay, or the relay itself.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that a connection keeps prepared; there are fewer different ones than this.
const STATEMENTS: usize = 128;

/// A connection that writes. The file must exist.
///
/// `synchronous = FULL`: with NORMAL a power cut may take the last commits, unless somebody else syncs them
/// ([`sync_apart`]). `secure_delete`: what is erased is overwritten. `temp_store`: no words in temporary files.
/// `auto_vacuum` counts only before the first table is made, so it comes first. `wal_autocheckpoint`, in
/// pages, is for when the thread that moves the log into the database does not keep up.
pub(in crate::store::sqlite) fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    give_pages_back(&conn)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(refusal(
            "its file system has no shared memory; use a local disk",
        ));
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 32000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(conn)
}

/// From now on a commit is not synced by SQLite but by whoever gets the log, which is the file that is synced.
/// With NORMAL, SQLite still syncs the log before it moves it, and where it begins anew; what is not synced yet
/// is whole or ignored after a power cut, for each page of the log has a checksum over all before it. Source:
/// SQLite's "PRAGMA synchronous" and "WAL-mode File Format".
pub(in crate::store::sqlite) fn sync_apart(
    conn: &Connection,
    path: &Path,
) -> rusqlite::Result<File> {
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    // Reading opens it.
    data_version(conn)?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    File::open(log).map_err(|error| refusal(format!("cannot open its log: {error}")))
}

/// Makes it possible to give free pages back. SQLite writes the setting anew each time, even where it
/// stands already, and a store that turns out to be damaged is to stay as it is.
fn give_pages_back(conn: &Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let mode: i64 = conn.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if mode != INCREMENTAL {
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    Ok(())
}

/// A failure that is not SQLite's own, told the same way.
pub(in crate::store::sqlite) fn refusal(reason: impl Into<String>) -> rusqlite::Error {
    use rusqlite::ffi;
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(reason.into()))
}

/// Pages of the log that may be left for the writer to move.
pub(in crate::store::sqlite) const LEFT_PAGES: i64 = 300;

/// How often what came meanwhile is moved as well. Each time it is less, unless the disk does not keep up.
const MOVES_MAX: usize = 6;

/// Moves the log into the database, while others go on reading and writing, until little is left of it. On a
/// connection of its own, so that the writer does not wait for it.
pub(in crate::store::sqlite) fn move_log(path: &Path) -> rusqlite::Result<()> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut moved = 0;
    for _ in 0..MOVES_MAX {
        let log = checkpoint(&conn, "PASSIVE")?;
        if log.pages - moved <= LEFT_PAGES {
            break;
        }
        moved = log.pages;
    }
    Ok(())
}

/// What stands in the log.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Log {
    /// Somebody else needs it.
    pub(in crate::store::sqlite) busy: bool,
    /// Pages in it.
    pub(in crate::store::sqlite) pages: i64,
    /// Of these, pages that stand in the database as well.
    pub(in crate::store::sqlite) moved: i64,
}

/// Moves the log into the database, as far as `mode` goes; `NOOP` only tells how long it is.
pub(in crate::store::sqlite) fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<Log> {
    conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?
        .query_row([], |row| {
            Ok(Log {
                busy: row.get(0)?,
                pages: row.get(1)?,
                moved: row.get(2)?,
            })
        })
}

/// Changes when another connection has written, and only then. Says nothing to another connection.
pub(in crate::store::sqlite) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// A connection that only reads.
pub(in crate::store::sqlite) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute_batch("PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(&conn)?;
    Ok(conn)
}

/// Statements are planned when they are prepared, whatever is bound to them later. Without this SQLite
/// plans anew with every binding where a partial index could serve: a quarter of the writer's time.
pub(in crate::store::sqlite) fn plan_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// What a failure of SQLite means to whoever asked. Its messages name tables and columns, never values.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is handed to `map_err`, which gives the error away"
)]
pub(in crate::store::sqlite) fn failure(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(_) | None => StoreError::Unavailable(error.to_string()),
    }
}

/// Lets a connection wait for locks as usual, after it was told not to.
pub(in crate::store::sqlite) fn wait_for_locks(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)
}
