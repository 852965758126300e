//! Handles orphaned deliveries: deliveries to destinations that are no longer in the configuration.
//!
//! Orphaned deliveries wait a day for their destination to return, under its name or as the `was` of another.
//! The operator is notified once. Then the deliveries are dead-lettered.
//!
//! Some are created after their destination was removed. An event planned by the old rules may still be on its
//! way into the store. A button action edits every message of a report, and late images follow every message.
//! Both include messages at destinations that have been removed since.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dependencies::Dependencies;
use super::reloadable::Reloadable;
use crate::config::Config;
use crate::model::{Current, DestinationName, Notice, NoticeKind};
use crate::notices::Notifier;
use crate::store::{FormerNames, Renamed, TWICE};
use crate::telemetry::events::DeliveryEnded;

/// The time between two searches for orphaned deliveries.
const EVERY: Duration = Duration::from_secs(60);

/// The time that orphaned deliveries wait for their destination, as uptime.
const WAIT: Duration = Duration::from_secs(86_400);

/// The time after a reload in which the store may still get an event that was planned before it. It is longer than
/// the delay of the store's queue.
const PLANNED_BEFORE: Duration = Duration::from_secs(3);

/// Finds orphaned deliveries. Clones share their dependencies.
#[derive(Clone)]
pub(super) struct Orphans {
    pub(super) deps: Dependencies,
    pub(super) in_force: Reloadable,
    pub(super) operator: Notifier,
}

impl Orphans {
    /// Renames or reports orphaned deliveries at a start.
    pub(super) async fn settle(&self) {
        self.rename().await;
        self.rename_sent().await;
        self.settle_unknown(&self.in_force.destinations.get()).await;
    }

    /// Handles orphaned deliveries after a reload, and once more for deliveries that the old rules create late.
    pub(super) async fn on_reload(&self) {
        self.settle().await;
        let (orphans, tasks) = (self.clone(), self.deps.tasks.clone());
        let stopping = tasks.stopping();
        let late = async move {
            tokio::select! {
                // The next start handles them too.
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(PLANNED_BEFORE) => orphans.settle().await,
            }
        };
        // The task ends by itself, so no one waits for it.
        drop(tasks.spawn_brief(late));
    }

    /// Starts a task that searches for orphaned deliveries until the soft stop.
    pub(super) fn begin(self) {
        let tasks = self.deps.tasks.clone();
        let destinations = self.in_force.destinations.clone();
        let orphans = Arc::new(self);
        let settle = move |known: Vec<DestinationName>| {
            let orphans = Arc::clone(&orphans);
            async move {
                orphans.rename().await;
                orphans.settle_unknown(&known).await;
            }
        };
        let watch = watch(destinations, tasks.stopping(), settle);
        tasks.spawn("orphans", watch);
    }

    /// Moves deliveries that wait under a destination's old name to its new name.
    async fn rename(&self) {
        let settings = self.in_force.deliver.get();
        for (name, destination) in &settings.destinations {
            let was = &destination.common().was;
            if was.is_empty() {
                continue;
            }
            match self.deps.store.rename_destination(was, name).await {
                Ok(renamed) => self.report_renamed(name, &renamed),
                Err(error) => {
                    tracing::error!(destination = %name, %error, "failed to move deliveries to their destination's new name");
                }
            }
        }
    }

    /// Moves sent messages to the new name too. Nothing is sent under an old name later, so once is enough.
    async fn rename_sent(&self) {
        let settings = self.in_force.deliver.get();
        for (name, destination) in &settings.destinations {
            let was = &destination.common().was;
            if was.is_empty() {
                continue;
            }
            if let Err(error) = self.deps.store.rename_sent(was, name).await {
                tracing::error!(destination = %name, %error, "failed to rename sent messages");
            }
        }
    }

    fn report_renamed(&self, destination: &DestinationName, renamed: &Renamed) {
        let count = renamed.moved;
        if count > 0 {
            tracing::info!(%destination, count, "moved deliveries to their destination's new name");
        }
        for id in &renamed.discarded {
            self.deps.metrics.emit(DeliveryEnded {
                id: *id,
                destination,
                how: "discarded",
                reason: Some(TWICE),
                latency: None,
            });
        }
    }

    /// Reports deliveries to destinations other than `known`, and dead-letters them after [`WAIT`].
    pub(super) async fn settle_unknown(&self, known: &[DestinationName]) {
        let reason = "the destination is no longer in the configuration";
        let settled = match self.deps.store.settle_orphans(known, WAIT, reason).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::error!(%error, "failed to find deliveries to unknown destinations");
                return;
            }
        };
        for (id, destination) in &settled.ended {
            let ended = DeliveryEnded {
                id: *id,
                destination,
                how: "dead",
                reason: Some(reason),
                latency: None,
            };
            self.deps.metrics.emit(ended);
        }
        for (destination, count) in settled.missing {
            let text = format!(
                "{count} deliveries wait for {destination}, which is no longer in the configuration. They wait a \
                 day for it to return, then they are dead. If it has a new name, write \
                 `was = \"{destination}\"` there; `feedback-relay deliveries list --destination {destination}` \
                 shows them."
            );
            let notice = Notice {
                kind: NoticeKind::DestinationMissing,
                subject: destination.to_string(),
                text,
            };
            self.operator.notify(notice).await;
        }
    }
}

/// Returns the former names of the destinations, each with the current name.
pub(super) fn former_names(config: &Config) -> FormerNames {
    let destinations = config.destinations.iter();
    destinations
        .flat_map(|(name, settings)| {
            let was = settings.common.was.iter();
            was.map(move |old| (old.clone(), name.clone()))
        })
        .collect()
}

/// Calls `settle` at regular intervals with the names of all known destinations.
async fn watch<F>(
    destinations: Current<Vec<DestinationName>>,
    stopping: CancellationToken,
    settle: impl Fn(Vec<DestinationName>) -> F,
) where
    F: Future<Output = ()>,
{
    let mut before = destinations.get();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        // Includes the previous names, because a reload may be replacing the list at this moment.
        let now = destinations.get();
        settle(before.iter().chain(now.iter()).cloned().collect()).await;
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn destination_counts_as_known_while_a_reload_replaces_it() {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| DestinationName::from(*name))
                .collect()
        };
        let destinations: Current<Vec<DestinationName>> = Current::new(list(&["room", "duty"]));
        let stopping = CancellationToken::new();
        let known = Arc::<Mutex<Vec<Vec<DestinationName>>>>::default();
        let settle = |names| {
            known.lock().unwrap().push(names);
            async {}
        };
        let reloads = async {
            tokio::time::sleep(EVERY / 2).await;
            destinations.set(list(&["room", "new"]));
            tokio::time::sleep(EVERY * 2).await;
            stopping.cancel();
        };
        tokio::join!(
            watch(destinations.clone(), stopping.clone(), settle),
            reloads
        );
        let known = known.lock().unwrap();
        let said = |at: usize, name: &str| known[at].contains(&DestinationName::from(name));
        assert_eq!(known.len(), 2);
        assert!(
            said(0, "duty") && said(0, "new"),
            "the list was just replaced"
        );
        assert!(!said(1, "duty") && said(1, "room") && said(1, "new"));
    }
}
