//! Deliveries to destinations that are no longer in the configuration: nobody would ever look at them, and
//! what is pending is kept for ever. They are ended, and say why.
//!
//! Some are made after their destination went. An event that was planned by the old rules may have been on
//! its way into the journal. A click asks for an edit of every message of a report, and a late picture follows every message, also
//! those where the destination has been taken out of the configuration meanwhile.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::in_force::InForce;
use crate::model::{Current, DestinationName};
use crate::telemetry::events::DeliveryEnded;

/// How often they are looked for.
const EVERY: Duration = Duration::from_secs(60);

/// How long after a reload an event may still come into the journal that was planned before it: longer
/// than the journal's queue takes.
const PLANNED_BEFORE: Duration = Duration::from_secs(3);

/// Ends them now.
pub(super) async fn unknown(ground: &Ground, in_force: &InForce) {
    bury(ground, &in_force.destinations.get()).await;
}

/// Ends those that the old rules still make.
pub(super) fn soon(ground: &Ground, in_force: &InForce) {
    let (ground, in_force) = (ground.clone(), in_force.clone());
    let (tasks, stopping) = (ground.tasks.clone(), ground.tasks.stopping());
    let late = async move {
        tokio::select! {
            // The next start buries them too.
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(PLANNED_BEFORE) => unknown(&ground, &in_force).await,
        }
    };
    // Ends by itself: nobody waits for it.
    drop(tasks.spawn_brief(late));
}

async fn bury(ground: &Ground, known: &[DestinationName]) {
    let reason = "the destination is no longer in the configuration";
    match ground.store.bury_unknown(known, reason).await {
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

/// Looks for them until the soft stop.
pub(super) fn begin(ground: &Ground, in_force: &InForce) {
    let tasks = ground.tasks.clone();
    let ground = Arc::new(ground.clone());
    let bury = move |known: Vec<DestinationName>| {
        let ground = Arc::clone(&ground);
        async move { bury(&ground, &known).await }
    };
    let watch = watch(in_force.destinations.clone(), tasks.stopping(), bury);
    tasks.spawn("burial", watch);
}

/// Lets all be buried, every so often, but what goes to destinations that are known.
async fn watch<F>(
    destinations: Current<Vec<DestinationName>>,
    stopping: CancellationToken,
    bury: impl Fn(Vec<DestinationName>) -> F,
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
        bury(before.iter().chain(now.iter()).cloned().collect()).await;
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_made_for_a_destination_after_it_went_is_buried_and_a_reload_buries_nothing_new()
     {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|name| DestinationName::from(*name))
                .collect()
        };
        let destinations: Current<Vec<DestinationName>> = Current::new(list(&["room", "duty"]));
        let stopping = CancellationToken::new();
        let known = Arc::<Mutex<Vec<Vec<DestinationName>>>>::default();
        let bury = |names| {
            known.lock().unwrap().push(names);
            async {}
        };
        let reloads = async {
            tokio::time::sleep(EVERY / 2).await;
            destinations.set(list(&["room", "new"]));
            tokio::time::sleep(EVERY * 2).await;
            stopping.cancel();
        };
        tokio::join!(watch(destinations.clone(), stopping.clone(), bury), reloads);
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
