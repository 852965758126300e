//! The status outbox: statuses to write to the platform, one entry per feedback, the newest.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::tx::Tx;
use super::feedback_rows::{self, Key};
use super::leasing::{DueTimes, new_lease};
use super::values::signed;
use super::{Database, IfAbandoned};
use crate::model::*;
use crate::store::{StatusVerdict, StoreError, Topic};

impl Database {
    /// See [`crate::store::Store::lease_status_jobs`].
    pub(in crate::store) async fn lease_status_jobs(
        &self,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<StatusJob>>, StoreError> {
        self.write(IfAbandoned::Skip, move |tx| {
            lease_status_jobs(tx, count, lease)
        })
        .await
    }

    /// See [`crate::store::Store::next_status_due_at`].
    pub(in crate::store) async fn next_status_due_at(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |conn| next_status_due_at(conn, now)).await
    }

    /// See [`crate::store::Store::finish_status_job`].
    pub(in crate::store) async fn finish_status_job(
        &self,
        token: LeaseToken,
        job: StatusJob,
        verdict: StatusVerdict,
    ) -> Result<Recorded, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            finish_status_job(tx, token, &job, &verdict)
        })
        .await
    }

    /// See [`crate::store::Store::status_job`].
    pub(in crate::store) async fn status_job(
        &self,
        event: EventSeq,
    ) -> Result<Option<StatusJobRecord>, StoreError> {
        self.read(move |conn| status_job_of(conn, event)).await
    }
}

/// An upper bound of an entry's wait, which is twelve minutes after a rejection.
const DUE_TIMES: DueTimes = DueTimes {
    ahead_max: Duration::from_secs(3600),
};

/// Selects due entries, and entries left behind by a clock that jumped back.
pub(super) const DUE: [&str; 2] = [
    "SELECT feedback_app, feedback_id FROM status_jobs WHERE state = 'pending' AND due_at <= ?1
     ORDER BY due_at LIMIT ?2",
    "SELECT feedback_app, feedback_id FROM status_jobs WHERE state = 'pending' AND due_at > ?1
     ORDER BY due_at LIMIT ?2",
];

/// Adds a status outbox entry, replacing an older one. If the older one is being written now, the new
/// one follows it.
pub(super) fn enqueue(
    tx: &Tx<'_>,
    key: &Key,
    event: EventSeq,
    status: FeedbackStatus,
    operator: &Private,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO status_jobs (feedback_app, feedback_id, event_seq, status, operator, state,
                                  due_at, first_due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6)
         ON CONFLICT (feedback_app, feedback_id) DO UPDATE SET
             status = excluded.status, operator = excluded.operator, state = 'pending',
             attempts = 0, first_due_at = excluded.first_due_at, reason = NULL,
             due_at = iif(lease_token IS NULL, excluded.due_at, due_at)",
    )?
    .execute(params![
        key.app,
        key.id,
        event,
        status,
        operator.expose(),
        tx.now
    ])?;
    tx.notify(Topic::Statuses);
    Ok(())
}

/// Cancels an outbox entry. An entry being written now is not retried, whatever the result. The platform
/// probably accepts it, so its echo must be recognised.
pub(super) fn cancel(tx: &Tx<'_>, key: &Key) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "DELETE FROM status_jobs
         WHERE feedback_app = ?1 AND feedback_id = ?2 AND state = 'pending' AND lease_token IS NULL",
    )?
    .execute([&key.app, &key.id])?;
    tx.prepare_cached(
        "UPDATE status_jobs SET state = 'done', operator = NULL, lease_token = NULL
         WHERE feedback_app = ?1 AND feedback_id = ?2 AND state = 'pending'",
    )?
    .execute([&key.app, &key.id])?;
    Ok(())
}

/// Returns whether this feedback has a pending outbox entry.
pub(super) fn is_waiting(conn: &Connection, key: &Key) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM status_jobs
         WHERE feedback_app = ?1 AND feedback_id = ?2 AND state = 'pending'",
    )?
    .exists([&key.app, &key.id])
}

/// Returns the status last sent to the platform, and when.
pub(super) fn sent(
    conn: &Connection,
    key: &Key,
) -> rusqlite::Result<Option<(FeedbackStatus, Timestamp)>> {
    conn.prepare_cached(
        "SELECT sent, sent_at FROM status_jobs
         WHERE feedback_app = ?1 AND feedback_id = ?2 AND sent IS NOT NULL",
    )?
    .query_row([&key.app, &key.id], |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

fn lease_status_jobs(
    tx: &Tx<'_>,
    count: usize,
    lasts: Duration,
) -> rusqlite::Result<Vec<Lease<StatusJob>>> {
    let mut due: Vec<Key> = Vec::new();
    for (sql, bound) in DUE.iter().zip(DUE_TIMES.bounds(tx.now)) {
        let room = signed(count.saturating_sub(due.len()));
        let mut rows = tx.prepare_cached(sql)?;
        for key in rows.query_map(params![bound, room], |row| {
            Ok(Key {
                app: row.get(0)?,
                id: row.get(1)?,
            })
        })? {
            due.push(key?);
        }
    }
    due.into_iter()
        .map(|key| {
            let lease = new_lease(tx, (), lasts);
            tx.prepare_cached(
                "UPDATE status_jobs SET lease_token = ?3, due_at = ?4, attempts = attempts + 1,
                                        sent = status, sent_at = ?5
                 WHERE feedback_app = ?1 AND feedback_id = ?2",
            )?
            .execute(params![key.app, key.id, lease.token, lease.until, tx.now])?;
            Ok(lease.with(job(tx, &key)?))
        })
        .collect()
}

fn job(conn: &Connection, key: &Key) -> rusqlite::Result<StatusJob> {
    conn.prepare_cached(
        "SELECT j.event_seq, e.via, j.status, j.operator, j.attempts, j.first_due_at
         FROM status_jobs j JOIN events e ON e.seq = j.event_seq
         WHERE j.feedback_app = ?1 AND j.feedback_id = ?2",
    )?
    .query_row([&key.app, &key.id], |row| {
        Ok(StatusJob {
            event: row.get("event_seq")?,
            via: row.get("via")?,
            app_id: key.app.clone(),
            feedback_id: key.id.clone(),
            status: row.get("status")?,
            operator: Private::new(row.get::<_, String>("operator")?),
            attempts: row.get("attempts")?,
            first_due_at: row.get("first_due_at")?,
        })
    })
}

fn next_status_due_at(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let rows = "FROM status_jobs WHERE state = 'pending'";
    DUE_TIMES.next(conn, rows, [], now)
}

fn finish_status_job(
    tx: &Tx<'_>,
    token: LeaseToken,
    job: &StatusJob,
    verdict: &StatusVerdict,
) -> rusqlite::Result<Recorded> {
    let key = Key {
        app: job.app_id.clone(),
        id: job.feedback_id.clone(),
    };
    let wanted: Option<FeedbackStatus> = tx
        .prepare_cached(
            "SELECT status FROM status_jobs
             WHERE feedback_app = ?1 AND feedback_id = ?2 AND lease_token = ?3",
        )?
        .query_row(params![key.app, key.id, token], |row| row.get(0))
        .optional()?;
    let Some(wanted) = wanted else {
        return Ok(Recorded::LeaseLost);
    };
    // Somebody changed the status meanwhile, so the new one is written next.
    let newer = wanted != job.status;
    let (state, due_at, reason) = match verdict {
        _ if newer => (StatusJobState::Pending, tx.now, None),
        StatusVerdict::Done => (StatusJobState::Done, tx.now, None),
        StatusVerdict::RetryAt { due_at, reason } => {
            (StatusJobState::Pending, *due_at, Some(reason))
        }
        StatusVerdict::Dead { reason } => (StatusJobState::Dead, tx.now, Some(reason)),
    };
    tx.prepare_cached(
        "UPDATE status_jobs SET state = ?3, due_at = ?4, reason = ?5, lease_token = NULL,
                                operator = iif(?3 = 'pending', operator, NULL)
         WHERE feedback_app = ?1 AND feedback_id = ?2",
    )?
    .execute(params![key.app, key.id, state, due_at, reason])?;
    match state {
        StatusJobState::Pending => tx.notify(Topic::Statuses),
        StatusJobState::Done => {}
        StatusJobState::Dead => feedback_rows::mark_local_only(tx, &key, job.event)?,
    }
    Ok(Recorded::Recorded)
}

/// Returns the progress of writing the status of the feedback that an event created.
fn status_job_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Option<StatusJobRecord>> {
    conn.prepare_cached(
        "SELECT status, state, attempts, due_at, reason, lease_token FROM status_jobs
         WHERE event_seq = ?1",
    )?
    .query_row([event], |row| {
        Ok(StatusJobRecord {
            status: row.get("status")?,
            state: row.get("state")?,
            attempts: row.get("attempts")?,
            due_at: row.get("due_at")?,
            reason: row.get("reason")?,
            lease: row.get("lease_token")?,
        })
    })
    .optional()
}
