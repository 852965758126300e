//! Deliveries to destinations that are not configured (any more).

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use crate::model::*;
use crate::store::{Orphaned, Renamed};

/// See [`crate::store::Store::settle_orphans`].
pub(in crate::store) fn settle_orphans(
    tx: &Tx<'_>,
    known: &[DestinationName],
    wait: Duration,
    reason: &str,
) -> rusqlite::Result<Orphaned> {
    let mut orphaned = Orphaned::default();
    for name in known {
        is_back(tx, name)?;
    }
    for destination in destinations_with_work(tx)? {
        if known.contains(&destination) {
            continue;
        }
        let now = tx.uptime.unwrap_or_default();
        match missing_from(tx, &destination)? {
            None => {
                tx.prepare_cached(
                    "INSERT INTO gates (destination, missing_from) VALUES (?1, ?2)
                     ON CONFLICT (destination) DO UPDATE SET missing_from = excluded.missing_from",
                )?
                .execute(params![destination, now])?;
                let count = tx
                    .prepare_cached(
                        "SELECT count(*) FROM deliveries
                         WHERE destination = ?1 AND (state = 'pending' OR state = 'sending')",
                    )?
                    .query_row([&destination], |row| row.get(0))?;
                orphaned
                    .missing
                    .push((destination, super::values::unsigned(count)));
            }
            Some(from) if now.since(from) >= wait => {
                end_all(tx, &destination, reason, &mut orphaned.ended)?;
            }
            Some(_) => {}
        }
    }
    orphaned.ended.sort_unstable_by_key(|(id, _)| *id);
    Ok(orphaned)
}

/// Ends the wait for a destination that is configured again. The time without it does not count as trying.
fn is_back(tx: &Tx<'_>, name: &DestinationName) -> rusqlite::Result<()> {
    let Some(from) = missing_from(tx, name)? else {
        return Ok(());
    };
    let away = tx.uptime.unwrap_or_default().since(from);
    tx.prepare_cached(
        "UPDATE deliveries SET due_since = due_since + ?2
         WHERE destination = ?1 AND (state = 'pending' OR state = 'sending')",
    )?
    .execute(params![
        name,
        i64::try_from(away.as_millis()).unwrap_or(i64::MAX)
    ])?;
    tx.prepare_cached("UPDATE gates SET missing_from = NULL WHERE destination = ?1")?
        .execute([name])?;
    tx.notify_destination(name);
    Ok(())
}

fn missing_from(tx: &Tx<'_>, destination: &DestinationName) -> rusqlite::Result<Option<Uptime>> {
    let from = tx
        .prepare_cached("SELECT missing_from FROM gates WHERE destination = ?1")?
        .query_row([destination], |row| row.get(0))
        .optional()?;
    Ok(from.flatten())
}

fn end_all(
    tx: &Tx<'_>,
    destination: &DestinationName,
    reason: &str,
    ended: &mut Vec<(DeliveryId, DestinationName)>,
) -> rusqlite::Result<()> {
    for state in ["pending", "sending"] {
        let mut end = tx.prepare_cached(&format!(
            "UPDATE deliveries SET state = iif(trigger = 'edit', 'discarded', 'dead'),
                                   reason = ?2, waits_for_images = 0,
                                   lease_token = NULL, lease_until = NULL
             WHERE state = '{state}' AND destination = ?1 RETURNING id"
        ))?;
        for id in end.query_map(params![destination, reason], |row| row.get(0))? {
            ended.push((id?, destination.clone()));
        }
    }
    Ok(())
}

/// Ends waiting messages whose event the new name has or will get, by [`failover::HAS_IT`]: several old names may
/// have got the same event. Edits belong to one message each, so they stay.
pub(super) const HAD_TWICE: &str = "UPDATE deliveries AS d
     SET state = 'discarded', waits_for_images = 0, reason = ?3 || ' has it'
     WHERE destination = ?1 AND severity = ?4 AND tried = ?5 AND state = 'pending'
       AND (trigger = 'event' OR trigger = 'fallback' OR trigger = 'replay' OR trigger = 'late_images')
       AND EXISTS (SELECT 1 FROM deliveries h
                   WHERE h.event_seq = d.event_seq AND h.destination = ?2
                     AND (h.trigger = 'late_images') = (d.trigger = 'late_images')
                     AND h.trigger <> 'edit' AND h.trigger <> 'test'
                     AND (h.trigger <> 'late_images' OR h.state = 'pending' OR h.state = 'sending')
                     AND h.state <> 'dead' AND h.state <> 'discarded'
                     AND h.created_at >= (SELECT coalesce(max(created_at), d.created_at) FROM deliveries
                                          WHERE event_seq = d.event_seq AND created_at <= d.created_at
                                            AND (trigger = 'event' OR trigger = 'replay')))
     RETURNING id";

/// Moves deliveries of one severity, untried or tried.
pub(super) const MOVE_WAITING: &str = "UPDATE deliveries SET destination = ?2, due_since = ?3
     WHERE destination = ?1 AND severity = ?4 AND tried = ?5 AND state = 'pending'";

/// Moves deliveries in flight, so that their retries are not delayed.
pub(super) const MOVE_LEASED: &str = "UPDATE deliveries SET destination = ?2, due_since = ?3
     WHERE destination = ?1 AND state = 'sending'";

/// See [`crate::store::Store::rename_destination`].
pub(in crate::store) fn rename_destination(
    tx: &Tx<'_>,
    old: &[DestinationName],
    new: &DestinationName,
) -> rusqlite::Result<Renamed> {
    let mut renamed = Renamed::default();
    let mut moved = 0;
    // Sends in flight cannot be ended, so they go first. Then the more severe of two messages stays.
    for old in old {
        let mut leased = tx.prepare_cached(MOVE_LEASED)?;
        moved += leased.execute(params![old, new, tx.uptime])?;
    }
    for severity in Severity::ALL.iter().rev() {
        for (old, tried) in old.iter().flat_map(|old| [(old, false), (old, true)]) {
            let mut end = tx.prepare_cached(HAD_TWICE)?;
            let ended = end.query_map(params![old, new, new, severity, tried], |row| row.get(0))?;
            for id in ended {
                renamed.discarded.push(id?);
            }
            let mut waiting = tx.prepare_cached(MOVE_WAITING)?;
            moved += waiting.execute(params![old, new, tx.uptime, severity, tried])?;
        }
    }
    if moved > 0 {
        tx.notify_destination(new);
    }
    renamed.moved = u64::try_from(moved).unwrap_or(u64::MAX);
    Ok(renamed)
}

/// Returns the destinations of pending or leased deliveries. It steps through an index, so the cost
/// depends on the number of destinations only.
fn destinations_with_work(tx: &Tx<'_>) -> rusqlite::Result<Vec<DestinationName>> {
    let mut found = Vec::new();
    for state in ["pending", "sending"] {
        let mut next = tx.prepare_cached(&format!(
            "SELECT min(destination) FROM deliveries WHERE state = '{state}' AND destination > ?1"
        ))?;
        let mut last = String::new();
        while let Some(name) = next.query_row([&last], |row| row.get::<_, Option<String>>(0))? {
            found.push(DestinationName::from(name.as_str()));
            last = name;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
