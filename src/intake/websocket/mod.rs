//! Receives events over the long connection, for apps with `receive = "websocket"`. It is outbound TLS, so it
//! needs no public address, key or token. The connection itself is authentic.
//!
//! [`LongConnections`] runs a supervisor for each such app of the live configuration, and follows a reload. A
//! supervisor asks the platform for an address, connects, and runs a session. When the session ends, for
//! whatever reason, it starts again. A **session** is one connection: it pings, passes each event to the
//! intake, and acknowledges the event once the store has it.
//!
//! Guarantees:
//!
//! - An event is acknowledged with 200 only when it is on the disk. It is acknowledged with 500 only when it
//!   could not be written within 2.5 s. The platform resends it after that, as it does after silence.
//! - A peer that sends nothing for 10 s after a ping is dropped and reconnected. Nothing else detects a
//!   half-open connection, which is the usual fault of such clients.
//! - No failure ends the process or the retries. A fault that an operator must fix is retried every few
//!   minutes, and at once after a reload.
//! - A stop finishes and acknowledges the events in progress, and closes the connection, within seconds.
//!
//! One process deliberately opens one connection per app. The platform sends each event to one random
//! connection of an app (at most 50, doc "Use long connection"). So another relay, or somebody's laptop, that
//! connects as the same app takes its share of the events.

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

/// The pause after a panic of a supervisor.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// The apps to connect, each with its client; a reload replaces them.
pub type Settings = BTreeMap<AppName, (App, FeishuClient)>;

/// Keeps a long connection for each app that has one configured. Clones share it.
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
    /// Builds an instance that does not run yet. `backfill` is woken after each gap; `seed` seeds the random
    /// generator for jitter.
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

    /// Returns the status of the connections.
    pub fn board(&self) -> &ConnectionStates {
        &self.board
    }

    /// Applies replaced settings: connects new apps, disconnects removed and changed ones, and ends pauses.
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
                        tokio::time::sleep(PANIC_PAUSE).await;
                    }
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    links.running.retain(|_, link| link.id != id);
                }
            }
        }
        while links.tasks.join_next().await.is_some() {}
    }

    /// Ends the links of removed or changed apps, and starts one for each app that has none. A changed app gets
    /// its new link after the old one has ended.
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

/// The running links.
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
