//! Completes leased deliveries: records the attempt and the resulting state together.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::tx::Tx;
use super::values::signed;
use super::{
    Database, IfAbandoned, deliveries, edits, failover, late_images, messages, status_history,
};
use crate::model::*;
use crate::store::decide::attempt::{self as decide, After, Leased, Rendering};
use crate::store::decide::failover::describe;
use crate::store::{CompletedAttempt, LeaseRelease, NewDelivery, StoreError};

impl Database {
    /// See [`crate::store::Store::finish_attempt`].
    pub(in crate::store) async fn finish_attempt(
        &self,
        token: LeaseToken,
        finished: Arc<CompletedAttempt>,
    ) -> Result<Recorded, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            finish_attempt(tx, token, &finished)
        })
        .await
    }

    /// See [`crate::store::Store::paced_sends`].
    pub(in crate::store) async fn paced_sends(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(DestinationName, Timestamp)>, StoreError> {
        self.read(move |conn| paced_sends(conn, since)).await
    }

    /// See [`crate::store::Store::release_lease`].
    pub(in crate::store) async fn release_lease(
        &self,
        back: Vec<LeaseRelease>,
    ) -> Result<(), StoreError> {
        self.write(IfAbandoned::Run, move |tx| release_lease(tx, &back))
            .await
    }
}

/// The columns needed to complete a delivery.
struct Held {
    event: EventSeq,
    created_at: Timestamp,
    rerouted: bool,
    destination: DestinationName,
    trigger: Trigger,
    form: Form,
    attempts: u32,
}

/// Returns the delivery if `token` still proves its lease.
fn held(tx: &Tx<'_>, id: DeliveryId, token: LeaseToken) -> rusqlite::Result<Option<Held>> {
    tx.prepare_cached(
        "SELECT event_seq, destination, trigger, form, attempts, created_at, rerouted FROM deliveries
         WHERE id = ?1 AND state = 'sending' AND lease_token = ?2",
    )?
    .query_row(params![id, token], |row| {
        Ok(Held {
            event: row.get(0)?,
            destination: row.get(1)?,
            trigger: row.get(2)?,
            form: row.get(3)?,
            attempts: row.get(4)?,
            created_at: row.get(5)?,
            rerouted: row.get(6)?,
        })
    })
    .optional()
}

fn leased(tx: &Tx<'_>, held: &Held) -> rusqlite::Result<Leased> {
    Ok(Leased {
        trigger: held.trigger,
        form: held.form,
        attempts: held.attempts,
        shown_before: match held.trigger == Trigger::LateImages {
            true => late_images::shown(tx, held.event, &held.destination)?,
            false => 0,
        },
    })
}

pub(super) fn finish_attempt(
    tx: &Tx<'_>,
    token: LeaseToken,
    finished: &CompletedAttempt,
) -> rusqlite::Result<Recorded> {
    let id = finished.id;
    let Some(held) = held(tx, id, token)? else {
        return Ok(Recorded::LeaseLost);
    };
    let mut decided = decide::finished(&leased(tx, &held)?, finished);
    if let Some(attempt) = &finished.attempt {
        record(tx, id, decided.after.attempts, attempt, finished.paced)?;
    }
    if let Some(fallback) = &finished.fallback {
        let how = reroute(tx, &held, fallback)?;
        let why = decided.after.reason.unwrap_or_default();
        decided.after.reason = Some(format!("{why}; {how}").into());
    }
    end_lease(tx, id, &decided.after)?;
    if decided.is_retried {
        tx.notify_destination(&held.destination);
    } else if held.trigger == Trigger::Edit {
        if finished.is_final {
            messages::mark_final(tx, id)?;
        }
        edits::ended(tx, id)?;
    }
    if let Some(handle) = decided.handle {
        messages::keep(tx, id, handle)?;
        // The sent message does not show a status that changed during the attempt.
        if status_history::changed_since_made(tx, id)? {
            edits::request_all(tx, held.event)?;
        }
        if decided.edit {
            edits::request(tx, id)?;
        }
    }
    if decided.late_images {
        late_images::send_late_images(tx, held.event)?;
    }
    match decided.rendering {
        Rendering::Keep(payload) => deliveries::keep_payload(tx, id, held.form, payload)?,
        Rendering::Drop => deliveries::drop_payload(tx, id)?,
        Rendering::Stays => {}
    }
    Ok(Recorded::Recorded)
}

/// Reroutes a message that is given up to its fallback. Returns the result as text.
fn reroute(tx: &Tx<'_>, held: &Held, new: &NewDelivery) -> rusqlite::Result<String> {
    let found = failover::send(tx, held.event, new, held.created_at, held.rerouted)?;
    Ok(describe(&new.destination, found))
}

/// Inserts the record of an attempt.
fn record(
    tx: &Tx<'_>,
    id: DeliveryId,
    number: u32,
    attempt: &Attempt,
    paced: bool,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO attempts (delivery_id, number, started_at, duration_ms, form, outcome, status,
                               code, reason, excerpt, paced)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        id,
        number,
        attempt.started_at,
        attempt.duration_ms,
        attempt.form,
        attempt.outcome,
        attempt.status,
        attempt.code,
        attempt.reason,
        attempt.excerpt.as_deref().map(cut),
        paced,
    ])?;
    Ok(())
}

/// The most attempts that are read at a start: more than the platforms accept in a minute. If there are more,
/// only the latest count.
const PACED_MAX: u32 = 50_000;

/// Selects the latest attempts that rate limits count.
pub(super) const PACED: &str = "SELECT d.destination, a.started_at, a.duration_ms
     FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
     WHERE a.paced = 1 AND a.started_at > ?1 ORDER BY a.started_at DESC LIMIT ?2";

fn paced_sends(
    conn: &Connection,
    since: Timestamp,
) -> rusqlite::Result<Vec<(DestinationName, Timestamp)>> {
    conn.prepare_cached(PACED)?
        .query_map(params![since, PACED_MAX], |row| {
            let started_at: Timestamp = row.get(1)?;
            let took_ms: u32 = row.get(2)?;
            let took = Duration::from_millis(took_ms.into());
            Ok((row.get(0)?, started_at + took))
        })?
        .collect()
}

/// Cuts a response to at most [`EXCERPT_BYTES_MAX`], without splitting a character.
fn cut(excerpt: &str) -> &str {
    let end = excerpt.floor_char_boundary(EXCERPT_BYTES_MAX);
    excerpt.split_at(end).0
}

/// Ends the lease and writes the new values.
fn end_lease(tx: &Tx<'_>, id: DeliveryId, after: &After<'_>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = ?2, attempts = ?3,
                               reason = iif(?2 = 'pending', coalesce(?4, reason), ?4),
                               due_at = coalesce(?5, due_at), form = coalesce(?6, form),
                               shown = coalesce(?7, shown),
                               failures = failures + ?8, unanswered = unanswered + ?9,
                               tried = max(tried, ?11), failed_at = iif(?8, ?10, failed_at),
                               due_since = min(coalesce(due_since, ?10) + ?12, ?10),
                               lease_token = NULL, lease_until = NULL
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        after.state,
        after.attempts,
        after.reason,
        after.due_at,
        after.form,
        after.shown,
        after.failure.is_some(),
        after.failure.is_some_and(|failure| failure.unanswered),
        tx.uptime,
        after.tried,
        signed(after.uncounted.as_millis()),
    ])?;
    Ok(())
}

fn release_lease(tx: &Tx<'_>, back: &[LeaseRelease]) -> rusqlite::Result<()> {
    for one in back {
        let Some(held) = held(tx, one.id, one.token)? else {
            continue;
        };
        let after = decide::released(held.attempts, one);
        end_lease(tx, one.id, &after)?;
        tx.notify_destination(&held.destination);
    }
    Ok(())
}
