//! Deliveries to destinations that are not configured (any more).

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::engine::tx::Tx;
use super::feedback_rows::Key;
use super::{Database, IfAbandoned, failover, feedback_status};
use crate::model::*;
use crate::store::decide::failover as decide;
use crate::store::{FormerNames, Orphaned, Renamed, StoreError, TWICE};

impl Database {
    /// See [`crate::store::Store::settle_orphans`].
    pub(in crate::store) async fn settle_orphans(
        &self,
        known: &[DestinationName],
        wait: Duration,
        reason: &str,
    ) -> Result<Orphaned, StoreError> {
        let (known, reason) = (known.to_vec(), reason.to_owned());
        self.write(IfAbandoned::Run, move |tx| {
            settle_orphans(tx, &known, wait, &reason)
        })
        .await
    }

    /// See [`crate::store::Store::rename_destination`].
    pub(in crate::store) async fn rename_destination(
        &self,
        old: &[DestinationName],
        new: &DestinationName,
    ) -> Result<Renamed, StoreError> {
        let (old, new) = (old.to_vec(), new.clone());
        self.write(IfAbandoned::Run, move |tx| {
            rename_destination(tx, &old, &new)
        })
        .await
    }

    /// See [`crate::store::Store::rename_sent`].
    pub(in crate::store) async fn rename_sent(
        &self,
        old: &[DestinationName],
        new: &DestinationName,
    ) -> Result<(), StoreError> {
        let mut before = Some(i64::MAX);
        while let Some(id) = before {
            let (old, new) = (old.to_vec(), new.clone());
            before = self
                .write(IfAbandoned::Run, move |tx| rename_sent(tx, &old, &new, id))
                .await?;
        }
        Ok(())
    }
}

/// The number of deliveries that one transaction reads, so that it delays no intake.
const BATCH: i64 = 2000;

/// Selects the last of the [`BATCH`] deliveries before an id.
pub(super) const BATCH_END: &str =
    "SELECT id, created_at FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";

pub(super) const MOVE_DELIVERED: &str = "UPDATE deliveries SET destination = ?2
     WHERE id >= ?3 AND id < ?4 AND destination = ?1 AND state = 'delivered'";

pub(super) const MOVE_MESSAGES: &str = "UPDATE messages SET destination = ?2
     WHERE delivery_id >= ?3 AND delivery_id < ?4 AND destination = ?1";

/// Renames the destination of a batch of sent messages before the id `before`. Returns the id before which
/// the next batch is, unless its messages are too old to be edited or to get late images.
fn rename_sent(
    tx: &Tx<'_>,
    old: &[DestinationName],
    new: &DestinationName,
    before: i64,
) -> rusqlite::Result<Option<i64>> {
    let end: Option<(i64, Timestamp)> = tx
        .prepare_cached(BATCH_END)?
        .query_row([before, BATCH - 1], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let from = end.map_or(i64::MIN, |(id, _)| id);
    for (old, sql) in old
        .iter()
        .flat_map(|old| [(old, MOVE_DELIVERED), (old, MOVE_MESSAGES)])
    {
        tx.prepare_cached(sql)?
            .execute(params![old, new, from, before])?;
    }
    let oldest = tx.now - EDITABLE_FOR;
    Ok(end
        .filter(|(_, created_at)| *created_at >= oldest)
        .map(|(id, _)| id))
}

pub(super) const MOVE_DELIVERED_OF: &str = "UPDATE deliveries SET destination = ?2
     WHERE event_seq = ?3 AND destination = ?1 AND state = 'delivered'";

pub(super) const MOVE_MESSAGES_OF: &str =
    "UPDATE messages SET destination = ?2 WHERE event_seq = ?3 AND destination = ?1";

/// Renames the destinations of the messages about feedback that changed. [`rename_sent`] may not have reached
/// them yet, and a destination that shows the change by an edit would also get a new message.
pub(super) fn rename_changed(
    tx: &Tx<'_>,
    change: &FeedbackChange,
    former: &FormerNames,
) -> rusqlite::Result<()> {
    if former.is_empty() {
        return Ok(());
    }
    for key in Key::all_of(change) {
        let Some(event) = feedback_status::facts(tx, &key)?.event else {
            continue;
        };
        for (old, new) in former {
            for sql in [MOVE_DELIVERED_OF, MOVE_MESSAGES_OF] {
                tx.prepare_cached(sql)?.execute(params![old, new, event])?;
            }
        }
    }
    Ok(())
}

fn settle_orphans(
    tx: &Tx<'_>,
    known: &[DestinationName],
    wait: Duration,
    reason: &str,
) -> rusqlite::Result<Orphaned> {
    let mut orphaned = Orphaned::default();
    for name in known {
        is_back(tx, name)?;
    }
    let waited_for = destinations_with_work(tx)?;
    for name in missing(tx)? {
        if !waited_for.contains(&name) {
            forget_missing(tx, &name)?;
        }
    }
    for destination in waited_for {
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
                         WHERE destination = ?1
                           AND (state = 'pending' OR state = 'sending' OR state = 'held')",
                    )?
                    .query_row([&destination], |row| row.get(0))?;
                orphaned
                    .missing
                    .push((destination, super::values::unsigned(count)));
            }
            Some(from) if now.since(from) >= wait => {
                end_all(tx, &destination, reason, &mut orphaned.ended)?;
                forget_missing(tx, &destination)?;
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
    forget_missing(tx, name)?;
    tx.notify_destination(name);
    Ok(())
}

/// Returns the destinations that deliveries waited for.
fn missing(tx: &Tx<'_>) -> rusqlite::Result<Vec<DestinationName>> {
    tx.prepare_cached("SELECT destination FROM gates WHERE missing_from IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Forgets since when a destination is missing, so that later deliveries to it wait anew.
fn forget_missing(tx: &Tx<'_>, name: &DestinationName) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE gates SET missing_from = NULL WHERE destination = ?1 AND missing_from IS NOT NULL",
    )?
    .execute([name])
    .map(|_rows| ())
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
    for state in ["pending", "sending", "held"] {
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

/// Selects waiting deliveries of one rank, untried or tried, whose event has a delivery of the new name.
pub(super) const PERHAPS_TWICE: &str =
    "SELECT id, event_seq, trigger, created_at FROM deliveries AS d
     WHERE destination = ?1 AND rank = ?3 AND tried = ?4 AND state = 'pending'
       AND EXISTS (SELECT 1 FROM deliveries h
                   WHERE h.event_seq = d.event_seq AND h.destination = ?2)";

/// Moves deliveries of one rank, untried or tried.
pub(super) const MOVE_WAITING: &str = "UPDATE deliveries SET destination = ?2, due_since = ?3
     WHERE destination = ?1 AND rank = ?4 AND tried = ?5 AND state = 'pending'";

/// Selects held deliveries whose event has a delivery of the new name.
pub(super) const HELD_TWICE: &str = "SELECT id, event_seq, trigger, created_at FROM deliveries AS d
     WHERE destination = ?1 AND state = 'held'
       AND EXISTS (SELECT 1 FROM deliveries h
                   WHERE h.event_seq = d.event_seq AND h.destination = ?2)";

/// Moves held deliveries.
pub(super) const MOVE_HELD: &str =
    "UPDATE deliveries SET destination = ?2 WHERE destination = ?1 AND state = 'held'";

/// Moves deliveries in flight, so that their retries are not delayed.
pub(super) const MOVE_LEASED: &str = "UPDATE deliveries SET destination = ?2, due_since = ?3
     WHERE destination = ?1 AND state = 'sending'";

fn rename_destination(
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
    for rank in Rank::ALL.iter().copied().rev() {
        for (old, tried) in old.iter().flat_map(|old| [(old, false), (old, true)]) {
            let range = params![old, new, rank, tried];
            let discarded = discard_twice(tx, PERHAPS_TWICE, range, new)?;
            renamed.discarded.extend(discarded);
            let mut waiting = tx.prepare_cached(MOVE_WAITING)?;
            moved += waiting.execute(params![old, new, tx.uptime, rank, tried])?;
        }
    }
    for old in old {
        let discarded = discard_twice(tx, HELD_TWICE, params![old, new], new)?;
        renamed.discarded.extend(discarded);
        moved += tx.prepare_cached(MOVE_HELD)?.execute(params![old, new])?;
        forget_missing(tx, old)?;
    }
    if moved > 0 {
        tx.notify_destination(new);
    }
    renamed.moved = u64::try_from(moved).unwrap_or(u64::MAX);
    Ok(renamed)
}

/// Discards the messages that `sql` selects and that `new` has or will get. Returns them.
fn discard_twice(
    tx: &Tx<'_>,
    sql: &str,
    range: impl rusqlite::Params,
    new: &DestinationName,
) -> rusqlite::Result<Vec<DeliveryId>> {
    let found: Vec<(DeliveryId, EventSeq, Trigger, Timestamp)> = tx
        .prepare_cached(sql)?
        .query_map(range, |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut discarded = Vec::new();
    for (id, event, trigger, created_at) in found {
        if decide::has_message(&failover::siblings(tx, event)?, new, trigger, created_at) {
            failover::give_up(tx, id, DeliveryState::Discarded, TWICE)?;
            discarded.push(id);
        }
    }
    Ok(discarded)
}

/// Returns the destinations of pending, leased or held deliveries. It steps through an index, so the cost
/// depends on the number of destinations only.
fn destinations_with_work(tx: &Tx<'_>) -> rusqlite::Result<Vec<DestinationName>> {
    let mut found = Vec::new();
    for state in ["pending", "sending", "held"] {
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
