//! Changes to a delivery that several commands share.

use rusqlite::params;

use super::engine::tx::Tx;
use super::values::{RulesColumn, SpecColumn};
use crate::model::*;
use crate::store::{Holding, NOTICE, NewDelivery};

/// Inserts a delivery. If `unsettled`, images of its event are still to be fetched, and the delivery waits
/// for them, at most until its due time. Otherwise it is due now. A delivery that is held waits for its end instead.
pub(super) fn insert(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    unsettled: bool,
) -> rusqlite::Result<DeliveryId> {
    insert_for(tx, event, new, &[], unsettled)
}

/// Inserts a delivery to a destination that `rules` name. While it waits, a silence of all of them mutes it.
pub(super) fn insert_for(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    rules: &[RuleName],
    unsettled: bool,
) -> rusqlite::Result<DeliveryId> {
    if let Some(held) = &new.held {
        return insert_held(tx, event, new, rules, held);
    }
    let id = tx.generators.delivery(tx.now);
    let waits = unsettled && new.due_at > tx.now;
    let due_at = match unsettled {
        true => new.due_at,
        false => new.due_at.min(tx.now),
    };
    tx.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, destination, rank, trigger, state, form,
                                 created_at, due_at, first_due_at, due_since, waits_for_images, spec, rules)
         VALUES (?1, ?2, ?3, iif((SELECT type FROM events WHERE seq = ?2) = ?11, ?12, ?4), ?5,
                 'pending', 'full', ?6, ?7, ?7, ?8, ?9, ?10, ?13)",
    )?
    .execute(params![
        id,
        event,
        new.destination,
        Rank::of(new.spec.severity),
        new.trigger,
        tx.now,
        due_at,
        tx.uptime.map(|now| now.after(due_at.since(tx.now))),
        waits,
        SpecColumn::of(&new.spec),
        NOTICE,
        Rank::Notice,
        RulesColumn::of(rules, &new.spec),
    ])?;
    tx.notify_destination(&new.destination);
    Ok(id)
}

/// Inserts a delivery that is held.
fn insert_held(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    rules: &[RuleName],
    held: &Holding,
) -> rusqlite::Result<DeliveryId> {
    let id = tx.generators.delivery(tx.now);
    tx.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, destination, rank, trigger, state, form, created_at,
                                 due_at, first_due_at, spec, held_for, held_hours, reported_at,
                                 rules)
         VALUES (?1, ?2, ?3, ?4, ?5, 'held', 'full', ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        id,
        event,
        new.destination,
        Rank::of(new.spec.severity),
        new.trigger,
        tx.now,
        held.until,
        SpecColumn::of(&new.spec),
        held.held_for,
        held.hours,
        held.reported_at,
        RulesColumn::of(rules, &new.spec),
    ])?;
    tx.notify_destination(&new.destination);
    Ok(id)
}

/// Why a delivery is stored without being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The messages of this incident count the report.
    Merged(IncidentId),
    /// This silence mutes it.
    Suppressed(SilenceId),
}

/// Records a delivery that is not sent.
pub(super) fn insert_unsent(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &NewDelivery,
    rules: &[RuleName],
    unsent: Unsent,
) -> rusqlite::Result<()> {
    let (state, incident, silence) = match unsent {
        Unsent::Merged(incident) => (DeliveryState::Merged, Some(incident), None),
        Unsent::Suppressed(silence) => (DeliveryState::Suppressed, None, Some(silence)),
    };
    tx.prepare_cached(
        "INSERT INTO deliveries (id, event_seq, destination, rank, trigger, state, form,
                                 created_at, due_at, first_due_at, incident_id, silence_id, spec, rules)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'full', ?7, ?7, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        tx.generators.delivery(tx.now),
        event,
        new.destination,
        Rank::of(new.spec.severity),
        new.trigger,
        state,
        tx.now,
        incident,
        silence,
        SpecColumn::of(&new.spec),
        RulesColumn::of(rules, &new.spec),
    ])?;
    Ok(())
}

/// Deletes the rendering kept for retries.
pub(super) fn drop_payload(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM payloads WHERE delivery_id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Keeps a rendering for retries.
pub(super) fn keep_payload(
    tx: &Tx<'_>,
    id: DeliveryId,
    form: Form,
    payload: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO payloads (delivery_id, form, payload) VALUES (?1, ?2, ?3)
         ON CONFLICT (delivery_id) DO UPDATE SET form = excluded.form, payload = excluded.payload",
    )?
    .execute(params![id, form, payload])?;
    Ok(())
}
