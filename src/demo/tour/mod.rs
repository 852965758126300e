//! The tour: the whole relay on this machine without any account.
//!
//! A temporary folder holds the relay's `relay.toml`, its secrets and its store. The relay is a process of its own
//! ([`relay`]), so that it can really be killed. Fakes of Feishu and Slack and a webhook receiver ([`world`]) run in
//! this process. The relay does not know about the tour: it receives events over HTTP, signed and encrypted, and
//! sends as usual. A script creates events, and a [`storm`] a thousand at once. The page shows the state of the
//! fakes and of the relay's store, and forwards the visitor's actions.

mod acts;
mod board;
mod chats;
mod folder;
mod journal;
mod relay;
mod reports;
mod routes;
mod script;
mod settings;
mod storm;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::board::Board;
use self::folder::Folder;
use self::relay::Relay;
use self::script::Pause;
use self::settings::Settings;
use self::storm::Storm;
use self::world::World;
use super::Server;
use crate::net::HttpClient;
use crate::tasks::Tasks;
use crate::telemetry;

/// The configuration of the tour's relay, with placeholders for values known at startup.
const CONFIG: &str = include_str!("relay.toml");
/// The events of its `[[tests]]`.
const EVENTS: &[(&str, &str)] = &[
    (
        "events/white-screen.json",
        include_str!("../../../tests/events/white-screen.json"),
    ),
    (
        "events/suggestion.json",
        include_str!("../../../tests/events/suggestion.json"),
    ),
];
/// How long current work may take at the end.
const GRACE: Duration = Duration::from_secs(1);

/// Why a tour cannot start. Each text names the failed step.
#[derive(Debug, thiserror::Error)]
pub enum TourError {
    /// The process cannot listen for signals.
    #[error("failed to listen for signals: {0}")]
    Signals(io::Error),
    /// The folder for its files cannot be created.
    #[error("failed to create a temporary folder: {0}")]
    Folder(io::Error),
    /// The fakes cannot be started.
    #[error("failed to start the stand-ins for Feishu and Slack: {0}")]
    StandIns(io::Error),
    /// Its relay.toml is not valid.
    #[error("failed to load the demo's configuration: {0}")]
    Settings(io::Error),
    /// The page's port cannot be opened.
    #[error(
        "failed to serve the page on port {port}: {source}; choose another with --port, or 0 for any"
    )]
    Page {
        /// The requested port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The relay's process cannot be started, or ended at once.
    #[error("failed to start the relay: {0}")]
    Relay(io::Error),
}

/// A prepared tour. Dropping it ends it and removes its folder.
pub struct Tour {
    page: Server,
    /// The secret part of the page's address.
    key: String,
    /// The address that the relay listens on: `http://127.0.0.1:PORT`.
    relay_url: String,
    board: Arc<Board>,
    tasks: Tasks,
    ends: Ends,
    runtime: Option<Runtime>,
    // Declared last, so it is dropped last.
    folder: Folder,
}

/// The port of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePort {
    /// This port if it is free, else any free port.
    Rather(u16),
    /// This port only; 0 lets the system choose.
    Only(u16),
}

impl Tour {
    /// Creates the folder, starts the fakes and serves the page. From now on signals end only [`Tour::run`].
    pub fn prepare(port: PagePort) -> Result<Self, TourError> {
        let runtime = Runtime::new().map_err(TourError::StandIns)?;
        let ends = runtime.block_on(async { Ends::listen() });
        let ends = ends.map_err(TourError::Signals)?;
        let folder = Folder::make().map_err(TourError::Folder)?;
        let http = HttpClient::trusted(None).map_err(|error| io::Error::other(error.to_string()));
        let http = http.map_err(TourError::StandIns)?;
        let world = runtime.block_on(World::start(&folder, http.clone()));
        let world = Arc::new(world.map_err(TourError::StandIns)?);
        let relay_url = free_url().map_err(TourError::StandIns)?;
        let settings = configure(&folder, &world, &relay_url).map_err(TourError::Settings)?;
        let tasks = Tasks::new();
        let board = Arc::new(Board::new(
            Arc::new(Relay::new(settings.file(), &relay_url, http)),
            Storm::new(Arc::clone(&world), tasks.clone()),
            world,
            settings,
            Arc::new(Pause::default()),
        ));
        let key = getrandom::u64().map_err(|error| io::Error::other(error.to_string()));
        let key = format!("{:016x}", key.map_err(TourError::StandIns)?);
        let page = runtime.block_on(serve(port, &board, &key))?;
        Ok(Self {
            page,
            key,
            relay_url,
            board,
            tasks,
            ends,
            runtime: Some(runtime),
            folder,
        })
    }

    /// Returns the page's URL.
    pub fn page(&self) -> String {
        format!("{}/{}/", self.page.url(), self.key)
    }

    /// Returns the relay's URL.
    pub fn relay(&self) -> &str {
        &self.relay_url
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the relay's configuration.
    pub fn config(&self) -> &Path {
        self.board.settings.file()
    }

    /// Starts the relay, then calls `announce`, and runs the tour until a signal ends it.
    pub fn run(&mut self, announce: impl FnOnce(&Self)) -> Result<(), TourError> {
        let Some(runtime) = self.runtime.take() else {
            return Ok(());
        };
        let _log = telemetry::init(self.board.settings.config().get().log);
        let ran = runtime.block_on(async {
            tokio::select! {
                () = self.ends.next() => return Ok(()),
                started = self.board.relay.start() => started.map_err(TourError::Relay)?,
            }
            announce(self);
            self.start_tasks();
            self.ends.next().await;
            Ok(())
        });
        self.runtime = Some(runtime);
        ran
    }

    fn start_tasks(&self) {
        let (tasks, board) = (&self.tasks, &self.board);
        board.world.connect(self.relay_url.clone());
        tasks.spawn("relay", Arc::clone(&board.relay).supervise());
        tasks.spawn("board", Arc::clone(board).run());
        tasks.spawn("echo", script::echo(Arc::clone(&board.world)));
        // The script ends by itself.
        let script = script::run(Arc::clone(&board.world), Arc::clone(&board.pause));
        drop(tasks.spawn_brief(script));
    }
}

/// The signals that end the tour, so that it leaves neither a process nor a file.
#[derive(Debug)]
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// The terminal was closed.
    hangup: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        self.tasks.stop_now();
        self.board.relay.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
    }
}

async fn serve(port: PagePort, board: &Arc<Board>, key: &str) -> Result<Server, TourError> {
    let start = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Server::start(address, routes::routes(Arc::clone(board), key))
    };
    let (port, served) = match port {
        PagePort::Only(port) => (port, start(port).await),
        PagePort::Rather(port) => match start(port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => (0, start(0).await),
            served => (port, served),
        },
    };
    served.map_err(|source| TourError::Page { port, source })
}

/// Writes the relay's configuration and reads it.
fn configure(folder: &Folder, world: &World, relay_url: &str) -> io::Result<Settings> {
    let config = CONFIG
        .replace("@LISTEN@", relay_url.trim_start_matches("http://"))
        .replace("@FEISHU@", &world.feishu.url())
        .replace("@SLACK@", &world.slack.url())
        .replace("@WAREHOUSE@", &world.receiver.url())
        .replace("@APP_ID@", reports::APP_ID);
    folder.write("relay.toml", &config)?;
    for (name, event) in EVENTS {
        folder.write(name, event)?;
    }
    Settings::open(folder.file("relay.toml"))
}

/// Returns a URL with a free port for the relay. It keeps the port when it is started again.
fn free_url() -> io::Result<String> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(format!("http://{}", free.local_addr()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupied_port_is_reported_or_replaced() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Tour::prepare(PagePort::Only(port))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains(&format!("port {port}")) && error.contains("--port"),
            "{error}"
        );
        let tour = Tour::prepare(PagePort::Rather(port)).unwrap();
        assert!(!tour.page().ends_with(&format!(":{port}")));
        let folder = tour.folder().to_owned();
        assert!(folder.join("relay.toml").exists());
        drop(tour);
        assert!(!folder.exists());
    }
}
