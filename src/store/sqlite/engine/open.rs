//! Opens a store: inspects it before changing it, and names the problem.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use super::super::Database;
use super::super::values::signed;
use super::file_watch::FileWatch;
use super::files::FileId;
use super::migrations::{self, Found, STEPS};
use super::readers::Readers;
use super::tx::IdGenerators;
use super::uptime::UptimeClock;
use super::writer::{Served, Writer};
use super::{connection, files};
use crate::model::{Clock, EventSeq, Timestamp};
use crate::store::{OpenError, StoreLocation};

/// Up to this size, a store is checked in full at opening, which takes well under a second. A larger one
/// is only checked where it is read.
const CHECKED_BYTES_MAX: u64 = 32 << 20;

/// See [`crate::store::Store::open`].
pub(in crate::store) fn open(typed: &Path, clock: Arc<dyn Clock>) -> Result<Database, OpenError> {
    let io = |error: std::io::Error| io_error(typed, &files::explain_access(typed, &error));
    let path = &*files::follow_link(typed).map_err(io)?;
    files::make_folder(path).map_err(io)?;
    let Some(lock) = files::lock(path).map_err(io)? else {
        return Err(OpenError::Held(location(path)));
    };
    let lock_id = FileId::of(&lock.metadata().map_err(io)?);
    let database = files::ensure(path).map_err(io)?;
    let watch = FileWatch::new(typed, database, Some((files::lock_path(path), lock_id)));
    let (conn, found) = connect_and_inspect(path)?;
    let version = match found {
        Found::Empty => 0,
        Found::Version(version) => version,
        Found::Foreign => return Err(foreign(path)),
    };
    let say = |error| explain(path, &error);
    if let Some(copy) = migrations::migrate(&conn, path, version, STEPS).map_err(say)? {
        tracing::info!(copy = %copy.display(), "migrated the store to the current version after copying it");
    }
    files::sync_folder(path).map_err(io)?;
    check_whole(&conn, path)?;
    move_log(&conn).map_err(say)?;
    let interrupted = take_up(&conn, clock.now()).map_err(say)?;
    let mut database = start(conn, path, clock, watch, Some(lock))?;
    database.interrupted_images = interrupted;
    Ok(database)
}

/// See [`crate::store::Store::open_for_command`].
pub(in crate::store) fn open_for_command(
    typed: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Database, OpenError> {
    let io = |error: std::io::Error| io_error(typed, &files::explain_access(typed, &error));
    let path = &*files::follow_link(typed).map_err(io)?;
    let database = match std::fs::metadata(path) {
        Ok(found) => FileId::of(&found),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Missing(location(typed)));
        }
        Err(error) => return Err(io(error)),
    };
    let (conn, found) = connect_and_inspect(path)?;
    match found {
        Found::Empty => Err(OpenError::Missing(location(path))),
        Found::Foreign => Err(foreign(path)),
        Found::Version(version) if version < newest() => Err(io_error(
            path,
            "an older feedback-relay wrote it; start `feedback-relay serve` once to bring it up to date",
        )),
        Found::Version(_) => {
            let watch = FileWatch::new(typed, database, None);
            start(conn, path, clock, watch, None)
        }
    }
}

fn newest() -> i64 {
    signed(STEPS.len())
}

/// Opens the file without changing a database of another program.
fn connect_and_inspect(path: &Path) -> Result<(Connection, Found), OpenError> {
    let ours =
        files::looks_like_a_database(path).map_err(|error| io_error(path, &error.to_string()))?;
    if !ours {
        return Err(damaged(path, "it does not begin like a database"));
    }
    let say = |error| explain(path, &error);
    let reader = connection::reader(path).map_err(say)?;
    let found = migrations::inspect(&reader).map_err(say)?;
    match found {
        Found::Foreign => return Err(foreign(path)),
        Found::Version(found) if found > newest() => {
            return Err(OpenError::Newer {
                location: location(path),
                found,
                known: newest(),
            });
        }
        Found::Version(version) => {
            if let Some(part) = migrations::difference(&reader, version).map_err(say)? {
                let location = location(path);
                return Err(OpenError::Unreleased { location, part });
            }
        }
        Found::Empty => {}
    }
    drop(reader);
    let conn = connection::writer(path).map_err(say)?;
    Ok((conn, found))
}

/// Checks small stores in full; for large ones only that every table is readable.
fn check_whole(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let say = |error| explain(path, &error);
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes <= CHECKED_BYTES_MAX {
        let verdict: String = conn
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(say)?;
        if verdict != "ok" {
            return Err(damaged(
                path,
                "its check fails; restore a backup, or ask `sqlite3` to `.recover` it",
            ));
        }
    }
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .and_then(|mut names| names.query_map([], |row| row.get(0))?.collect())
        .map_err(say)?;
    for table in tables {
        conn.prepare(&format!("SELECT * FROM \"{table}\" LIMIT 1"))
            .and_then(|mut first| first.query([])?.next().map(|_| ()))
            .map_err(say)?;
    }
    Ok(())
}

/// Moves the log of a crashed relay into the database, which is synced. After a failed log sync, the
/// log's data may exist only in memory, and another sync would not report that.
fn move_log(conn: &Connection) -> rusqlite::Result<()> {
    connection::checkpoint(conn, "PASSIVE").map(|_log| ())
}

/// Makes the leases of a crashed relay due at once, with the same key and payload. Returns its image
/// jobs.
fn take_up(conn: &Connection, now: Timestamp) -> rusqlite::Result<Vec<(EventSeq, u8)>> {
    conn.execute(
        "UPDATE deliveries SET state = 'pending', due_at = ?1, lease_token = NULL, lease_until = NULL
         WHERE state = 'sending'",
        [now],
    )?;
    conn.execute(
        "UPDATE status_jobs SET due_at = ?1, lease_token = NULL
         WHERE state = 'pending' AND lease_token IS NOT NULL",
        [now],
    )?;
    let images = conn
        .prepare(
            "SELECT event_seq, ordinal FROM image_jobs
             WHERE state = 'pending' AND stage = 2 AND lease_token IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    conn.execute(
        "UPDATE image_jobs SET stage = 1, due_at = ?1, lease_token = NULL
         WHERE state = 'pending' AND stage = 2 AND lease_token IS NOT NULL",
        [now],
    )?;
    Ok(images)
}

fn start(
    conn: Connection,
    path: &Path,
    clock: Arc<dyn Clock>,
    watch: FileWatch,
    lock: Option<std::fs::File>,
) -> Result<Database, OpenError> {
    let watch = Arc::new(watch);
    let seed = getrandom::u64().map_err(|error| io_error(path, &error.to_string()))?;
    let say = |error: rusqlite::Error| explain(path, &error);
    let uptime = UptimeClock::open(&conn, Arc::clone(&clock)).map_err(say)?;
    let served = Served {
        path: path.to_owned(),
        watch: Arc::clone(&watch),
        clock,
        uptime: lock.is_some().then(|| uptime.clone()),
    };
    let writer = Writer::start(conn, served, IdGenerators::new(seed)).map_err(say)?;
    Ok(Database {
        writer,
        uptime,
        readers: Arc::new(Readers::new(path.to_owned(), Arc::clone(&watch))),
        watch,
        interrupted_images: Vec::new(),
        _lock: lock,
    })
}

fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            damaged(path, &error.to_string())
        }
        Some(_) | None => io_error(path, &error.to_string()),
    }
}

fn location(path: &Path) -> StoreLocation {
    StoreLocation::Sqlite(path.to_owned())
}

fn io_error(path: &Path, reason: &str) -> OpenError {
    OpenError::Io {
        location: location(path),
        reason: reason.to_owned(),
    }
}

fn damaged(path: &Path, reason: &str) -> OpenError {
    OpenError::Damaged {
        location: location(path),
        reason: reason.to_owned(),
    }
}

fn foreign(path: &Path) -> OpenError {
    damaged(path, "it is another program's database")
}
