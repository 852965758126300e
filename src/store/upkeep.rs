//! What is kept for how long, and the store itself.

use super::sqlite::{self, IfAbandoned};
use super::{Stats, Store, StoreError, Swept};
use crate::model::*;
use std::path::Path;

impl Store {
    /// Removes what retention no longer allows: bodies, payloads and excerpts older than
    /// `bodies_before`, rows older than `ids_before`. Works in small bites; call again while `more`.
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

    /// Marks kept images removed: those older than `before`, and the oldest beyond `bytes_max` in
    /// all. Returns the ids that no event needs any more, whose bytes are to be deleted.
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

    /// Bytes of all kept images. Looks at each of them: not for every question.
    pub async fn image_bytes(&self) -> Result<u64, StoreError> {
        self.database.read(sqlite::kept_bytes).await
    }

    /// Numbers for `status` and metrics.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.database.read(sqlite::stats).await
    }

    /// Writes a consistent copy of the store to `file`, which must not exist, while the relay runs.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        self.database.backup(file).await
    }
}
