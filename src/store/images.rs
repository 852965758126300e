//! Image jobs and kept images.

use std::time::Duration;

use super::sqlite::{self, IfAbandoned, ImagePoll};
use super::{ImageHosts, ImageVerdict, LeasedImages, Store, StoreError};
use crate::model::*;

impl Store {
    /// Leases at most `count` due image jobs: first attempts before retries, nearest deadline first.
    /// Each host gets at most the capacity given in `hosts`.
    pub async fn lease_images(
        &self,
        count: usize,
        lease: Duration,
        hosts: &ImageHosts,
    ) -> Result<LeasedImages, StoreError> {
        let mut lost = Vec::new();
        let mut poll = self.poll_images(count, hosts).await?;
        if poll.due {
            lost = self
                .database
                .write(IfAbandoned::Run, sqlite::ready_images)
                .await?;
            poll = self.poll_images(count, hosts).await?;
        }
        let mut leased = LeasedImages::default();
        if !poll.jobs.is_empty() {
            let jobs = poll.jobs;
            leased = self
                .database
                .write(IfAbandoned::Skip, move |tx| {
                    sqlite::lease_images(tx, &jobs, lease)
                })
                .await?;
        }
        leased.lost.splice(0..0, lost);
        leased.after = poll.after;
        leased.next_due_at = poll.next_due_at;
        Ok(leased)
    }

    async fn poll_images(&self, count: usize, hosts: &ImageHosts) -> Result<ImagePoll, StoreError> {
        let (now, hosts) = (self.clock.now(), hosts.clone());
        self.database
            .read(move |conn| sqlite::poll_images(conn, now, count, &hosts))
            .await
    }

    /// Returns the image jobs that were leased when the previous relay process crashed. One of them may
    /// have caused the crash.
    pub fn interrupted_images(&self) -> &[(EventSeq, u8)] {
        &self.database.interrupted_images
    }

    /// Counts a lease as lost before a check that may crash the process. Completing the job reverts
    /// that.
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

    /// Returns when the next image job is due.
    pub async fn next_image_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.database
            .read(move |conn| sqlite::next_image_due_at(conn, now))
            .await
    }

    /// Records the result of an image job. When the event's last image is settled, deliveries that wait
    /// for images become due. An image kept after a message was sent creates a delivery of its own.
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

    /// Makes all pending image jobs due now, because the configuration changed.
    pub async fn make_images_due(&self) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Run, sqlite::make_images_due)
            .await
    }

    /// Returns the platform's key of an uploaded image. `app_id` is the uploading app's id, or a bot's
    /// name.
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

    /// Stores the platform's key of an uploaded image.
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

    /// Deletes keys that the platform no longer knows, and the rendering of `delivery` that uses them.
    /// The next attempt uploads and renders anew.
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

    /// Returns the description of a kept image, for serving it.
    pub async fn kept_image(&self, id: &ImageId) -> Result<Option<KeptImage>, StoreError> {
        let id = id.clone();
        self.database
            .read(move |conn| sqlite::kept_image(conn, &id))
            .await
    }
}
