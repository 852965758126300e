//! Functions for all leased rows: deliveries, image jobs and status outbox entries.

use std::time::Duration;

use rusqlite::{Connection, Params};

use super::engine::tx::Tx;
use crate::model::*;

/// Creates a lease with a new token. The caller writes token and end to the row.
pub(super) fn new_lease<T>(tx: &Tx<'_>, item: T, lasts: Duration) -> Lease<T> {
    Lease {
        item,
        token: tx.generators.token(),
        until: tx.now + lasts,
    }
}

/// The due times of one kind of rows. A due time more than `ahead_max` ahead was written before the wall
/// clock jumped back, so its row is due now.
pub(super) struct DueTimes {
    pub(super) ahead_max: Duration,
}

impl DueTimes {
    /// Returns the bounds for the two statements that find due rows: those due at the first bound, and
    /// those due after the second.
    pub(super) fn bounds(&self, now: Timestamp) -> [Timestamp; 2] {
        [now, now + self.ahead_max]
    }

    /// Returns when the next row is due, among those that `rows` selects by `FROM` and `WHERE`.
    pub(super) fn next(
        &self,
        conn: &Connection,
        rows: &str,
        params: impl Params + Copy,
        now: Timestamp,
    ) -> rusqlite::Result<Option<Timestamp>> {
        // Two statements, because SQLite finds one end of an index at once, but not both in one
        // statement.
        let end = |aggregate: &str| -> rusqlite::Result<Option<Timestamp>> {
            conn.prepare_cached(&format!("SELECT {aggregate}(due_at) {rows}"))?
                .query_row(params, |row| row.get(0))
        };
        let (first, last) = (end("min")?, end("max")?);
        Ok(match last {
            Some(last) if last > now + self.ahead_max => first.map(|first| first.min(now)),
            Some(_) | None => first,
        })
    }
}
