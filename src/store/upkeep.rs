//! Retention, statistics and backups.

use super::{Stats, Store, StoreError, StoreLocation, Swept};
use crate::model::*;

impl Store {
    /// Removes data past its retention: bodies, payloads and excerpts older than `bodies_before`, rows
    /// older than `ids_before`. Works in small batches; call again while `more` is set.
    pub async fn sweep(
        &self,
        bodies_before: Timestamp,
        ids_before: Timestamp,
    ) -> Result<Swept, StoreError> {
        self.database.sweep(bodies_before, ids_before).await
    }

    /// Marks kept images as removed: those older than `before`, and the oldest ones beyond `bytes_max`
    /// in total. Returns the ids that no event uses any more; the caller deletes their bytes.
    pub async fn remove_images(
        &self,
        before: Timestamp,
        bytes_max: u64,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.database.remove_images(before, bytes_max).await
    }

    /// Returns the total bytes of all kept images. It reads every image row, so call it rarely.
    pub async fn image_bytes(&self) -> Result<u64, StoreError> {
        self.database.image_bytes().await
    }

    /// Returns the numbers for `status` and metrics.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.database.stats(self.clock.now()).await
    }

    /// Writes a consistent copy of the store to `target`, where nothing may exist. The relay may be
    /// running.
    pub async fn backup(&self, target: &StoreLocation) -> Result<(), StoreError> {
        let StoreLocation::Sqlite(file) = target;
        self.database.backup(file).await
    }
}
