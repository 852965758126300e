//! Taking an event in: once, however often it is pushed.

use rusqlite::{OptionalExtension, named_params, params};

use super::states::{self, Key};
use super::tx::Tx;
use super::values::signed;
use super::{deliveries, messages};
use crate::model::*;
use crate::store::{Accepted, Arrival, NewDelivery};

/// See [`crate::store::Store::accept`].
pub(in crate::store) fn accept(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<Accepted> {
    if let Some(first) = known(tx, arrival)? {
        return Ok(Accepted::Repeat(first));
    }
    let event = insert_event(tx, arrival)?;
    insert_users(tx, event, &arrival.users)?;
    insert_images(tx, event, arrival)?;
    if let Some((app, id)) = arrival.feedback.clone() {
        states::brought(tx, event, &Key { app, id })?;
    }
    let told = already_told(tx, event, arrival)?;
    let waits = !arrival.images.is_empty();
    let untold = |new: &&NewDelivery| !told.contains(&new.destination);
    for new in arrival.deliveries.iter().filter(untold) {
        deliveries::insert(tx, event, new, waits)?;
    }
    Ok(Accepted::New(event))
}

/// Writes down what the platform says of a status. Returns the destinations that have been told of it: by
/// an edit of their message, when somebody clicked, of which the platform now only tells us back.
fn already_told(
    tx: &Tx<'_>,
    event: EventSeq,
    arrival: &Arrival,
) -> rusqlite::Result<Vec<DestinationName>> {
    let Some(change) = &arrival.change else {
        return Ok(Vec::new());
    };
    let effects = states::platform_says(tx, event, change)?;
    let mut told: Option<Vec<DestinationName>> = None;
    for (effect, brought_by) in effects {
        let Some(brought_by) = brought_by.filter(|_| effect == Effect::Known) else {
            return Ok(Vec::new());
        };
        let here = messages::editable_at(tx, brought_by)?;
        told = Some(match told {
            None => here,
            Some(told) => told.into_iter().filter(|one| here.contains(one)).collect(),
        });
    }
    Ok(told.unwrap_or_default())
}

/// The first event with this id, or about this new feedback.
fn known(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<Option<EventSeq>> {
    let by_id = tx
        .prepare_cached("SELECT seq FROM events WHERE id = ?1 AND via = ?2")?
        .query_row(params![arrival.id, arrival.via], |row| row.get(0))
        .optional()?;
    match (by_id, &arrival.feedback) {
        (None, Some((app, feedback))) => tx
            .prepare_cached("SELECT seq FROM events WHERE feedback_id = ?1 AND feedback_app = ?2")?
            .query_row([feedback, app], |row| row.get(0))
            .optional(),
        (found, _) => Ok(found),
    }
}

fn insert_event(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<EventSeq> {
    let (app, feedback) = arrival.feedback.as_ref().map(|(a, f)| (a, f)).unzip();
    tx.prepare_cached(
        "INSERT INTO events (id, via, type, feedback_id, feedback_app, received_at, state)
         VALUES (:id, :via, :type, :feedback_id, :feedback_app, :received_at, :state)",
    )?
    .execute(named_params! {
        ":id": arrival.id,
        ":via": arrival.via,
        ":type": arrival.event_type,
        ":feedback_id": feedback,
        ":feedback_app": app,
        ":received_at": arrival.received_at,
        ":state": arrival.state,
    })?;
    let event = EventSeq(tx.last_insert_rowid());
    if let Some(body) = &arrival.body {
        tx.prepare_cached("INSERT INTO bodies (event_seq, received_at, body) VALUES (?1, ?2, ?3)")?
            .execute(params![event, arrival.received_at, body.expose()])?;
    }
    Ok(event)
}

fn insert_users(tx: &Tx<'_>, event: EventSeq, users: &[Private]) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT OR IGNORE INTO users (user, event_seq) VALUES (?1, ?2)")?;
    for user in users {
        insert.execute(params![user_key(user.expose()), event])?;
    }
    Ok(())
}

/// What stands for a person's id in the journal. Only a hash, for pages of an index keep traces of
/// what was moved within them.
pub(super) fn user_key(user: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(user.as_bytes()).into()
}

fn insert_images(tx: &Tx<'_>, event: EventSeq, arrival: &Arrival) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO image_jobs (event_seq, ordinal, url, state, due_at, deadline_at)
         VALUES (?1, ?2, ?3, 'pending', ?4, ?5)",
    )?;
    for (ordinal, url) in arrival.images.iter().take(IMAGES_PER_EVENT_MAX).enumerate() {
        insert.execute(params![
            event,
            signed(ordinal),
            url.expose(),
            tx.now,
            arrival.images_deadline_at,
        ])?;
        tx.announce();
    }
    Ok(())
}

/// See [`crate::store::Store::add_deliveries`].
pub(in crate::store) fn add_deliveries(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &[NewDelivery],
) -> rusqlite::Result<Vec<DeliveryId>> {
    let waits = super::rows::images_unsettled(tx, event)?;
    new.iter()
        .map(|new| deliveries::insert(tx, event, new, waits))
        .collect()
}
