//! Late reports: stored without a message, then summarised.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::accept::accept;
use super::engine::tx::Tx;
use super::values::{SpecColumn, signed, unsigned};
use super::{Database, IfAbandoned, incidents, rows};
use crate::model::*;
use crate::store::{
    Accepted, Arrival, LateTelling, NewDelivery, SUMMARY, StoreError, write_summary,
};

impl Database {
    /// See [`crate::store::Store::accept_late`].
    pub(in crate::store) async fn accept_late(
        &self,
        arrival: Arrival,
        late: Vec<LateTelling>,
        incidents: Vec<PlannedIncident>,
    ) -> Result<Accepted, StoreError> {
        self.promise(move |tx| accept_late(tx, &arrival, &late, &incidents))
            .await
    }

    /// See [`crate::store::Store::summarise_late`].
    pub(in crate::store) async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.write(IfAbandoned::Run, summarise_late).await
    }

    /// See [`crate::store::Store::summaries_of`].
    pub(in crate::store) async fn summaries_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<(DestinationName, Option<EventId>)>, StoreError> {
        self.read(move |conn| summaries_of(conn, event)).await
    }

    /// See [`crate::store::Store::known_feedback`].
    pub(in crate::store) async fn known_feedback(
        &self,
        via: AppName,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.read(move |conn| known_feedback(conn, &via, &feedback))
            .await
    }

    /// See [`crate::store::Store::feedback_events`].
    pub(in crate::store) async fn feedback_events(
        &self,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |conn| feedback_events(conn, &feedback))
            .await
    }
}

/// The `via` of a summary, in place of a receiving app.
const VIA: &str = "relay";

fn accept_late(
    tx: &Tx<'_>,
    arrival: &Arrival,
    late: &[LateTelling],
    incidents: &[PlannedIncident],
) -> rusqlite::Result<Accepted> {
    let accepted = accept(tx, arrival)?;
    if let Accepted::New(event) = accepted {
        incidents::join_late(tx, event, arrival, incidents)?;
        let mut insert = tx.prepare_cached(
            "INSERT INTO late (event_seq, destination, rule, severity, spec, reported_at)
             VALUES (:event, :destination, :rule, :severity, :spec, :reported_at)",
        )?;
        for one in late {
            insert.execute(named_params! {
                ":event": event,
                ":destination": one.destination,
                ":rule": one.spec.rule.as_str(),
                ":severity": one.spec.severity,
                ":spec": SpecColumn::of(&one.spec),
                ":reported_at": one.reported_at,
            })?;
        }
    }
    Ok(accepted)
}

/// Selects the reports without a summary, by rule and destination, in index order.
pub(super) const UNSUMMARISED: &str = "
    SELECT rule, destination, count(*) AS count,
           min(reported_at) AS first_at, max(reported_at) AS last_at
    FROM late WHERE summary_seq IS NULL GROUP BY rule, destination";

/// Selects the message spec of the newest such report of one rule and destination.
pub(super) const NEWEST_UNSUMMARISED: &str = "
    SELECT severity, spec FROM late
    WHERE summary_seq IS NULL AND rule = ?1 AND destination = ?2
    ORDER BY reported_at DESC LIMIT 1";

pub(super) const TELL: &str = "
    UPDATE late SET summary_seq = ?3
    WHERE summary_seq IS NULL AND rule = ?1 AND destination = ?2";

fn summarise_late(tx: &Tx<'_>) -> rusqlite::Result<Vec<EventId>> {
    let pending: Vec<(String, DestinationName, Summary)> = tx
        .prepare_cached(UNSUMMARISED)?
        .query_map([], |row| {
            let summary = Summary {
                count: unsigned(row.get("count")?),
                first_at: row.get("first_at")?,
                last_at: row.get("last_at")?,
                newest: Vec::new(),
            };
            Ok((row.get("rule")?, row.get("destination")?, summary))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut made = Vec::with_capacity(pending.len());
    for (rule, destination, summary) in pending {
        let newest = tx.prepare_cached(NEWEST_UNSUMMARISED)?.query_row(
            params![rule, destination],
            |row| {
                let spec: SpecColumn = row.get("spec")?;
                Ok(spec.into_spec(row.get("severity")?))
            },
        )?;
        let arrival = arrival(tx, destination.clone(), newest, &summary);
        let (Accepted::New(seq) | Accepted::Repeat(seq)) = accept(tx, &arrival)?;
        tx.prepare_cached(TELL)?
            .execute(params![rule, destination, seq])?;
        made.push(arrival.id);
    }
    Ok(made)
}

/// Builds a summary as an event of the relay itself, with its one delivery. It mentions nobody.
fn arrival(
    tx: &Tx<'_>,
    destination: DestinationName,
    newest: MessageSpec,
    summary: &Summary,
) -> Arrival {
    let id = tx
        .generators
        .delivery(tx.now)
        .to_string()
        .replace("dlv_", "summary:");
    Arrival {
        id: EventId::new(id),
        via: AppName::from(VIA),
        event_type: SUMMARY.to_owned(),
        feedback: None,
        users: Vec::new(),
        tenant: None,
        incidents: Vec::new(),
        change: None,
        received_at: tx.now,
        state: EventState::Noted,
        body: Some(Private::new(write_summary(summary))),
        deliveries: vec![NewDelivery {
            destination,
            spec: MessageSpec {
                template: "summary".to_owned(),
                mentions: Vec::new(),
                wait: None,
                ..newest
            },
            trigger: Trigger::Event,
            due_at: tx.now,
        }],
        images: Vec::new(),
        images_deadline_at: tx.now,
    }
}

/// Selects the newest reports of a summary.
pub(super) const NEWEST_REPORTS: &str =
    "SELECT event_seq FROM late WHERE summary_seq = ?1 ORDER BY reported_at DESC LIMIT ?2";

/// Returns the newest reports of a summary, newest first; empty for any other event.
pub(super) fn newest_reports(
    conn: &Connection,
    event: &StoredEvent,
) -> rusqlite::Result<Vec<StoredEvent>> {
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

fn summaries_of(
    conn: &Connection,
    event: EventSeq,
) -> rusqlite::Result<Vec<(DestinationName, Option<EventId>)>> {
    conn.prepare_cached(
        "SELECT l.destination, s.id FROM late l LEFT JOIN events s ON s.seq = l.summary_seq
         WHERE l.event_seq = ?1 ORDER BY l.destination",
    )?
    .query_map([event], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

fn known_feedback(
    conn: &Connection,
    via: &AppName,
    feedback: &[(String, String)],
) -> rusqlite::Result<Vec<Option<EventId>>> {
    let mut find = conn.prepare_cached(
        "SELECT id FROM events WHERE feedback_id = ?2 AND feedback_app = ?1 AND via = ?3",
    )?;
    feedback
        .iter()
        .map(|(app, id)| {
            find.query_row(params![app, id, via], |row| row.get(0))
                .optional()
        })
        .collect()
}

fn feedback_events(
    conn: &Connection,
    feedback: &[(String, String)],
) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut find =
        conn.prepare_cached("SELECT seq FROM events WHERE feedback_id = ?2 AND feedback_app = ?1")?;
    let mut events = Vec::new();
    for (app, id) in feedback {
        let seq = find.query_row([app, id], |row| row.get(0)).optional()?;
        if let Some(seq) = seq {
            events.extend(rows::event_by_seq(conn, seq)?);
        }
    }
    Ok(events)
}
