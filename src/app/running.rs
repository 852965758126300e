//! A relay that runs, and how it takes up a new configuration.

use std::time::Duration;

use super::ground::Ground;
use super::in_force::InForce;
use super::parts::Parts;
use crate::config::{self, Loaded};
use crate::deliver::Dispatcher;
use crate::intake::backfill::Backfill;
use crate::intake::websocket::LongConnections;
use crate::model::{Notice, NoticeKind};
use crate::operator::Operator;
use crate::tasks::Tasks;
use crate::telemetry;
use crate::telemetry::events::{DeliveryEnded, Reloaded};

/// How long after a reload an event may still come into the journal that was planned before it: longer
/// than the journal's queue takes.
const PLANNED_BEFORE: Duration = Duration::from_secs(3);

/// A running relay.
pub struct Running {
    pub(super) ground: Ground,
    pub(super) in_force: InForce,
    pub(super) operator: Operator,
    pub(super) connections: LongConnections,
    pub(super) dispatcher: Dispatcher,
    pub(super) backfill: Backfill,
}

impl Running {
    /// Puts a new configuration in force, all or nothing, and says what changed.
    pub async fn reload(&self, loaded: Loaded) {
        let mistakes = loaded.diagnostics.len();
        let report = loaded.report();
        let Some(config) = loaded.config else {
            tracing::error!("the new configuration has mistakes:\n{report}");
            self.refuse(
                mistakes,
                "it has mistakes: `feedback-relay check` shows them",
            )
            .await;
            return;
        };
        let parts = match Parts::build(&config, self.ground.link_key) {
            Ok(parts) => parts,
            Err(error) => {
                self.refuse(1, &error.to_string()).await;
                return;
            }
        };
        if !report.is_empty() {
            tracing::warn!("the new configuration has warnings:\n{}", report.trim_end());
        }
        let changes = config::changes(&self.in_force.config.get(), &config);
        telemetry::set_level(config.log.level);
        self.ground
            .metrics
            .begin_at_zero(&parts.apps, &parts.destinations);
        self.in_force.replace(config, parts);
        self.connections.reloaded();
        self.dispatcher.reloaded();
        self.backfill.reloaded();
        bury_unknown(&self.ground, &self.in_force).await;
        self.bury_late();
        if let Err(error) = self.ground.store.make_images_due().await {
            tracing::warn!(%error, "pictures that wait for a reload wait for their next time instead");
        }
        self.ground.metrics.emit(Reloaded {
            result: Ok(&changes.to_string()),
        });
    }

    async fn refuse(&self, mistakes: usize, reason: &str) {
        self.ground.metrics.emit(Reloaded {
            result: Err(mistakes),
        });
        self.in_force.reload_refused.set(Some(reason.to_owned()));
        let notice = Notice {
            kind: NoticeKind::ReloadRefused,
            subject: "relay.toml".into(),
            text: format!(
                "The new configuration was refused and the old one stays in force: {reason}."
            ),
        };
        self.operator.tell(notice).await;
    }

    /// An event that was planned by the old rules may have been on its way into the journal: nobody would
    /// ever look at its deliveries to a destination that is gone.
    fn bury_late(&self) {
        let (ground, in_force) = (self.ground.clone(), self.in_force.clone());
        let stopping = ground.tasks.stopping();
        let late = async move {
            tokio::select! {
                // The next start buries them too.
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(PLANNED_BEFORE) => bury_unknown(&ground, &in_force).await,
            }
        };
        // Ends by itself: nobody waits for it.
        drop(self.ground.tasks.spawn_brief(late));
    }

    /// The relay's tasks: to stop them and to wait for their end.
    pub fn tasks(&self) -> &Tasks {
        &self.ground.tasks
    }

    /// How long a stop may take.
    pub fn shutdown_grace(&self) -> Duration {
        self.in_force.config.get().server.shutdown_grace
    }
}

/// Ends deliveries to destinations that no longer exist, so that they are seen.
pub(super) async fn bury_unknown(ground: &Ground, in_force: &InForce) {
    let known = in_force.destinations.get();
    let reason = "the destination is no longer in the configuration";
    match ground.store.bury_unknown(&known, reason).await {
        Ok(buried) => {
            for (id, destination) in &buried {
                let ended = DeliveryEnded {
                    id: *id,
                    destination,
                    how: "dead",
                    reason: Some(reason),
                    latency: None,
                };
                ground.metrics.emit(ended);
            }
        }
        Err(error) => tracing::error!(%error, "deliveries to unknown destinations stay pending"),
    }
}
