//! Completes leased deliveries: records the attempt and the resulting state together.

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use super::{
    Database, IfAbandoned, deliveries, edits, failover, late_images, messages, status_history,
};
use crate::model::*;
use crate::store::decide::attempt::{self as decide, After, Leased, Rendering};
use crate::store::decide::failover::describe;
use crate::store::{CompletedAttempt, LeaseRelease, NewDelivery, StoreError};
use std::sync::Arc;

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

fn finish_attempt(
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
        record(tx, id, decided.after.attempts, attempt)?;
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
        edits::ended(tx, id)?;
    }
    if let Some(handle) = decided.handle {
        messages::keep(tx, id, handle)?;
        // The sent message does not show a status that changed during the attempt.
        if status_history::changed_since_made(tx, id)? {
            edits::request_all(tx, held.event)?;
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
    let is_new = !held.rerouted && failover::send(tx, held.event, new, held.created_at)?;
    Ok(describe(&new.destination, is_new))
}

/// Inserts the record of an attempt.
fn record(tx: &Tx<'_>, id: DeliveryId, number: u32, attempt: &Attempt) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO attempts (delivery_id, number, started_at, duration_ms, form, outcome, status,
                               code, reason, excerpt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
    ])?;
    Ok(())
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
                               due_since = coalesce(due_since, ?10),
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
    ])?;
    Ok(())
}

fn release_lease(tx: &Tx<'_>, back: &[LeaseRelease]) -> rusqlite::Result<()> {
    for one in back {
        let Some(held) = held(tx, one.id, one.token)? else {
            continue;
        };
        let after = decide::released(held.attempts, one.due_at);
        end_lease(tx, one.id, &after)?;
        tx.notify_destination(&held.destination);
    }
    Ok(())
}
