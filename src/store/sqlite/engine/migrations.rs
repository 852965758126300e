//! The file format: its markers, its versions and the migrations between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::refusal;
use super::files;

/// `fbrl`: the marker of a store of this program in the file header (`PRAGMA application_id`).
pub(in crate::store::sqlite) const APPLICATION_ID: i64 = 0x6662_726c;

/// Step `n` migrates version `n` to `n + 1`. A released step is never changed.
pub(in crate::store::sqlite) const STEPS: &[&str] = &[include_str!("v1.sql")];

/// The kind of a file, judging by its header and its list of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Found {
    /// A database without content.
    Empty,
    /// A store of this version.
    Version(i64),
    /// Another program's database.
    Foreign,
}

/// Reads the markers of an open database.
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

/// Returns the name of a table or index that is missing, or differs from the one that the steps up to
/// `version` create. Only unreleased programs wrote such stores.
pub(in crate::store::sqlite) fn difference(
    conn: &Connection,
    version: i64,
) -> rusqlite::Result<Option<String>> {
    let expected = Connection::open_in_memory()?;
    for step in STEPS.iter().take(usize::try_from(version).unwrap_or(0)) {
        expected.execute_batch(step)?;
    }
    let found = schema(conn)?;
    let differs = |(name, sql): &(String, String)| found.get(name) != Some(sql);
    Ok(schema(&expected)?
        .into_iter()
        .find(differs)
        .map(|(name, _sql)| name))
}

/// Returns the statements that made the tables and indexes, by name, without comments and line breaks.
fn schema(conn: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    conn.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?
        .query_map([], |row| {
            let sql: String = row.get(1)?;
            let code = sql.lines().filter_map(|line| line.split("--").next());
            let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
            Ok((row.get(0)?, words.join(" ")))
        })?
        .collect()
}

/// Migrates a store from version `from` to the newest, one transaction per step. A store that is not
/// empty is copied first; the path of the copy is returned.
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
            // Report the error of the step. The connection is dropped after it.
            conn.execute_batch("ROLLBACK").ok();
        })?;
    }
    Ok(copy)
}

/// Copies the store to a file beside it, named after its version. A copy left by an earlier failed
/// migration is kept; the new one gets a number.
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

/// Writes a consistent copy to `file`, which must not exist, and syncs it to disk. Only the owner can
/// read it.
pub(in crate::store::sqlite) fn copy_to(conn: &Connection, file: &Path) -> rusqlite::Result<()> {
    let failed = |reason: &str| refusal(format!("failed to write {}: {reason}", file.display()));
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
        // Remove the partial copy. A failure to remove it does not change the error.
        std::fs::remove_file(file).ok();
    }
    copied
}
