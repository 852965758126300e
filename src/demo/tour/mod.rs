//! The tour: the whole relay on this machine without any account.
//!
//! A temporary folder holds the relay's `relay.toml`, its secrets and its store. Fakes of Feishu
//! and Slack and a webhook receiver ([`world`]) run beside the relay, which does not know about the
//! tour. It receives events over HTTP, signed and encrypted, and sends as usual. A script creates
//! events. The page shows the state of the fakes and of the relay's store, and forwards the
//! visitor's actions.

mod acts;
mod board;
mod chats;
mod folder;
mod journal;
mod reports;
mod routes;
mod script;
mod settings;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use self::board::Board;
use self::folder::Folder;
use self::script::Pause;
use self::settings::Settings;
use self::world::World;
use super::Server;
use crate::tasks::Tasks;

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
}

/// A prepared tour. Dropping it ends it and removes its folder.
pub struct Tour {
    page: Server,
    /// The secret part of the page's address.
    key: String,
    board: Arc<Board>,
    tasks: Tasks,
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
    /// Creates the folder, starts the fakes and serves the page.
    pub fn prepare(port: PagePort) -> Result<Self, TourError> {
        let folder = Folder::make().map_err(TourError::Folder)?;
        let runtime = Runtime::new().map_err(TourError::StandIns)?;
        let world = runtime.block_on(World::start(&folder));
        let world = Arc::new(world.map_err(TourError::StandIns)?);
        let settings = configure(&folder, &world).map_err(TourError::Settings)?;
        let board = Board::new(world, Arc::new(settings), Arc::new(Pause::default()));
        let board = Arc::new(board);
        let key = getrandom::u64().map_err(|error| io::Error::other(error.to_string()));
        let key = format!("{:016x}", key.map_err(TourError::StandIns)?);
        let page = runtime.block_on(serve(port, &board, &key))?;
        Ok(Self {
            page,
            key,
            board,
            tasks: Tasks::new(),
            runtime: Some(runtime),
            folder,
        })
    }

    /// Returns the page's URL.
    pub fn page(&self) -> String {
        format!("{}/{}/", self.page.url(), self.key)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the relay's configuration.
    pub fn config(&self) -> &Path {
        self.board.settings.file()
    }

    /// Starts the tour with a relay that listens at this address.
    pub fn begin(&self, relay: SocketAddr) {
        let Some(runtime) = &self.runtime else { return };
        self.board.world.connect(format!("http://{relay}"));
        self.board.settings.connect();
        let _entered = runtime.enter();
        let (world, pause) = (Arc::clone(&self.board.world), Arc::clone(&self.board.pause));
        self.tasks.spawn("board", Arc::clone(&self.board).run());
        self.tasks.spawn("echo", script::echo(Arc::clone(&world)));
        // The script ends by itself.
        drop(self.tasks.spawn_brief(script::run(world, pause)));
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        self.tasks.stop_now();
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
fn configure(folder: &Folder, world: &World) -> io::Result<Settings> {
    let config = CONFIG
        .replace("@PORT@", &free_port()?.to_string())
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

/// Returns a free port for the relay. Its links contain the port before it listens.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
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
