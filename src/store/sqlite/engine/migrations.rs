//! The shape of the file: its marks, its versions, and how an older one becomes a newer one.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::refusal;
use super::files;

/// `fbrl`: by this in its header a store of ours is known (`PRAGMA application_id`).
pub(in crate::store::sqlite) const APPLICATION_ID: i64 = 0x6662_726c;

/// Step `n` makes version `n + 1` of version `n`. A step that has been released is never changed.
pub(in crate::store::sqlite) const STEPS: &[&str] = &[include_str!("v1.sql")];

/// What a file is, as far as its header and its list of tables tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Found {
    /// A database without anything in it.
    Empty,
    /// A store of this version.
    Version(i64),
    /// Somebody else's.
    Foreign,
}

/// Looks at the marks of an open database.
pub(in crate::store::sqlite) fn inspect(conn: &Connection) -> rusqlite::Result<Found> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION_ID, version, _) => Found::Version(version),
        _ => Found::Foreign,
    })
}

/// Brings a store of version `from` to the newest, one transaction a step. A store that holds
/// something is copied first; where to is returned.
pub(in crate::store::sqlite) fn migrate(
    conn: &Connection,
    path: &Path,
    from: i64,
    steps: &[&str],
) -> rusqlite::Result<Option<PathBuf>> {
    let done = usize::try_from(from).unwrap_or(0);
    if done >= steps.len() {
        return Ok(None);
    }
    let copy = match from {
        0 => None,
        _ => Some(copy_before(conn, path, from)?),
    };
    for (index, step) in steps.iter().enumerate().skip(done) {
        let version = index + 1;
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             {step}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {version};
             COMMIT;"
        ))
        .inspect_err(|_| {
            // The error of the step is the one to tell; the connection is given up after it.
            conn.execute_batch("ROLLBACK").ok();
        })?;
    }
    Ok(copy)
}

/// Copies the store to a file beside it, named with its version. A copy that an earlier, broken
/// migration left is kept: the new one gets a number.
fn copy_before(conn: &Connection, path: &Path, version: i64) -> rusqlite::Result<PathBuf> {
    let mut copy = files::beside(path, &format!(".version-{version}"));
    let mut number = 1;
    while copy.exists() {
        number += 1;
        copy = files::beside(path, &format!(".version-{version}-{number}"));
    }
    copy_to(conn, &copy)?;
    Ok(copy)
}

/// Writes a whole and consistent copy to `file`, which must not exist, for the owner's eyes only, and
/// waits until it is on the disk.
pub(in crate::store::sqlite) fn copy_to(conn: &Connection, file: &Path) -> rusqlite::Result<()> {
    let failed = |reason: &str| refusal(format!("cannot write {}: {reason}", file.display()));
    let name = file
        .to_str()
        .ok_or_else(|| failed("its name is not UTF-8"))?;
    let handle = files::create_new(file).map_err(|error| failed(&error.to_string()))?;
    let copied = conn.execute("VACUUM INTO ?1", [name]).and_then(|_| {
        handle
            .sync_all()
            .map_err(|error| failed(&error.to_string()))
    });
    if copied.is_err() {
        // Half a copy is worse than none; that it cannot be removed changes nothing of the error.
        std::fs::remove_file(file).ok();
    }
    copied
}
