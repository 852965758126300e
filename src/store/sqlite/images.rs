//! Picture jobs, and what is known of kept pictures.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::tx::Tx;
use super::values::signed;
use super::{deliveries, follow_up, rows};
use crate::model::*;
use crate::store::ImageVerdict;

/// A job waits at longest for its picture's deadline, 72 hours, and an hour for clocks that differ. What
/// is due later than this was written before the wall clock jumped back, and is due now.
pub(super) const DUE_AHEAD_MAX: Duration = Duration::from_secs(73 * 3600);

const SELECT_JOB: &str = "
    SELECT j.event_seq, e.id AS event_id, j.ordinal, j.url, j.attempts, j.deadline_at
    FROM image_jobs j JOIN events e ON e.seq = j.event_seq ";

/// Those that are due are few beside those that wait: they are found by their time and sorted by deadline.
pub(super) const DUE: [&str; 2] = [
    "SELECT event_seq, ordinal FROM image_jobs WHERE state = 'pending' AND due_at <= ?1
     ORDER BY deadline_at LIMIT ?2",
    "SELECT event_seq, ordinal FROM image_jobs WHERE state = 'pending' AND due_at > ?1
     ORDER BY deadline_at LIMIT ?2",
];

/// See [`crate::store::Store::lease_images`].
pub(in crate::store) fn lease_images(
    tx: &Tx<'_>,
    count: usize,
    lease: Duration,
) -> rusqlite::Result<Vec<Lease<ImageJob>>> {
    let until = tx.now + lease;
    let mut due: Vec<(EventSeq, u8)> = Vec::new();
    for (sql, bound) in DUE.iter().zip([tx.now, tx.now + DUE_AHEAD_MAX]) {
        let room = signed(count.saturating_sub(due.len()));
        let mut rows = tx.prepare_cached(sql)?;
        for row in rows.query_map(params![bound, room], |row| Ok((row.get(0)?, row.get(1)?)))? {
            due.push(row?);
        }
    }
    due.into_iter()
        .map(|(event, ordinal)| {
            let token = tx.makers.token();
            tx.prepare_cached(
                "UPDATE image_jobs SET lease_token = ?3, due_at = ?4
                 WHERE event_seq = ?1 AND ordinal = ?2",
            )?
            .execute(params![event, ordinal, token, until])?;
            let item = tx
                .prepare_cached(&format!(
                    "{SELECT_JOB} WHERE j.event_seq = ?1 AND j.ordinal = ?2"
                ))?
                .query_row(params![event, ordinal], job)?;
            Ok(Lease { item, token, until })
        })
        .collect()
}

fn job(row: &Row<'_>) -> rusqlite::Result<ImageJob> {
    Ok(ImageJob {
        event: row.get("event_seq")?,
        event_id: row.get("event_id")?,
        ordinal: row.get("ordinal")?,
        url: Private::new(row.get::<_, String>("url")?),
        attempts: row.get("attempts")?,
        deadline_at: row.get("deadline_at")?,
    })
}

/// See [`crate::store::Store::next_image_due_at`].
pub(in crate::store) fn next_image_due_at(
    conn: &Connection,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let end = |end: &str| -> rusqlite::Result<Option<Timestamp>> {
        conn.prepare_cached(&format!(
            "SELECT {end}(due_at) FROM image_jobs WHERE state = 'pending'"
        ))?
        .query_row([], |row| row.get(0))
    };
    let astray = end("max")?.is_some_and(|last| last > now + DUE_AHEAD_MAX);
    let first = end("min")?;
    Ok(if astray {
        first.map(|first| first.min(now))
    } else {
        first
    })
}

/// See [`crate::store::Store::finish_image`].
pub(in crate::store) fn finish_image(
    tx: &Tx<'_>,
    token: LeaseToken,
    event: EventSeq,
    ordinal: u8,
    verdict: &ImageVerdict,
) -> rusqlite::Result<Recorded> {
    let changed = match verdict {
        ImageVerdict::Kept(kept) => tx
            .prepare_cached(
                "UPDATE image_jobs SET state = 'kept', image_id = ?4, url = NULL, reason = NULL,
                                       attempts = attempts + 1, lease_token = NULL
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, kept.id])?,
        ImageVerdict::RetryAt { due_at, reason } => tx
            .prepare_cached(
                "UPDATE image_jobs SET due_at = ?4, reason = ?5,
                                       attempts = attempts + 1, lease_token = NULL
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, due_at, reason])?,
        ImageVerdict::Lost { reason } => tx
            .prepare_cached(
                "UPDATE image_jobs SET state = 'lost', url = NULL, reason = ?4,
                                       attempts = attempts + 1, lease_token = NULL
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, reason])?,
    };
    if changed == 0 {
        return Ok(Recorded::LeaseLost);
    }
    match verdict {
        ImageVerdict::Kept(kept) => {
            keep(tx, kept)?;
            release_waiting(tx, event)?;
            follow_up::send_late_images(tx, event)?;
        }
        ImageVerdict::Lost { .. } => release_waiting(tx, event)?,
        ImageVerdict::RetryAt { .. } => tx.announce(),
    }
    Ok(Recorded::Recorded)
}

/// Writes down what the bytes are. Bytes that retention removed and that came again are kept anew.
fn keep(tx: &Tx<'_>, kept: &KeptImage) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO images (id, format, bytes, width, height, kept_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'kept')
         ON CONFLICT (id) DO UPDATE SET
             format = excluded.format, bytes = excluded.bytes, width = excluded.width,
             height = excluded.height, kept_at = excluded.kept_at, state = 'kept'",
    )?
    .execute(params![
        kept.id,
        kept.format,
        signed(kept.bytes),
        kept.width,
        kept.height,
        tx.now
    ])?;
    Ok(())
}

/// When the last picture is settled, nothing is left to wait for.
fn release_waiting(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    if rows::images_unsettled(tx, event)? {
        return Ok(());
    }
    let released = tx
        .prepare_cached(
            "UPDATE deliveries SET due_at = min(due_at, ?2), first_due_at = min(first_due_at, ?2),
                                   waits_for_images = 0
             WHERE event_seq = ?1 AND state = 'pending' AND waits_for_images = 1",
        )?
        .execute(params![event, tx.now])?;
    if released > 0 {
        tx.announce();
    }
    Ok(())
}

/// See [`crate::store::Store::make_images_due`].
pub(in crate::store) fn make_images_due(tx: &Tx<'_>) -> rusqlite::Result<u64> {
    let changed = tx
        .prepare_cached(
            "UPDATE image_jobs SET due_at = ?1
             WHERE state = 'pending' AND due_at > ?1 AND lease_token IS NULL",
        )?
        .execute([tx.now])?;
    if changed > 0 {
        tx.announce();
    }
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// See [`crate::store::Store::image_key`].
pub(in crate::store) fn image_key(
    conn: &Connection,
    app_id: &str,
    image: &ImageId,
) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT key FROM image_keys WHERE image_id = ?1 AND app_id = ?2")?
        .query_row(params![image, app_id], |row| row.get(0))
        .optional()
}

/// See [`crate::store::Store::put_image_key`].
pub(in crate::store) fn put_image_key(
    tx: &Tx<'_>,
    app_id: &str,
    image: &ImageId,
    key: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO image_keys (image_id, app_id, key) VALUES (?1, ?2, ?3)
         ON CONFLICT (image_id, app_id) DO UPDATE SET key = excluded.key",
    )?
    .execute(params![image, app_id, key])?;
    Ok(())
}

/// See [`crate::store::Store::forget_image_keys`].
pub(in crate::store) fn forget_image_keys(
    tx: &Tx<'_>,
    app_id: &str,
    images: &[ImageId],
    delivery: DeliveryId,
) -> rusqlite::Result<()> {
    for image in images {
        tx.prepare_cached("DELETE FROM image_keys WHERE image_id = ?1 AND app_id = ?2")?
            .execute(params![image, app_id])?;
    }
    deliveries::drop_payload(tx, delivery)
}

/// See [`crate::store::Store::kept_image`].
pub(in crate::store) fn kept_image(
    conn: &Connection,
    id: &ImageId,
) -> rusqlite::Result<Option<KeptImage>> {
    conn.prepare_cached(
        "SELECT id, format, bytes, width, height FROM images WHERE id = ?1 AND state = 'kept'",
    )?
    .query_row([id], rows::kept_image_row)
    .optional()
}
