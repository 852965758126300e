//! The relay's process: `serve` of this program as a child. The page kills it, and it is started again at once, as a
//! service manager would.
//!
//! The child ends with this process, however that ends, because it watches its standard input.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::model::Secret;
use crate::net::{Body, HttpClient, Method, Request};

/// This program, also after a new build has replaced its file.
const PROGRAM: &str = "/proc/self/exe";
/// The time between two looks at the process.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The pause after a start that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// The time limit for the relay to answer that it is ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time limit for the relay to stop; its own grace is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The relay's process.
#[derive(Debug)]
pub(super) struct Relay {
    config: PathBuf,
    ready_url: Secret,
    http: HttpClient,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    /// `None` before the start.
    child: Option<Child>,
    state: State,
    restart: Option<Restart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not ready yet.
    Starting,
    Ready,
    /// Killed; the next process follows.
    Killed,
    /// Stopped for good.
    Stopped,
}

/// What the supervisor has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Nothing,
    /// Ask the relay whether it is ready.
    Ask,
    /// Start the next process.
    Start,
    /// Start the next process after a pause, because the last one was never ready.
    StartLater,
}

/// The last end of a running relay, and what followed.
#[derive(Clone, Copy, Debug)]
struct Restart {
    /// The process that ended.
    pid: Option<u32>,
    ended_at: Instant,
    /// The time until the next process was ready.
    down: Option<Duration>,
    found: Option<Found>,
}

/// What is in the store after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The number of acknowledged events.
    pub(super) acknowledged: usize,
    /// The number of them that are not in the store.
    pub(super) lost: usize,
}

impl Relay {
    /// Creates the relay of this configuration, not started yet; `url` is where it will listen.
    pub(super) fn new(config: &Path, url: &str, http: HttpClient) -> Self {
        let now = Now {
            child: None,
            state: State::Starting,
            restart: None,
        };
        Self {
            config: config.to_owned(),
            ready_url: Secret::new(format!("{url}/readyz")),
            http,
            now: Mutex::new(now),
        }
    }

    /// Starts the relay and waits until it is ready. If it cannot start, it prints the reason itself.
    pub(super) async fn start(&self) -> io::Result<()> {
        self.now().child = Some(spawn(&self.config)?);
        while !self.is_answering().await {
            let status = self.now().exit_status()?;
            if let Some(status) = status {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            sleep(LOOK_EVERY).await;
        }
        self.now().set_ready();
        Ok(())
    }

    /// Starts the relay again whenever it ends.
    pub(super) async fn supervise(self: Arc<Self>) {
        loop {
            sleep(LOOK_EVERY).await;
            let task = self.now().task();
            match task {
                Task::Nothing => {}
                Task::Ask if self.is_answering().await => self.now().set_ready(),
                Task::Ask => {}
                Task::Start => self.start_again(),
                Task::StartLater => {
                    sleep(FAILED_PAUSE).await;
                    self.start_again();
                }
            }
        }
    }

    /// Kills the relay as `kill -9` does, and returns its process id; `None` if it is not ready.
    pub(super) fn kill(&self) -> Option<u32> {
        let mut now = self.now();
        if now.state != State::Ready {
            return None;
        }
        now.child.as_mut()?.kill().ok()?;
        now.set_killed();
        now.pid()
    }

    /// Asks the relay to read its configuration again.
    pub(super) fn reload(&self) -> io::Result<()> {
        let mut now = self.now();
        // A process that has ended is not signalled, because its id may belong to another one.
        let has_ended = now.exit_status()?.is_some();
        match now.child.as_ref().filter(|_| !has_ended) {
            Some(child) => Ok(kill_process(Pid::from_child(child), Signal::HUP)?),
            None => Ok(()),
        }
    }

    /// Stops the relay and waits for its end.
    pub(super) fn stop(&self) {
        let mut now = self.now();
        now.state = State::Stopped;
        let Some(child) = &mut now.child else { return };
        drop(child.stdin.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        // Both fail if the process has ended.
        child.kill().ok();
        child.wait().ok();
    }

    /// Returns whether the last restart is complete, and nobody has looked yet what is in the store.
    pub(super) fn wants_check(&self) -> bool {
        let restart = self.now().restart;
        restart.is_some_and(|restart| restart.down.is_some() && restart.found.is_none())
    }

    pub(super) fn set_found(&self, found: Found) {
        if let Some(restart) = &mut self.now().restart {
            restart.found = Some(found);
        }
    }

    /// Returns the state for the page.
    pub(super) fn json(&self) -> Value {
        let now = self.now();
        let restart = now.restart.map(|restart| {
            json!({
                "killed": restart.pid,
                "down_ms": restart.down.map(|down| u64::try_from(down.as_millis()).unwrap_or(u64::MAX)),
                "acknowledged": restart.found.map(|found| found.acknowledged),
                "lost": restart.found.map(|found| found.lost),
            })
        });
        json!({"pid": now.pid(), "ready": now.state == State::Ready, "restart": restart})
    }

    fn start_again(&self) {
        let mut now = self.now();
        if now.state == State::Stopped {
            return;
        }
        now.state = State::Starting;
        match spawn(&self.config) {
            Ok(child) => now.child = Some(child),
            Err(error) => tracing::error!(%error, "failed to start the relay again"),
        }
    }

    async fn is_answering(&self) -> bool {
        let request = Request {
            method: Method::Get,
            url: &self.ready_url,
            headers: Vec::new(),
            body: Body::Empty,
            timeout: PATIENCE,
        };
        let answer = self.http.send(request).await;
        answer.is_ok_and(|answer| answer.is_success())
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn task(&mut self) -> Task {
        let has_ended = !matches!(self.exit_status(), Ok(None));
        match (self.state, has_ended) {
            (State::Starting, false) => Task::Ask,
            (State::Starting, true) => Task::StartLater,
            (State::Ready, true) => {
                self.set_killed();
                Task::Start
            }
            (State::Killed, true) => Task::Start,
            (State::Ready | State::Killed, false) | (State::Stopped, _) => Task::Nothing,
        }
    }

    fn set_killed(&mut self) {
        self.state = State::Killed;
        self.restart = Some(Restart {
            pid: self.pid(),
            ended_at: Instant::now(),
            down: None,
            found: None,
        });
    }

    fn set_ready(&mut self) {
        self.state = State::Ready;
        if let Some(restart) = &mut self.restart {
            restart.down = Some(restart.ended_at.elapsed());
        }
    }
}

/// Starts the process without the environment, whose variables are for another relay. It has a process group of its
/// own, so that Ctrl-C reaches it only through this process.
fn spawn(config: &Path) -> io::Result<Child> {
    Command::new(PROGRAM)
        .arg0("feedback-relay")
        .arg("--config")
        .arg(config)
        .args(["serve", "--until-stdin-ends"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program of a unit test is the test, which does not know the arguments.
    #[tokio::test]
    async fn relay_that_cannot_start_is_reported_and_neither_killed_nor_signalled() {
        let http = HttpClient::trusted(None).unwrap();
        let relay = Relay::new(Path::new("relay.toml"), "http://127.0.0.1:9", http);
        assert_eq!(relay.json()["pid"], Value::Null);
        let error = relay.start().await.unwrap_err().to_string();
        assert!(error.starts_with("it ended with exit status"), "{error}");
        assert_eq!(relay.kill(), None);
        relay.reload().unwrap();
        assert_eq!(relay.now().task(), Task::StartLater);
        relay.stop();
        assert_eq!(relay.now().task(), Task::Nothing);
    }
}
