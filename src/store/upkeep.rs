//! Retention, statistics and backups.

use super::sqlite::{self, IfAbandoned};
use super::{Stats, Store, StoreError, Swept};
use crate::model::*;
use std::path::Path;

impl Store {
    /// Removes data past its retention: bodies, payloads and excerpts older than `bodies_before`, rows
    /// older than `ids_before`. Works in small batches; call again while `more` is set.
    pub async fn sweep(
        &self,
        bodies_before: Timestamp,
        ids_before: Timestamp,
    ) -> Result<Swept, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::sweep(tx, bodies_before, ids_before)
            })
            .await
    }

    /// Marks kept images as removed: those older than `before`, and the oldest ones beyond `bytes_max`
    /// in total. Returns the ids that no event uses any more; the caller deletes their bytes.
    pub async fn remove_images(
        &self,
        before: Timestamp,
        bytes_max: u64,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::remove_images(tx, before, bytes_max)
            })
            .await
    }

    /// Returns the total bytes of all kept images. It reads every image row, so call it rarely.
    pub async fn image_bytes(&self) -> Result<u64, StoreError> {
        self.database.read(sqlite::kept_bytes).await
    }

    /// Returns the numbers for `status` and metrics.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.database.read(sqlite::stats).await
    }

    /// Writes a consistent copy of the database to `file`, which must not exist. The relay may be
    /// running.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        self.database.backup(file).await
    }
}
