//! Creates the messages of `[[digests]]` at their times.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::service_settings::names;
use crate::admin::{EventConfig, Events};
use crate::config::Config;
use crate::model::{Clock, Current};
use crate::store::{ImageWaits, Store};
use crate::telemetry::Metrics;
use crate::telemetry::events::DigestCreated;

/// The time between two looks at the clock. A digest is late by this much at most.
const INTERVAL: Duration = Duration::from_secs(15);

/// Creates digests. See the module.
pub(super) struct Digests {
    pub(super) store: Store,
    pub(super) config: Current<Config>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Digests {
    /// Runs until the soft stop. What is due and not created is in the store, so a restart continues.
    pub(super) async fn run(self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            self.round().await;
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn round(&self) {
        let config = self.config.get();
        if config.digests.is_empty() {
            return;
        }
        let names = names(&config);
        let events = Events {
            store: &self.store,
            config: EventConfig {
                apps: &config.apps,
                names: &names,
                lists: &config.lists,
                rules: &config.rules,
                waits: ImageWaits {
                    wait: config.images.wait,
                    wait_critical: config.images.wait_critical,
                },
            },
        };
        for digest in &config.digests {
            match events.run_digest(digest, self.clock.now()).await {
                Ok(true) => self.metrics.emit(DigestCreated {
                    digest: &digest.name,
                }),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(digest = %digest.name, %error, "failed to create a digest; retrying");
                }
            }
        }
    }
}
