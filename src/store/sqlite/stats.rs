//! Numbers for `status` and metrics.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::Database;
use super::values::unsigned;
use super::{incidents, silences};
use crate::model::*;
use crate::store::{QueueStats, Stats, StoreError};

impl Database {
    /// See [`crate::store::Store::stats`].
    pub(in crate::store) async fn stats(&self, now: Timestamp) -> Result<Stats, StoreError> {
        self.read(move |conn| stats(conn, now)).await
    }
}

pub(super) const IMAGES_PENDING: &str =
    "SELECT count(*), min(deadline_at) FROM image_jobs INDEXED BY image_jobs_ready
     WHERE state = 'pending'";
pub(super) const UNREADABLE: &str = "SELECT count(*) FROM events WHERE state = 'unreadable'";
pub(super) const STATUSES_PENDING: &str =
    "SELECT count(*), min(first_due_at) FROM status_jobs WHERE state = 'pending'";
pub(super) const STATUSES_DEAD: &str = "SELECT count(*) FROM status_jobs WHERE state = 'dead'";
pub(super) const INCIDENTS_OPEN: &str =
    "SELECT count(*) FROM incidents INDEXED BY incidents_open WHERE state = 'open'";

fn stats(conn: &Connection, now: Timestamp) -> rusqlite::Result<Stats> {
    let (images_pending, image_deadline_at) = conn
        .prepare_cached(IMAGES_PENDING)?
        .query_row([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?;
    let unreadable = conn
        .prepare_cached(UNREADABLE)?
        .query_row([], |row| row.get(0).map(unsigned))?;
    let (statuses_pending, status_oldest_at) = conn
        .prepare_cached(STATUSES_PENDING)?
        .query_row([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?;
    let statuses_dead = conn
        .prepare_cached(STATUSES_DEAD)?
        .query_row([], |row| row.get(0).map(unsigned))?;
    let incidents_open = conn
        .prepare_cached(INCIDENTS_OPEN)?
        .query_row([], |row| row.get(0).map(unsigned))?;
    Ok(Stats {
        queues: queues(conn)?,
        images_pending,
        image_deadline_at,
        unreadable,
        statuses_pending,
        status_oldest_at,
        statuses_dead,
        last_events: last_events(conn)?,
        incidents_open,
        incidents_merging: incidents::merging(conn)?,
        silences: silences::active(conn, now)?,
    })
}

/// Builds the query that counts deliveries of one state. The smallest id is the oldest, because ids grow
/// with time.
pub(super) fn count_sql(state: DeliveryState) -> String {
    format!(
        "SELECT destination, count(*), min(id) FROM deliveries
         WHERE state = '{}' GROUP BY destination",
        state.key()
    )
}

fn queues(conn: &Connection) -> rusqlite::Result<Vec<QueueStats>> {
    let mut queues: BTreeMap<DestinationName, QueueStats> = BTreeMap::new();
    for state in [
        DeliveryState::Pending,
        DeliveryState::Sending,
        DeliveryState::Dead,
        DeliveryState::Held,
    ] {
        let mut counted = conn.prepare_cached(&count_sql(state))?;
        let mut counted = counted.query([])?;
        while let Some(row) = counted.next()? {
            let destination: DestinationName = row.get(0)?;
            let count = unsigned(row.get(1)?);
            let queue = queues
                .entry(destination)
                .or_insert_with_key(|destination| QueueStats {
                    destination: destination.clone(),
                    pending: 0,
                    sending: 0,
                    dead: 0,
                    held: 0,
                    oldest_at: None,
                });
            match state {
                DeliveryState::Pending => queue.pending = count,
                DeliveryState::Sending => queue.sending = count,
                DeliveryState::Dead => queue.dead = count,
                DeliveryState::Held => queue.held = count,
                DeliveryState::Delivered
                | DeliveryState::Discarded
                | DeliveryState::Unconfirmed
                | DeliveryState::Merged
                | DeliveryState::Suppressed => {}
            }
            // What is dead or held is not late.
            if matches!(state, DeliveryState::Pending | DeliveryState::Sending) {
                let made = created_at(conn, row.get(2)?)?;
                queue.oldest_at = Some(queue.oldest_at.map_or(made, |oldest| oldest.min(made)));
            }
        }
    }
    Ok(queues.into_values().collect())
}

fn created_at(conn: &Connection, id: DeliveryId) -> rusqlite::Result<Timestamp> {
    conn.prepare_cached("SELECT created_at FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
}

/// Steps from app to app by an index, because there are few apps and many events.
pub(super) const LAST_EVENTS: &str = "
    WITH RECURSIVE apps (via) AS (
        SELECT min(via) FROM events
        UNION ALL
        SELECT (SELECT min(via) FROM events WHERE events.via > apps.via)
        FROM apps WHERE apps.via IS NOT NULL
    )
    SELECT via, (SELECT received_at FROM events WHERE events.via = apps.via
                 ORDER BY seq DESC LIMIT 1)
    FROM apps WHERE via IS NOT NULL";

fn last_events(conn: &Connection) -> rusqlite::Result<Vec<(AppName, Timestamp)>> {
    conn.prepare_cached(LAST_EVENTS)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
