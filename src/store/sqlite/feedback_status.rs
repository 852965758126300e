//! Feedback statuses, changed by button actions and by platform reports.
//!
//! Each change is one transaction. It contains the status, a history entry, an edit of every message
//! that shows it, and a status outbox entry.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::engine::tx::Tx;
use super::feedback_rows::{Key, actor};
use super::status_history::{HistoryEntry, record};
use super::{Database, IfAbandoned, edits, status_outbox};
use crate::model::*;
use crate::store::decide::feedback_status::{self as decide, Action, Facts, Known, Report};
use crate::store::{ActionOutcome, ApplyAction, StoreError};

impl Database {
    /// See [`crate::store::Store::platform_lists`].
    pub(in crate::store) async fn platform_lists(
        &self,
        listed: Vec<FeedbackChange>,
    ) -> Result<u64, StoreError> {
        self.write(IfAbandoned::Run, move |tx| platform_lists(tx, &listed))
            .await
    }

    /// See [`crate::store::Store::apply_action`].
    pub(in crate::store) async fn apply_action(
        &self,
        acting: ApplyAction,
    ) -> Result<ActionOutcome, StoreError> {
        self.promise(move |tx| apply_action(tx, &acting)).await
    }

    /// See [`crate::store::Store::end_undos`].
    pub(in crate::store) async fn end_undos(&self) -> Result<u64, StoreError> {
        self.write(IfAbandoned::Skip, end_undos).await
    }

    /// See [`crate::store::Store::feedback_state`].
    pub(in crate::store) async fn feedback_state(
        &self,
        event: EventSeq,
    ) -> Result<Option<FeedbackState>, StoreError> {
        self.read(move |conn| state_of(conn, event)).await
    }
}

/// How many undo periods one command ends, so that other commands do not wait long.
const BATCH: u32 = 64;

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
        previous_local_only: row.get("previous_here_only")?,
        platform_at: row.get("platform_at")?,
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
pub(super) fn state_of(
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
fn key_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Option<Key>> {
    conn.prepare_cached(
        "SELECT feedback_app, feedback_id FROM events
         WHERE seq = ?1 AND feedback_id IS NOT NULL",
    )?
    .query_row([event], Key::read)
    .optional()
}

fn apply_action(tx: &Tx<'_>, acting: &ApplyAction) -> rusqlite::Result<ActionOutcome> {
    let Some(key) = key_of(tx, acting.event)? else {
        return Ok(ActionOutcome::Unknown);
    };
    let known = read(tx, &key)?;
    let (state, write_as) = match decide::action(known.as_ref(), acting, tx.now) {
        Action::Nothing(outcome) => return Ok(outcome),
        Action::Change { state, write_as } => (state, write_as),
    };
    write(tx, &key, Some(acting.event), known.as_ref(), &state)?;
    let entry = HistoryEntry {
        event: None,
        act: Some(acting.act),
        effect: Effect::Changed,
    };
    record(tx, &key, &state, entry)?;
    match write_as {
        Some(operator) => {
            status_outbox::enqueue(tx, &key, acting.event, state.status, operator)?;
        }
        None => status_outbox::cancel(tx, &key)?,
    }
    edits::request_all(tx, acting.event)?;
    Ok(ActionOutcome::Changed(state))
}

/// Applies an incident's action to one of its reports, unless the report was settled individually.
pub(super) fn apply_incident_action(tx: &Tx<'_>, acting: &ApplyAction) -> rusqlite::Result<()> {
    let Some(key) = key_of(tx, acting.event)? else {
        return Ok(());
    };
    let known = read(tx, &key)?;
    let status = known.map_or(FeedbackStatus::UNPROCESSED, |known| known.state.status);
    if decide::takes_incident_action(acting.act, status) {
        apply_action(tx, acting)?;
    }
    Ok(())
}

/// Reads what is stored about a feedback that the platform reports.
pub(super) fn facts(conn: &Connection, key: &Key) -> rusqlite::Result<Facts> {
    let Some(known) = read(conn, key)? else {
        return Ok(Facts {
            event: event_of(conn, key)?,
            ..Facts::default()
        });
    };
    Ok(Facts {
        event: known.event,
        sent: status_outbox::sent(conn, key)?,
        is_queued: status_outbox::is_waiting(conn, key)?,
        known: Some(known),
    })
}

/// Applies a platform report about one or more feedbacks. Returns the effect on each.
pub(super) fn apply_platform_change(
    tx: &Tx<'_>,
    event: EventSeq,
    change: &FeedbackChange,
) -> rusqlite::Result<Vec<(Effect, Option<EventSeq>)>> {
    let mut effects = Vec::new();
    for key in Key::all_of(change) {
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
    let facts = facts(tx, key)?;
    let report = decide::report(&facts, change, tx.now);
    write_report(tx, told_by, change, key, (&facts, &report))?;
    Ok((report.effect, facts.event))
}

fn write_report(
    tx: &Tx<'_>,
    told_by: Option<EventSeq>,
    change: &FeedbackChange,
    key: &Key,
    (facts, report): (&Facts, &Report),
) -> rusqlite::Result<()> {
    if report.replaces {
        write(tx, key, facts.event, facts.known.as_ref(), &report.state)?;
        status_outbox::cancel(tx, key)?;
    }
    if report.is_dated {
        tx.prepare_cached(
            "UPDATE feedback_states SET platform_at = max(coalesce(platform_at, ?3), ?3)
             WHERE feedback_app = ?1 AND feedback_id = ?2",
        )?
        .execute(params![key.app, key.id, change.updated_at])?;
    }
    let entry = HistoryEntry {
        event: told_by,
        act: None,
        effect: report.effect,
    };
    record(tx, key, &report.state, entry)?;
    if let Some(event) = report.edits {
        edits::request_all(tx, event)?;
    }
    Ok(())
}

fn platform_lists(tx: &Tx<'_>, listed: &[FeedbackChange]) -> rusqlite::Result<u64> {
    let mut changed = 0;
    for change in listed {
        for key in Key::all_of(change) {
            let facts = facts(tx, &key)?;
            if decide::is_news(&facts, change, tx.now) {
                let report = decide::report(&facts, change, tx.now);
                write_report(tx, None, change, &key, (&facts, &report))?;
                changed += 1;
            }
        }
    }
    Ok(changed)
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

fn end_undos(tx: &Tx<'_>) -> rusqlite::Result<u64> {
    let mut over = tx.prepare_cached(END_OF_UNDO)?;
    let over: Vec<(Key, Option<EventSeq>)> = over
        .query_map(params![tx.now, BATCH], |row| {
            Ok((Key::read(row)?, row.get(2)?))
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

/// Removes statuses of feedback that never arrived itself.
pub(super) fn remove_unknown(tx: &Tx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM feedback_states WHERE event_seq IS NULL AND changed_at < ?1")?
        .execute([before])?;
    Ok(())
}
