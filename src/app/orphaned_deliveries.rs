//! Deliveries to destinations that are no longer in the configuration. They wait a day for their destination to come
//! back, under its name or as the `was` of another, and the operator is notified once. Then they are dead-lettered.
//!
//! Some are made after their destination went. An event that was planned by the old rules may have been on
//! its way into the store. A click asks for an edit of every message of a report, and a late image follows every message, also
//! those where the destination has been taken out of the configuration meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::dependencies::Dependencies;
use super::reloadable::Reloadable;
use crate::model::{Current, DestinationName, Notice, NoticeKind};
use crate::notices::Operator;
use crate::telemetry::events::DeliveryEnded;

/// The time between two searches for orphaned deliveries.
const EVERY: Duration = Duration::from_secs(60);

/// The time that orphaned deliveries wait for their destination, as uptime.
const WAIT: Duration = Duration::from_secs(86_400);

/// How long after a reload an event may still come into the store that was planned before it: longer
/// than the store's queue takes.
const PLANNED_BEFORE: Duration = Duration::from_secs(3);

/// Finds them. Clones share what they need.
#[derive(Clone)]
pub(super) struct Orphans {
    pub(super) ground: Dependencies,
    pub(super) in_force: Reloadable,
    pub(super) operator: Operator,
}

impl Orphans {
    /// Settles them at a start.
    pub(super) async fn settle(&self) {
        self.rename().await;
        self.settle_beside(&self.in_force.destinations.get()).await;
    }

    /// Settles them after a reload, now and once more for those that the old rules still make.
    pub(super) async fn on_reload(&self) {
        self.settle().await;
        let (orphans, tasks) = (self.clone(), self.ground.tasks.clone());
        let stopping = tasks.stopping();
        let late = async move {
            tokio::select! {
                // The next start settles them too.
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(PLANNED_BEFORE) => orphans.settle().await,
            }
        };
        // Ends by itself: nobody waits for it.
        drop(tasks.spawn_brief(late));
    }

    /// Looks for them until the soft stop.
    pub(super) fn begin(self) {
        let tasks = self.ground.tasks.clone();
        let destinations = self.in_force.destinations.clone();
        let orphans = Arc::new(self);
        let settle = move |known: Vec<DestinationName>| {
            let orphans = Arc::clone(&orphans);
            async move {
                orphans.rename().await;
                orphans.settle_beside(&known).await;
            }
        };
        let watch = watch(destinations, tasks.stopping(), settle);
        tasks.spawn("orphans", watch);
    }

    /// Hands over what waits for a destination under its old name.
    async fn rename(&self) {
        let settings = self.in_force.deliver.get();
        for (name, destination) in &settings.destinations {
            for old in &destination.common().was {
                match self.ground.store.rename_destination(old, name).await {
                    Ok(0) => {}
                    Ok(count) => {
                        tracing::info!(old = %old, destination = %name, count, "deliveries follow their destination's new name");
                    }
                    Err(error) => {
                        tracing::error!(old = %old, destination = %name, %error, "failed to rename deliveries");
                    }
                }
            }
        }
    }

    async fn settle_beside(&self, known: &[DestinationName]) {
        let reason = "the destination is no longer in the configuration";
        let settled = match self.ground.store.settle_orphans(known, WAIT, reason).await {
            Ok(settled) => settled,
            Err(error) => {
                tracing::error!(%error, "failed to look for deliveries to unknown destinations");
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
            self.ground.metrics.emit(ended);
        }
        for (destination, count) in settled.missing {
            let text = format!(
                "{count} deliveries wait for {destination}, which is no longer in the configuration. They wait a \
                 day for it to come back, then they are given up. If it has a new name, write \
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

/// Settles, every so often, what goes to no destination that is known.
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
        // Known before or now: a reload may be putting another list in force at this moment.
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
