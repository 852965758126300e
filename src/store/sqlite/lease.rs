//! Leases due deliveries to workers.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::tx::Tx;
use super::leasing::{DueTimes, new_lease};
use super::rows::{self, DELIVERY_COLUMNS, EVENT_COLUMNS, delivery_columns, event_columns};
use super::values::signed;
use super::{Database, IfAbandoned, feedback_status, held, incidents, messages, status_history};
use crate::model::*;
use crate::store::{EarlierIncidents, KeptPayload, StoreError, Work};

impl Database {
    /// See [`crate::store::Store::lease_due`].
    pub(in crate::store) async fn lease_due(
        &self,
        destination: &DestinationName,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        let destination = destination.clone();
        let act = move |tx: &Tx<'_>| lease_due(tx, &destination, count, lease);
        let leases = self.write(IfAbandoned::Skip, act).await?;
        self.work_of(leases).await
    }

    /// See [`crate::store::Store::lease_probe`].
    pub(in crate::store) async fn lease_probe(
        &self,
        destination: &DestinationName,
        turn: usize,
        due_only: bool,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        let destination = destination.clone();
        let act = move |tx: &Tx<'_>| lease_probe(tx, &destination, turn, due_only, lease);
        let leases = self.write(IfAbandoned::Skip, act).await?;
        self.work_of(leases).await
    }

    /// Reads the leased work on a reader, which keeps the writer free. If the file is not at its path, no
    /// reader may be available. Then the writer reads the work, which would otherwise wait until its leases
    /// expire.
    async fn work_of(
        &self,
        leases: Vec<Lease<DeliveryId>>,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let again = leases.clone();
        match self.read(move |conn| leased_work(conn, leases)).await {
            Ok(work) => Ok(work),
            Err(_) => {
                let read = move |tx: &Tx<'_>| leased_work(tx, again.clone());
                self.write(IfAbandoned::Run, read).await
            }
        }
    }

    /// See [`crate::store::Store::next_due_at`].
    pub(in crate::store) async fn next_due_at(
        &self,
        destination: &DestinationName,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let destination = destination.clone();
        self.read(move |conn| next_due_at(conn, &destination, now))
            .await
    }
}

/// A delivery waits an hour at most, for a platform's `Retry-After` or a rule's `wait` for images. The
/// extra minute allows for small clock corrections between two polls.
const DUE_TIMES: DueTimes = DueTimes {
    ahead_max: Duration::from_secs(3600 + 60),
};

/// One part of the waiting deliveries, found by one index range.
struct Range {
    rank: Rank,
    tried: bool,
    /// They select due deliveries, by [`DueTimes::bounds`].
    due: [&'static str; 2],
    /// Selects the delivery whose retry is due first.
    first: &'static str,
}

macro_rules! range {
    ($rank:ident, $key:literal, $tried_flag:literal, $tried:literal, $order:literal) => {
        Range {
            rank: Rank::$rank,
            tried: $tried_flag,
            due: [
                concat!(
                    "SELECT id FROM deliveries WHERE destination = ?1 AND rank = '",
                    $key,
                    "' AND tried = ",
                    $tried,
                    " AND state = 'pending' AND due_at <= ?2 ORDER BY ",
                    $order,
                    " LIMIT ?3"
                ),
                concat!(
                    "SELECT id FROM deliveries WHERE destination = ?1 AND rank = '",
                    $key,
                    "' AND tried = ",
                    $tried,
                    " AND state = 'pending' AND due_at > ?2 ORDER BY ",
                    $order,
                    " LIMIT ?3"
                ),
            ],
            first: concat!(
                "SELECT id FROM deliveries WHERE destination = ?1 AND rank = '",
                $key,
                "' AND tried = ",
                $tried,
                " AND state = 'pending' AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3"
            ),
        }
    };
}

/// The order of leasing. Within a rank, untried messages come before failed ones. The newest critical
/// message comes first, because it shows the current situation.
const RANGES: [Range; 8] = [
    range!(Critical, "critical", false, "0", "due_at DESC, id DESC"),
    range!(Critical, "critical", true, "1", "due_at DESC, id DESC"),
    range!(Warning, "warning", false, "0", "due_at, id"),
    range!(Warning, "warning", true, "1", "due_at, id"),
    range!(Info, "info", false, "0", "due_at, id"),
    range!(Info, "info", true, "1", "due_at, id"),
    range!(Notice, "notice", false, "0", "due_at, id"),
    range!(Notice, "notice", true, "1", "due_at, id"),
];

pub(super) fn lease_due(
    tx: &Tx<'_>,
    destination: &DestinationName,
    count: usize,
    lasts: Duration,
) -> rusqlite::Result<Vec<Lease<DeliveryId>>> {
    end_leases(tx, destination)?;
    held::release_due(tx, destination)?;
    let ids = due_ids(tx, destination, tx.now, count)?;
    take(tx, ids, lasts)
}

fn lease_probe(
    tx: &Tx<'_>,
    destination: &DestinationName,
    turn: usize,
    due_only: bool,
    lasts: Duration,
) -> rusqlite::Result<Vec<Lease<DeliveryId>>> {
    end_leases(tx, destination)?;
    held::release_due(tx, destination)?;
    let id = probe_id(tx, destination, turn, due_only)?;
    take(tx, id.into_iter().collect(), lasts)
}

fn take(
    tx: &Tx<'_>,
    ids: Vec<DeliveryId>,
    lasts: Duration,
) -> rusqlite::Result<Vec<Lease<DeliveryId>>> {
    ids.into_iter()
        .map(|id| {
            let lease = new_lease(tx, id, lasts);
            tx.prepare_cached(
                "UPDATE deliveries SET state = 'sending', lease_token = ?2, lease_until = ?3,
                                       waits_for_images = 0, again = 0
                 WHERE id = ?1",
            )?
            .execute(params![id, lease.token, lease.until])?;
            Ok(lease)
        })
        .collect()
}

/// Returns everything needed to send the leased deliveries. Removed deliveries and unreadable rows are
/// left out: their leases expire, and the others are sent.
pub(super) fn leased_work(
    conn: &Connection,
    leases: Vec<Lease<DeliveryId>>,
) -> rusqlite::Result<Vec<Lease<Work>>> {
    let mut works = Vec::with_capacity(leases.len());
    for lease in leases {
        let item = match work(conn, lease.item) {
            Ok(item) => item,
            Err(rusqlite::Error::QueryReturnedNoRows) => continue,
            Err(error) if error.sqlite_error().is_none() => {
                tracing::error!(delivery.id = %lease.item, %error, "failed to read delivery; it is not sent");
                continue;
            }
            Err(error) => return Err(error),
        };
        works.push(lease.with(item));
    }
    Ok(works)
}

/// Makes deliveries with expired leases due again.
fn end_leases(tx: &Tx<'_>, destination: &DestinationName) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'pending', lease_token = NULL, lease_until = NULL,
                               due_at = min(due_at, ?2)
         WHERE destination = ?1 AND state = 'sending' AND lease_until < ?2",
    )?
    .execute(params![destination, tx.now])?;
    Ok(())
}

fn due_ids(
    conn: &Connection,
    destination: &DestinationName,
    now: Timestamp,
    count: usize,
) -> rusqlite::Result<Vec<DeliveryId>> {
    let mut ids = Vec::new();
    for range in &RANGES {
        for (sql, bound) in range.due.into_iter().zip(DUE_TIMES.bounds(now)) {
            if ids.len() >= count {
                return Ok(ids);
            }
            let room = signed(count - ids.len());
            let mut due = conn.prepare_cached(sql)?;
            for id in due.query_map(params![destination, bound, room], |row| row.get(0))? {
                ids.push(id?);
            }
        }
    }
    Ok(ids)
}

/// Returns the delivery that probes the destination. It prefers an untried one, else the one whose retry
/// is due first, even if that is later. Each turn begins at another severity, so that messages that
/// always fail do not block the probe. A notice is the probe only if no report waits.
fn probe_id(
    tx: &Tx<'_>,
    destination: &DestinationName,
    turn: usize,
    due_only: bool,
) -> rusqlite::Result<Option<DeliveryId>> {
    for (notice, tried) in [(false, false), (false, true), (true, false), (true, true)] {
        let ranges: Vec<&Range> = RANGES
            .iter()
            .filter(|range| (range.rank == Rank::Notice, range.tried) == (notice, tried))
            .collect();
        for step in 0..ranges.len() {
            let Some(range) = ranges.get((turn + step) % ranges.len()) else {
                continue;
            };
            // An untried message may still be waiting for its images.
            let statements: Vec<_> = match tried && !due_only {
                true => vec![(range.first, Timestamp::from_millis(i64::MAX))],
                false => range
                    .due
                    .into_iter()
                    .zip(DUE_TIMES.bounds(tx.now))
                    .collect(),
            };
            for (sql, bound) in statements {
                let found = tx
                    .prepare_cached(sql)?
                    .query_row(params![destination, bound, 1], |row| row.get(0))
                    .optional()?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }
    Ok(None)
}

/// Selects a delivery, its event, and whether more must be read. One statement is cheaper, and most
/// deliveries need no more.
pub(super) const WORK: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    ", ",
    event_columns!(),
    ", EXISTS (SELECT 1 FROM image_jobs WHERE event_seq = e.seq),
       EXISTS (SELECT 1 FROM feedback_states WHERE event_seq = e.seq),
       EXISTS (SELECT 1 FROM feedback_acts WHERE told_by = e.seq)
     FROM deliveries d JOIN events e ON e.seq = d.event_seq LEFT JOIN bodies b ON b.event_seq = e.seq
     WHERE d.id = ?1"
);

/// What else must be read for an event.
struct More {
    images: bool,
    /// Whether somebody has changed the status of its feedback.
    state: bool,
    /// Whether the event reports a status change.
    change: bool,
}

fn work(conn: &Connection, id: DeliveryId) -> rusqlite::Result<Work> {
    let (delivery, event, more) = conn.prepare_cached(WORK)?.query_row([id], |row| {
        let at = DELIVERY_COLUMNS + EVENT_COLUMNS;
        let more = More {
            images: row.get(at)?,
            state: row.get(at + 1)?,
            change: row.get(at + 2)?,
        };
        Ok((
            rows::delivery(row)?,
            rows::event(row, DELIVERY_COLUMNS)?,
            more,
        ))
    })?;
    let shown = match delivery.trigger {
        Trigger::LateImages => {
            super::late_images::shown(conn, delivery.event, &delivery.destination)?
        }
        Trigger::Event
        | Trigger::Edit
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Test
        | Trigger::Incident => 0,
    };
    let incident = incidents::of_event(conn, &event)?;
    Ok(Work {
        counted: incidents::counted(conn, event.seq, &delivery.spec.rule)?,
        images: match &incident {
            Some(incident) => incidents::images(conn, incident.id)?,
            None if more.images => rows::images_of(conn, event.seq)?,
            None => Vec::new(),
        },
        newest: match &incident {
            Some(incident) => incidents::newest_reports(conn, incident.id, similar::COMPARED_MAX)?,
            None => held::newest_reports(conn, &event)?,
        },
        earlier: match &incident {
            Some(incident) => incidents::earlier(conn, incident)?,
            None => EarlierIncidents::default(),
        },
        incident,
        shown,
        // The first attempt has no earlier rendering.
        payload: match delivery.attempts {
            0 => None,
            _ => kept_payload(conn, &delivery)?,
        },
        message: message(conn, &delivery, more.change)?,
        state: match more.state {
            true => feedback_status::state_of(conn, event.seq)?,
            false => None,
        },
        delivery,
        event,
    })
}

/// Returns the rendering of the last attempt, if it is in the form that is due.
fn kept_payload(conn: &Connection, delivery: &Delivery) -> rusqlite::Result<Option<KeptPayload>> {
    conn.prepare_cached(
        "SELECT p.payload, d.shown FROM payloads p JOIN deliveries d ON d.id = p.delivery_id
         WHERE p.delivery_id = ?1 AND p.form = ?2",
    )?
    .query_row(params![delivery.id, delivery.form], |row| {
        Ok(KeptPayload {
            body: row.get(0)?,
            shown: row.get(1)?,
        })
    })
    .optional()
}

/// Returns the message that a delivery belongs to. `change`: its event reports a status change.
fn message(
    conn: &Connection,
    delivery: &Delivery,
    change: bool,
) -> rusqlite::Result<Option<MessageHandle>> {
    match delivery.trigger {
        Trigger::Edit => messages::edited_by(conn, delivery.id),
        Trigger::LateImages => messages::first(conn, delivery.event, &delivery.destination),
        // The live message of an incident starts a thread, and the others reply to it.
        Trigger::Incident => messages::live(conn, delivery.event, &delivery.destination),
        Trigger::Event | Trigger::Fallback | Trigger::Replay | Trigger::Test if change => {
            match status_history::followed_by(conn, delivery.event)? {
                Some(first) => messages::first(conn, first, &delivery.destination),
                None => Ok(None),
            }
        }
        Trigger::Event | Trigger::Fallback | Trigger::Replay | Trigger::Test => Ok(None),
    }
}

pub(super) fn next_due_at(
    conn: &Connection,
    destination: &DestinationName,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let mut next = held::next_due_at(conn, destination, now)?;
    for range in &RANGES {
        let rows = format!(
            "FROM deliveries WHERE destination = ?1 AND rank = '{}' AND tried = {}
               AND state = 'pending'",
            range.rank.key(),
            u8::from(range.tried),
        );
        let due_at = DUE_TIMES.next(conn, &rows, [destination], now)?;
        next = next.into_iter().chain(due_at).min();
    }
    Ok(next)
}

/// Returns the statements that find due deliveries.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    RANGES.iter().flat_map(|range| range.due).collect()
}
