//! Queries of the operator.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use super::Database;
use super::engine::event_id_index;
use super::rows::{self, SELECT_DELIVERY};
use super::values::{SpecColumn, signed};
use crate::model::*;
use crate::store::{DeliveryFilter, EventFilter, EventRow, StoreError};

impl Database {
    /// See [`crate::store::Store::events`].
    pub(in crate::store) async fn events(
        &self,
        filter: EventFilter,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.read(move |conn| events(conn, &filter)).await
    }

    /// See [`crate::store::Store::event`].
    pub(in crate::store) async fn event(
        &self,
        id: &str,
    ) -> Result<Option<StoredEvent>, StoreError> {
        let id = id.to_owned();
        self.read(move |conn| event_by_id(conn, &id)).await
    }

    /// See [`crate::store::Store::deliveries`].
    pub(in crate::store) async fn deliveries(
        &self,
        filter: DeliveryFilter,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.read(move |conn| deliveries(conn, &filter)).await
    }

    /// See [`crate::store::Store::attempts`].
    pub(in crate::store) async fn attempts(
        &self,
        delivery: DeliveryId,
    ) -> Result<Vec<Attempt>, StoreError> {
        self.read(move |conn| attempts(conn, delivery)).await
    }
}

/// The most rows in one page, whatever limit is requested.
const PAGE_MAX: usize = 1000;

/// How far the order of arrival and the clock may differ after the clock was set back.
const DISORDER: Duration = Duration::from_secs(86_400);

/// A SELECT statement being built: conditions, each with its value.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) values: Vec<Box<dyn ToSql>>,
}

impl Query {
    fn new(select: &str) -> Self {
        Self {
            sql: format!("{select} WHERE TRUE"),
            values: Vec::new(),
        }
    }

    /// Adds a condition; `?` in it stands for `value`.
    fn and(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(Box::new(value));
    }

    fn end(mut self, order: &str, limit: usize) -> Self {
        let limit = signed(limit.min(PAGE_MAX));
        self.sql
            .push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
        self
    }
}

pub(super) fn events_query(filter: &EventFilter) -> Query {
    let mut query = Query::new(
        "SELECT e.seq, e.id, e.via, e.type, e.feedback_id, e.received_at, e.state, b.body
         FROM events e LEFT JOIN bodies b ON b.event_seq = e.seq",
    );
    if let Some(via) = &filter.via {
        query.and("e.via = ?", via.clone());
    }
    if let Some(state) = filter.state {
        // Not a parameter, because SQLite could then not use the partial index for this state.
        query
            .sql
            .push_str(&format!(" AND e.state = '{}'", state.key()));
    }
    if let Some(since) = filter.since {
        query.and("e.received_at >= ?", since);
        // Rows are in the order of arrival, so the search may end here.
        query.and(
            "e.seq >= (SELECT seq FROM events WHERE received_at >= ? ORDER BY received_at LIMIT 1)",
            since - DISORDER,
        );
    }
    if let Some(until) = filter.until {
        query.and("e.received_at < ?", until);
        // For the same reason, the search may begin here.
        query.and(
            "e.seq < coalesce((SELECT seq FROM events WHERE received_at >= ? ORDER BY received_at LIMIT 1),
                              9223372036854775807)",
            until + DISORDER,
        );
    }
    if let Some(before) = filter.before {
        query.and("e.seq < ?", before);
    }
    query.end("e.seq DESC", filter.limit)
}

fn events(conn: &Connection, filter: &EventFilter) -> rusqlite::Result<Vec<EventRow>> {
    let query = events_query(filter);
    conn.prepare_cached(&query.sql)?
        .query_map(params_from_iter(&query.values), |row| {
            let seq = row.get("seq")?;
            let summary = deliveries_in_short(conn, seq)?;
            Ok(EventRow {
                seq,
                id: row.get("id")?,
                via: row.get("via")?,
                event_type: row.get("type")?,
                feedback_id: row.get("feedback_id")?,
                received_at: row.get("received_at")?,
                state: row.get("state")?,
                deliveries: summary.by_state,
                rules: summary.rules,
                body: row.get::<_, Option<String>>("body")?.map(Private::new),
            })
        })?
        .collect()
}

/// A summary of an event's deliveries.
struct DeliverySummary {
    by_state: Vec<(DeliveryState, u64)>,
    rules: Vec<(RuleName, Severity)>,
}

fn deliveries_in_short(conn: &Connection, event: EventSeq) -> rusqlite::Result<DeliverySummary> {
    let mut deliveries = conn.prepare_cached(
        "SELECT state, rank, spec FROM deliveries WHERE event_seq = ?1 ORDER BY id",
    )?;
    let mut rows = deliveries.query([event])?;
    let mut states: Vec<DeliveryState> = Vec::new();
    let mut rules: Vec<(RuleName, Severity)> = Vec::new();
    while let Some(row) = rows.next()? {
        states.push(row.get(0)?);
        let spec: SpecColumn = row.get(2)?;
        let spec = spec.into_spec(row.get::<_, Rank>(1)?.severity());
        match rules.iter_mut().find(|(rule, _)| *rule == spec.rule) {
            Some((_, severity)) => *severity = spec.severity.max(*severity),
            None => rules.push((spec.rule, spec.severity)),
        }
    }
    let count = |one| states.iter().filter(|state| **state == one).count();
    let by_state = DeliveryState::ALL
        .iter()
        .map(|&state| (state, u64::try_from(count(state)).unwrap_or(u64::MAX)))
        .filter(|(_, count)| *count > 0)
        .collect();
    Ok(DeliverySummary { by_state, rules })
}

fn event_by_id(conn: &Connection, id: &str) -> rusqlite::Result<Option<StoredEvent>> {
    let seq = match event_id_index::newest_with(conn, id)? {
        Some(seq) => Some(seq),
        None => conn
            .prepare_cached(
                "SELECT seq FROM events WHERE feedback_id = ?1 ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([id], |row| row.get(0))
            .optional()?,
    };
    seq.map_or(Ok(None), |seq| rows::event_by_seq(conn, seq))
}

/// Builds one query for each requested state, so that each uses an index. States are not parameters,
/// because SQLite could then not use the partial indexes.
pub(super) fn deliveries_queries(filter: &DeliveryFilter) -> Vec<Query> {
    match filter.states.as_slice() {
        [] => vec![deliveries_query(filter, None)],
        states => {
            let mut states = states.to_vec();
            states.sort_unstable();
            states.dedup();
            let query = |state| deliveries_query(filter, Some(state));
            states.into_iter().map(query).collect()
        }
    }
}

fn deliveries_query(filter: &DeliveryFilter, state: Option<DeliveryState>) -> Query {
    let mut query = Query::new(SELECT_DELIVERY);
    if let Some(state) = state {
        query
            .sql
            .push_str(&format!(" AND d.state = '{}'", state.key()));
    }
    if let Some(destination) = &filter.destination {
        query.and("d.destination = ?", destination.clone());
    }
    if let Some(event) = filter.event {
        query.and("d.event_seq = ?", event);
    }
    if let Some(id) = filter.id {
        query.and("d.id = ?", id);
    }
    if let Some(silence) = filter.silence {
        query.and("d.silence_id = ?", silence);
    }
    if let Some(since) = filter.since {
        query.and("d.created_at >= ?", since);
    }
    if let Some(until) = filter.until {
        query.and("d.created_at < ?", until);
    }
    if let Some(rule) = &filter.rule {
        query.and(
            "json_extract(d.spec, '$.rule') = ?",
            rule.as_str().to_owned(),
        );
    }
    if let Some(before) = filter.before {
        query.and("d.id < ?", before);
    }
    let order = match state {
        // Prevent the index in id order: SQLite would scan all deliveries, of which few are open.
        Some(DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Held) => "+d.id DESC",
        Some(
            DeliveryState::Delivered
            | DeliveryState::Dead
            | DeliveryState::Discarded
            | DeliveryState::Unconfirmed
            | DeliveryState::Merged
            | DeliveryState::Suppressed,
        )
        | None => "d.id DESC",
    };
    query.end(order, filter.limit)
}

fn deliveries(conn: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Vec<Delivery>> {
    let mut found: Vec<Delivery> = Vec::new();
    for query in deliveries_queries(filter) {
        let mut statement = conn.prepare_cached(&query.sql)?;
        for row in statement.query_map(params_from_iter(&query.values), rows::delivery)? {
            found.push(row?);
        }
    }
    found.sort_unstable_by_key(|delivery| std::cmp::Reverse(delivery.id));
    found.truncate(filter.limit.min(PAGE_MAX));
    Ok(found)
}

fn attempts(conn: &Connection, delivery: DeliveryId) -> rusqlite::Result<Vec<Attempt>> {
    conn.prepare_cached(
        "SELECT number, started_at, duration_ms, form, outcome, status, code, reason, excerpt
         FROM attempts WHERE delivery_id = ?1 ORDER BY number",
    )?
    .query_map([delivery], |row| {
        Ok(Attempt {
            number: row.get("number")?,
            started_at: row.get("started_at")?,
            duration_ms: row.get("duration_ms")?,
            form: row.get("form")?,
            outcome: row.get("outcome")?,
            status: row.get("status")?,
            code: row.get("code")?,
            reason: row.get("reason")?,
            excerpt: row.get("excerpt")?,
        })
    })?
    .collect()
}
