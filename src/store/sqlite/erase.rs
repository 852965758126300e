//! Erases a person's text and images.

use rusqlite::{Connection, OptionalExtension, params};

use super::accept::{USER_KEY_BYTES, user_key};
use super::engine::tx::Tx;
use super::{Database, IfAbandoned, incidents, messages, status_history};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::erase`].
    pub(in crate::store) async fn erase(
        &self,
        event: EventSeq,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.write(IfAbandoned::Run, move |tx| erase(tx, event))
            .await
    }

    /// See [`crate::store::Store::events_of_user`].
    pub(in crate::store) async fn events_of_user(
        &self,
        user: &str,
    ) -> Result<Vec<EventSeq>, StoreError> {
        let user = user.to_owned();
        self.read(move |conn| events_of_user(conn, &user)).await
    }
}

/// The reason shown by the bare record.
const REASON: &str = "erased by the operator";

fn erase(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<Vec<ImageId>> {
    let images = image_ids(tx, event)?;
    // Also end a leased delivery, so that its worker cannot store the text again.
    tx.prepare_cached(
        "UPDATE deliveries SET state = 'discarded', reason = ?2, waits_for_images = 0,
                               lease_token = NULL, lease_until = NULL
         WHERE event_seq = ?1 AND (state = 'pending' OR state = 'sending' OR state = 'held')",
    )?
    .execute(params![event, REASON])?;
    tx.prepare_cached(
        "UPDATE image_jobs SET state = iif(state = 'kept', 'removed', 'lost'), reason = ?2,
                               url = NULL, image_id = NULL, lease_token = NULL
         WHERE event_seq = ?1 AND (state = 'kept' OR state = 'pending')",
    )?
    .execute(params![event, REASON])?;
    remove_words(tx, event)?;
    incidents::forget_reporter(tx, event)?;
    tx.prepare_cached("UPDATE events SET users = NULL WHERE seq = ?1")?
        .execute([event])?;
    tx.scrub()?;
    remove_unneeded(tx, images)
}

/// Removes an event's body, payloads, excerpts, message handles and the people who acted on it. Returns
/// whether there was a body.
pub(super) fn remove_words(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "DELETE FROM payloads
         WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_seq = ?1)",
    )?
    .execute([event])?;
    tx.prepare_cached(
        "UPDATE attempts SET excerpt = NULL
         WHERE excerpt IS NOT NULL
           AND delivery_id IN (SELECT id FROM deliveries WHERE event_seq = ?1)",
    )?
    .execute([event])?;
    messages::forget(tx, event)?;
    status_history::forget_people(tx, event)?;
    let bodies = tx
        .prepare_cached("DELETE FROM bodies WHERE event_seq = ?1")?
        .execute([event])?;
    Ok(bodies > 0)
}

/// Returns the kept images of an event.
pub(super) fn image_ids(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<ImageId>> {
    conn.prepare_cached(
        "SELECT DISTINCT image_id FROM image_jobs WHERE event_seq = ?1 AND image_id IS NOT NULL",
    )?
    .query_map([event], |row| row.get(0))?
    .collect()
}

/// Deletes the images that no event uses any more, and returns them.
fn remove_unneeded(tx: &Tx<'_>, images: Vec<ImageId>) -> rusqlite::Result<Vec<ImageId>> {
    let mut unneeded = Vec::new();
    for image in images {
        let needed: Option<i64> = tx
            .prepare_cached("SELECT 1 FROM image_jobs WHERE image_id = ?1 LIMIT 1")?
            .query_row([&image], |row| row.get(0))
            .optional()?;
        if needed.is_some() {
            continue;
        }
        tx.prepare_cached("DELETE FROM image_keys WHERE image_id = ?1")?
            .execute([&image])?;
        tx.prepare_cached("DELETE FROM images WHERE id = ?1")?
            .execute([&image])?;
        unneeded.push(image);
    }
    Ok(unneeded)
}

fn events_of_user(conn: &Connection, user: &str) -> rusqlite::Result<Vec<EventSeq>> {
    let key = user_key(user);
    let mut found = Vec::new();
    let mut of_people =
        conn.prepare_cached("SELECT seq, users FROM events WHERE users IS NOT NULL ORDER BY seq")?;
    let mut of_people = of_people.query([])?;
    while let Some(row) = of_people.next()? {
        let users = row.get_ref("users")?.as_blob()?;
        if users.chunks_exact(USER_KEY_BYTES).any(|one| one == key) {
            found.push(row.get("seq")?);
        }
    }
    Ok(found)
}
