//! Messages that wait for a failing destination: rerouting to the fallback, and ending those tried for
//! too long.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::engine::tx::Tx;
use super::values::SpecColumn;
use super::{Database, IfAbandoned, deliveries, rows};
use crate::model::*;
use crate::store::decide::failover::{self as decide, Moved, Sibling};
use crate::store::{Expired, FailoverPage, FallBack, NewDelivery, Position, StoreError};

impl Database {
    /// See [`crate::store::Store::failover_page`].
    pub(in crate::store) async fn failover_page(
        &self,
        from: &DestinationName,
        range: (Severity, bool),
        after: Position,
        until: Timestamp,
    ) -> Result<FailoverPage, StoreError> {
        let from = from.clone();
        self.read(move |conn| failover_page(conn, &from, range, after, until))
            .await
    }

    /// See [`crate::store::Store::fall_back`].
    pub(in crate::store) async fn fall_back(
        &self,
        ids: Vec<DeliveryId>,
        to: &DestinationName,
        which: FallBack,
    ) -> Result<u64, StoreError> {
        let to = to.clone();
        self.write(IfAbandoned::Run, move |tx| fall_back(tx, &ids, &to, which))
            .await
    }

    /// See [`crate::store::Store::expire`].
    pub(in crate::store) async fn expire(
        &self,
        destination: &DestinationName,
        retry_for: std::time::Duration,
        untried_too: bool,
        fallback: Option<DestinationName>,
    ) -> Result<Vec<Expired>, StoreError> {
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| {
            expire(tx, &destination, retry_for, untried_too, fallback.as_ref())
        })
        .await
    }
}

/// How many deliveries one command handles, so that other commands do not wait long.
const PAGE: u32 = 256;

/// Selects waiting deliveries of one severity, either tried or untried. Late images stay, because the
/// fallback creates its own. Edits stay, because their message exists only here.
pub(super) const WAITING: &str = "SELECT id, due_at FROM deliveries
     WHERE destination = ?1 AND severity = ?2 AND tried = ?3 AND state = 'pending'
       AND (due_at, id) > (?4, ?5) AND due_at <= ?6
       AND trigger <> 'late_images' AND trigger <> 'edit' AND rerouted = 0
     ORDER BY due_at, id LIMIT ?7";

fn failover_page(
    conn: &Connection,
    from: &DestinationName,
    (severity, tried): (Severity, bool),
    after: Position,
    until: Timestamp,
) -> rusqlite::Result<FailoverPage> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Vec<(DeliveryId, Timestamp)> = conn
        .prepare_cached(WAITING)?
        .query_map(
            params![from, severity, tried, after.due_at, after.id, until, PAGE],
            read,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let full = found.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let last = found.last().copied();
    Ok(FailoverPage {
        ids: found.into_iter().map(|(id, _)| id).collect(),
        next: last.map_or(after, |(id, due_at)| Position { due_at, id }),
        full,
    })
}

struct Waiting {
    event: EventSeq,
    created_at: Timestamp,
    destination: DestinationName,
    spec: MessageSpec,
}

/// Returns the delivery if it still waits.
fn waiting(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<Waiting>> {
    tx.prepare_cached(
        "SELECT event_seq, created_at, severity, spec, destination FROM deliveries
         WHERE id = ?1 AND state = 'pending' AND rerouted = 0",
    )?
    .query_row([id], |row| {
        let spec: SpecColumn = row.get(3)?;
        Ok(Waiting {
            event: row.get(0)?,
            created_at: row.get(1)?,
            destination: row.get(4)?,
            spec: spec.into_spec(row.get(2)?),
        })
    })
    .optional()
}

fn fall_back(
    tx: &Tx<'_>,
    ids: &[DeliveryId],
    to: &DestinationName,
    which: FallBack,
) -> rusqlite::Result<u64> {
    let mut sent = 0;
    for id in ids {
        let Some(one) = waiting(tx, *id)? else {
            continue;
        };
        let new = decide::moved(&one.spec, &one.destination, to, tx.now);
        let is_new = send(tx, one.event, &new, one.created_at)?;
        sent += u64::from(is_new);
        match decide::after_move(which, to, is_new) {
            Moved::Stays => tx
                .prepare_cached("UPDATE deliveries SET rerouted = 1 WHERE id = ?1")?
                .execute([id])?,
            Moved::Dead(reason) => give_up(tx, *id, DeliveryState::Dead, &reason)?,
        };
    }
    Ok(sent)
}

fn give_up(
    tx: &Tx<'_>,
    id: DeliveryId,
    state: DeliveryState,
    reason: &str,
) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = ?2, reason = ?3, waits_for_images = 0 WHERE id = ?1",
    )?
    .execute(params![id, state, reason])
}

/// Selects all deliveries of an event.
pub(super) const SIBLINGS: &str =
    "SELECT destination, trigger, state, created_at FROM deliveries WHERE event_seq = ?1";

fn siblings(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<Sibling>> {
    conn.prepare_cached(SIBLINGS)?
        .query_map([event], |row| {
            Ok(Sibling {
                destination: row.get(0)?,
                trigger: row.get(1)?,
                state: row.get(2)?,
                created_at: row.get(3)?,
            })
        })?
        .collect()
}

/// Creates the fallback's delivery, unless the fallback has the event. `created_at` is of the delivery
/// that moves. Returns whether it was created.
pub(super) fn send(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    created_at: Timestamp,
) -> rusqlite::Result<bool> {
    let has_it = decide::has_event(&siblings(tx, event)?, &new.destination, created_at);
    if !has_it {
        let waits = rows::images_unsettled(tx, event)?;
        deliveries::insert(tx, event, new, waits)?;
    }
    Ok(!has_it)
}

/// Selects messages that have failed for too long, oldest first.
pub(super) const EXPIRED_TRIED: &str = "SELECT d.id, d.trigger, d.reason, e.type
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND d.state = 'pending' AND tried = 1 AND due_since <= ?2
     ORDER BY due_since LIMIT ?3";

/// Selects messages never tried because their destination kept failing. The wall clock only narrows the
/// search; uptime decides.
pub(super) const EXPIRED_UNTRIED: &str = "SELECT d.id, d.trigger, d.reason, e.type
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND severity = ?2 AND tried = 0 AND d.state = 'pending' AND due_at <= ?3
       AND due_since <= ?4
     ORDER BY due_at LIMIT ?5";

fn expire(
    tx: &Tx<'_>,
    destination: &DestinationName,
    retry_for: std::time::Duration,
    untried_too: bool,
    fallback: Option<&DestinationName>,
) -> rusqlite::Result<Vec<Expired>> {
    let Some(uptime) = tx.uptime else {
        return Ok(Vec::new());
    };
    let cut = uptime.before(retry_for);
    let read = |row: &Row<'_>| {
        let last: Option<String> = row.get(2)?;
        Ok(Expired {
            id: row.get(0)?,
            trigger: row.get(1)?,
            reason: decide::expired(retry_for, last.as_deref()),
            event_type: row.get(3)?,
            rerouted: false,
        })
    };
    let mut found: Vec<Expired> = tx
        .prepare_cached(EXPIRED_TRIED)?
        .query_map(params![destination, cut, PAGE], read)?
        .collect::<rusqlite::Result<_>>()?;
    if untried_too {
        for severity in Severity::ALL {
            let due_by = tx.now - retry_for;
            let more: Vec<_> = tx
                .prepare_cached(EXPIRED_UNTRIED)?
                .query_map(params![destination, severity, due_by, cut, PAGE], read)?
                .collect::<rusqlite::Result<_>>()?;
            found.extend(more);
        }
    }
    for one in &mut found {
        end_one(tx, one, fallback)?;
    }
    Ok(found)
}

fn end_one(
    tx: &Tx<'_>,
    one: &mut Expired,
    fallback: Option<&DestinationName>,
) -> rusqlite::Result<()> {
    if let Some(to) = fallback.filter(|_| decide::can_move(one.trigger)) {
        one.rerouted = true;
        let is_new = fall_back(tx, &[one.id], to, FallBack::Critical)? > 0;
        one.reason = format!("{}; {}", one.reason, decide::describe(to, is_new));
    }
    give_up(tx, one.id, decide::given_up(one.trigger), &one.reason)?;
    Ok(())
}
