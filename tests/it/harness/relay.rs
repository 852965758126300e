//! The real binary in its own folder.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use super::http::{Answer, get, post, request};
use super::sealed::{Feedback, KEY, TOKEN, sealed};

/// The user `nobody`, and its group.
pub const NOBODY: u32 = 65_534;

/// The time limit of every wait. It is long because test machines are busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `holds` is true, and polls every few milliseconds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(5)); // polls another process
    }
}

/// The result of a finished command.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A relay's folder, and its process while one runs.
pub struct Relay {
    folder: TempDir,
    environment: BTreeMap<String, String>,
    launcher: Vec<String>,
    /// The user and group of every process, and a copy of the binary that it can read.
    user: Option<(u32, PathBuf)>,
    child: Option<Child>,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Relay {
    /// Creates a folder with this `relay.toml`; starts no process.
    pub fn prepared(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let relay = Self {
            folder,
            environment: BTreeMap::new(),
            launcher: Vec::new(),
            user: None,
            child: None,
            address: String::new(),
            log: Arc::default(),
        };
        relay.write("relay.toml", config);
        relay
    }

    /// Starts a relay with this `relay.toml`, which must listen on port 0.
    pub fn started(config: &str) -> Self {
        let mut relay = Self::prepared(config);
        relay.start();
        relay
    }

    /// Returns the start of most configurations: port 0, and one app with the tests' key and token.
    pub fn config(rest: &str) -> String {
        format!(
            "server.listen = \"127.0.0.1:0\"\n\
             images.allow_hosts = [\"127.0.0.1\"]\n\
             images.allow_private_addresses = true\n\
             [apps.shop]\n\
             app_id = \"cli_9f5343c580712544\"\n\
             receive = \"webhook\"\n\
             encrypt_key = \"{KEY}\"\n\
             verification_token = \"{}\"\n\
             {rest}",
            TOKEN
        )
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.into(), value.into());
    }

    /// Starts `serve` through this command from now on. The command must replace itself by it.
    pub fn launch_through(&mut self, launcher: &[&str]) {
        self.launcher = launcher.iter().map(|&word| word.to_owned()).collect();
    }

    /// Runs every process as `nobody` from now on, and gives it the folder. Access checks do not apply to root.
    /// Returns whether it can; a user without rights stays who it is.
    pub fn run_as_nobody(&mut self) -> bool {
        if !rustix::process::geteuid().is_root() {
            return false;
        }
        let binary = self.path("feedback-relay");
        std::fs::copy(env!("CARGO_BIN_EXE_feedback-relay"), &binary).expect("a copy");
        for path in [self.folder().to_owned(), self.path("relay.toml")] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("this is root");
        }
        self.user = Some((NOBODY, binary));
        true
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        std::fs::write(path, text).expect("a writable folder");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(&[], arguments)
    }

    fn program(&self, launcher: &[String], arguments: &[&str]) -> Command {
        let copy = self.user.as_ref().and_then(|(_, copy)| copy.to_str());
        let binary = copy.unwrap_or(env!("CARGO_BIN_EXE_feedback-relay"));
        let mut words = launcher.iter().map(String::as_str).chain([binary]);
        let mut command = Command::new(words.next().unwrap_or(binary));
        if let Some((user, _)) = self.user {
            command.uid(user).gid(user);
        }
        command
            .args(words)
            .current_dir(self.folder())
            .env_clear()
            .envs(&self.environment)
            .args(arguments);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts `serve` and waits until it listens.
    pub fn start(&mut self) {
        let mut child = self
            .program(&self.launcher, &["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stderr = child.stderr.take().expect("piped");
        let log = Arc::clone(&self.log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = log.lock().expect("not poisoned");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        self.child = Some(child);
        let mut line = String::new();
        while !line.starts_with("listening on http://") {
            line.clear();
            let read = stdout.read_line(&mut line).expect("readable");
            assert!(read > 0, "the relay did not start:\n{}", self.log());
        }
        let (_, address) = line.split_once("http://").expect("just looked");
        self.address = address.trim_end().to_owned();
        thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} in the log:\n{}", self.log()), || {
            self.log().contains(text)
        });
    }

    /// Sends a signal only to the relay.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Ends the relay with `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Ends the relay with SIGTERM and returns its status.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the relay's end and returns its status.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.take().expect("running").wait().expect("it ends")
    }

    /// Pushes an event as the platform does.
    pub fn push(&self, feedback: &Feedback) -> Answer {
        self.push_text(&feedback.envelope.to_string())
    }

    /// Pushes a plaintext, encrypted and signed.
    pub fn push_text(&self, plaintext: &str) -> Answer {
        let (headers, body) = sealed(KEY, plaintext);
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        post(&self.address, "/apps/shop/events", &headers, &body)
    }

    /// Pushes an event; returns an error if the relay is gone.
    pub fn try_push(&self, feedback: &Feedback) -> std::io::Result<Answer> {
        let (headers, body) = sealed(KEY, &feedback.envelope.to_string());
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        request(&self.address, "POST", "/apps/shop/events", &headers, &body)
    }

    pub fn get(&self, path: &str) -> Answer {
        get(&self.address, path)
    }

    /// Returns all deliveries, page by page, in the format of `deliveries list`.
    pub fn deliveries(&self) -> Vec<serde_json::Value> {
        let mut all: Vec<serde_json::Value> = Vec::new();
        loop {
            let mut arguments = vec!["deliveries", "list", "--limit", "1000", "--json"];
            let last = all
                .last()
                .and_then(|last| last["id"].as_str())
                .map(str::to_owned);
            arguments.extend(last.iter().flat_map(|last| ["--before", last]));
            let output = self.run(&arguments);
            assert_eq!(output.code(), 0, "{output:?}");
            let page = output
                .stdout
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"));
            let known = all.len();
            all.extend(page);
            if all.len() < known + 1000 {
                return all;
            }
        }
    }

    /// Waits until no delivery is pending or in flight.
    pub fn wait_until_idle(&self) {
        wait_until("no delivery pending or in flight", || {
            let open = |state: &str| state == "pending" || state == "sending";
            !self
                .deliveries()
                .iter()
                .any(|delivery| delivery["state"].as_str().is_some_and(open))
        });
    }
}

impl Drop for Relay {
    #[expect(
        clippy::print_stderr,
        reason = "prints the relay's log after a failed test"
    )]
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok(); // it may have ended already
            child.wait().ok();
        }
        if thread::panicking() {
            eprintln!("--- log of the relay ---\n{}", self.log());
        }
    }
}
