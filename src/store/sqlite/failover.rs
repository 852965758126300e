//! Messages that wait for a failing destination: rerouting to the fallback, and ending those tried for
//! too long.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::engine::tx::Tx;
use super::values::SpecColumn;
use super::{Database, IfAbandoned, deliveries, rows};
use crate::model::*;
use crate::store::decide::failover::{self as decide, AtFallback, Moved, Sibling};
use crate::store::{Expired, FailoverPage, FallBack, NewDelivery, Position, StoreError};

impl Database {
    /// See [`crate::store::Store::failover_page`].
    pub(in crate::store) async fn failover_page(
        &self,
        from: &DestinationName,
        range: (Rank, bool),
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
        failing_from: Uptime,
        fallback: Option<DestinationName>,
    ) -> Result<Vec<Expired>, StoreError> {
        let destination = destination.clone();
        self.write(IfAbandoned::Run, move |tx| {
            expire(tx, &destination, retry_for, failing_from, fallback.as_ref())
        })
        .await
    }
}

/// How many deliveries one command handles, so that other commands do not wait long.
const PAGE: u32 = 256;

/// Selects waiting deliveries of one rank, either tried or untried. Late images stay, because the
/// fallback creates its own. Edits stay, because their message exists only here.
pub(super) const WAITING: &str = "SELECT id, due_at FROM deliveries
     WHERE destination = ?1 AND rank = ?2 AND tried = ?3 AND state = 'pending'
       AND (due_at, id) > (?4, ?5) AND due_at <= ?6
       AND trigger <> 'late_images' AND trigger <> 'edit' AND rerouted = 0
     ORDER BY due_at, id LIMIT ?7";

fn failover_page(
    conn: &Connection,
    from: &DestinationName,
    (rank, tried): (Rank, bool),
    after: Position,
    until: Timestamp,
) -> rusqlite::Result<FailoverPage> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Vec<(DeliveryId, Timestamp)> = conn
        .prepare_cached(WAITING)?
        .query_map(
            params![from, rank, tried, after.due_at, after.id, until, PAGE],
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
    rerouted: bool,
}

/// Returns the delivery if it still waits.
fn waiting(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<Waiting>> {
    tx.prepare_cached(
        "SELECT event_seq, created_at, rank, spec, destination, rerouted FROM deliveries
         WHERE id = ?1 AND state = 'pending'",
    )?
    .query_row([id], |row| {
        let spec: SpecColumn = row.get(3)?;
        Ok(Waiting {
            event: row.get(0)?,
            created_at: row.get(1)?,
            destination: row.get(4)?,
            spec: spec.into_spec(row.get::<_, Rank>(2)?.severity()),
            rerouted: row.get(5)?,
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
        let Some(one) = waiting(tx, *id)?.filter(|one| !one.rerouted) else {
            continue;
        };
        let at_fallback = reroute(tx, &one, to)?;
        sent += u64::from(at_fallback == AtFallback::New);
        match decide::after_move(which, to, at_fallback) {
            Moved::Stays => mark_rerouted(tx, *id)?,
            Moved::Dead(reason) => give_up(tx, *id, DeliveryState::Dead, &reason)?,
        }
    }
    Ok(sent)
}

fn reroute(tx: &Tx<'_>, one: &Waiting, to: &DestinationName) -> rusqlite::Result<AtFallback> {
    let new = decide::moved(&one.spec, &one.destination, to, tx.now);
    send(tx, one.event, &new, one.created_at, one.rerouted)
}

/// Records that a delivery moved, so that it does not move again.
fn mark_rerouted(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE deliveries SET rerouted = 1 WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

pub(super) fn give_up(
    tx: &Tx<'_>,
    id: DeliveryId,
    state: DeliveryState,
    reason: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE deliveries SET state = ?2, reason = ?3, waits_for_images = 0 WHERE id = ?1",
    )?
    .execute(params![id, state, reason])?;
    Ok(())
}

/// Selects all deliveries of an event.
pub(super) const SIBLINGS: &str =
    "SELECT destination, trigger, state, created_at FROM deliveries WHERE event_seq = ?1";

pub(super) fn siblings(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<Sibling>> {
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

/// Creates the fallback's delivery, unless the fallback has the event or got it before. `created_at` and
/// `rerouted` are of the delivery that moves.
pub(super) fn send(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    created_at: Timestamp,
    rerouted: bool,
) -> rusqlite::Result<AtFallback> {
    let siblings = siblings(tx, event)?;
    let at_fallback = decide::at_fallback(&siblings, &new.destination, created_at, rerouted);
    if at_fallback == AtFallback::New {
        let waits = rows::images_unsettled(tx, event)?;
        deliveries::insert(tx, event, new, waits)?;
    }
    Ok(at_fallback)
}

/// Selects messages that were tried for too long, oldest first. The time spent trying ends at the last failure,
/// or continues while the destination fails. Other waiting is caused by a rate limit.
pub(super) const EXPIRED_TRIED: &str = "SELECT d.id, d.trigger, d.reason, e.type
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND d.state = 'pending' AND tried = 1 AND due_since <= ?2
       AND ?4 - max(due_since, coalesce(failed_at, due_since), ?5)
           + max(due_since, coalesce(failed_at, due_since)) - due_since >= ?4 - ?2
     ORDER BY due_since LIMIT ?3";

/// Selects messages never tried because their destination kept failing. The wall clock only narrows the
/// search; uptime decides.
pub(super) const EXPIRED_UNTRIED: &str = "SELECT d.id, d.trigger, d.reason, e.type
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND rank = ?2 AND tried = 0 AND d.state = 'pending' AND due_at <= ?3
       AND due_since <= ?4
     ORDER BY due_at LIMIT ?5";

fn expire(
    tx: &Tx<'_>,
    destination: &DestinationName,
    retry_for: std::time::Duration,
    failing_from: Uptime,
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
        .query_map(params![destination, cut, PAGE, uptime, failing_from], read)?
        .collect::<rusqlite::Result<_>>()?;
    if failing_from <= cut {
        for rank in Rank::ALL {
            let due_by = tx.now - retry_for;
            let more: Vec<_> = tx
                .prepare_cached(EXPIRED_UNTRIED)?
                .query_map(params![destination, rank, due_by, cut, PAGE], read)?
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
    if let Some(to) = fallback.filter(|_| decide::can_move(one.trigger))
        && let Some(waiting) = waiting(tx, one.id)?
    {
        one.rerouted = true;
        let at_fallback = reroute(tx, &waiting, to)?;
        mark_rerouted(tx, one.id)?;
        one.reason = format!("{}; {}", one.reason, decide::describe(to, at_fallback));
    }
    give_up(tx, one.id, decide::given_up(one.trigger), &one.reason)
}
