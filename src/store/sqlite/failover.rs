//! Messages that wait for a failing destination: rerouting to the fallback, and ending those tried for
//! too long.

use rusqlite::{Connection, Row, params};

use super::engine::tx::Tx;
use super::values::SpecColumn;
use super::{deliveries, rows};
use crate::model::*;
use crate::store::{Expired, FailoverPage, FallBack, NewDelivery, Position};

/// How many deliveries one command handles, so that other commands do not wait long.
const PAGE: u32 = 256;

/// Selects waiting deliveries of one severity, either tried or untried. Late images stay, because the
/// fallback creates its own. Edits stay, because their message exists only here.
pub(super) const WAITING: &str = "SELECT id, due_at FROM deliveries
     WHERE destination = ?1 AND severity = ?2 AND tried = ?3 AND state = 'pending'
       AND (due_at, id) > (?4, ?5) AND due_at <= ?6
       AND trigger <> 'late_images' AND trigger <> 'edit' AND rerouted = 0
     ORDER BY due_at, id LIMIT ?7";

/// See [`crate::store::Store::failover_page`].
pub(in crate::store) fn failover_page(
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
    spec: MessageSpec,
}

/// Returns the delivery if it still waits.
fn waiting(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<Option<Waiting>> {
    use rusqlite::OptionalExtension;
    tx.prepare_cached(
        "SELECT event_seq, created_at, severity, spec, destination FROM deliveries
         WHERE id = ?1 AND state = 'pending' AND rerouted = 0",
    )?
    .query_row([id], |row| {
        let spec: SpecColumn = row.get(3)?;
        Ok(Waiting {
            event: row.get(0)?,
            created_at: row.get(1)?,
            // The fallback may show no more than this destination would.
            spec: spec.into_spec(row.get(2)?).fallen_from(&row.get(4)?),
        })
    })
    .optional()
}

/// See [`crate::store::Store::fall_back`].
pub(in crate::store) fn fall_back(
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
        let new = NewDelivery {
            destination: to.clone(),
            spec: one.spec,
            trigger: Trigger::Fallback,
            due_at: tx.now,
        };
        let is_new = send(tx, one.event, &new, one.created_at)?;
        sent += u64::from(is_new);
        match which {
            FallBack::Critical => tx
                .prepare_cached("UPDATE deliveries SET rerouted = 1 WHERE id = ?1")?
                .execute([id])?,
            FallBack::Everything => {
                let how = how(tx, one.event, to, one.created_at, is_new)?;
                tx.prepare_cached(
                    "UPDATE deliveries SET state = 'dead', waits_for_images = 0, reason = ?2
                     WHERE id = ?1",
                )?
                .execute(params![id, format!("its destination is stopped; {how}")])?
            }
        };
    }
    Ok(sent)
}

/// Whether a destination has, or will get, an event by a rule, a replay or a fallback. Deliveries older
/// than the rule's or replay's message at the start of the chain of fallbacks do not count.
pub(super) const HAS_IT: &str = "SELECT 1 FROM deliveries
     WHERE event_seq = ?1 AND destination = ?2
       AND created_at >= (SELECT coalesce(max(created_at), ?3) FROM deliveries
                          WHERE event_seq = ?1 AND created_at <= ?3 AND (trigger = 'event' OR trigger = 'replay'))
       AND trigger <> 'late_images' AND trigger <> 'edit' AND trigger <> 'test'
       AND state <> 'dead' AND state <> 'discarded'";

/// Creates the fallback's delivery, unless the fallback has the event. Returns whether it was created.
pub(super) fn send(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    since: Timestamp,
) -> rusqlite::Result<bool> {
    let has_it = has_it(tx, event, &new.destination, since)?;
    if !has_it {
        let waits = rows::images_unsettled(tx, event)?;
        deliveries::insert(tx, event, new, waits)?;
    }
    Ok(!has_it)
}

fn has_it(
    tx: &Tx<'_>,
    event: EventSeq,
    destination: &DestinationName,
    since: Timestamp,
) -> rusqlite::Result<bool> {
    tx.prepare_cached(HAS_IT)?
        .exists(params![event, destination, since])
}

/// Returns what became of a message at its fallback, as text. `is_sent`: it was sent there just now.
pub(super) fn how(
    tx: &Tx<'_>,
    event: EventSeq,
    to: &DestinationName,
    since: Timestamp,
    is_sent: bool,
) -> rusqlite::Result<String> {
    Ok(match is_sent {
        true => format!("sent to {to} instead"),
        false if has_it(tx, event, to, since)? => format!("{to} has it"),
        // The fallback got it earlier, and gets each message once.
        false => format!("sent to {to} before, which did not deliver it"),
    })
}

/// Selects messages that were tried for too long, oldest first. A message was tried until its last failure, and
/// since then while its destination has failed. Otherwise it only waits for its rate.
pub(super) const EXPIRED_TRIED: &str =
    "SELECT d.id, d.trigger, d.reason, e.type, e.seq, d.created_at
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND d.state = 'pending' AND tried = 1 AND due_since <= ?2
       AND ?4 - max(due_since, coalesce(failed_at, due_since), ?5)
           + max(due_since, coalesce(failed_at, due_since)) - due_since >= ?4 - ?2
     ORDER BY due_since LIMIT ?3";

/// Selects messages never tried because their destination kept failing. The wall clock only narrows the
/// search; uptime decides.
pub(super) const EXPIRED_UNTRIED: &str =
    "SELECT d.id, d.trigger, d.reason, e.type, e.seq, d.created_at
     FROM deliveries d JOIN events e ON e.seq = d.event_seq
     WHERE destination = ?1 AND severity = ?2 AND tried = 0 AND d.state = 'pending' AND due_at <= ?3
       AND due_since <= ?4
     ORDER BY due_at LIMIT ?5";

/// See [`crate::store::Store::expire`].
pub(in crate::store) fn expire(
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
        let expired = Expired {
            id: row.get(0)?,
            trigger: row.get(1)?,
            reason: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            event_type: row.get(3)?,
            rerouted: false,
        };
        Ok((expired, row.get(4)?, row.get(5)?))
    };
    let mut found: Vec<(Expired, EventSeq, Timestamp)> = tx
        .prepare_cached(EXPIRED_TRIED)?
        .query_map(params![destination, cut, PAGE, uptime, failing_from], read)?
        .collect::<rusqlite::Result<_>>()?;
    if failing_from <= cut {
        for severity in Severity::ALL {
            let due_by = tx.now - retry_for;
            let more: Vec<_> = tx
                .prepare_cached(EXPIRED_UNTRIED)?
                .query_map(params![destination, severity, due_by, cut, PAGE], read)?
                .collect::<rusqlite::Result<_>>()?;
            found.extend(more);
        }
    }
    for (one, event, created_at) in &mut found {
        if one.reason.is_empty() {
            one.reason = "its destination kept failing".into();
        }
        one.reason = format!(
            "given up after {} s of trying: {}",
            retry_for.as_secs(),
            one.reason
        );
        end_one(tx, one, (*event, *created_at), fallback)?;
    }
    Ok(found.into_iter().map(|(one, ..)| one).collect())
}

fn end_one(
    tx: &Tx<'_>,
    one: &mut Expired,
    (event, created_at): (EventSeq, Timestamp),
    fallback: Option<&DestinationName>,
) -> rusqlite::Result<()> {
    let own_message = one.trigger != Trigger::Edit && one.trigger != Trigger::LateImages;
    if let Some(to) = fallback.filter(|_| own_message) {
        one.rerouted = true;
        let is_sent = fall_back(tx, &[one.id], to, FallBack::Critical)? > 0;
        let how = how(tx, event, to, created_at, is_sent)?;
        one.reason.push_str("; ");
        one.reason.push_str(&how);
    }
    tx.prepare_cached(
        "UPDATE deliveries SET state = iif(trigger = 'edit', 'discarded', 'dead'), reason = ?2,
                               waits_for_images = 0
         WHERE id = ?1",
    )?
    .execute(params![one.id, one.reason])?;
    Ok(())
}
