//! Images: what is to be fetched, and what is kept.

use std::time::Duration;

use super::sqlite::{self, IfAbandoned, ImageLook};
use super::{ImageHosts, ImageVerdict, LeasedImages, Store, StoreError};
use crate::model::*;

impl Store {
    /// Leases at most `count` image jobs that are due: first attempts before others, nearest deadline
    /// first, and of each host no more than `hosts` has room for.
    pub async fn lease_images(
        &self,
        count: usize,
        lease: Duration,
        hosts: &ImageHosts,
    ) -> Result<LeasedImages, StoreError> {
        let mut lost = Vec::new();
        let mut look = self.look_for_images(count, hosts).await?;
        if look.due {
            lost = self
                .database
                .write(IfAbandoned::Run, sqlite::ready_images)
                .await?;
            look = self.look_for_images(count, hosts).await?;
        }
        let mut leased = LeasedImages::default();
        if !look.jobs.is_empty() {
            let jobs = look.jobs;
            leased = self
                .database
                .write(IfAbandoned::Skip, move |tx| {
                    sqlite::lease_images(tx, &jobs, lease)
                })
                .await?;
        }
        leased.lost.splice(0..0, lost);
        leased.after = look.after;
        leased.next_due_at = look.next_due_at;
        Ok(leased)
    }

    async fn look_for_images(
        &self,
        count: usize,
        hosts: &ImageHosts,
    ) -> Result<ImageLook, StoreError> {
        let (now, hosts) = (self.clock.now(), hosts.clone());
        self.database
            .read(move |conn| sqlite::look_for_images(conn, now, count, &hosts))
            .await
    }

    /// The image jobs that were in hand when the relay that had the store last ended without a word: one
    /// of them may have ended it.
    pub fn interrupted_images(&self) -> &[(EventSeq, u8)] {
        &self.database.interrupted_images
    }

    /// Counts a lease as lost ahead of a check that may end the process. Closing the job takes that back.
    pub async fn mark_image_check(
        &self,
        token: LeaseToken,
        event: EventSeq,
        ordinal: u8,
    ) -> Result<Recorded, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::mark_image_check(tx, token, event, ordinal)
            })
            .await
    }

    /// When the next image job is due.
    pub async fn next_image_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.database
            .read(move |conn| sqlite::next_image_due_at(conn, now))
            .await
    }

    /// Records what became of an image job. When the event's last image is settled, deliveries
    /// that wait for images are due at once; an image kept after a message had gone makes a
    /// delivery of its own.
    pub async fn finish_image(
        &self,
        token: LeaseToken,
        event: EventSeq,
        ordinal: u8,
        verdict: ImageVerdict,
    ) -> Result<Recorded, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::finish_image(tx, token, event, ordinal, &verdict)
            })
            .await
    }

    /// Makes all pending image jobs due now: the configuration has changed.
    pub async fn make_images_due(&self) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Run, sqlite::make_images_due)
            .await
    }

    /// The key the platform gave for an image uploaded by the app with this `app_id`, or by the bot that
    /// has this name instead of one.
    pub async fn image_key(
        &self,
        app_id: &str,
        image: &ImageId,
    ) -> Result<Option<String>, StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        self.database
            .read(move |conn| sqlite::image_key(conn, &app_id, &image))
            .await
    }

    /// Keeps such a key.
    pub async fn put_image_key(
        &self,
        app_id: &str,
        image: &ImageId,
        key: &str,
    ) -> Result<(), StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        let key = key.to_owned();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::put_image_key(tx, &app_id, &image, &key)
            })
            .await
    }

    /// Forgets the keys of these images, which the platform no longer knows, and the rendering of
    /// `delivery` that shows them: the next attempt uploads and renders anew.
    pub async fn forget_image_keys(
        &self,
        app_id: &str,
        images: &[ImageId],
        delivery: DeliveryId,
    ) -> Result<(), StoreError> {
        let (app_id, images) = (app_id.to_owned(), images.to_vec());
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::forget_image_keys(tx, &app_id, &images, delivery)
            })
            .await
    }

    /// What is known of a kept image, by its id: for serving it.
    pub async fn kept_image(&self, id: &ImageId) -> Result<Option<KeptImage>, StoreError> {
        let id = id.clone();
        self.database
            .read(move |conn| sqlite::kept_image(conn, &id))
            .await
    }
}
