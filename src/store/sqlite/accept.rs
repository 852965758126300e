//! Stores an event once, however often it is pushed.

use std::sync::Arc;

use rusqlite::params;

use super::deliveries::Unsent;
use super::engine::event_id_index;
use super::engine::tx::Tx;
use super::feedback_rows::Key;
use super::feedback_status;
use super::incidents::{self, Joined};
use super::silences::Counting;
use super::values::signed;
use super::{Database, IfAbandoned, deliveries, messages, orphans, silences};
use crate::model::*;
use crate::net::host_of;
use crate::store::decide::silence::Silencer;
use crate::store::{Accepted, Arrival, FormerNames, NewDelivery, StoreError, Topic, decide};

impl Database {
    /// See [`crate::store::Store::accept`].
    pub(in crate::store) async fn accept(
        &self,
        arrival: Arrival,
        former: Arc<FormerNames>,
    ) -> Result<Accepted, StoreError> {
        self.promise(move |tx| {
            if let Some(change) = &arrival.change {
                orphans::rename_changed(tx, change, &former)?;
            }
            accept(tx, &arrival)
        })
        .await
    }

    /// See [`crate::store::Store::accept_notice`].
    pub(in crate::store) async fn accept_notice(
        &self,
        arrival: Arrival,
    ) -> Result<Accepted, StoreError> {
        self.write(IfAbandoned::Run, move |tx| accept(tx, &arrival))
            .await
    }

    /// See [`crate::store::Store::add_deliveries`].
    pub(in crate::store) async fn add_deliveries(
        &self,
        event: EventSeq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            add_deliveries(tx, event, &deliveries)
        })
        .await
    }
}

pub(super) fn accept(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<Accepted> {
    if let Some(first) = event_id_index::find(tx, &arrival.id, &arrival.via)? {
        return Ok(Accepted::Repeat(first));
    }
    let Some(event) = insert_event(tx, arrival)? else {
        return event_with_feedback(tx, arrival).map(Accepted::Repeat);
    };
    insert_images(tx, event, arrival)?;
    if let Some((app, id)) = arrival.feedback.clone() {
        feedback_status::link_originating_event(tx, event, &Key { app, id })?;
    }
    let notified = already_notified(tx, event, arrival)?;
    let silencer = silences::silencer(tx, &arrival.silenceable.matched, tx.now)?;
    let joined = incidents::join(tx, event, arrival, &silencer)?;
    incidents::join_late(tx, event, arrival)?;
    let waits = !arrival.images.is_empty();
    let to_notify = |new: &&NewDelivery| !notified.contains(&new.destination);
    let mut counting = Counting::default();
    for new in arrival.deliveries.iter().filter(to_notify) {
        let rules = arrival.silenceable.rules_of(&new.destination);
        let of_rule = |rule: &RuleName| Joined::mute(&joined, rule, &silencer);
        if let Some(silence) = Silencer::of_message(rules, of_rule) {
            deliveries::insert_unsent(tx, event, new, rules, Unsent::Suppressed(silence))?;
            counting.count(tx, silence, &new.spec.rule, &new.destination)?;
        } else if let Some(incident) = Joined::merging(&joined, &new.destination) {
            deliveries::insert_unsent(tx, event, new, rules, Unsent::Merged(incident))?;
        } else {
            deliveries::insert_for(tx, event, new, rules, waits)?;
        }
    }
    Ok(Accepted::New(event))
}

/// Applies a status change reported by the platform. Returns the destinations that need no message.
fn already_notified(
    tx: &Tx<'_>,
    event: EventSeq,
    arrival: &Arrival,
) -> rusqlite::Result<Vec<DestinationName>> {
    let Some(change) = &arrival.change else {
        return Ok(Vec::new());
    };
    let mut shown_by = Vec::new();
    for (effect, brought_by) in feedback_status::apply_platform_change(tx, event, change)? {
        let editable_at = match brought_by {
            Some(first) => messages::editable_at(tx, first)?,
            None => Vec::new(),
        };
        shown_by.push((effect, editable_at));
    }
    Ok(decide::feedback_status::already_notified(shown_by))
}

/// Returns the event that created this feedback and was received through this app.
fn event_with_feedback(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<EventSeq> {
    let (app, feedback) = arrival
        .feedback
        .as_ref()
        .ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    tx.prepare_cached(
        "SELECT seq FROM events WHERE feedback_id = ?1 AND feedback_app = ?2 AND via = ?3",
    )?
    .query_row(params![feedback, app, arrival.via], |row| row.get(0))
}

/// Inserts the event. Returns `None` if its feedback is already stored, which the unique index detects.
fn insert_event(tx: &Tx<'_>, arrival: &Arrival) -> rusqlite::Result<Option<EventSeq>> {
    let (app, feedback) = arrival.feedback.as_ref().map(|(a, f)| (a, f)).unzip();
    let inserted = tx
        .prepare_cached(
            "INSERT INTO events (id, via, type, feedback_id, feedback_app, received_at, state, users)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            arrival.id,
            arrival.via,
            arrival.event_type,
            feedback,
            app,
            arrival.received_at,
            arrival.state,
            user_keys(&arrival.users),
        ])?;
    if inserted == 0 {
        return Ok(None);
    }
    let event = EventSeq(tx.last_insert_rowid());
    event_id_index::add(tx, &arrival.id, event)?;
    if let Some(body) = &arrival.body {
        tx.prepare_cached("INSERT INTO bodies (event_seq, body) VALUES (?1, ?2)")?
            .execute(params![event, body.expose()])?;
    }
    Ok(Some(event))
}

/// Returns the hashes of people's ids for an event's row; `None` if the event has none.
fn user_keys(users: &[Private]) -> Option<Vec<u8>> {
    let keys = users.iter().map(|user| user_key(user.expose()));
    let keys: Vec<u8> = keys.flatten().collect();
    Some(keys).filter(|keys| !keys.is_empty())
}

/// The length of a [`user_key`] in bytes.
pub(super) const USER_KEY_BYTES: usize = 16;

/// Returns the key of a person's id. It is a hash, because pages keep traces of moved data. Half a hash
/// is enough, because it does not have to resist forgery.
pub(super) fn user_key(user: &str) -> [u8; USER_KEY_BYTES] {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::digest(user.as_bytes()).into();
    std::array::from_fn(|index| hash[index])
}

fn insert_images(tx: &Tx<'_>, event: EventSeq, arrival: &Arrival) -> rusqlite::Result<()> {
    if arrival.images.is_empty() {
        return Ok(());
    }
    let mut insert = tx.prepare_cached(
        "INSERT INTO image_jobs (event_seq, ordinal, url, host, state, due_at, deadline_at)
         VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6)",
    )?;
    for (ordinal, url) in arrival.images.iter().take(IMAGES_PER_EVENT_MAX).enumerate() {
        insert.execute(params![
            event,
            signed(ordinal),
            url.expose(),
            host_of(url.expose()),
            tx.now,
            arrival.images_deadline_at,
        ])?;
        tx.notify(Topic::Images);
    }
    Ok(())
}

pub(super) fn add_deliveries(
    tx: &Tx<'_>,
    event: EventSeq,
    new: &[NewDelivery],
) -> rusqlite::Result<Vec<DeliveryId>> {
    let waits = super::rows::images_unsettled(tx, event)?;
    new.iter()
        .map(|new| deliveries::insert(tx, event, new, waits))
        .collect()
}
