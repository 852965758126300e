//! Feedback statuses, changed by button actions and by platform reports.
//!
//! Each change is one transaction. It contains the status, a history entry, an edit of every message
//! that shows it, and a status outbox entry.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::engine::tx::Tx;
use super::status_history::{Told, record};
use super::{edits, status_outbox};
use crate::model::*;
use crate::store::{ActionOutcome, ApplyAction};

/// How long a button action can be undone.
const UNDO_FOR: Duration = Duration::from_secs(15 * 60);
/// A platform report within this time of the relay's request is its echo. The margin covers clock
/// differences.
const ECHO_WITHIN: Duration = Duration::from_secs(60);
/// How many undo periods one command ends, so that other commands do not wait long.
const BATCH: u32 = 64;

/// The identity of a feedback: its app's id and its own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) app: String,
    pub(super) id: String,
}

/// A row of `feedback_states`.
struct Known {
    state: FeedbackState,
    event: Option<EventSeq>,
    previous: FeedbackStatus,
    /// Whether the previous status was local-only.
    previous_here_only: bool,
    platform_at: Option<Timestamp>,
}

const COLUMNS: &str =
    "s.event_seq, s.status, s.previous, s.changed_at, s.through, s.by_name, s.by_id,
    s.by_app, s.undo_until, s.here_only, s.previous_here_only, s.platform_at";

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        state: FeedbackState {
            status: row.get("status")?,
            changed_at: row.get("changed_at")?,
            by: actor(row)?,
            through: row.get("through")?,
            undo_until: row.get("undo_until")?,
            local_only: row.get("here_only")?,
        },
        event: row.get("event_seq")?,
        previous: row.get("previous")?,
        previous_here_only: row.get("previous_here_only")?,
        platform_at: row.get("platform_at")?,
    })
}

pub(super) fn actor(row: &Row<'_>) -> rusqlite::Result<Actor> {
    let private = |name| -> rusqlite::Result<Option<Private>> {
        Ok(row.get::<_, Option<String>>(name)?.map(Private::new))
    };
    Ok(Actor {
        name: private("by_name")?,
        id: private("by_id")?,
        app: row.get("by_app")?,
    })
}

fn read(conn: &Connection, key: &Key) -> rusqlite::Result<Option<Known>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM feedback_states s WHERE s.feedback_app = ?1 AND s.feedback_id = ?2"
    ))?
    .query_row([&key.app, &key.id], known)
    .optional()
}

/// Returns the status of the feedback that an event created.
pub(in crate::store) fn state_of(
    conn: &Connection,
    event: EventSeq,
) -> rusqlite::Result<Option<FeedbackState>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM feedback_states s WHERE s.event_seq = ?1"
    ))?
    .query_row([event], known)
    .optional()
    .map(|found| found.map(|known| known.state))
}

/// Returns the feedback that an event created.
pub(super) fn key_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Option<Key>> {
    conn.prepare_cached(
        "SELECT feedback_app, feedback_id FROM events
         WHERE seq = ?1 AND feedback_id IS NOT NULL",
    )?
    .query_row([event], |row| {
        Ok(Key {
            app: row.get(0)?,
            id: row.get(1)?,
        })
    })
    .optional()
}

/// See [`crate::store::Store::apply_action`].
pub(in crate::store) fn apply_action(
    tx: &Tx<'_>,
    acting: &ApplyAction,
) -> rusqlite::Result<ActionOutcome> {
    let Some(key) = key_of(tx, acting.event)? else {
        return Ok(ActionOutcome::Unknown);
    };
    let before = read(tx, &key)?;
    let status = match (acting.act.status(), &before) {
        (Some(wanted), Some(known)) if known.state.status == wanted => {
            return Ok(ActionOutcome::Already(known.state.clone()));
        }
        (Some(wanted), _) => wanted,
        (None, None) => return Ok(ActionOutcome::Unknown),
        (None, Some(known)) if acting.undoes != Some(known.state.changed_at) => {
            return Ok(ActionOutcome::Already(known.state.clone()));
        }
        (None, Some(known)) => match known.state.undo_until {
            Some(until) if until > tx.now => known.previous,
            Some(_) | None => return Ok(ActionOutcome::TooLate(known.state.clone())),
        },
    };
    let undo_until = acting.act.status().map(|_| tx.now + UNDO_FOR);
    // Undoing a change that the platform never got leaves nothing to write. It has the previous status,
    // or never had that one either.
    let taken_back = before
        .as_ref()
        .filter(|known| undo_until.is_none() && known.state.local_only);
    let state = FeedbackState {
        status,
        changed_at: after(before.as_ref(), tx.now),
        by: acting.by.clone(),
        through: acting.through,
        undo_until,
        local_only: taken_back.map_or(acting.operator.is_none(), |known| known.previous_here_only),
    };
    write(tx, &key, Some(acting.event), before.as_ref(), &state)?;
    let entry = Told {
        event: None,
        act: Some(acting.act),
        effect: Effect::Changed,
    };
    record(tx, &key, &state, entry)?;
    match &acting.operator {
        Some(operator) if taken_back.is_none() => {
            status_outbox::enqueue(tx, &key, acting.event, status, operator)?;
        }
        Some(_) | None => status_outbox::cancel(tx, &key)?,
    }
    edits::request_all(tx, acting.event)?;
    Ok(ActionOutcome::Changed(state))
}

/// Returns a time for a change that differs from the previous change's time.
fn after(before: Option<&Known>, now: Timestamp) -> Timestamp {
    let last = before.map(|known| known.state.changed_at + Duration::from_millis(1));
    last.map_or(now, |last| last.max(now))
}

/// Applies a platform report about one or more feedbacks. Returns the effect on each.
pub(super) fn apply_platform_change(
    tx: &Tx<'_>,
    event: EventSeq,
    change: &FeedbackChange,
) -> rusqlite::Result<Vec<(Effect, Option<EventSeq>)>> {
    let mut effects = Vec::new();
    for id in &change.feedback_ids {
        let key = Key {
            app: change.app_id.clone(),
            id: id.clone(),
        };
        effects.push(apply_one_platform_change(tx, Some(event), change, &key)?);
    }
    Ok(effects)
}

fn apply_one_platform_change(
    tx: &Tx<'_>,
    told_by: Option<EventSeq>,
    change: &FeedbackChange,
    key: &Key,
) -> rusqlite::Result<(Effect, Option<EventSeq>)> {
    let before = read(tx, key)?;
    let brought_by = match &before {
        Some(known) => known.event,
        None => event_of(tx, key)?,
    };
    let effect = effect(tx, key, before.as_ref(), change)?;
    let said_at = change.updated_at.or(change.told_at);
    let state = FeedbackState {
        status: change.status,
        changed_at: after(before.as_ref(), said_at.map_or(tx.now, |at| at.min(tx.now))),
        by: change.by.clone(),
        through: ChangeSource::Platform,
        undo_until: None,
        local_only: false,
    };
    if effect == Effect::Changed || before.is_none() {
        write(tx, key, brought_by, before.as_ref(), &state)?;
        status_outbox::cancel(tx, key)?;
    }
    if effect != Effect::Stale {
        tx.prepare_cached(
            "UPDATE feedback_states SET platform_at = max(coalesce(platform_at, ?3), ?3)
             WHERE feedback_app = ?1 AND feedback_id = ?2",
        )?
        .execute(params![key.app, key.id, change.updated_at])?;
    }
    let entry = Told {
        event: told_by,
        act: None,
        effect,
    };
    record(tx, key, &state, entry)?;
    if let (Effect::Changed, Some(event)) = (effect, brought_by) {
        edits::request_all(tx, event)?;
    }
    Ok((effect, brought_by))
}

/// See [`crate::store::Store::platform_lists`].
pub(in crate::store) fn platform_lists(
    tx: &Tx<'_>,
    listed: &[FeedbackChange],
) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for change in listed {
        for id in &change.feedback_ids {
            let key = Key {
                app: change.app_id.clone(),
                id: id.clone(),
            };
            if is_newer(tx, change, &key)? {
                apply_one_platform_change(tx, None, change, &key)?;
                changed += 1;
            }
        }
    }
    Ok(changed)
}

/// Returns whether a platform list has news about kept feedback. A button action is only replaced by a
/// later platform date, and never while it is in the outbox. A date in the future means an unexpected
/// time zone, so it is ignored.
fn is_newer(tx: &Tx<'_>, change: &FeedbackChange, key: &Key) -> rusqlite::Result<bool> {
    let before = read(tx, key)?;
    let kept = match &before {
        Some(known) => known.event.is_some(),
        None => event_of(tx, key)?.is_some(),
    };
    let clicked = before
        .as_ref()
        .is_some_and(|known| known.state.through != ChangeSource::Platform);
    let dated = change
        .updated_at
        .is_some_and(|at| at <= tx.now + ECHO_WITHIN);
    if !kept || clicked && (!dated || status_outbox::is_waiting(tx, key)?) {
        return Ok(false);
    }
    Ok(effect(tx, key, before.as_ref(), change)? == Effect::Changed)
}

/// Returns the effect of a platform report. Reports come late, out of order, and also echo the relay's
/// own requests.
fn effect(
    tx: &Tx<'_>,
    key: &Key,
    before: Option<&Known>,
    change: &FeedbackChange,
) -> rusqlite::Result<Effect> {
    let Some(before) = before else {
        return Ok(match change.status {
            FeedbackStatus::UNPROCESSED => Effect::Known,
            _ => Effect::Changed,
        });
    };
    let older = |one: Option<Timestamp>, other: Option<Timestamp>| match (one, other) {
        (Some(one), Some(other)) => one < other,
        (Some(_) | None, _) => false,
    };
    if older(change.updated_at, before.platform_at) {
        return Ok(Effect::Stale);
    }
    if change.status == before.state.status {
        // The platform now has a status that messages show as local-only.
        return Ok(match before.state.local_only {
            true => Effect::Changed,
            false => Effect::Known,
        });
    }
    if before.state.through == ChangeSource::Platform {
        return Ok(Effect::Changed);
    }
    // The last change was a button action. `told_at` has a zone and milliseconds, so it is comparable
    // with the relay's clock.
    let told_at = change.told_at.or(change.updated_at);
    if let (Some(at), Some((status, sent_at))) = (told_at, status_outbox::sent(tx, key)?)
        && status == change.status
        && at + ECHO_WITHIN >= sent_at
        && at <= sent_at + ECHO_WITHIN
    {
        return Ok(Effect::Known);
    }
    Ok(match older(told_at, Some(before.state.changed_at)) {
        true => Effect::Stale,
        false => Effect::Changed,
    })
}

fn event_of(conn: &Connection, key: &Key) -> rusqlite::Result<Option<EventSeq>> {
    // If several apps received it: the first event.
    conn.prepare_cached("SELECT min(seq) FROM events WHERE feedback_id = ?1 AND feedback_app = ?2")?
        .query_row([&key.id, &key.app], |row| row.get(0))
}

fn write(
    tx: &Tx<'_>,
    key: &Key,
    event: Option<EventSeq>,
    before: Option<&Known>,
    state: &FeedbackState,
) -> rusqlite::Result<()> {
    let previous = before.map_or(FeedbackStatus::UNPROCESSED, |known| known.state.status);
    tx.prepare_cached(
        "INSERT INTO feedback_states (feedback_app, feedback_id, event_seq, status, previous,
             previous_here_only, changed_at, through, by_name, by_id, by_app, undo_until, here_only)
         VALUES (:app, :id, :event, :status, :previous, :previous_here_only, :changed_at, :through,
                 :name, :by, :by_app, :undo_until, :here_only)
         ON CONFLICT (feedback_app, feedback_id) DO UPDATE SET
             event_seq = excluded.event_seq, status = excluded.status,
             previous = excluded.previous, previous_here_only = excluded.previous_here_only,
             changed_at = excluded.changed_at, through = excluded.through, by_name = excluded.by_name, by_id = excluded.by_id,
             by_app = excluded.by_app, undo_until = excluded.undo_until,
             here_only = excluded.here_only",
    )?
    .execute(named_params! {
        ":app": key.app,
        ":id": key.id,
        ":event": event,
        ":status": state.status,
        ":previous": previous,
        ":previous_here_only": before.is_some_and(|known| known.state.local_only),
        ":changed_at": state.changed_at,
        ":through": state.through,
        ":name": state.by.name.as_ref().map(Private::expose),
        ":by": state.by.id.as_ref().map(Private::expose),
        ":by_app": state.by.app,
        ":undo_until": state.undo_until,
        ":here_only": state.local_only,
    })?;
    Ok(())
}

/// Links a feedback to its originating event, if status changes came first.
pub(super) fn link_originating_event(
    tx: &Tx<'_>,
    event: EventSeq,
    feedback: &Key,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE feedback_states SET event_seq = ?3
         WHERE feedback_app = ?1 AND feedback_id = ?2 AND event_seq IS NULL",
    )?
    .execute(params![feedback.app, feedback.id, event])?;
    Ok(())
}

/// See [`crate::store::Store::end_undos`].
pub(in crate::store) fn end_undos(tx: &Tx<'_>) -> rusqlite::Result<u64> {
    let mut over = tx.prepare_cached(END_OF_UNDO)?;
    let over: Vec<(Key, Option<EventSeq>)> = over
        .query_map(params![tx.now, BATCH], |row| {
            let key = Key {
                app: row.get(0)?,
                id: row.get(1)?,
            };
            Ok((key, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (key, event) in &over {
        tx.prepare_cached(
            "UPDATE feedback_states SET undo_until = NULL
             WHERE feedback_app = ?1 AND feedback_id = ?2",
        )?
        .execute([&key.app, &key.id])?;
        if let Some(event) = event {
            edits::request_all(tx, *event)?;
        }
    }
    Ok(u64::try_from(over.len()).unwrap_or(u64::MAX))
}

pub(super) const END_OF_UNDO: &str = "
    SELECT feedback_app, feedback_id, event_seq FROM feedback_states
    WHERE undo_until <= ?1 ORDER BY undo_until LIMIT ?2";

/// Marks a status as local-only because the platform rejects it, and edits the messages.
pub(super) fn mark_local_only(tx: &Tx<'_>, key: &Key, event: EventSeq) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE feedback_states SET here_only = 1 WHERE feedback_app = ?1 AND feedback_id = ?2",
    )?
    .execute([&key.app, &key.id])?;
    edits::request_all(tx, event)?;
    Ok(())
}

/// Removes statuses of feedback that never arrived itself.
pub(super) fn remove_unknown(tx: &Tx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM feedback_states WHERE event_seq IS NULL AND changed_at < ?1")?
        .execute([before])?;
    Ok(())
}
