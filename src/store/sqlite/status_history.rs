//! The history of feedback statuses.

use rusqlite::{Connection, named_params, params};

use super::engine::tx::Tx;
use super::feedback_rows::{self, Key, actor};
use super::values::unsigned;
use super::{Database, IfAbandoned, incidents};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::feedback_acts`].
    pub(in crate::store) async fn feedback_acts(
        &self,
        event: EventSeq,
    ) -> Result<Vec<FeedbackAct>, StoreError> {
        self.read(move |conn| acts_of(conn, event)).await
    }

    /// See [`crate::store::Store::clicks_of`].
    pub(in crate::store) async fn clicks_of(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.read(move |conn| clicks_of(conn, &person)).await
    }

    /// See [`crate::store::Store::forget_clicks`].
    pub(in crate::store) async fn forget_clicks(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.write(IfAbandoned::Run, move |tx| forget_clicks(tx, &person))
            .await
    }
}

/// What led to a change, and its effect.
#[derive(Clone, Copy)]
pub(super) struct HistoryEntry {
    pub(super) event: Option<EventSeq>,
    pub(super) act: Option<TriageAction>,
    pub(super) effect: Effect,
}

pub(super) fn record(
    tx: &Tx<'_>,
    key: &Key,
    state: &FeedbackState,
    entry: HistoryEntry,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO feedback_acts (feedback_app, feedback_id, told_by, at, act, status, through,
                                    by_name, by_id, by_app, effect)
         VALUES (:app, :id, :told_by, :at, :act, :status, :through, :name, :by, :by_app, :effect)",
    )?
    .execute(named_params! {
        ":app": key.app,
        ":id": key.id,
        ":told_by": entry.event,
        ":at": tx.now,
        ":act": entry.act,
        ":status": state.status,
        ":through": state.through,
        ":name": state.by.name.as_ref().map(Private::expose),
        ":by": state.by.id.as_ref().map(Private::expose),
        ":by_app": state.by.app,
        ":effect": entry.effect,
    })?;
    Ok(())
}

/// Returns the event that created the feedback whose change `event` reports. `None` if it reports
/// several.
pub(super) fn followed_by(
    conn: &Connection,
    event: EventSeq,
) -> rusqlite::Result<Option<EventSeq>> {
    let mut originating = conn.prepare_cached(
        "SELECT s.event_seq FROM feedback_acts a
         JOIN feedback_states s
           ON s.feedback_app = a.feedback_app AND s.feedback_id = a.feedback_id
         WHERE a.told_by = ?1 LIMIT 2",
    )?;
    let originating: Vec<Option<EventSeq>> = originating
        .query_map([event], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(match originating.as_slice() {
        [one] => *one,
        _ => None,
    })
}

/// Returns whether the status changed after a delivery was created, so that its message may be outdated.
pub(super) fn changed_since_made(conn: &Connection, id: DeliveryId) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (
             SELECT 1 FROM deliveries d
             JOIN feedback_states s ON s.event_seq = d.event_seq
             JOIN feedback_acts a
               ON a.feedback_app = s.feedback_app AND a.feedback_id = s.feedback_id
             WHERE d.id = ?1 AND a.effect = 'changed' AND a.at >= d.created_at)",
    )?
    .query_row([id], |row| row.get(0))
}

/// Returns the history of the feedback that an event created, oldest first.
fn acts_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<FeedbackAct>> {
    conn.prepare_cached(
        "SELECT a.at, a.act, a.status, a.through, a.by_name, a.by_id, a.by_app, a.effect
         FROM feedback_states s JOIN feedback_acts a
           ON a.feedback_app = s.feedback_app AND a.feedback_id = s.feedback_id
         WHERE s.event_seq = ?1 ORDER BY a.id",
    )?
    .query_map([event], |row| {
        Ok(FeedbackAct {
            at: row.get("at")?,
            act: row.get("act")?,
            status: row.get("status")?,
            by: actor(row)?,
            through: row.get("through")?,
            effect: row.get("effect")?,
        })
    })?
    .collect()
}

/// Removes the people who acted on the feedback that an event created, or made the changes it reported.
pub(super) fn forget_people(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    // The person behind the last change is also in `feedback_states`.
    tx.prepare_cached(
        "UPDATE feedback_states SET by_name = NULL, by_id = NULL
         WHERE event_seq = ?1
            OR (through = 'platform' AND (feedback_app, feedback_id) IN
                (SELECT feedback_app, feedback_id FROM feedback_acts WHERE told_by = ?1))",
    )?
    .execute([event])?;
    tx.prepare_cached(
        "UPDATE feedback_acts SET by_name = NULL, by_id = NULL
         WHERE told_by = ?1 OR (feedback_app, feedback_id) IN
               (SELECT feedback_app, feedback_id FROM feedback_states WHERE event_seq = ?1)",
    )?
    .execute([event])?;
    tx.prepare_cached("DELETE FROM status_jobs WHERE event_seq = ?1")?
        .execute([event])?;
    incidents::forget_actors_of(tx, event)
}

fn clicks_of(conn: &Connection, person: &str) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT (SELECT count(*) FROM feedback_acts WHERE by_id = ?1 AND told_by IS NULL)
              + (SELECT count(*) FROM incidents WHERE by_id = ?1)",
    )?
    .query_row([person], |row| row.get(0))
    .map(unsigned)
}

/// Selects renderings and responses of events that this person acted on, because they may contain the
/// name.
const MAY_NAME: &str = "
    delivery_id IN (
        SELECT d.id FROM feedback_acts a
        JOIN feedback_states s ON s.feedback_app = a.feedback_app AND s.feedback_id = a.feedback_id
        JOIN deliveries d ON d.event_seq = s.event_seq
        WHERE a.by_id = ?1
        UNION
        SELECT d.id FROM incidents i JOIN deliveries d ON d.event_seq = i.event_seq WHERE i.by_id = ?1)";

fn forget_clicks(tx: &Tx<'_>, person: &str) -> rusqlite::Result<u64> {
    let clicks = clicks_of(tx, person)?;
    tx.prepare_cached(&format!("DELETE FROM payloads WHERE {MAY_NAME}"))?
        .execute([person])?;
    tx.prepare_cached(&format!(
        "UPDATE attempts SET excerpt = NULL WHERE excerpt IS NOT NULL AND {MAY_NAME}"
    ))?
    .execute([person])?;
    incidents::forget_actor(tx, person)?;
    for table in ["feedback_states", "feedback_acts"] {
        tx.prepare_cached(&format!(
            "UPDATE {table} SET by_name = NULL, by_id = NULL WHERE by_id = ?1"
        ))?
        .execute([person])?;
    }
    // Without the person's id, a pending status cannot be written to the platform.
    let mut cancelled = tx.prepare_cached(
        "DELETE FROM status_jobs WHERE operator = ?1
         RETURNING feedback_app, feedback_id, event_seq",
    )?;
    let cancelled: Vec<(Key, EventSeq)> = cancelled
        .query_map(params![person], |row| Ok((Key::read(row)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (key, event) in &cancelled {
        feedback_rows::mark_local_only(tx, key, *event)?;
    }
    tx.scrub()?;
    Ok(clicks)
}
