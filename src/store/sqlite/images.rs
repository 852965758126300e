//! The results of image jobs, and the kept images.

use rusqlite::{Connection, OptionalExtension, params};

use super::engine::tx::Tx;
use super::values::signed;
use super::{Database, IfAbandoned, deliveries, incidents, late_images, rows};
use crate::model::*;
use crate::store::{ImageVerdict, StoreError, Topic};

impl Database {
    /// See [`crate::store::Store::finish_image`].
    pub(in crate::store) async fn finish_image(
        &self,
        token: LeaseToken,
        event: EventSeq,
        ordinal: u8,
        verdict: ImageVerdict,
    ) -> Result<Recorded, StoreError> {
        self.write(IfAbandoned::Run, move |tx| {
            finish_image(tx, token, event, ordinal, &verdict)
        })
        .await
    }

    /// See [`crate::store::Store::image_key`].
    pub(in crate::store) async fn image_key(
        &self,
        app_id: &str,
        image: &ImageId,
    ) -> Result<Option<String>, StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        self.read(move |conn| image_key(conn, &app_id, &image))
            .await
    }

    /// See [`crate::store::Store::put_image_key`].
    pub(in crate::store) async fn put_image_key(
        &self,
        app_id: &str,
        image: &ImageId,
        key: &str,
    ) -> Result<(), StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        let key = key.to_owned();
        self.write(IfAbandoned::Run, move |tx| {
            put_image_key(tx, &app_id, &image, &key)
        })
        .await
    }

    /// See [`crate::store::Store::forget_image_keys`].
    pub(in crate::store) async fn forget_image_keys(
        &self,
        app_id: &str,
        images: &[ImageId],
        delivery: DeliveryId,
    ) -> Result<(), StoreError> {
        let (app_id, images) = (app_id.to_owned(), images.to_vec());
        self.write(IfAbandoned::Run, move |tx| {
            forget_image_keys(tx, &app_id, &images, delivery)
        })
        .await
    }

    /// See [`crate::store::Store::kept_image`].
    pub(in crate::store) async fn kept_image(
        &self,
        id: &ImageId,
    ) -> Result<Option<KeptImage>, StoreError> {
        let id = id.clone();
        self.read(move |conn| kept_image(conn, &id)).await
    }
}

fn finish_image(
    tx: &Tx<'_>,
    token: LeaseToken,
    event: EventSeq,
    ordinal: u8,
    verdict: &ImageVerdict,
) -> rusqlite::Result<Recorded> {
    let changed = match verdict {
        ImageVerdict::Kept(kept) => tx
            .prepare_cached(
                "UPDATE image_jobs SET state = 'kept', image_id = ?4, url = NULL, reason = NULL,
                                       lease_token = NULL
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, kept.id])?,
        ImageVerdict::RetryAt {
            due_at,
            reason,
            refused,
        } => tx
            .prepare_cached(
                "UPDATE image_jobs SET due_at = ?4, reason = ?5, refused = ?6,
                                       lease_token = NULL, leases_lost = 0
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, due_at, reason, refused])?,
        ImageVerdict::Lost { reason } => tx
            .prepare_cached(
                "UPDATE image_jobs SET state = 'lost', url = NULL, reason = ?4,
                                       lease_token = NULL
                 WHERE event_seq = ?1 AND ordinal = ?2 AND state = 'pending' AND lease_token = ?3",
            )?
            .execute(params![event, ordinal, token, reason])?,
    };
    if changed == 0 {
        return Ok(Recorded::LeaseLost);
    }
    match verdict {
        ImageVerdict::Kept(kept) => {
            keep(tx, kept)?;
            release_waiting(tx, event)?;
            late_images::send_late_images(tx, event)?;
            incidents::show_image(tx, event)?;
        }
        ImageVerdict::Lost { .. } => release_waiting(tx, event)?,
        ImageVerdict::RetryAt { refused, .. } => {
            tx.notify(Topic::Images);
            if *refused {
                release_waiting(tx, event)?;
            }
        }
    }
    Ok(Recorded::Recorded)
}

/// Stores the description of kept bytes. Bytes that retention removed earlier are marked as kept again.
fn keep(tx: &Tx<'_>, kept: &KeptImage) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO images (id, format, bytes, width, height, kept_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'kept')
         ON CONFLICT (id) DO UPDATE SET
             format = excluded.format, bytes = excluded.bytes, width = excluded.width,
             height = excluded.height, kept_at = excluded.kept_at, state = 'kept'",
    )?
    .execute(params![
        kept.id,
        kept.format,
        signed(kept.bytes),
        kept.width,
        kept.height,
        tx.now
    ])?;
    Ok(())
}

/// Makes waiting deliveries due when the event's last image is settled or refused.
pub(super) fn release_waiting(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    if rows::images_unsettled(tx, event)? {
        return Ok(());
    }
    let mut release = tx.prepare_cached(
        "UPDATE deliveries SET due_at = min(due_at, ?2), first_due_at = min(first_due_at, ?2),
                               due_since = min(due_since, ?3), waits_for_images = 0
         WHERE event_seq = ?1 AND state = 'pending' AND waits_for_images = 1 RETURNING destination",
    )?;
    let mut released = release.query(params![event, tx.now, tx.uptime])?;
    while let Some(row) = released.next()? {
        tx.notify_destination(&row.get(0)?);
    }
    Ok(())
}

fn image_key(conn: &Connection, app_id: &str, image: &ImageId) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT key FROM image_keys WHERE image_id = ?1 AND app_id = ?2")?
        .query_row(params![image, app_id], |row| row.get(0))
        .optional()
}

fn put_image_key(tx: &Tx<'_>, app_id: &str, image: &ImageId, key: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO image_keys (image_id, app_id, key) VALUES (?1, ?2, ?3)
         ON CONFLICT (image_id, app_id) DO UPDATE SET key = excluded.key",
    )?
    .execute(params![image, app_id, key])?;
    Ok(())
}

fn forget_image_keys(
    tx: &Tx<'_>,
    app_id: &str,
    images: &[ImageId],
    delivery: DeliveryId,
) -> rusqlite::Result<()> {
    for image in images {
        tx.prepare_cached("DELETE FROM image_keys WHERE image_id = ?1 AND app_id = ?2")?
            .execute(params![image, app_id])?;
    }
    deliveries::drop_payload(tx, delivery)
}

fn kept_image(conn: &Connection, id: &ImageId) -> rusqlite::Result<Option<KeptImage>> {
    conn.prepare_cached(
        "SELECT id, format, bytes, width, height FROM images WHERE id = ?1 AND state = 'kept'",
    )?
    .query_row([id], rows::kept_image_row)
    .optional()
}
