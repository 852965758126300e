//! Closing leased work: the attempt and the state it leads to, together.

use rusqlite::{OptionalExtension, named_params, params};

use super::tx::Tx;
use super::{deliveries, edits, fall_back, follow_up, history, messages};
use crate::model::*;
use crate::store::Finished;

/// What closing a delivery needs of its row.
struct Held {
    event: EventSeq,
    destination: DestinationName,
    trigger: Trigger,
    form: Form,
}

/// The delivery, if `token` still proves its lease.
fn held(tx: &Tx<'_>, id: DeliveryId, token: LeaseToken) -> rusqlite::Result<Option<Held>> {
    tx.prepare_cached(
        "SELECT event_seq, destination, trigger, form FROM deliveries
         WHERE id = ?1 AND state = 'sending' AND lease_token = ?2",
    )?
    .query_row(params![id, token], |row| {
        Ok(Held {
            event: row.get("event_seq")?,
            destination: row.get("destination")?,
            trigger: row.get("trigger")?,
            form: row.get("form")?,
        })
    })
    .optional()
}

/// See [`crate::store::Store::finish_attempt`].
pub(in crate::store) fn finish_attempt(
    tx: &Tx<'_>,
    token: LeaseToken,
    finished: &Finished,
) -> rusqlite::Result<Recorded> {
    let id = finished.id;
    let Some(held) = held(tx, id, token)? else {
        return Ok(Recorded::LeaseLost);
    };
    if let Some(attempt) = &finished.attempt {
        record(tx, id, attempt)?;
    }
    let reason = finished
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.reason.as_deref());
    if held.trigger == Trigger::Edit {
        finish_edit(tx, id, &finished.verdict, reason)?;
        return Ok(Recorded::Recorded);
    }
    let payload = finished.payload.as_deref();
    match &finished.verdict {
        Verdict::Done => {
            // Pictures that a destination was sent and did not show would be sent for ever.
            let in_vain = held.trigger == Trigger::LateImages
                && finished.shown & !follow_up::shown(tx, held.event, &held.destination)? == 0;
            close(tx, id, DeliveryState::Delivered, None)?;
            set_shown(tx, id, finished.shown)?;
            deliveries::drop_payload(tx, id)?;
            if let Some(handle) = &finished.handle {
                messages::keep(tx, id, handle)?;
                // A status that changed while this was on its way is not in what was sent.
                if history::changed_since_made(tx, id)? {
                    edits::request_all(tx, held.event)?;
                }
            }
            if !in_vain {
                follow_up::send_late_images(tx, held.event)?;
            }
        }
        Verdict::RetryAt { due_at, form } => {
            back_to_pending(tx, id, *due_at, *form, reason)?;
            if *form != held.form {
                deliveries::drop_payload(tx, id)?;
            } else if let Some(payload) = payload {
                deliveries::keep_payload(tx, id, *form, payload)?;
                set_shown(tx, id, finished.shown)?;
            }
        }
        Verdict::Dead { reason } => {
            close(tx, id, DeliveryState::Dead, Some(reason))?;
            if let Some(payload) = payload {
                deliveries::keep_payload(tx, id, held.form, payload)?;
                set_shown(tx, id, finished.shown)?;
            }
        }
    }
    if let Some(fallback) = &finished.fallback {
        fall_back::send(tx, held.event, fallback)?;
    }
    Ok(Recorded::Recorded)
}

/// Nothing of an edit is kept to be repeated, and nothing follows from it but another edit.
fn finish_edit(
    tx: &Tx<'_>,
    id: DeliveryId,
    verdict: &Verdict,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    match verdict {
        Verdict::RetryAt { due_at, form } => {
            return back_to_pending(tx, id, *due_at, *form, reason);
        }
        Verdict::Done => close(tx, id, DeliveryState::Delivered, None)?,
        Verdict::Dead { reason } => close(tx, id, DeliveryState::Discarded, Some(reason))?,
    }
    edits::ended(tx, id)
}

/// Writes down an attempt. The journal counts them itself, so that no two have one number.
fn record(tx: &Tx<'_>, id: DeliveryId, attempt: &Attempt) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE deliveries SET attempts = attempts + 1 WHERE id = ?1")?
        .execute([id])?;
    tx.prepare_cached(
        "INSERT INTO attempts (delivery_id, number, started_at, duration_ms, form, outcome, status,
                               code, reason, excerpt)
         SELECT id, attempts, :started_at, :duration_ms, :form, :outcome, :status, :code, :reason,
                :excerpt
         FROM deliveries WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":started_at": attempt.started_at,
        ":duration_ms": attempt.duration_ms,
        ":form": attempt.form,
        ":outcome": attempt.outcome,
        ":status": attempt.status,
        ":code": attempt.code,
        ":reason": attempt.reason,
        ":excerpt": attempt.excerpt.as_deref().map(cut),
    })?;
    Ok(())
}

/// At most [`EXCERPT_BYTES_MAX`] of an answer, whole characters.
fn cut(excerpt: &str) -> &str {
    let end = excerpt.floor_char_boundary(EXCERPT_BYTES_MAX);
    excerpt.split_at(end).0
}

fn close(
    tx: &Tx<'_>,
    id: DeliveryId,
    state: DeliveryState,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = ?2, reason = ?3, lease_token = NULL, lease_until = NULL
         WHERE id = ?1",
    )?
    .execute(params![id, state, reason])?;
    Ok(())
}

fn set_shown(tx: &Tx<'_>, id: DeliveryId, shown: u32) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE deliveries SET shown = ?2 WHERE id = ?1")?
        .execute(params![id, shown])?;
    Ok(())
}

fn back_to_pending(
    tx: &Tx<'_>,
    id: DeliveryId,
    due_at: Timestamp,
    form: Form,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'pending', due_at = ?2, form = ?3, reason = coalesce(?4, reason),
                               lease_token = NULL, lease_until = NULL
         WHERE id = ?1",
    )?
    .execute(params![id, due_at, form, reason])?;
    tx.announce();
    Ok(())
}

/// See [`crate::store::Store::put_back`].
pub(in crate::store) fn put_back(
    tx: &Tx<'_>,
    id: DeliveryId,
    token: LeaseToken,
    due_at: Timestamp,
) -> rusqlite::Result<Recorded> {
    match held(tx, id, token)? {
        Some(held) => {
            back_to_pending(tx, id, due_at, held.form, None)?;
            Ok(Recorded::Recorded)
        }
        None => Ok(Recorded::LeaseLost),
    }
}
