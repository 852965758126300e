//! Completes leased deliveries: records the attempt and the resulting state together.

use rusqlite::{Connection, OptionalExtension, params};

use std::borrow::Cow;
use std::time::Duration;

use super::engine::tx::Tx;
use super::values::signed;
use super::{deliveries, edits, failover, late_images, messages, status_history};
use crate::model::*;
use crate::store::{ALL_SHOWN, CompletedAttempt, LeaseRelease, NewDelivery};

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

/// The new values of a delivery after its lease, written at once. `None` leaves a column unchanged.
struct After<'a> {
    state: DeliveryState,
    attempts: u32,
    failure: Option<Failure>,
    /// Whether untried messages now go first. A message that was answered with a pause may be the cause of it.
    tried: bool,
    reason: Option<Cow<'a, str>>,
    due_at: Option<Timestamp>,
    form: Option<Form>,
    shown: Option<u32>,
    /// How much later `retry_for` now counts from.
    uncounted: Duration,
}

/// See [`crate::store::Store::finish_attempt`].
pub(in crate::store) fn finish_attempt(
    tx: &Tx<'_>,
    token: LeaseToken,
    finished: &CompletedAttempt,
) -> rusqlite::Result<Recorded> {
    let id = finished.id;
    let Some(held) = held(tx, id, token)? else {
        return Ok(Recorded::LeaseLost);
    };
    let mut attempts = held.attempts;
    if let Some(attempt) = &finished.attempt {
        // The store numbers the attempts itself, so that no two share a number.
        attempts = attempts.saturating_add(1);
        record(tx, id, attempts, attempt, finished.paced)?;
    }
    // Without this check, images that a destination cannot show would be resent forever.
    let in_vain = held.trigger == Trigger::LateImages
        && finished.verdict == Verdict::Done
        && finished.shown & !late_images::shown(tx, held.event, &held.destination)? == 0;
    let mut after = after(finished, &held, attempts);
    if let Some(fallback) = &finished.fallback {
        let how = reroute(tx, &held, fallback)?;
        let why = after.reason.unwrap_or_default();
        after.reason = Some(format!("{why}; {how}").into());
    }
    end_lease(tx, id, &after)?;
    let is_retried = matches!(finished.verdict, Verdict::RetryAt { .. });
    if is_retried {
        tx.notify_destination(&held.destination);
    }
    if held.trigger == Trigger::Edit {
        // The rendering of an edit is not kept, and only another edit can follow it.
        if !is_retried {
            edits::ended(tx, id)?;
        }
        return Ok(Recorded::Recorded);
    }
    match &finished.verdict {
        Verdict::Done => {
            if let Some(handle) = &finished.handle {
                messages::keep(tx, id, handle)?;
                // The sent message does not show a status that changed during the attempt.
                if status_history::changed_since_made(tx, id)? {
                    edits::request_all(tx, held.event)?;
                }
            }
            if !in_vain && finished.shown != ALL_SHOWN {
                late_images::send_late_images(tx, held.event)?;
            }
        }
        Verdict::RetryAt { .. } | Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => {}
    }
    keep_or_drop_payload(tx, finished, &held)?;
    Ok(Recorded::Recorded)
}

/// Reroutes a message that is given up to its fallback. Returns the result as text.
fn reroute(tx: &Tx<'_>, held: &Held, new: &NewDelivery) -> rusqlite::Result<String> {
    let (event, since) = (held.event, held.created_at);
    let is_sent = !held.rerouted && failover::send(tx, event, new, since)?;
    failover::how(tx, event, &new.destination, since, is_sent)
}

/// A failure that counts for the backoff.
#[derive(Clone, Copy)]
struct Failure {
    /// Whether the response was lost.
    unanswered: bool,
}

/// Returns the failure if the attempt counts for the backoff. Rate limits, rejected forms and stops do
/// not count, because they say nothing about the message.
fn failure(finished: &CompletedAttempt, held: &Held) -> Option<Failure> {
    let same_form = match &finished.verdict {
        Verdict::RetryAt { form, .. } => *form == held.form,
        Verdict::Done | Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => true,
    };
    let unanswered = match finished.attempt.as_ref()?.outcome {
        OutcomeKind::Retry | OutcomeKind::Unknown => false,
        OutcomeKind::Ambiguous => true,
        OutcomeKind::Delivered
        | OutcomeKind::SlowDown
        | OutcomeKind::Degrade
        | OutcomeKind::Rejected
        | OutcomeKind::Stop => return None,
    };
    same_form.then_some(Failure { unanswered })
}

/// Computes the new values of the row.
fn after<'a>(finished: &'a CompletedAttempt, held: &Held, attempts: u32) -> After<'a> {
    let attempt = finished.attempt.as_ref();
    let shown = Some(finished.shown);
    let edit = held.trigger == Trigger::Edit;
    let failure = failure(finished, held);
    let slowed = attempt.is_some_and(|attempt| attempt.outcome == OutcomeKind::SlowDown);
    let after = After {
        state: DeliveryState::Delivered,
        attempts,
        tried: slowed || failure.is_some(),
        failure,
        reason: None,
        due_at: None,
        form: None,
        shown: None,
        uncounted: finished.uncounted,
    };
    match &finished.verdict {
        Verdict::Done => After {
            shown: shown.filter(|_| !edit),
            ..after
        },
        Verdict::RetryAt { due_at, form } => After {
            state: DeliveryState::Pending,
            reason: attempt.and_then(|attempt| attempt.reason.as_deref().map(Cow::Borrowed)),
            due_at: Some(*due_at),
            form: Some(*form),
            shown: shown.filter(|_| kept(finished, held).is_some()),
            ..after
        },
        Verdict::Dead { reason } => After {
            state: match edit {
                true => DeliveryState::Discarded,
                false => DeliveryState::Dead,
            },
            reason: Some(reason.into()),
            shown: shown.filter(|_| kept(finished, held).is_some()),
            ..after
        },
        Verdict::Unconfirmed { reason } => After {
            state: match edit {
                true => DeliveryState::Discarded,
                false => DeliveryState::Unconfirmed,
            },
            reason: Some(reason.into()),
            shown: shown.filter(|_| kept(finished, held).is_some()),
            ..after
        },
    }
}

/// Returns the rendering to keep for retries, if its form is the one that is due.
fn kept<'a>(finished: &'a CompletedAttempt, held: &Held) -> Option<&'a str> {
    let payload = finished.payload.as_deref();
    let payload = payload.filter(|_| held.trigger != Trigger::Edit);
    match finished.verdict {
        Verdict::Done => None,
        Verdict::RetryAt { form, .. } => payload.filter(|_| form == held.form),
        Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => payload,
    }
}

fn keep_or_drop_payload(
    tx: &Tx<'_>,
    finished: &CompletedAttempt,
    held: &Held,
) -> rusqlite::Result<()> {
    let id = finished.id;
    if let Some(payload) = kept(finished, held) {
        return deliveries::keep_payload(tx, id, held.form, payload);
    }
    let useless = match finished.verdict {
        Verdict::Done => true,
        Verdict::RetryAt { form, .. } => form != held.form,
        Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => false,
    };
    // The first attempt has no earlier rendering to drop.
    if useless && held.attempts > 0 {
        deliveries::drop_payload(tx, id)?;
    }
    Ok(())
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

/// The most attempts that are read at a start: more than the platforms accept in a minute. Of a larger number
/// only the latest count.
const PACED_MAX: u32 = 50_000;

/// Selects the latest attempts that rate limits count.
pub(super) const PACED: &str = "SELECT d.destination, a.started_at, a.duration_ms
     FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
     WHERE a.paced = 1 AND a.started_at > ?1 ORDER BY a.started_at DESC LIMIT ?2";

/// See [`crate::store::Store::paced_sends`].
pub(in crate::store) fn paced_sends(
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

/// Ends the lease and writes the new values. A delivery that waits again keeps its old reason if there
/// is no new one.
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

/// See [`crate::store::Store::release_lease`].
pub(in crate::store) fn release_lease(tx: &Tx<'_>, back: &[LeaseRelease]) -> rusqlite::Result<()> {
    for one in back {
        let Some(held) = held(tx, one.id, one.token)? else {
            continue;
        };
        let after = After {
            state: DeliveryState::Pending,
            attempts: held.attempts,
            failure: None,
            tried: false,
            reason: one.reason.as_deref().map(Cow::Borrowed),
            due_at: Some(one.due_at),
            form: None,
            shown: None,
            uncounted: Duration::ZERO,
        };
        end_lease(tx, one.id, &after)?;
        tx.notify_destination(&held.destination);
    }
    Ok(())
}
