//! Runs one lane for each configured destination.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::attempt::Sender;
use super::lane::Lane;
use super::lane::limits::SharedLimits;
use super::prepare::Preparer;
use super::upload::{RefusedUploads, Uploader};
use super::{Deps, Settings};
use crate::destination::{Common, Destination, SharedPace};
use crate::model::{Current, DestinationName};
use crate::telemetry::events::PanicCaught;

/// The longest time between two reads of the uptime.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
        let mut lanes = Lanes {
            recalled: self.recall().await,
            ..Lanes::default()
        };
        self.match_lanes(&mut lanes, &stopping).await;
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.reloaded.notified() => {}
                Some(ended) = lanes.tasks.join_next_with_id() => {
                    if ended.is_err() {
                        self.sender.metrics.emit(PanicCaught { task: "lane" });
                    }
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    lanes.running.retain(|_, lane| lane.id != id);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    // Uptime counts the time between two reads of its clock, unless that is so long that the
                    // process was stopped.
                    self.sender.store.uptime();
                    continue;
                }
            }
            self.match_lanes(&mut lanes, &stopping).await;
        }
        while lanes.tasks.join_next().await.is_some() {}
    }

    /// Counts the sends of the last run that rate limits still cover. Otherwise a relay that is restarted under
    /// load would exceed the limits. Returns how long ago the sends to each destination ended, oldest first. A
    /// destination that sent nothing lately is not delayed.
    pub(super) async fn recall(&self) -> BTreeMap<DestinationName, Vec<Duration>> {
        let settings = self.settings.get();
        let now = self.sender.now();
        let reach = settings
            .destinations
            .values()
            .map(|one| reach(one.as_ref()));
        let Some(reach) = reach.max().filter(|reach| !reach.is_zero()) else {
            return BTreeMap::new();
        };
        let sends = self.sender.store.paced_sends(now.wall - reach).await;
        let sends = sends.unwrap_or_else(|error| {
            tracing::error!(%error, "failed to read the latest sends; rate limits ignore them");
            Vec::new()
        });
        let known = settings.destinations.values();
        let known: Vec<_> = known.map(|one| (one.common(), one.paces())).collect();
        let mut ages: BTreeMap<DestinationName, Vec<Duration>> = BTreeMap::new();
        for (sent_to, ended_at) in sends.into_iter().rev() {
            let is_it = |(common, _): &&(&Common, Vec<SharedPace>)| {
                common.name == sent_to || common.was.contains(&sent_to)
            };
            if let Some((common, paces)) = known.iter().find(is_it) {
                let age = now.wall.since(ended_at);
                self.shared.recall(paces, age, now.mono);
                ages.entry(common.name.clone()).or_default().push(age);
            }
        }
        ages
    }

    /// Starts a lane for each new destination, and ends the lanes of removed ones.
    async fn match_lanes(&self, lanes: &mut Lanes, stopping: &CancellationToken) {
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
            let mut lane = Lane::new(Arc::clone(destination), settings, sender, shared, record);
            lane.recall(&lanes.recalled.remove(name).unwrap_or_default());
            let ending = stopping.child_token();
            let id = lanes.tasks.spawn(lane.run(ending.clone())).id();
            lanes.running.insert(name.clone(), Running { id, ending });
        }
    }
}

/// The running lanes.
#[derive(Default)]
struct Lanes {
    tasks: JoinSet<()>,
    running: BTreeMap<DestinationName, Running>,
    /// How long ago the latest sends of the last run ended, for destinations whose lanes have not started.
    recalled: BTreeMap<DestinationName, Vec<Duration>>,
}

/// Returns how long after its start a send can count against a rate limit of its destination.
fn reach(destination: &dyn Destination) -> Duration {
    let common = destination.common();
    let paces = destination.paces();
    let windows = paces.iter().map(|pace| pace.pace.per);
    let windows = windows.chain(common.rate.map(|rate| rate.per));
    windows
        .max()
        .map_or(Duration::ZERO, |longest| longest + common.timeout)
}

struct Running {
    id: Id,
    ending: CancellationToken,
}
