//! Button actions on an incident. Its messages show the action at once; its reports get it in batches, by a timer.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{columns, timers};
use crate::model::*;
use crate::store::decide::incident::{self as decide, Acted};
use crate::store::sqlite::engine::tx::Tx;
use crate::store::sqlite::values::{signed, unsigned};
use crate::store::sqlite::{feedback_status, silences};
use crate::store::{ActionOutcome, ApplyAction, ApplyIncidentAction, Topic};

/// How many reports get an action in one transaction. The limit holds the writer for milliseconds.
pub(super) const BATCH: usize = 100;

/// Applies a button action to the incident and its messages.
pub(super) fn apply_action(
    tx: &Tx<'_>,
    acting: &ApplyIncidentAction,
) -> rusqlite::Result<ActionOutcome> {
    let Some(mut incident) = timers::find(tx, acting.incident)? else {
        return Ok(ActionOutcome::Unknown);
    };
    let newest: Option<(EventSeq, AppName)> = tx
        .prepare_cached(
            "SELECT i.event_seq, e.via FROM incident_events i JOIN events e ON e.seq = i.event_seq
             WHERE i.incident_id = ?1 ORDER BY i.event_seq DESC LIMIT 1",
        )?
        .query_row([acting.incident], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (newest, via) = newest.unzip();
    // The reports of an incident nearly always come through one app.
    let local_only = via.is_none_or(|via| !acting.operators.contains_key(&via));
    let acted = decide::act(
        &mut incident.progress,
        incident.handled.as_ref(),
        acting,
        newest.unwrap_or(EventSeq(0)),
        local_only,
        tx.now,
    );
    let (state, effects) = match acted {
        Acted::Nothing(outcome) => return Ok(outcome),
        Acted::Change { state, effects } => (state, effects),
    };
    write(tx, incident.id, &state, &acting.operators)?;
    incident.handled = Some(state.clone());
    timers::apply(tx, &mut incident, &effects, &mut 0)?;
    tx.notify(Topic::Incidents);
    Ok(ActionOutcome::Changed(state))
}

fn write(
    tx: &Tx<'_>,
    id: IncidentId,
    state: &FeedbackState,
    operators: &BTreeMap<AppName, Private>,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE incidents SET status = :status, acted_at = :at, through = :through, by_name = :name,
                by_id = :by, by_app = :by_app, here_only = :here_only, operators = :operators
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":status": state.status,
        ":at": state.changed_at,
        ":through": state.through,
        ":name": state.by.name.as_ref().map(Private::expose),
        ":by": state.by.id.as_ref().map(Private::expose),
        ":by_app": state.by.app,
        ":here_only": state.local_only,
        ":operators": columns::write_operators(operators),
    })?;
    Ok(())
}

/// Selects the next reports that get an action.
pub(in crate::store::sqlite) const NEXT_REPORTS: &str = "
    SELECT i.event_seq, e.via FROM incident_events i JOIN events e ON e.seq = i.event_seq
    WHERE i.incident_id = ?1 AND i.event_seq > ?2 AND i.event_seq <= ?3
    ORDER BY i.event_seq LIMIT ?4";

/// Applies the last action to at most `room` further reports, as the same person, and reduces `room`.
pub(super) fn apply_to_reports(
    tx: &Tx<'_>,
    incident: &mut Incident,
    room: &mut usize,
) -> rusqlite::Result<()> {
    let progress = &mut incident.progress;
    let Some(handled) = &incident.handled else {
        progress.applied_to = progress.applies_to;
        return Ok(());
    };
    let reports: Vec<(EventSeq, AppName)> = tx
        .prepare_cached(NEXT_REPORTS)?
        .query_map(
            params![
                incident.id,
                progress.applied_to,
                progress.applies_to,
                signed(*room)
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let operators = operators(tx, incident.id)?;
    for (event, via) in &reports {
        let acting = ApplyAction {
            event: *event,
            act: match handled.status {
                FeedbackStatus::PROCESSED => TriageAction::Done,
                _ => TriageAction::Claim,
            },
            undoes: None,
            by: handled.by.clone(),
            through: handled.through,
            operator: operators.get(via).cloned(),
        };
        feedback_status::apply_incident_action(tx, &acting)?;
    }
    progress.applied_to = match reports.last() {
        Some((last, _)) if reports.len() == *room => *last,
        None if *room == 0 => progress.applied_to,
        Some(_) | None => progress.applies_to,
    };
    *room -= reports.len();
    Ok(())
}

/// Returns the actor's open id for each receiving app.
fn operators(conn: &Connection, id: IncidentId) -> rusqlite::Result<BTreeMap<AppName, Private>> {
    let operators: Option<String> = conn
        .prepare_cached("SELECT operators FROM incidents WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    operators.map_or_else(
        || Ok(BTreeMap::new()),
        |text| columns::read_operators(&text),
    )
}

/// Returns whether the status of some reports is still on its way to Feishu.
pub(super) fn is_writing(conn: &Connection, incident: &Incident) -> rusqlite::Result<bool> {
    if incident
        .handled
        .as_ref()
        .is_none_or(|state| state.local_only)
    {
        return Ok(false);
    }
    if decide::applies(&incident.progress) {
        return Ok(true);
    }
    conn.prepare_cached(PENDING)?.exists([incident.id])
}

/// Selects the waiting statuses of an incident's reports. Few statuses wait.
pub(in crate::store::sqlite) const PENDING: &str = "
    SELECT 1 FROM status_jobs j WHERE j.state = 'pending' AND EXISTS (
        SELECT 1 FROM incident_events i WHERE i.incident_id = ?1 AND i.event_seq = j.event_seq)";

/// Counts statuses of an incident's reports, for those up to event `?2`.
pub(in crate::store::sqlite) const WRITTEN: &str = "
    SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM (
        SELECT j.state FROM incident_events i JOIN status_jobs j ON j.event_seq = i.event_seq
        WHERE i.incident_id = ?1 AND i.event_seq <= ?2 LIMIT ?3)";

/// Counts the reports that are still to get an action.
pub(in crate::store::sqlite) const LEFT: &str = "
    SELECT count(*) FROM (
        SELECT 1 FROM incident_events
        WHERE incident_id = ?1 AND event_seq > ?2 AND event_seq <= ?3 LIMIT ?4)";

/// Returns how many reports have their status in Feishu, and how many are to get one.
pub(super) fn written(conn: &Connection, incident: &Incident) -> rusqlite::Result<[u64; 2]> {
    if incident
        .handled
        .as_ref()
        .is_none_or(|state| state.local_only)
    {
        return Ok([0, 0]);
    }
    let (id, progress, most) = (incident.id, &incident.progress, signed(WRITTEN_MAX));
    let (done, queued): (i64, i64) = conn
        .prepare_cached(WRITTEN)?
        .query_row(params![id, progress.applied_to, most], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let left: i64 = conn.prepare_cached(LEFT)?.query_row(
        params![id, progress.applied_to, progress.applies_to, most],
        |row| row.get(0),
    )?;
    Ok([unsigned(done), unsigned(queued + left)])
}

/// Removes a person as the actor of incidents, and as the author of their silences.
pub(in crate::store::sqlite) fn forget_actor(tx: &Tx<'_>, person: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE incidents SET by_name = NULL, by_id = NULL, operators = NULL
         WHERE by_id = ?1 OR EXISTS (SELECT 1 FROM json_each(operators) WHERE value = ?1)",
    )?
    .execute([person])?;
    silences::forget_author(tx, person)
}

/// Removes the actor of the incident that `event` belongs to.
pub(in crate::store::sqlite) fn forget_actors_of(
    tx: &Tx<'_>,
    event: EventSeq,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE incidents SET by_name = NULL, by_id = NULL, operators = NULL WHERE event_seq = ?1",
    )?
    .execute([event])?;
    Ok(())
}
