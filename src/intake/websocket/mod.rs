//! Events over the long connection: for apps with `receive = "websocket"`. Outbound TLS, so no public
//! address, key or token is needed; the connection itself is what is authentic.
//!
//! [`LongConnections`] keeps a supervisor for each such app of the configuration in force, and follows a
//! reload. A supervisor asks the platform where to connect, connects, and lets a session run; when that
//! ends, whatever the reason, it begins again. A **session** is one connection: it pings, hands
//! each event to the intake, and acknowledges it once the store has it.
//!
//! What is promised:
//!
//! - An event is acknowledged with 200 only when it is on the disk, and with 500 only when it could not be
//!   put there within 2.5 s; the platform sends it again after that, as it does after silence.
//! - A peer that says nothing for 10 s after a ping is dropped, and another connection made. Nothing else
//!   tells of a connection that is half open, which is the fault that clients of this kind die of.
//! - No failure ends the process or the attempts. What an operator must mend is tried again in minutes,
//!   and at a reload at once.
//! - A stop finishes and acknowledges what is in hand, and closes the connection, within seconds.
//!
//! Deliberately not: several connections of one process. Each event goes to one of an app's connections,
//! chosen by chance (at most 50, doc "Use long connection"), so another relay, or somebody's laptop,
//! that is connected as the same app takes its share of the events.

mod connection_states;
mod outage;
mod reconnect;
mod session;
mod supervisor;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::connection_states::{ConnectionStates, ConnectionStatus, Down};
use self::session::{IN_HAND_MAX, Link};
use self::supervisor::Supervisor;
use super::Intake;
use super::backfill::Backfill;
use crate::feishu::{App, FeishuClient};
use crate::model::{AppName, Current};
use crate::tasks::Tasks;
use crate::telemetry::events::PanicCaught;

/// After a panic of a supervisor.
const BREATH: Duration = Duration::from_secs(1);

/// The apps that are to be connected, each with the client that speaks as it; a reload replaces it.
pub type Settings = BTreeMap<AppName, (App, FeishuClient)>;

/// Keeps a long connection for each app that wants one. Clones share it.
#[derive(Clone)]
pub struct LongConnections {
    intake: Intake,
    backfill: Backfill,
    settings: Current<Settings>,
    board: ConnectionStates,
    tasks: Tasks,
    seed: u64,
    reloaded: Arc<Notify>,
}

impl LongConnections {
    /// Not running yet. `backfill` hears of each gap; `seed` is where the chance for jitter begins.
    pub fn new(
        intake: Intake,
        backfill: Backfill,
        settings: Current<Settings>,
        tasks: Tasks,
        seed: u64,
    ) -> Self {
        Self {
            intake,
            backfill,
            settings,
            board: ConnectionStates::default(),
            tasks,
            seed,
            reloaded: Arc::default(),
        }
    }

    /// How the connections stand.
    pub fn board(&self) -> &ConnectionStates {
        &self.board
    }

    /// The settings have been replaced: apps that came are connected, those that went or changed are
    /// left, and who waits to try again tries now.
    pub fn reloaded(&self) {
        self.reloaded.notify_one();
    }

    /// Runs until the soft stop, and then until every connection is closed.
    pub async fn run(self) {
        let stopping = self.tasks.stopping();
        let mut chance = fastrand::Rng::with_seed(self.seed);
        let mut links = Links::default();
        while !stopping.is_cancelled() {
            self.match_links(&mut links, &stopping, &mut chance);
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.reloaded.notified() => {
                    for link in links.running.values() {
                        link.wake.notify_waiters();
                    }
                }
                Some(ended) = links.tasks.join_next_with_id() => {
                    if ended.is_err() {
                        let task = "long connection";
                        self.intake.metrics.emit(PanicCaught { task });
                        tokio::time::sleep(BREATH).await;
                    }
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    links.running.retain(|_, link| link.id != id);
                }
            }
        }
        while links.tasks.join_next().await.is_some() {}
    }

    /// Ends the links of apps that are gone or not as they were, and begins one for each that has none.
    /// A changed app gets its new link when the old one has ended.
    fn match_links(
        &self,
        links: &mut Links,
        stopping: &CancellationToken,
        chance: &mut fastrand::Rng,
    ) {
        let settings = self.settings.get();
        for (name, link) in &links.running {
            if settings.get(name).is_none_or(|(app, _)| *app != link.app) {
                link.ending.cancel();
            }
        }
        for (name, (app, client)) in settings.iter() {
            if links.running.contains_key(name) {
                continue;
            }
            let (ending, wake) = (stopping.child_token(), Arc::<Notify>::default());
            let supervisor = Supervisor {
                app: app.clone(),
                client: client.clone(),
                link: self.link(name),
                intake: self.intake.clone(),
                operator: self.intake.operator.clone(),
                backfill: self.backfill.clone(),
                wake: Arc::clone(&wake),
                chance: chance.fork(),
            };
            let id = links.tasks.spawn(supervisor.run(ending.clone())).id();
            let app = app.clone();
            let running = Running {
                id,
                app,
                ending,
                wake,
            };
            links.running.insert(name.clone(), running);
        }
    }

    fn link(&self, app: &AppName) -> Link {
        Link {
            app: app.clone(),
            board: self.board.clone(),
            metrics: Arc::clone(&self.intake.metrics),
            clock: Arc::clone(&self.intake.clock),
            tasks: self.tasks.clone(),
            room: Arc::new(Semaphore::new(IN_HAND_MAX)),
        }
    }
}

/// The links there are.
#[derive(Default)]
struct Links {
    tasks: JoinSet<()>,
    running: BTreeMap<AppName, Running>,
}

struct Running {
    id: Id,
    app: App,
    ending: CancellationToken,
    wake: Arc<Notify>,
}
