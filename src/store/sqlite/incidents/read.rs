//! Reads incidents for lists and messages.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::{actions, columns, content, timers};
use crate::model::*;
use crate::store::sqlite::values::{signed, unsigned};
use crate::store::sqlite::{rows, silences};
use crate::store::{
    EarlierIncidents, INCIDENT, IncidentFilter, IncidentRecord, MergingIncident, decide,
    read_incident,
};

/// The length of each of the two periods that a trend compares.
const TREND: Duration = Duration::from_secs(60);

pub(in crate::store::sqlite) fn incidents(
    conn: &Connection,
    filter: &IncidentFilter,
) -> rusqlite::Result<Vec<Incident>> {
    let mut rows = conn.prepare_cached(
        "SELECT * FROM incidents
         WHERE (?1 = 0 OR state = 'open') AND (?2 IS NULL OR rule = ?2) AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4",
    )?;
    let found = rows
        .query_map(
            params![
                filter.open,
                filter.rule.as_ref().map(RuleName::as_str),
                filter.before,
                signed(filter.limit)
            ],
            columns::incident,
        )?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    found
        .into_iter()
        .map(|one| with_counts(conn, one))
        .collect()
}

pub(super) fn record(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Option<IncidentRecord>> {
    let Some(incident) = timers::find(conn, id)? else {
        return Ok(None);
    };
    let messages = conn
        .prepare_cached(&format!(
            "{} WHERE d.event_seq = ?1 ORDER BY d.id",
            rows::SELECT_DELIVERY
        ))?
        .query_map([incident.event], rows::delivery)?
        .collect::<rusqlite::Result<_>>()?;
    let newest = conn
        .prepare_cached(
            "SELECT e.id FROM incident_events i JOIN events e ON e.seq = i.event_seq
             WHERE i.incident_id = ?1 ORDER BY i.event_seq DESC LIMIT ?2",
        )?
        .query_map(params![id, signed(INCIDENT_NEWEST_MAX)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let timers = decide::incident::timers(&incident.progress);
    let mut timers: Vec<(IncidentTimer, Timestamp)> = timers.collect();
    timers.sort_by_key(|(_, at)| *at);
    Ok(Some(IncidentRecord {
        incident: with_counts(conn, incident)?,
        messages,
        newest,
        timers,
    }))
}

/// Selects the incidents that count event `?1`, that of rule `?2` first.
pub(in crate::store::sqlite) const COUNTED: &str = "
    SELECT e.incident_id, e.number FROM incident_events e JOIN incidents i ON i.id = e.incident_id
    WHERE e.event_seq = ?1 ORDER BY i.rule = ?2 DESC, i.id LIMIT 1";

/// Returns the position of a report in the incident that counts it. The one of `rule` has precedence.
pub(in crate::store::sqlite) fn counted(
    conn: &Connection,
    event: EventSeq,
    rule: &RuleName,
) -> rusqlite::Result<Option<CountedReport>> {
    conn.prepare_cached(COUNTED)?
        .query_row(params![event, rule.as_str()], |row| {
            Ok(CountedReport {
                incident: row.get(0)?,
                number: unsigned(row.get(1)?),
            })
        })
        .optional()
}

/// Returns how many reports the incident had when it counted this one; 0 if it did not.
pub(super) fn report_number(
    conn: &Connection,
    incident: IncidentId,
    event: EventSeq,
) -> rusqlite::Result<u64> {
    let number = conn
        .prepare_cached(
            "SELECT number FROM incident_events WHERE incident_id = ?1 AND event_seq = ?2",
        )?
        .query_row(params![incident, event], |row| row.get(0))
        .optional()?;
    Ok(number.map_or(0, unsigned))
}

/// Selects the open incidents that have messages of their own.
pub(in crate::store::sqlite) const MERGING: &str = "
    SELECT id, rule, opened_at, count, json_extract(terms, '$.from') AS individual, key = '[]' AS is_collective
    FROM incidents INDEXED BY incidents_merging
    WHERE state = 'open' AND shown_at IS NOT NULL ORDER BY id";

/// Returns the open incidents that have messages of their own, oldest first.
pub(in crate::store::sqlite) fn merging(
    conn: &Connection,
) -> rusqlite::Result<Vec<MergingIncident>> {
    conn.prepare_cached(MERGING)?
        .query_map([], |row| {
            Ok(MergingIncident {
                id: row.get("id")?,
                rule: RuleName::new(row.get::<_, String>("rule")?),
                opened_at: row.get("opened_at")?,
                count: unsigned(row.get("count")?),
                individual: unsigned(row.get("individual")?),
                is_collective: row.get("is_collective")?,
            })
        })?
        .collect()
}

/// Returns the incidents that count an event.
pub(super) fn counting(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<Incident>> {
    let found: Vec<Incident> = conn
        .prepare_cached(
            "SELECT * FROM incidents WHERE id IN
                 (SELECT incident_id FROM incident_events WHERE event_seq = ?1) ORDER BY id",
        )?
        .query_map([event], columns::incident)?
        .collect::<rusqlite::Result<_>>()?;
    found
        .into_iter()
        .map(|one| with_counts(conn, one))
        .collect()
}

/// Returns the newest reports of an incident and the earlier incidents, as a message shows them.
pub(super) fn content(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Option<(Vec<StoredEvent>, EarlierIncidents)>> {
    let Some(incident) = timers::find(conn, id)? else {
        return Ok(None);
    };
    let newest = content::newest_reports(conn, id, similar::COMPARED_MAX)?;
    Ok(Some((newest, content::earlier(conn, &incident)?)))
}

/// Returns the incident that an event of the relay belongs to; `None` for any other event.
pub(in crate::store::sqlite) fn of_event(
    conn: &Connection,
    event: &StoredEvent,
) -> rusqlite::Result<Option<Box<Incident>>> {
    if event.event_type != INCIDENT {
        return Ok(None);
    }
    let body = event.body.as_ref();
    let Some(id) = body.and_then(|body| read_incident(body.expose())) else {
        return Ok(None);
    };
    match timers::find(conn, id)? {
        Some(incident) => Ok(Some(Box::new(with_counts(conn, incident)?))),
        None => Ok(None),
    }
}

/// Returns the hashes of the keys of the incidents that count an event, each with its rule.
pub(in crate::store::sqlite) fn keys_of(
    conn: &Connection,
    event: EventSeq,
) -> rusqlite::Result<Vec<(RuleName, Vec<u8>)>> {
    conn.prepare_cached(
        "SELECT i.rule, i.key_hash FROM incident_events e JOIN incidents i ON i.id = e.incident_id
         WHERE e.event_seq = ?1",
    )?
    .query_map([event], |row| {
        Ok((RuleName::new(row.get::<_, String>(0)?), row.get(1)?))
    })?
    .collect()
}

/// Counts the reports of the last minute before the newest one, and of the minute before; and those that have their
/// status in Feishu. Adds the note of the silence that mutes the incident.
fn with_counts(conn: &Connection, incident: Incident) -> rusqlite::Result<Incident> {
    let until = incident.progress.last_at;
    let now = since(conn, incident.id, until - TREND)?;
    let before = since(conn, incident.id, until - 2 * TREND)?;
    let silence = match incident.progress.mute {
        Some(mute) => silences::find(conn, mute.silence)?,
        None => None,
    };
    Ok(Incident {
        trend: [now, before.saturating_sub(now)],
        written: actions::written(conn, &incident)?,
        mute_note: silence.map(|silence| MuteNote {
            author: silence.author,
            reason: silence.reason,
        }),
        ..incident
    })
}

/// Counts the reports accepted after `at`. Event numbers are in order of arrival.
fn since(conn: &Connection, id: IncidentId, at: Timestamp) -> rusqlite::Result<u64> {
    let first: Option<EventSeq> = conn
        .prepare_cached(
            "SELECT seq FROM events WHERE received_at > ?1 ORDER BY received_at LIMIT 1",
        )?
        .query_row([at], |row| row.get(0))
        .optional()?;
    let Some(first) = first else { return Ok(0) };
    conn.prepare_cached(
        "SELECT count(*) FROM incident_events WHERE incident_id = ?1 AND event_seq >= ?2",
    )?
    .query_row(params![id, first], |row| row.get(0))
    .map(unsigned)
}
