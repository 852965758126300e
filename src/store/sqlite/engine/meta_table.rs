//! The table `meta`: values by name, and the pending erasure among them.

use rusqlite::{Connection, OptionalExtension, params};

use super::connection::refusal;

/// Returns the value stored under this name.
pub(in crate::store::sqlite) fn get<const N: usize>(
    conn: &Connection,
    name: &str,
) -> rusqlite::Result<Option<[u8; N]>> {
    conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Stores a value under this name, replacing an older one.
pub(in crate::store::sqlite) fn put(
    conn: &Connection,
    name: &str,
    value: &[u8],
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}

/// The name of the pending erasure in `meta`: text was erased and may still be in the log.
const OWED: &str = "erasure_owed";

/// Records that the log must be emptied. The value differs each time, so that completing one erasure
/// does not cancel a later one.
pub(in crate::store::sqlite) fn owe_erasure(conn: &Connection) -> rusqlite::Result<()> {
    let value = getrandom::u64().map_err(|error| refusal(error.to_string()))?;
    put(conn, OWED, &value.to_be_bytes())
}

/// Returns the pending erasure, if there is one.
pub(in crate::store) fn erasure_owed(conn: &Connection) -> rusqlite::Result<Option<[u8; 8]>> {
    get(conn, OWED)
}

/// Removes a completed erasure, unless text was erased again meanwhile.
pub(in crate::store::sqlite) fn erasure_paid(
    conn: &Connection,
    debt: [u8; 8],
) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM meta WHERE name = ?1 AND value = ?2")?
        .execute(params![OWED, debt])?;
    Ok(())
}
