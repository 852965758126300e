//! The measured programs, each in its own process and folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::events::{APP_ID, KEY, Maker, TOKEN};
use super::http::Connection;

/// The path of every program for events.
pub const PATH: &str = "/apps/bench/events";

/// A measured program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads and refuses.
    Bare,
    /// Verifies and parses; stores nothing.
    R0,
    /// The minimal relay.
    R1,
    /// feedback-relay, no rule matches.
    Unrouted,
    /// feedback-relay, one rule and one delivery.
    Routed,
    /// The same, and messages do not wait for images.
    RoutedAtOnce,
    /// feedback-relay, one rule that sends each report to a chat.
    Single,
    /// feedback-relay, one rule that sends incidents to a chat.
    Grouped,
}

impl Kind {
    /// Returns whether accepted events are delivered at once. Messages to a chat are limited to a few a second.
    pub const fn delivers(self) -> bool {
        match self {
            Self::R1 | Self::Routed | Self::RoutedAtOnce => true,
            Self::Bare | Self::R0 | Self::Unrouted | Self::Single | Self::Grouped => false,
        }
    }
}

/// A running program. Dropping it ends it.
pub struct Subject {
    child: Child,
    address: SocketAddr,
    /// The time from its start to the first accepted event.
    pub ready_after: Duration,
}

impl Subject {
    /// Starts the program in `folder`, which may contain an earlier run's files, and waits for its
    /// first 200.
    pub async fn start(kind: Kind, folder: &Path, sink: &str, chance: &mut Maker) -> Self {
        let address = free_address();
        let port = address.port().to_string();
        let mut command = match kind {
            Kind::Bare | Kind::R0 | Kind::R1 => {
                Command::new(std::env::current_exe().expect("our own path"))
            }
            Kind::Unrouted | Kind::Routed | Kind::RoutedAtOnce | Kind::Single | Kind::Grouped => {
                Command::new(env!("CARGO_BIN_EXE_feedback-relay"))
            }
        };
        match kind {
            Kind::Bare => command.args(["serve", &port, "bare"]),
            Kind::R0 => command.args(["serve", &port, "r0"]),
            Kind::R1 => {
                let journal = folder.join("r1.db").display().to_string();
                command.args(["serve", &port, "r1", &journal, sink])
            }
            Kind::Unrouted | Kind::Routed | Kind::RoutedAtOnce | Kind::Single | Kind::Grouped => {
                let config = configure(kind, folder, address, sink);
                command.arg("--config").arg(config).arg("serve")
            }
        };
        let began = Instant::now();
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = quiet.stderr(Stdio::null()).spawn().expect("it starts");
        let mut subject = Self {
            child,
            address,
            ready_after: Duration::ZERO,
        };
        let first = chance.requests(1, &subject.host(), PATH).remove(0);
        let mut connection = Connection::new(address);
        while connection.exchange(&first.bytes).await != 200 {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "it never served"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        subject.ready_after = began.elapsed();
        subject
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns the processor time so far, in seconds.
    pub fn cpu_secs(&self) -> f64 {
        cpu_secs(&self.child.id().to_string())
    }

    /// Returns the program's own memory, in MiB. Source: proc(5), `Pss` of `smaps_rollup`.
    pub fn memory_mib(&self) -> f64 {
        let rollup = self.proc("smaps_rollup");
        let line = rollup.lines().find(|line| line.starts_with("Pss:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// Returns the program's largest own memory until `done`, in MiB.
    pub async fn memory_peak_mib<T>(&self, done: impl Future<Output = T>) -> (f64, T) {
        let mut done = pin!(done);
        let mut most = 0_f64;
        loop {
            most = most.max(self.memory_mib());
            tokio::select! {
                result = &mut done => return (most.max(self.memory_mib()), result),
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    /// Asks the program to end, and waits.
    pub fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process's id"), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended
        self.child.wait().ok();
    }
}

/// Returns the processor time of a process so far, in seconds. Source: proc(5), fields 14 and 15 of
/// `stat`.
pub fn cpu_secs(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok());
    let ticks = ticks().unwrap_or_default() + ticks().unwrap_or_default();
    ticks / 100.0
}

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn configure(kind: Kind, folder: &Path, address: SocketAddr, sink: &str) -> PathBuf {
    let matches = match kind {
        Kind::Unrouted => "match = { tenant = \"nobody\" }\n",
        _ => "",
    };
    let wait = match kind {
        Kind::RoutedAtOnce => "wait = \"0s\"",
        _ => "",
    };
    let destination = match kind {
        Kind::Single | Kind::Grouped => "kind = \"feishu-bot\"",
        _ => "kind = \"webhook\"\nconcurrency = 64",
    };
    // Except for incidents, each event is one message.
    let keys = match kind {
        Kind::Grouped => "[\"path\"]",
        _ => "[]",
    };
    let config = format!(
        "server.listen = \"{address}\"\n\
         log.level = \"warn\"\n\
         [images]\nallow_private_addresses = true\nallow_hosts = [\"127.0.0.1\"]\n{wait}\n\
         [apps.bench]\napp_id = \"{APP_ID}\"\nreceive = \"webhook\"\n\
         encrypt_key = \"{KEY}\"\nverification_token = \"{TOKEN}\"\n\
         [destinations.sink]\n{destination}\nurl = \"{sink}\"\n\
         [[rules]]\nname = \"all\"\n{matches}send_to = \"sink\"\ngroup_by = {keys}\n"
    );
    let file = folder.join("relay.toml");
    std::fs::write(&file, config).expect("a writable folder");
    file
}
