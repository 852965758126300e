//! Selects the next image jobs by index ranges, so that the cost of a poll does not depend on the number of
//! waiting jobs.
//!
//! Ready jobs are ordered by stage, host and deadline. A poll goes from host to host and takes the
//! nearest deadlines. It skips hosts that are paused or at capacity without reading their rows. Waiting
//! jobs are ordered by due time; a limited number of due ones becomes ready first.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::engine::tx::Tx;
use super::images::release_waiting;
use super::leasing::{DueTimes, new_lease};
use super::values::signed;
use super::{Database, IfAbandoned};
use crate::model::*;
use crate::store::{ImageHosts, LeasedImages, LostImageLease, StoreError, Topic};

impl Database {
    /// See [`crate::store::Store::lease_images`].
    pub(in crate::store) async fn lease_images(
        &self,
        count: usize,
        lease: Duration,
        hosts: &ImageHosts,
        now: Timestamp,
    ) -> Result<LeasedImages, StoreError> {
        let mut lost = Vec::new();
        let mut poll = self.poll_images(now, count, hosts).await?;
        if poll.due {
            lost = self.write(IfAbandoned::Run, ready_images).await?;
            poll = self.poll_images(now, count, hosts).await?;
        }
        let mut leased = LeasedImages::default();
        if !poll.jobs.is_empty() {
            let jobs = poll.jobs;
            let act = move |tx: &Tx<'_>| lease_images(tx, &jobs, lease);
            leased = self.write(IfAbandoned::Skip, act).await?;
        }
        leased.lost.splice(0..0, lost);
        leased.after = poll.after;
        leased.next_due_at = poll.next_due_at;
        Ok(leased)
    }

    async fn poll_images(
        &self,
        now: Timestamp,
        count: usize,
        hosts: &ImageHosts,
    ) -> Result<ImagePoll, StoreError> {
        let hosts = hosts.clone();
        self.read(move |conn| poll_images(conn, now, count, &hosts))
            .await
    }

    /// See [`crate::store::Store::mark_image_check`].
    pub(in crate::store) async fn mark_image_check(
        &self,
        token: LeaseToken,
        event: EventSeq,
        ordinal: u8,
    ) -> Result<Recorded, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            mark_image_check(tx, token, event, ordinal)
        })
        .await
    }

    /// See [`crate::store::Store::next_image_due_at`].
    pub(in crate::store) async fn next_image_due_at(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |conn| next_image_due_at(conn, now)).await
    }

    /// See [`crate::store::Store::make_images_due`].
    pub(in crate::store) async fn make_images_due(&self) -> Result<u64, StoreError> {
        self.write(IfAbandoned::Run, make_images_due).await
    }
}

/// A job waits at most until its image's deadline, 72 hours, plus an hour for clock differences.
const DUE_TIMES: DueTimes = DueTimes {
    ahead_max: Duration::from_secs(73 * 3600),
};
/// How many hosts one poll visits. The next poll continues from there.
const HOSTS_MAX: usize = 64;
/// How many waiting jobs become ready at once.
const READY_MAX: usize = 256;
/// A job is given up after this many lost leases in a row, because it may crash the relay.
const LEASES_LOST_MAX: u32 = 3;

/// Selects the first host from a name on that has ready jobs, and its nearest deadline.
pub(super) const NEXT_HOST: &str = "
    SELECT host, deadline_at FROM image_jobs INDEXED BY image_jobs_ready
    WHERE state = 'pending' AND stage = ?1 AND host > ?2 ORDER BY host, deadline_at LIMIT 1";

/// Selects a host's ready jobs, nearest deadline first.
pub(super) const OF_HOST: &str = "
    SELECT deadline_at, event_seq, ordinal FROM image_jobs INDEXED BY image_jobs_ready
    WHERE state = 'pending' AND stage = ?1 AND host = ?2 ORDER BY deadline_at LIMIT ?3";

/// Selects jobs whose wait is over, by the clock or because the clock jumped back.
pub(super) const DUE: [&str; 2] = [
    "SELECT event_seq, ordinal, lease_token IS NOT NULL FROM image_jobs INDEXED BY image_jobs_waiting
     WHERE state = 'pending' AND stage = 2 AND due_at <= ?1 ORDER BY due_at LIMIT ?2",
    "SELECT event_seq, ordinal, lease_token IS NOT NULL FROM image_jobs INDEXED BY image_jobs_waiting
     WHERE state = 'pending' AND stage = 2 AND due_at > ?1 ORDER BY due_at LIMIT ?2",
];

/// Selects whether any job is ready.
pub(super) const ANY_READY: &str = "
    SELECT 1 FROM image_jobs INDEXED BY image_jobs_ready WHERE state = 'pending' AND stage < 2 LIMIT 1";

/// The result of a poll.
#[derive(Debug, Default)]
pub(in crate::store) struct ImagePoll {
    /// The jobs to lease.
    pub(in crate::store) jobs: Vec<(EventSeq, u8)>,
    /// Whether some waiting jobs are due.
    pub(in crate::store) due: bool,
    /// When the next waiting job is due; `None` if none waits.
    pub(in crate::store) next_due_at: Option<Timestamp>,
    /// Where the next poll begins, for each stage. Empty means the first host.
    pub(in crate::store) after: [String; 2],
}

/// Polls for at most `count` jobs. It only reads.
fn poll_images(
    conn: &Connection,
    now: Timestamp,
    count: usize,
    hosts: &ImageHosts,
) -> rusqlite::Result<ImagePoll> {
    let next_due_at = waiting_due_at(conn, now)?;
    let mut poll = ImagePoll {
        due: next_due_at.is_some_and(|due_at| due_at <= now),
        next_due_at,
        ..ImagePoll::default()
    };
    let mut stages = [0, 1];
    if hosts.retries_first {
        stages.reverse();
    }
    let mut taken = hosts.clone();
    for stage in stages {
        let room = count.saturating_sub(poll.jobs.len());
        if room > 0 {
            let after = hosts.after[stage].clone();
            let (jobs, end) = of_stage(conn, now, stage, room, &after, &mut taken)?;
            poll.jobs.extend(jobs);
            poll.after[stage] = end;
        }
    }
    Ok(poll)
}

/// Returns jobs of a stage, among the hosts behind `after` that have capacity: the nearest deadline of each
/// host, then the second of each, and so on. Jobs of the same turn are in order of their deadlines.
fn of_stage(
    conn: &Connection,
    now: Timestamp,
    stage: usize,
    count: usize,
    after: &str,
    taken: &mut ImageHosts,
) -> rusqlite::Result<(Vec<(EventSeq, u8)>, String)> {
    let stage = signed(stage);
    let mut next = conn.prepare_cached(NEXT_HOST)?;
    let mut of_host = conn.prepare_cached(OF_HOST)?;
    let mut found: Vec<(usize, Timestamp, EventSeq, u8, String)> = Vec::new();
    let mut host = after.to_owned();
    for _host in 0..HOSTS_MAX {
        let mut rows = next.query(params![stage, host])?;
        let Some(row) = rows.next()? else {
            host.clear(); // round, from the first host again
            break;
        };
        host = row.get(0)?;
        let room = taken.room(&host, row.get(1)?, now).min(count);
        if room > 0 {
            let jobs = of_host.query_map(params![stage, host, signed(room)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            for (turn, job) in jobs.enumerate() {
                let (deadline_at, event, ordinal) = job?;
                found.push((turn, deadline_at, event, ordinal, host.clone()));
            }
        }
    }
    found.sort();
    found.truncate(count);
    let jobs = found.into_iter().map(|(_, _, event, ordinal, host)| {
        taken.take(&host);
        (event, ordinal)
    });
    Ok((jobs.collect(), host))
}

/// Returns when the next waiting job is due.
fn waiting_due_at(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let rows = "FROM image_jobs INDEXED BY image_jobs_waiting
                WHERE state = 'pending' AND stage = 2";
    DUE_TIMES.next(conn, rows, [], now)
}

/// Makes waiting jobs ready when they are due. Returns expired leases.
fn ready_images(tx: &Tx<'_>) -> rusqlite::Result<Vec<LostImageLease>> {
    let mut due: Vec<(EventSeq, u8, bool)> = Vec::new();
    for (sql, bound) in DUE.iter().zip(DUE_TIMES.bounds(tx.now)) {
        let mut rows = tx.prepare_cached(sql)?;
        let rows = rows.query_map(params![bound, signed(READY_MAX)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        for row in rows {
            due.push(row?);
        }
    }
    let mut lost = Vec::new();
    for (event, ordinal, was_leased) in due {
        tx.prepare_cached(
            "UPDATE image_jobs SET stage = 1, lease_token = NULL, leases_lost = leases_lost + ?3
             WHERE event_seq = ?1 AND ordinal = ?2",
        )?
        .execute(params![event, ordinal, was_leased])?;
        if was_leased {
            lost.push(lost_lease(tx, event, ordinal, false)?);
        }
    }
    Ok(lost)
}

fn lost_lease(
    tx: &Tx<'_>,
    event: EventSeq,
    ordinal: u8,
    given_up: bool,
) -> rusqlite::Result<LostImageLease> {
    let event_id = tx
        .prepare_cached("SELECT id FROM events WHERE seq = ?1")?
        .query_row([event], |row| row.get(0))?;
    Ok(LostImageLease {
        event,
        event_id,
        ordinal,
        given_up,
    })
}

/// Leases these jobs, as far as they are still ready, and counts the attempt. A job with too many lost
/// leases is given up instead.
fn lease_images(
    tx: &Tx<'_>,
    jobs: &[(EventSeq, u8)],
    lasts: Duration,
) -> rusqlite::Result<LeasedImages> {
    let mut leased = LeasedImages::default();
    for (event, ordinal) in jobs.iter().copied() {
        let given_up = tx
            .prepare_cached(
                "UPDATE image_jobs SET state = 'lost', url = NULL, reason = ?3
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND stage < 2
                   AND leases_lost >= ?4",
            )?
            .execute(params![event, ordinal, REASON, LEASES_LOST_MAX])?;
        if given_up > 0 {
            release_waiting(tx, event)?;
            leased.lost.push(lost_lease(tx, event, ordinal, true)?);
            continue;
        }
        let lease = new_lease(tx, (), lasts);
        let taken = tx
            .prepare_cached(
                "UPDATE image_jobs SET lease_token = ?3, due_at = ?4, stage = 2, attempts = attempts + 1
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND stage < 2",
            )?
            .execute(params![event, ordinal, lease.token, lease.until])?;
        if taken > 0 {
            let item = tx
                .prepare_cached(SELECT_JOB)?
                .query_row(params![event, ordinal], job)?;
            leased.leases.push(lease.with(item));
        }
    }
    Ok(leased)
}

/// The reason stored for a job that is given up.
const REASON: &str = "fetching or checking was interrupted three times in a row";

const SELECT_JOB: &str = "
    SELECT j.event_seq, e.id AS event_id, j.ordinal, j.url, j.host, j.attempts, j.deadline_at
    FROM image_jobs j JOIN events e ON e.seq = j.event_seq
    WHERE j.event_seq = ?1 AND j.ordinal = ?2";

fn job(row: &Row<'_>) -> rusqlite::Result<ImageJob> {
    let attempts: u32 = row.get("attempts")?;
    Ok(ImageJob {
        event: row.get("event_seq")?,
        event_id: row.get("event_id")?,
        ordinal: row.get("ordinal")?,
        url: Private::new(row.get::<_, String>("url")?),
        host: row.get("host")?,
        attempts: attempts.saturating_sub(1),
        deadline_at: row.get("deadline_at")?,
    })
}

fn mark_image_check(
    tx: &Tx<'_>,
    token: LeaseToken,
    event: EventSeq,
    ordinal: u8,
) -> rusqlite::Result<Recorded> {
    let marked = tx
        .prepare_cached(
            "UPDATE image_jobs SET leases_lost = leases_lost + 1
             WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
        )?
        .execute(params![event, ordinal, token])?;
    Ok(match marked {
        0 => Recorded::LeaseLost,
        _ => Recorded::Recorded,
    })
}

fn next_image_due_at(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    if conn.prepare_cached(ANY_READY)?.exists([])? {
        return Ok(Some(now));
    }
    waiting_due_at(conn, now)
}

fn make_images_due(tx: &Tx<'_>) -> rusqlite::Result<u64> {
    let changed = tx
        .prepare_cached(
            "UPDATE image_jobs SET stage = 1, due_at = ?1
             WHERE state = 'pending' AND stage = 2 AND lease_token IS NULL",
        )?
        .execute([tx.now])?;
    if changed > 0 {
        tx.notify(Topic::Images);
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}
