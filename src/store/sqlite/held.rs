//! Held and stale deliveries: when their wait is over, they are sent by themselves, by their incident, or in a
//! summary.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::accept::accept;
use super::engine::tx::Tx;
use super::leasing::DueTimes;
use super::values::{SpecColumn, signed, unsigned};
use super::{Database, IfAbandoned, deliveries, rows};
use crate::model::*;
use crate::store::decide::held::{MessageOf, Settled, Waited, settle};
use crate::store::{Accepted, Arrival, DIGEST, NewDelivery, SUMMARY, StoreError, write_summary};

impl Database {
    /// See [`crate::store::Store::summarise_late`].
    pub(in crate::store) async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.write(IfAbandoned::Run, summarise_late).await
    }

    /// See [`crate::store::Store::summarise_stale`].
    pub(in crate::store) async fn summarise_stale(
        &self,
        destination: &DestinationName,
        stale_after: Duration,
        now: Timestamp,
    ) -> Result<Vec<EventId>, StoreError> {
        let (name, cut) = (destination.clone(), now - stale_after);
        let is_stale =
            move |conn: &Connection| conn.prepare_cached(ANY_STALE)?.exists(params![name, cut]);
        if !self.read(is_stale).await? {
            return Ok(Vec::new());
        }
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| {
            let stale = waited(tx, STALE, params![destination, tx.now - stale_after, BATCH])?;
            apply(tx, &destination, settle(stale))
        })
        .await
    }
}

impl Database {
    /// See [`crate::store::Store::summarised`].
    pub(in crate::store) async fn summarised(
        &self,
        summary: EventSeq,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        self.read(move |conn| {
            conn.prepare_cached(SUMMARISED)?
                .query_map(params![summary, signed(limit)], |row| row.get(0))?
                .collect()
        })
        .await
    }
}

/// Selects the events of a summary.
pub(super) const SUMMARISED: &str =
    "SELECT e.id FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE d.summary_seq = ?1 ORDER BY d.reported_at DESC LIMIT ?2";

/// The most deliveries that one transaction settles. More than these become another summary.
const BATCH: u32 = 20_000;

/// A delivery is held until the end of its windows. A due time further ahead was written before the clock jumped
/// back.
pub(super) const DUE_TIMES: DueTimes = DueTimes {
    ahead_max: HOURS_MAX,
};

/// The columns that settle a delivery `d`.
macro_rules! waited {
    ($held_for:literal, $condition:literal) => {
        concat!(
            "SELECT d.id, d.spec, d.rank, ",
            $held_for,
            " AS held_for, d.held_hours, coalesce(d.reported_at, d.created_at) AS reported_at,
                    i.id AS message_of, i.state = 'open' AS is_open, i.count,
                    (SELECT c.id FROM incident_events n JOIN incidents c ON c.id = n.incident_id
                     WHERE n.event_seq = d.event_seq AND c.rule = json_extract(d.spec, '$.rule')) AS counted_in
             FROM deliveries d LEFT JOIN incidents i ON i.event_seq = d.event_seq
             WHERE d.destination = ?1 AND ",
            $condition,
            " ORDER BY d.id LIMIT ?3"
        )
    };
}

/// Select held deliveries by [`DueTimes::bounds`].
pub(super) const DUE: [&str; 2] = [
    waited!("d.held_for", "d.state = 'held' AND d.due_at <= ?2"),
    waited!("d.held_for", "d.state = 'held' AND d.due_at > ?2"),
];

/// Selects late reports that wait for their summary.
const LATE: &str = waited!("d.held_for", "d.state = 'held' AND d.held_for = ?2");

/// Selects messages that were due before `?2`. Commands made the others due, or they belong to a message that was
/// sent.
pub(super) const STALE: &str = waited!(
    "'stale'",
    "d.state = 'pending' AND d.first_due_at < ?2 AND d.rank <> 'notice'
       AND (d.trigger = 'event' OR d.trigger = 'fallback' OR d.trigger = 'incident')
       AND (SELECT type FROM events WHERE seq = d.event_seq) <> 'feedback_relay.summary'"
);

pub(super) const ANY_STALE: &str = "SELECT 1 FROM deliveries
     WHERE destination = ?1 AND state = 'pending' AND first_due_at < ?2 AND rank <> 'notice'
       AND (trigger = 'event' OR trigger = 'fallback' OR trigger = 'incident')";

/// Ends the wait of held deliveries to `destination` that are due.
pub(super) fn release_due(tx: &Tx<'_>, destination: &DestinationName) -> rusqlite::Result<()> {
    for (sql, bound) in DUE.into_iter().zip(DUE_TIMES.bounds(tx.now)) {
        let due = waited(tx, sql, params![destination, bound, BATCH])?;
        apply(tx, destination, settle(due))?;
    }
    Ok(())
}

/// Returns when the next held delivery is due.
pub(super) fn next_due_at(
    conn: &Connection,
    destination: &DestinationName,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let rows = "FROM deliveries WHERE destination = ?1 AND state = 'held'";
    DUE_TIMES.next(conn, rows, [destination], now)
}

fn summarise_late(tx: &Tx<'_>) -> rusqlite::Result<Vec<EventId>> {
    let destinations: Vec<DestinationName> = tx
        .prepare_cached(
            "SELECT DISTINCT destination FROM deliveries WHERE state = 'held' AND held_for = 'late'",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut summaries = Vec::new();
    for destination in destinations {
        let late = waited(tx, LATE, params![destination, HeldFor::Late, BATCH])?;
        summaries.extend(apply(tx, &destination, settle(late))?);
    }
    Ok(summaries)
}

fn waited(tx: &Tx<'_>, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<Waited>> {
    tx.prepare_cached(sql)?
        .query_map(params, read_waited)?
        .collect()
}

fn read_waited(row: &Row<'_>) -> rusqlite::Result<Waited> {
    let spec: SpecColumn = row.get("spec")?;
    let message_of = match row.get("message_of")? {
        Some(incident) => Some(MessageOf {
            incident,
            is_open: row.get("is_open")?,
            count: unsigned(row.get("count")?),
        }),
        None => None,
    };
    Ok(Waited {
        id: row.get("id")?,
        spec: spec.into_spec(row.get::<_, Rank>("rank")?.severity()),
        held_for: row.get("held_for")?,
        hours: row.get("held_hours")?,
        reported_at: row.get("reported_at")?,
        message_of,
        counted_in: row.get("counted_in")?,
    })
}

/// Writes the decisions. Returns the ids of the summaries.
fn apply(
    tx: &Tx<'_>,
    destination: &DestinationName,
    settled: Vec<Settled>,
) -> rusqlite::Result<Vec<EventId>> {
    let mut summaries = Vec::new();
    for one in settled {
        match one {
            Settled::Alone { id, mentions } => release(tx, id, mentions)?,
            Settled::InIncident { ids, incident } => {
                for id in ids {
                    merge(tx, id, Some(incident), None)?;
                }
            }
            Settled::Summary { ids, spec, summary } => {
                let arrival = arrival(tx, destination, *spec, &summary);
                let (Accepted::New(event) | Accepted::Repeat(event)) = accept(tx, &arrival)?;
                for id in ids {
                    merge(tx, id, None, Some((event, summary.held_for)))?;
                }
                summaries.push(arrival.id);
            }
        }
    }
    Ok(summaries)
}

/// Sends a delivery by itself. One that was held is due now; a stale one is due already.
fn release(tx: &Tx<'_>, id: DeliveryId, mentions: Vec<String>) -> rusqlite::Result<()> {
    let spec: SpecColumn = tx
        .prepare_cached("SELECT spec FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    tx.prepare_cached(
        "UPDATE deliveries SET spec = ?2, due_at = iif(state = 'held', ?3, due_at),
                               first_due_at = iif(state = 'held', ?3, first_due_at),
                               due_since = iif(state = 'held', ?4, due_since), state = 'pending'
         WHERE id = ?1",
    )?
    .execute(params![id, spec.mentioning(mentions), tx.now, tx.uptime])?;
    Ok(())
}

/// Ends a delivery that another message counts.
fn merge(
    tx: &Tx<'_>,
    id: DeliveryId,
    incident: Option<IncidentId>,
    summary: Option<(EventSeq, HeldFor)>,
) -> rusqlite::Result<()> {
    let (summary, held_for) = summary.unzip();
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'merged', waits_for_images = 0,
                               reported_at = coalesce(reported_at, created_at),
                               incident_id = coalesce(?2, incident_id), summary_seq = ?3,
                               held_for = coalesce(?4, held_for)
         WHERE id = ?1",
    )?
    .execute(params![id, incident, summary, held_for])?;
    deliveries::drop_payload(tx, id)
}

/// Builds a summary as an event of the relay itself, with its one delivery.
fn arrival(
    tx: &Tx<'_>,
    destination: &DestinationName,
    spec: MessageSpec,
    summary: &Summary,
) -> Arrival {
    let id = tx
        .generators
        .delivery(tx.now)
        .to_string()
        .replace("dlv_", "summary:");
    Arrival {
        deliveries: vec![NewDelivery {
            destination: destination.clone(),
            spec,
            trigger: Trigger::Event,
            due_at: tx.now,
            held: None,
        }],
        ..Arrival::of_relay(EventId::new(id), SUMMARY, write_summary(summary), tx.now)
    }
}

/// Selects the newest reports of a summary.
pub(super) const NEWEST_REPORTS: &str = "SELECT event_seq FROM deliveries
     WHERE summary_seq = ?1 AND trigger <> 'incident' ORDER BY reported_at DESC LIMIT ?2";

/// Returns the newest reports of a summary or a digest, newest first; empty for any other event.
pub(super) fn newest_reports(
    conn: &Connection,
    event: &StoredEvent,
) -> rusqlite::Result<Vec<StoredEvent>> {
    if event.event_type == DIGEST {
        return super::digests::newest_reports(conn, event);
    }
    if event.event_type != SUMMARY {
        return Ok(Vec::new());
    }
    let newest: Vec<EventSeq> = conn
        .prepare_cached(NEWEST_REPORTS)?
        .query_map(params![event.seq, signed(SUMMARY_NEWEST_MAX)], |row| {
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::with_capacity(newest.len());
    for seq in newest {
        found.extend(rows::event_by_seq(conn, seq)?);
    }
    Ok(found)
}
