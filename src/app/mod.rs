//! The wiring: which part gets what, read from top to bottom, and nowhere else.
//!
//! [`App::build`] opens the journal and the pictures, binds the sockets and connects the parts;
//! [`App::start`] lets them run; [`serve()`] is the life of the process around that. A reload builds
//! new settings whole and only then puts them in force.

mod burial;
mod parts;
mod serve;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use self::parts::Parts;
pub use self::parts::{Clients, PartsError, destinations, intake_settings, names, sources};
pub use self::serve::serve;
use crate::archive::{Archive, LinkSigner};
use crate::closing::{self, ButtonSigner, Closing, StatusWorker};
use crate::config::{self, Config, Loaded};
use crate::deliver::{self, Dispatcher};
use crate::feishu::{self, Receive};
use crate::images::{self, ImageWorker};
use crate::intake::backfill::{self, Backfill};
use crate::intake::websocket::{self, LongConnections};
use crate::intake::{self, Intake};
use crate::model::{AppName, Clock, Current, DestinationName, Notice, NoticeKind};
use crate::net::GuardedClient;
use crate::operator::Operator;
use crate::store::{OpenError, Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::events::{DeliveryEnded, Reloaded};
use crate::telemetry::{self, Metrics};
use crate::upkeep::{self, Sweeper};
use crate::web::{self, WebState};

/// The name under which the journal keeps the key that picture links are signed with.
const LINK_KEY: &str = "image links";

/// The name under which it keeps the key that buttons are signed with.
const BUTTON_KEY: &str = "buttons";
/// How long after a reload an event may still come into the journal that was planned before it: longer
/// than the journal's queue takes.
const PLANNED_BEFORE: std::time::Duration = std::time::Duration::from_secs(3);

/// The relay could not start. Each says what was being done.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// It was opened and does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of pictures cannot be used.
    #[error("cannot use the folder of pictures {dir}: {source}")]
    Archive {
        /// Which folder.
        dir: String,
        /// Why.
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A part cannot be set up.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The process cannot listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
}

/// The settings in force, one for each part, so that each of its steps sees one version whole.
#[derive(Clone)]
struct InForce {
    config: Current<Config>,
    intake: Current<intake::Settings>,
    backfill: Current<backfill::Settings>,
    connections: Current<websocket::Settings>,
    deliver: Current<deliver::Settings>,
    images: Current<images::Settings>,
    upkeep: Current<upkeep::Settings>,
    closing: Current<closing::Settings>,
    notify: Current<Option<DestinationName>>,
    links: Current<Option<LinkSigner>>,
    destinations: Current<Vec<DestinationName>>,
    reload_refused: Current<Option<String>>,
}

impl InForce {
    fn new(config: Config, parts: Parts) -> Self {
        Self {
            config: Current::new(config),
            intake: Current::new(parts.intake),
            backfill: Current::new(parts.backfill),
            connections: Current::new(parts.connections),
            deliver: Current::new(parts.deliver),
            images: Current::new(parts.images),
            upkeep: Current::new(parts.upkeep),
            closing: Current::new(parts.closing),
            notify: Current::new(parts.notify),
            links: Current::new(parts.links),
            destinations: Current::new(parts.destinations),
            reload_refused: Current::new(None),
        }
    }

    fn replace(&self, config: Config, parts: Parts) {
        self.config.set(config);
        self.intake.set(parts.intake);
        self.backfill.set(parts.backfill);
        self.connections.set(parts.connections);
        self.deliver.set(parts.deliver);
        self.images.set(parts.images);
        self.upkeep.set(parts.upkeep);
        self.closing.set(parts.closing);
        self.notify.set(parts.notify);
        self.links.set(parts.links);
        self.destinations.set(parts.destinations);
        self.reload_refused.set(None);
    }
}

/// What every part stands on. Clones share it.
#[derive(Clone)]
struct Ground {
    tasks: Tasks,
    store: Store,
    archive: Archive,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    link_key: [u8; 32],
    buttons: ButtonSigner,
}

impl Ground {
    async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let store = Store::open(&config.store, Arc::clone(&clock))?;
        let archive = Archive::open(&config.images_dir).map_err(|source| StartError::Archive {
            dir: config.images_dir.display().to_string(),
            source,
        })?;
        let link_key = store.secret(LINK_KEY).await?;
        let buttons = ButtonSigner::new(store.secret(BUTTON_KEY).await?);
        let (tasks, metrics) = (Tasks::new(), Arc::new(Metrics::new()));
        Ok(Self {
            tasks,
            store,
            archive,
            metrics,
            clock,
            link_key,
            buttons,
        })
    }

    /// Who takes clicks, and who tells Feishu of them.
    fn closing(
        &self,
        in_force: &InForce,
        operator: &Operator,
        seed: u64,
    ) -> (Closing, StatusWorker) {
        let settings = in_force.closing.clone();
        let (store, metrics) = (self.store.clone(), Arc::clone(&self.metrics));
        let worker = StatusWorker {
            store: store.clone(),
            settings: settings.clone(),
            operator: operator.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&self.clock),
            chance: Mutex::new(fastrand::Rng::with_seed(seed)),
        };
        let closing = Closing::new(store, metrics, self.buttons.clone(), settings);
        (closing, worker)
    }
}

/// How an app's events come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The platform calls this URL, which people paste into its console.
    Url(String),
    /// The relay calls the platform; there is nothing to paste.
    LongConnection,
}

/// A relay that is wired and bound, and does not run yet.
pub struct App {
    ground: Ground,
    in_force: InForce,
    operator: Operator,
    intake: Intake,
    backfill: Backfill,
    connections: LongConnections,
    closing: Closing,
    status_worker: StatusWorker,
    dispatcher: Dispatcher,
    image_worker: ImageWorker,
    sweeper: Sweeper,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
}

/// A running relay.
pub struct Running {
    ground: Ground,
    in_force: InForce,
    operator: Operator,
    connections: LongConnections,
    dispatcher: Dispatcher,
    backfill: Backfill,
}

impl App {
    /// Opens, binds and connects everything. `seed` is where its chance (jitter) begins.
    pub async fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Self, StartError> {
        let ground = Ground::open(&config, clock).await?;
        let listener = bind(config.server.listen).await?;
        let admin_listener = match config.server.admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let parts = Parts::build(&config, ground.link_key)?;
        let in_force = InForce::new(config, parts);

        let Ground {
            tasks,
            store,
            archive,
            metrics,
            clock,
            link_key: _,
            buttons,
        } = ground.clone();
        let notify = in_force.notify.clone();
        let operator = Operator::new(
            store.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            notify,
        );
        let (closing, status_worker) = ground.closing(&in_force, &operator, seed);
        let intake = Intake::new(
            store.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            operator.clone(),
            in_force.intake.clone(),
        )
        .with_clicks(closing.clone());
        let backfill = Backfill::new(intake.clone(), in_force.backfill.clone(), seed);
        let connections = LongConnections::new(
            intake.clone(),
            backfill.clone(),
            in_force.connections.clone(),
            tasks.clone(),
            seed,
        );
        let means = deliver::Means {
            store: store.clone(),
            archive: archive.clone(),
            operator: operator.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&clock),
            tasks,
            buttons,
        };
        let dispatcher = Dispatcher::new(means, in_force.deliver.clone(), seed);
        let image_worker = ImageWorker::new(images::Parts {
            store: store.clone(),
            archive: archive.clone(),
            client: GuardedClient::new().map_err(PartsError::from)?,
            settings: in_force.images.clone(),
            operator: operator.clone(),
            metrics,
            clock: Arc::clone(&clock),
            chance: fastrand::Rng::with_seed(seed),
        });
        let sweeper = Sweeper::new(store, archive, in_force.upkeep.clone(), clock);
        Ok(Self {
            ground,
            in_force,
            operator,
            intake,
            backfill,
            connections,
            closing,
            status_worker,
            dispatcher,
            image_worker,
            sweeper,
            listener,
            admin_listener,
        })
    }

    /// How each app's events come in.
    pub fn entrances(&self) -> Vec<(AppName, Entrance)> {
        let config = self.in_force.config.get();
        let base = config.server.public_url.clone().unwrap_or_else(|| {
            let address = self.listener.local_addr().unwrap_or(config.server.listen);
            format!("http://{address}")
        });
        let entrance = |app: &feishu::App| match app.receive {
            Receive::Webhook => Entrance::Url(format!("{base}/apps/{}/events", app.name)),
            Receive::Websocket => Entrance::LongConnection,
        };
        let apps = config.apps.values();
        apps.map(|app| (app.name.clone(), entrance(app))).collect()
    }

    /// Where the relay listens: the port is the system's choice where the configuration says 0.
    pub fn address(&self) -> SocketAddr {
        let configured = self.in_force.config.get().server.listen;
        self.listener.local_addr().unwrap_or(configured)
    }

    /// Lets every part run.
    pub async fn start(self) -> Running {
        let (ground, config) = (self.ground, self.in_force.config.get());
        let apps: Vec<AppName> = config.apps.keys().cloned().collect();
        ground
            .metrics
            .begin_at_zero(&apps, &self.in_force.destinations.get());
        let web = WebState {
            store: ground.store.clone(),
            archive: ground.archive.clone(),
            probed: web::health::Probed::default(),
            links: self.in_force.links.clone(),
            metrics: Arc::clone(&ground.metrics),
            clock: Arc::clone(&ground.clock),
            closing: self.closing,
            tasks: ground.tasks.clone(),
            stopping: ground.tasks.stopping(),
            reload_refused: self.in_force.reload_refused.clone(),
            destinations: self.in_force.destinations.clone(),
            backfills: self.backfill.states(),
            connections: self.connections.board().clone(),
        };
        let connections = config.server.max_connections;
        let limits = web::server::Limits {
            connections,
            ..Default::default()
        };
        let tasks = &ground.tasks;
        let mut public =
            intake::webhook::routes(self.intake).merge(web::public_routes(web.clone()));
        let serve = |name, listener, routes| {
            let routes = web::caught(routes, Arc::clone(&ground.metrics));
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
        tasks.spawn("long connections", self.connections.clone().run());
        tasks.spawn("deliver", self.dispatcher.clone().run(tasks.stopping()));
        tasks.spawn("backfill", self.backfill.clone().run(tasks.stopping()));
        tasks.spawn("images", self.image_worker.run(tasks.clone()));
        tasks.spawn("status", self.status_worker.run(tasks.clone()));
        tasks.spawn("upkeep", self.sweeper.run(tasks.clone()));
        let (in_force, operator) = (self.in_force, self.operator);
        let running = Running {
            ground,
            in_force,
            operator,
            connections: self.connections,
            dispatcher: self.dispatcher,
            backfill: self.backfill,
        };
        bury_unknown(&running.ground, &running.in_force).await;
        burial::begin(&running.ground, &running.in_force);
        running
    }
}

/// Ends deliveries to destinations that no longer exist, so that they are seen.
async fn bury_unknown(ground: &Ground, in_force: &InForce) {
    bury(ground, &in_force.destinations.get()).await;
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

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

impl Running {
    /// Puts a new configuration in force, all or nothing, and says what changed.
    pub async fn reload(&self, loaded: Loaded) {
        let mistakes = loaded.diagnostics.len();
        let report = loaded.report();
        let Some(config) = loaded.config else {
            tracing::error!("the new configuration has mistakes:\n{report}");
            self.refuse(
                mistakes,
                "it has mistakes: `feedback-relay check` shows them",
            )
            .await;
            return;
        };
        let parts = match Parts::build(&config, self.ground.link_key) {
            Ok(parts) => parts,
            Err(error) => {
                self.refuse(1, &error.to_string()).await;
                return;
            }
        };
        if !report.is_empty() {
            tracing::warn!("the new configuration has warnings:\n{}", report.trim_end());
        }
        let changes = config::changes(&self.in_force.config.get(), &config);
        telemetry::set_level(config.log.level);
        self.ground
            .metrics
            .begin_at_zero(&parts.apps, &parts.destinations);
        self.in_force.replace(config, parts);
        self.connections.reloaded();
        self.dispatcher.reloaded();
        self.backfill.reloaded();
        bury_unknown(&self.ground, &self.in_force).await;
        self.bury_late();
        if let Err(error) = self.ground.store.make_images_due().await {
            tracing::warn!(%error, "pictures that wait for a reload wait for their next time instead");
        }
        self.ground.metrics.emit(Reloaded {
            result: Ok(&changes.to_string()),
        });
    }

    async fn refuse(&self, mistakes: usize, reason: &str) {
        self.ground.metrics.emit(Reloaded {
            result: Err(mistakes),
        });
        self.in_force.reload_refused.set(Some(reason.to_owned()));
        let notice = Notice {
            kind: NoticeKind::ReloadRefused,
            subject: "relay.toml".into(),
            text: format!(
                "The new configuration was refused and the old one stays in force: {reason}."
            ),
        };
        self.operator.tell(notice).await;
    }

    /// An event that was planned by the old rules may have been on its way into the journal: nobody would
    /// ever look at its deliveries to a destination that is gone.
    fn bury_late(&self) {
        let (ground, in_force) = (self.ground.clone(), self.in_force.clone());
        let stopping = ground.tasks.stopping();
        let late = async move {
            tokio::select! {
                // The next start buries them too.
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(PLANNED_BEFORE) => bury_unknown(&ground, &in_force).await,
            }
        };
        // Ends by itself: nobody waits for it.
        drop(self.ground.tasks.spawn_brief(late));
    }

    /// The relay's tasks: to stop them and to wait for their end.
    pub fn tasks(&self) -> &Tasks {
        &self.ground.tasks
    }

    /// How long a stop may take.
    pub fn shutdown_grace(&self) -> std::time::Duration {
        self.in_force.config.get().server.shutdown_grace
    }
}
