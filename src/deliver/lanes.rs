//! Runs one lane for each configured destination.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::Sender;
use super::lane::Lane;
use super::lane::limits::SharedLimits;
use super::prepare::Preparer;
use super::upload::{RefusedUploads, Uploader};
use super::{Deps, Settings};
use crate::model::{Current, DestinationName};
use crate::telemetry::events::PanicCaught;

/// Runs a lane for each destination. Clones share it.
#[derive(Clone)]
pub struct Dispatcher {
    settings: Current<Settings>,
    sender: Sender,
    shared: SharedLimits,
    reloaded: Arc<Notify>,
}

impl Dispatcher {
    /// Builds a dispatcher that does not run yet. `seed` seeds the random generator for jitter.
    pub fn new(means: Deps, settings: Current<Settings>, seed: u64) -> Self {
        let uploader = Uploader::new(
            means.store.clone(),
            means.archive.clone(),
            means.operator.clone(),
            means.tasks.clone(),
        );
        let preparer = Preparer {
            archive: means.archive,
            operator: means.operator.clone(),
            metrics: Arc::clone(&means.metrics),
            clock: Arc::clone(&means.clock),
            uploader,
            buttons: means.buttons,
        };
        let sender = Sender {
            store: means.store,
            operator: means.operator,
            metrics: means.metrics,
            clock: means.clock,
            preparer,
            chance: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
        };
        Self {
            settings,
            sender,
            shared: SharedLimits::default(),
            reloaded: Arc::default(),
        }
    }

    /// Returns the destinations whose last image upload was refused.
    pub fn refused_uploads(&self) -> RefusedUploads {
        self.sender.preparer.uploader.refused()
    }

    /// Starts and ends lanes after the settings were replaced.
    pub fn reloaded(&self) {
        self.reloaded.notify_one();
    }

    /// Runs the lanes until `stopping`, then until their sends in flight have ended.
    pub async fn run(self, stopping: CancellationToken) {
        let mut lines = Lines::default();
        while !stopping.is_cancelled() {
            self.match_lines(&mut lines, &stopping).await;
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.reloaded.notified() => {}
                Some(ended) = lines.tasks.join_next_with_id() => {
                    if ended.is_err() {
                        self.sender.metrics.emit(PanicCaught { task: "line" });
                    }
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    lines.running.retain(|_, line| line.id != id);
                }
            }
        }
        while lines.tasks.join_next().await.is_some() {}
    }

    /// Starts a lane for each new destination, and ends the lanes of removed ones.
    async fn match_lines(&self, lines: &mut Lines, stopping: &CancellationToken) {
        let settings = self.settings.get();
        lines.running.retain(|name, line| {
            let stays = settings.destinations.contains_key(name);
            if !stays {
                line.ending.cancel();
            }
            stays
        });
        let gates = self.sender.store.gates().await.unwrap_or_else(|error| {
            tracing::error!(%error, "failed to read gate states; lanes start with open gates");
            Vec::new()
        });
        for (name, destination) in &settings.destinations {
            if lines.running.contains_key(name) {
                continue;
            }
            let record = gates.iter().find(|gate| gate.destination == *name).cloned();
            let (settings, sender) = (self.settings.clone(), self.sender.clone());
            let shared = self.shared.clone();
            let lane = Lane::new(Arc::clone(destination), settings, sender, shared, record);
            let ending = stopping.child_token();
            let id = lines.tasks.spawn(lane.run(ending.clone())).id();
            lines.running.insert(name.clone(), Running { id, ending });
        }
    }
}

/// The running lanes.
#[derive(Default)]
struct Lines {
    tasks: JoinSet<()>,
    running: BTreeMap<DestinationName, Running>,
}

struct Running {
    id: Id,
    ending: CancellationToken,
}
