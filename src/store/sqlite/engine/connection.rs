//! Opens and configures connections to the database file.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

/// How long a connection waits for another process's lock: a command beside the relay, or the relay
/// itself.
pub(in crate::store::sqlite) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of prepared statements per connection. There are fewer distinct statements than this.
const STATEMENTS: usize = 128;

/// Opens a connection that writes. The file must exist.
///
/// `synchronous = FULL`: with NORMAL, a power cut may lose the last commits unless the log is synced
/// separately ([`sync_apart`]). `secure_delete`: erased data is overwritten. `temp_store`: no text in
/// temporary files. `auto_vacuum` comes first, because it only works before the first table is created.
/// `wal_autocheckpoint`, in pages, applies if the thread that moves the log does not keep up.
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

/// Disables SQLite's sync at commit and returns the log file, which the caller must sync. With NORMAL,
/// SQLite still syncs the log before moving it and where it restarts. After a power cut, unsynced parts
/// are whole or ignored, because each page has a checksum over everything before it. Source: SQLite's
/// "PRAGMA synchronous" and "WAL-mode File Format".
pub(in crate::store::sqlite) fn sync_apart(
    conn: &Connection,
    path: &Path,
) -> rusqlite::Result<File> {
    conn.execute_batch("PRAGMA synchronous = NORMAL")?;
    // The first read opens the log.
    data_version(conn)?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    File::open(log).map_err(|error| refusal(format!("failed to open its log: {error}")))
}

/// Enables the release of free pages. Call it only after the store was checked: SQLite rewrites the setting
/// even if it is already set, and a damaged store must stay unchanged.
fn give_pages_back(conn: &Connection) -> rusqlite::Result<()> {
    const INCREMENTAL: i64 = 2;
    let mode: i64 = conn.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if mode != INCREMENTAL {
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    }
    Ok(())
}

/// Wraps an error from outside SQLite in SQLite's error type.
pub(in crate::store::sqlite) fn refusal(reason: impl Into<String>) -> rusqlite::Error {
    use rusqlite::ffi;
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(reason.into()))
}

/// Pages of the log that may be left for the writer to move.
pub(in crate::store::sqlite) const LEFT_PAGES: i64 = 300;

/// How often newly written pages are moved as well. Each pass is shorter, unless the disk does not keep
/// up.
const MOVES_MAX: usize = 6;

/// Moves most of the log into the database while others read and write. It uses its own connection, so
/// that the writer does not wait.
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

/// The state of the log.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) struct Log {
    /// Whether another connection needs it.
    pub(in crate::store::sqlite) busy: bool,
    /// The number of pages in it.
    pub(in crate::store::sqlite) pages: i64,
    /// How many of these pages are in the database as well.
    pub(in crate::store::sqlite) moved: i64,
}

/// Moves the log into the database, as far as `mode` allows; `NOOP` only returns its length.
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

/// Returns a number that changes only when another connection has written. It is not comparable between
/// connections.
pub(in crate::store::sqlite) fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// Opens a connection that only reads.
pub(in crate::store::sqlite) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute_batch("PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    remember_statements(&conn)?;
    Ok(conn)
}

/// Keeps every prepared statement, with its plan.
pub(in crate::store::sqlite) fn remember_statements(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    plan_once(conn)
}

/// Plans statements once, when they are prepared. Otherwise SQLite plans again at every binding where a
/// partial index might apply. That takes a quarter of the writer's time.
pub(in crate::store::sqlite) fn plan_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Converts an SQLite error for the caller. SQLite's messages name tables and columns, never values.
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

/// Restores the usual wait for locks after it was disabled.
pub(in crate::store::sqlite) fn wait_for_locks(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)
}
