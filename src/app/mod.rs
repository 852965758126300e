//! Wires the services together. All wiring is in this module.
//!
//! [`App::build`] opens the store and the images, binds the sockets and connects the services. [`App::start`]
//! starts them. [`Process`] is the life of the process around them. A reload builds the new settings completely
//! before it applies them.

mod dependencies;
mod digests;
mod fd_limit;
mod folders;
mod log_watch;
mod orphaned_deliveries;
mod reloadable;
mod running;
mod serve;
mod service_settings;
mod store_watch;
mod systemd;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};

use self::dependencies::Dependencies;
use self::reloadable::Reloadable;
pub use self::running::Running;
pub use self::serve::{Process, Surroundings};
use self::service_settings::ServiceSettings;
pub use self::service_settings::{
    Clients, PartsError, compared_destinations, destinations, intake_settings, names,
    simulation_settings, sources,
};
pub use self::systemd::ServiceManager;
use crate::config::Config;
use crate::deliver::Dispatcher;
use crate::feishu::{self, Receive};
use crate::images::ImageWorker;
use crate::incidents;
use crate::intake::backfill::Backfill;
use crate::intake::websocket::LongConnections;
use crate::intake::{self, Intake};
use crate::model::{AppName, Clock};
use crate::notices::Notifier;
use crate::retention::Sweeper;
use crate::store::{OpenError, StoreError};
use crate::telemetry::events::{ConfigurationTaken, RelayStarted};
use crate::triage::{StatusSync, Triage};
use crate::web::{self, WebState};

/// Connections that may wait to be accepted; the system's own maximum is 4,096 (`net.core.somaxconn`). A client
/// that finds the queue full retries after one second. So an event in a burst of connections could miss its
/// deadline.
const BACKLOG: u32 = 4096;

/// Why the relay could not start. Each variant says which step failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The store was opened and then failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of images cannot be used.
    #[error("cannot use the image folder {dir}: {reason}")]
    Archive {
        /// Path of the folder.
        dir: String,
        /// The system's error, and whose folder it is if access is denied.
        reason: String,
    },
    /// The relay cannot listen on an address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// A service cannot be set up.
    #[error(transparent)]
    ServiceSettings(#[from] PartsError),
    /// The process cannot listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

/// How the relay receives an app's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSource {
    /// The platform calls this URL, which people paste into the platform's console.
    Url(String),
    /// The relay connects to the platform, so no URL has to be pasted.
    LongConnection,
}

/// A relay that is wired and bound, but does not run yet.
pub struct App {
    deps: Dependencies,
    in_force: Reloadable,
    operator: Notifier,
    intake: Intake,
    backfill: Backfill,
    connections: LongConnections,
    triage: Triage,
    status_worker: StatusSync,
    dispatcher: Dispatcher,
    image_worker: ImageWorker,
    sweeper: Sweeper,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
}

impl App {
    /// Builds the relay: opens the store and the images, binds the sockets and connects the
    /// services. `seed` seeds the random generators (jitter).
    pub async fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, StartError> {
        let deps = Dependencies::open(&config, clock).await?;
        let listener = bind(config.server.listen)?;
        let admin_listener = match config.server.admin_listen {
            Some(address) => Some(bind(address)?),
            None => None,
        };
        let parts = ServiceSettings::build(&config, deps.link_key)?;
        deps.store
            .set_former_names(orphaned_deliveries::former_names(&config));
        let in_force = Reloadable::new(config, parts);

        let operator = deps.operator(&in_force);
        let (triage, status_worker) = deps.triage(&in_force, &operator, seed);
        let intake = deps.intake(&in_force, &operator, &triage);
        let apps: Vec<AppName> = in_force.intake.get().apps.keys().cloned().collect();
        intake.pushes().read(&deps.store, &apps).await?;
        let backfill = Backfill::new(intake.clone(), in_force.backfill.clone(), seed);
        Ok(Self {
            connections: deps.connections(&in_force, &intake, &backfill, seed),
            dispatcher: deps.dispatcher(&in_force, &operator, seed),
            image_worker: deps.image_worker(&in_force, &operator, seed),
            sweeper: deps.sweeper(&in_force),
            deps,
            in_force,
            operator,
            intake,
            backfill,
            triage,
            status_worker,
            listener,
            admin_listener,
        })
    }

    /// Returns how the relay receives each app's events.
    pub fn entrances(&self) -> Vec<(AppName, EventSource)> {
        let config = self.in_force.config.get();
        let base = config.server.public_url.clone().unwrap_or_else(|| {
            let address = self.listener.local_addr().unwrap_or(config.server.listen);
            format!("http://{address}")
        });
        let entrance = |app: &feishu::App| match app.receive {
            Receive::Webhook => EventSource::Url(format!("{base}/apps/{}/events", app.name)),
            Receive::Websocket => EventSource::LongConnection,
        };
        let apps = config.apps.values();
        apps.map(|app| (app.name.clone(), entrance(app))).collect()
    }

    /// Returns the address on which the relay listens. The system chooses the port if the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        let configured = self.in_force.config.get().server.listen;
        self.listener.local_addr().unwrap_or(configured)
    }

    fn web_state(&self) -> WebState {
        WebState {
            store: self.deps.store.clone(),
            archive: self.deps.archive.clone(),
            probed: web::health::Probed::default(),
            links: self.in_force.links.clone(),
            metrics: Arc::clone(&self.deps.metrics),
            clock: Arc::clone(&self.deps.clock),
            triage: self.triage.clone(),
            tasks: self.deps.tasks.clone(),
            stopping: self.deps.tasks.stopping(),
            reload_refused: self.in_force.reload_refused.clone(),
            destinations: self.in_force.destinations.clone(),
            digests: self.in_force.digests.clone(),
            paces: self.in_force.paces.clone(),
            backfills: self.backfill.states(),
            refused_uploads: self.dispatcher.refused_uploads(),
            intake: self.in_force.intake.clone(),
            pushes: self.intake.pushes(),
            bodies: self.intake.bodies(),
            connections: self.connections.board().clone(),
        }
    }

    /// Starts every service.
    pub async fn start(self) -> Running {
        let web = self.web_state();
        let (deps, config) = (self.deps, self.in_force.config.get());
        let (metrics, at) = (&deps.metrics, deps.clock.now());
        metrics.name(service_settings::names_counted(&config));
        metrics.emit(RelayStarted { at });
        metrics.emit(ConfigurationTaken {
            hash: &config.hash,
            at,
        });
        let connections = config.server.max_connections;
        let limits = web::server::Limits {
            connections,
            ..Default::default()
        };
        let tasks = &deps.tasks;
        let silences = self.intake.clone();
        let mut public =
            intake::webhook::routes(self.intake).merge(web::public_routes(web.clone()));
        let serve = |name, listener, routes| {
            let routes = web::caught(routes, Arc::clone(&deps.metrics));
            let server = web::server::serve(listener, routes, limits, tasks.clone());
            tasks.spawn(name, server);
        };
        match self.admin_listener {
            Some(listener) => {
                let admin = web::admin_routes(web.clone()).merge(web::public_routes(web));
                serve("admin server", listener, admin);
            }
            None => public = public.merge(web::admin_routes(web)),
        }
        serve("server", self.listener, public);
        deps.watch(&self.operator);
        tasks.spawn("silences", silences.keep_silences(tasks.stopping()));
        tasks.spawn("long connections", self.connections.clone().run());
        tasks.spawn("deliver", self.dispatcher.clone().run(tasks.stopping()));
        tasks.spawn("backfill", self.backfill.clone().run(tasks.stopping()));
        tasks.spawn("images", self.image_worker.run(tasks.clone()));
        tasks.spawn("status", self.status_worker.run(tasks.clone()));
        let (store, clock) = (deps.store.clone(), Arc::clone(&deps.clock));
        let (counted, stopping) = (Arc::clone(&deps.metrics), tasks.stopping());
        let notified = self.operator.clone();
        tasks.spawn("incidents", async move {
            incidents::run(store, &counted, &notified, &*clock, stopping).await;
        });
        let digests = digests::Digests {
            store: deps.store.clone(),
            config: self.in_force.config.clone(),
            metrics: Arc::clone(&deps.metrics),
            clock: Arc::clone(&deps.clock),
        };
        tasks.spawn("digests", digests.run(tasks.stopping()));
        tasks.spawn("upkeep", self.sweeper.run(tasks.clone()));
        let (paced, until) = (Arc::clone(&deps.metrics), tasks.stopping());
        tasks.spawn("log", async move { paced.write_left_out(until).await });
        tasks.spawn("notices", self.operator.clone().run(tasks.stopping()));
        let (in_force, operator) = (self.in_force, self.operator);
        let running = Running {
            deps,
            in_force,
            operator,
            connections: self.connections,
            dispatcher: self.dispatcher,
            backfill: self.backfill,
        };
        let orphans = running.orphans();
        orphans.settle().await;
        orphans.begin();
        running
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let listening = socket.and_then(|socket| {
        // Allows a restart while old connections of the port are still in `TIME_WAIT`.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    listening.map_err(|source| StartError::Listen { address, source })
}
