//! A running relay, and how it applies a new configuration.

use std::time::Duration;

use super::dependencies::Dependencies;
use super::orphaned_deliveries::{Orphans, former_names};
use super::reloadable::Reloadable;
use super::service_settings::{ServiceSettings, names_counted};
use crate::config::{self, Config, Loaded};
use crate::deliver::Dispatcher;
use crate::intake::backfill::Backfill;
use crate::intake::websocket::LongConnections;
use crate::model::{DestinationName, Notice, NoticeKind};
use crate::notices::Notifier;
use crate::store::QueueStats;
use crate::tasks::Tasks;
use crate::telemetry;
use crate::telemetry::events::{ConfigurationTaken, Reloaded};

/// A running relay.
pub struct Running {
    pub(super) deps: Dependencies,
    pub(super) in_force: Reloadable,
    pub(super) operator: Notifier,
    pub(super) connections: LongConnections,
    pub(super) dispatcher: Dispatcher,
    pub(super) backfill: Backfill,
}

impl Running {
    /// Returns the handler of deliveries whose destination was removed.
    pub(super) fn orphans(&self) -> Orphans {
        Orphans {
            deps: self.deps.clone(),
            in_force: self.in_force.clone(),
            operator: self.operator.clone(),
        }
    }

    /// Applies a new configuration completely or not at all, and logs the changes. Returns whether it was
    /// applied.
    pub async fn reload(&self, loaded: Loaded) -> bool {
        let mistakes = loaded.diagnostics.len();
        let report = loaded.report();
        let Some(config) = loaded.config else {
            tracing::error!("the new configuration has mistakes:\n{report}");
            self.refuse(
                mistakes,
                "it has mistakes: `feedback-relay check` shows them",
            )
            .await;
            return false;
        };
        let parts = match ServiceSettings::build(&config, self.deps.link_key) {
            Ok(parts) => parts,
            Err(error) => {
                self.refuse(1, &error.to_string()).await;
                return false;
            }
        };
        if let Some(reason) = self.takes_away(&config).await {
            self.refuse(1, &reason).await;
            return false;
        }
        if !report.is_empty() {
            tracing::warn!("the new configuration has warnings:\n{}", report.trim_end());
        }
        let changes = config::changes(&self.in_force.config.get(), &config);
        telemetry::set_level(config.log.level);
        let metrics = &self.deps.metrics;
        metrics.name(names_counted(&config));
        metrics.emit(ConfigurationTaken {
            hash: &config.hash,
            at: self.deps.clock.now(),
        });
        self.settle_removed(&config).await;
        self.deps.store.set_former_names(former_names(&config));
        self.in_force.replace(config, parts);
        self.orphans().on_reload().await;
        self.connections.reloaded();
        self.dispatcher.reloaded();
        self.backfill.reloaded();
        if let Err(error) = self.deps.store.make_images_due().await {
            tracing::warn!(%error, "failed to reschedule pending image downloads after the reload; they run at their old times");
        }
        metrics.emit(Reloaded {
            result: Ok(&changes.to_string()),
        });
        true
    }

    /// Notifies the operator of the old configuration of deliveries whose destination the new one removes, if the
    /// operator's own destination stays. Otherwise the new operator is notified after the change.
    async fn settle_removed(&self, new: &Config) {
        let notify = self.in_force.notify.get();
        let stays = |name: &DestinationName| new.destinations.contains_key(name);
        if notify.as_ref().as_ref().is_some_and(stays) {
            let former = new.destinations.values().flat_map(|one| &one.common.was);
            let known: Vec<_> = new.destinations.keys().chain(former).cloned().collect();
            self.orphans().settle_unknown(&known).await;
        }
    }

    /// Returns why a valid new configuration is refused: it removes entries that are in use. An
    /// emptied or half-written file would do so, and waiting deliveries would then never be sent.
    async fn takes_away(&self, new: &Config) -> Option<String> {
        let old = self.in_force.config.get();
        if let Some(reason) = config::takes_away(&old, new) {
            return Some(reason);
        }
        if new.server.allow_empty {
            return None;
        }
        let stats = match self.deps.store.stats().await {
            Ok(stats) => stats,
            Err(error) => {
                return Some(format!(
                    "the store cannot list the waiting deliveries: {error}"
                ));
            }
        };
        let follows = |old: &DestinationName| {
            let mut settings = new.destinations.values();
            settings.any(|settings| settings.common.was.contains(old))
        };
        let in_use = |queue: &QueueStats| {
            queue.unfinished() > 0
                && old.destinations.contains_key(&queue.destination)
                && !new.destinations.contains_key(&queue.destination)
                && !follows(&queue.destination)
        };
        let waiting: Vec<String> = stats
            .queues
            .iter()
            .filter(|queue| in_use(queue))
            .map(|queue| format!("{} for {}", queue.unfinished(), queue.destination))
            .collect();
        if waiting.is_empty() {
            return None;
        }
        let waiting = waiting.join(", ");
        let force = config::FORCE;
        Some(format!(
            "messages wait for destinations that it removes: {waiting}; deliver or discard them first, set the old name as `was` of the successor, or {force}"
        ))
    }

    async fn refuse(&self, mistakes: usize, reason: &str) {
        self.deps.metrics.emit(Reloaded {
            result: Err(mistakes),
        });
        self.in_force.reload_refused.set(Some(reason.to_owned()));
        let notice = Notice {
            kind: NoticeKind::ReloadRefused,
            subject: "relay.toml".into(),
            text: format!(
                "The new configuration was refused and the old one stays active: {reason}."
            ),
        };
        self.operator.notify(notice).await;
    }

    /// Returns the relay's tasks, to stop them and to wait for their end.
    pub fn tasks(&self) -> &Tasks {
        &self.deps.tasks
    }

    /// Resolves when the store has ended: see [`Self::journal_has_ended`].
    pub async fn journal_ends(&self) {
        self.deps.store.ended().await;
    }

    /// Returns whether the store writes nothing any more. The results of the latest sends may then not be
    /// recorded.
    pub fn journal_has_ended(&self) -> bool {
        self.deps.store.has_ended()
    }

    /// Returns how long a stop may take.
    pub fn shutdown_grace(&self) -> Duration {
        self.in_force.config.get().server.shutdown_grace
    }
}
