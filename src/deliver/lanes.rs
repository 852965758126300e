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
    pub fn new(deps: Deps, settings: Current<Settings>, seed: u64) -> Self {
        let uploader = Uploader::new(
            deps.store.clone(),
            deps.archive.clone(),
            deps.operator.clone(),
            deps.tasks.clone(),
        );
        let preparer = Preparer {
            archive: deps.archive,
            operator: deps.operator.clone(),
            metrics: Arc::clone(&deps.metrics),
            clock: Arc::clone(&deps.clock),
            uploader,
            buttons: deps.buttons,
        };
        let sender = Sender {
            store: deps.store,
            operator: deps.operator,
            metrics: deps.metrics,
            clock: deps.clock,
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
        let mut lanes = Lines::default();
        while !stopping.is_cancelled() {
            self.match_lanes(&mut lanes, &stopping).await;
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.reloaded.notified() => {}
                Some(ended) = lanes.tasks.join_next_with_id() => {
                    if ended.is_err() {
                        self.sender.metrics.emit(PanicCaught { task: "line" });
                    }
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    lanes.running.retain(|_, lane| lane.id != id);
                }
            }
        }
        while lanes.tasks.join_next().await.is_some() {}
    }

    /// Starts a lane for each new destination, and ends the lanes of removed ones.
    async fn match_lanes(&self, lanes: &mut Lines, stopping: &CancellationToken) {
        let settings = self.settings.get();
        lanes.running.retain(|name, lane| {
            let stays = settings.destinations.contains_key(name);
            if !stays {
                lane.ending.cancel();
            }
            stays
        });
        let gates = self.sender.store.gates().await.unwrap_or_else(|error| {
            tracing::error!(%error, "failed to read gate states; lanes start with open gates");
            Vec::new()
        });
        for (name, destination) in &settings.destinations {
            if lanes.running.contains_key(name) {
                continue;
            }
            let record = gates.iter().find(|gate| gate.destination == *name).cloned();
            let (settings, sender) = (self.settings.clone(), self.sender.clone());
            let shared = self.shared.clone();
            let lane = Lane::new(Arc::clone(destination), settings, sender, shared, record);
            let ending = stopping.child_token();
            let id = lanes.tasks.spawn(lane.run(ending.clone())).id();
            lanes.running.insert(name.clone(), Running { id, ending });
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
