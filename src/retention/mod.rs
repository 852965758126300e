//! What nobody waits for: removing what retention no longer allows.

use std::sync::Arc;
use std::time::Duration;

use crate::archive::Archive;
use crate::model::{Clock, Current, ImageId, Timestamp};
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// How often is swept.
const INTERVAL: Duration = Duration::from_secs(600);
/// How long ids and outcomes are kept at least: longer than Feishu's list of feedback goes back, so
/// that whatever it names is known as a repeat.
const IDS_RETAIN_MIN: Duration = Duration::from_secs(181 * 24 * 60 * 60);
/// Between bites, so that accepting events never waits for a long row of them.
const BREATH: Duration = Duration::from_millis(20);

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bodies, payloads and excerpts.
    pub retain: Duration,
    /// Images.
    pub images_retain: Duration,
    /// The most that all images may take, in bytes; the oldest go first.
    pub images_total_max: u64,
}

/// Removes what retention no longer allows.
#[derive(Clone)]
pub struct Sweeper {
    store: Store,
    archive: Archive,
    settings: Current<Settings>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

/// A round of sweeping did not come to its end; the next one goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error("cannot sweep the store")]
    Store(#[from] StoreError),
    /// The folder of images.
    #[error("cannot list the pictures that are kept")]
    List(#[source] std::io::Error),
    /// An image.
    #[error("cannot remove the bytes of picture {id}")]
    Archive {
        /// Which.
        id: ImageId,
        /// Why.
        source: std::io::Error,
    },
}

impl Sweeper {
    /// A sweeper that does nothing until it is run.
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

    /// Sweeps at once and then each ten minutes, until the soft stop.
    pub async fn run(self, tasks: Tasks) {
        let stopping = tasks.stopping();
        let orphans = tokio::select! {
            () = stopping.cancelled() => return,
            swept = self.sweep_orphans() => swept,
        };
        report(orphans);
        while !stopping.is_cancelled() {
            // The store's part may be long and is left anywhere; the images' part is short and
            // must not be left between a row and its bytes.
            let swept = tokio::select! {
                () = stopping.cancelled() => break,
                swept = self.sweep_journal() => swept,
            };
            for result in [swept, self.sweep_pictures().await] {
                report(result);
            }
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// One round.
    pub async fn step(&self) -> Result<(), SweepError> {
        self.sweep_journal().await?;
        self.sweep_pictures().await
    }

    /// Removes bytes that no event needs: a process that died between the store and the archive
    /// left them behind.
    async fn sweep_orphans(&self) -> Result<(), SweepError> {
        let ids = self.archive.old_ids().await.map_err(SweepError::List)?;
        self.remove(ids).await
    }

    async fn sweep_journal(&self) -> Result<(), SweepError> {
        let (bodies_before, ids_before) = limits(&self.settings.get(), self.clock.now());
        while self.store.sweep(bodies_before, ids_before).await?.more {
            tokio::time::sleep(BREATH).await;
        }
        Ok(())
    }

    async fn sweep_pictures(&self) -> Result<(), SweepError> {
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

    /// Removes bytes, all that can be, and then tells of the first that could not. An image that
    /// came with a new event meanwhile stays.
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
        tracing::warn!(%error, cause, "retention is late");
    }
}

/// How long ids are kept where bodies are kept so long. A repeat that is older is not known as one.
pub fn ids_retain(retain: Duration) -> Duration {
    retain.max(IDS_RETAIN_MIN)
}

/// Before when bodies, and before when whole rows go.
fn limits(settings: &Settings, now: Timestamp) -> (Timestamp, Timestamp) {
    (now - settings.retain, now - ids_retain(settings.retain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outlive_bodies_and_are_kept_for_181_days_at_least() {
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
