//! Removes data past its retention, in the background.

use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archive;
use crate::model::{Clock, Current, ImageId, Timestamp};
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// The pause between two runs.
const INTERVAL: Duration = Duration::from_secs(600);
/// The shortest retention of ids and outcomes. Feishu's list of feedback goes back less far, so
/// everything in it is recognised as a repeat.
const IDS_RETAIN_MIN: Duration = Duration::from_secs(181 * 24 * 60 * 60);
/// The pause between batches, so that accepting events does not wait for many batches in a row.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Retention settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long bodies, payloads and excerpts are kept.
    pub retain: Duration,
    /// How long images are kept.
    pub images_retain: Duration,
    /// The most bytes of all images together. Beyond it, the oldest images are removed first.
    pub images_total_max: u64,
}

/// Removes data past its retention.
#[derive(Clone)]
pub struct Sweeper {
    store: Store,
    archive: Archive,
    settings: Current<Settings>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

/// A run failed; the next one continues its work.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store failed.
    #[error("failed to remove old data from the store")]
    Store(#[from] StoreError),
    /// The image folder could not be read.
    #[error("failed to list kept images")]
    List(#[source] std::io::Error),
    /// An image could not be removed.
    #[error("failed to remove the bytes of image {id}")]
    Archive {
        /// The image.
        id: ImageId,
        /// Why.
        source: std::io::Error,
    },
}

impl Sweeper {
    /// Creates a sweeper. It does nothing until it is run.
    pub fn new(
        store: Store,
        archive: Archive,
        settings: Current<Settings>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            archive,
            settings,
            metrics,
            clock,
        }
    }

    /// Runs at once and then every ten minutes, until the soft stop.
    pub async fn run(self, tasks: Tasks) {
        let stopping = tasks.stopping();
        let orphans = tokio::select! {
            () = stopping.cancelled() => return,
            swept = self.sweep_orphans() => swept,
        };
        report(orphans);
        while !stopping.is_cancelled() {
            // The store's part may take long and can be interrupted anywhere. The images' part is short
            // and must not be interrupted between a row and its bytes.
            let swept = tokio::select! {
                () = stopping.cancelled() => break,
                swept = self.sweep_store() => swept,
            };
            for result in [swept, self.sweep_images().await] {
                report(result);
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Removes bytes that no event uses, left by a crash between the changes of store and archive.
    async fn sweep_orphans(&self) -> Result<(), SweepError> {
        let ids = self.archive.old_ids().await.map_err(SweepError::List)?;
        self.remove(ids).await
    }

    async fn sweep_store(&self) -> Result<(), SweepError> {
        let (bodies_before, ids_before) = limits(&self.settings.get(), self.clock.now());
        while self.store.sweep(bodies_before, ids_before).await?.more {
            tokio::time::sleep(BATCH_PAUSE).await;
        }
        Ok(())
    }

    async fn sweep_images(&self) -> Result<(), SweepError> {
        let settings = self.settings.get();
        let images_before = self.clock.now() - settings.images_retain;
        let removed = self
            .store
            .remove_images(images_before, settings.images_total_max)
            .await?;
        self.remove(removed).await?;
        self.metrics
            .set_image_bytes(self.store.image_bytes().await?);
        Ok(())
    }

    /// Removes as many of the images' bytes as possible and then returns the first error. An image that
    /// a new event uses meanwhile stays.
    async fn remove(&self, ids: Vec<ImageId>) -> Result<(), SweepError> {
        let mut first_error = None;
        for id in ids {
            if self.store.kept_image(&id).await?.is_some() {
                continue;
            }
            if let Err(source) = self.archive.remove(&id).await {
                first_error.get_or_insert(SweepError::Archive { id, source });
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

fn report(swept: Result<(), SweepError>) {
    if let Err(error) = swept {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, cause, "failed to finish a retention run; the next run continues");
    }
}

/// Returns how long ids are kept if bodies are kept for `retain`. Older repeats are not detected.
pub fn ids_retain(retain: Duration) -> Duration {
    retain.max(IDS_RETAIN_MIN)
}

/// Returns the times before which bodies and whole rows are removed.
fn limits(settings: &Settings, now: Timestamp) -> (Timestamp, Timestamp) {
    (now - settings.retain, now - ids_retain(settings.retain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outlive_bodies_and_are_kept_181_days() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let now = Timestamp::from_millis(1_800_000_000_000);
        let limits_of = |days| {
            let settings = Settings {
                retain: DAY * days,
                images_retain: DAY,
                images_total_max: 0,
            };
            limits(&settings, now)
        };
        assert_eq!(limits_of(30), (now - DAY * 30, now - DAY * 181));
        assert_eq!(limits_of(365), (now - DAY * 365, now - DAY * 365));
    }
}
