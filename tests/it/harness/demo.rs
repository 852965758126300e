//! The `demo` command of the real binary, and the requests of its page.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::http::{Answer, get, post};

/// The time limit of every wait. It is long because test machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds` is true. It polls a few times a second because each poll makes the demo
/// compute its whole state.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(100)); // polls another process
    }
}

/// A running demo with its own temporary folder.
pub struct Demo {
    child: Child,
    /// The address of the page: `127.0.0.1:PORT`.
    pub page: String,
    /// The prefix of its paths: `/KEY`.
    pub key: String,
    /// The output after the page's address.
    pub said: BufReader<ChildStdout>,
    pub temporary: TempDir,
    pub begun: Instant,
}

pub fn command(temporary: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedback-relay"));
    command
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("TMPDIR", temporary.path())
        // Settings of another relay must not affect the demo.
        .env("RELAY__SERVER__LISTEN", "no address");
    command
}

impl Demo {
    pub fn started() -> Self {
        let temporary = TempDir::new().expect("a temporary folder");
        let begun = Instant::now();
        let mut child = command(&temporary, &["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("readable");
        let page = line
            .strip_prefix("open http://")
            .and_then(|rest| rest.split_once(' '));
        let (page, _) = page.unwrap_or_else(|| panic!("the page's address comes first: {line:?}"));
        let (page, key) = page.split_once('/').expect("a path");
        Self {
            page: page.to_owned(),
            key: format!("/{}", key.trim_end_matches('/')),
            child,
            said,
            temporary,
            begun,
        }
    }

    /// Returns the demo's folder, which is the only entry.
    pub fn folder(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.temporary.path()).expect("it is there");
        let mut paths = entries.map(|entry| entry.expect("readable").path());
        let folder = paths.next().expect("a folder");
        assert_eq!(paths.next(), None);
        folder
    }

    /// Sends a GET request below the page's key.
    pub fn get(&self, path: &str) -> Answer {
        get(&self.page, &format!("{}{path}", self.key))
    }

    pub fn state(&self) -> Value {
        self.get("/api/state").json()
    }

    pub fn messages(&self, chat: &str) -> Vec<Value> {
        let state = self.state();
        let chats = state["chats"].as_array().expect("chats");
        let chat = chats
            .iter()
            .find(|one| one["key"] == chat)
            .expect("the chat");
        chat["messages"].as_array().expect("messages").clone()
    }

    pub fn event(&self, id: &Value) -> Option<Value> {
        let events = self.state()["events"].clone();
        events
            .as_array()?
            .iter()
            .find(|one| one["id"] == *id)
            .cloned()
    }

    pub fn tell(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        let path = format!("{}{path}", self.key);
        post(&self.page, &path, &json, body.to_string().as_bytes())
    }

    pub fn done(&self, path: &str, body: &Value) -> Value {
        let answer = self.tell(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()
    }

    /// Makes a report of this kind with this text, and returns the event's id.
    pub fn report(&self, kind: &str, text: &str) -> Value {
        let new =
            json!({"kind": kind, "text": text, "contact": "", "picture": null, "sample": true});
        self.done("/api/report", &new)["event"].clone()
    }

    /// Waits until a delivery of this event has the given state.
    pub fn wait_for_delivery(
        &self,
        event: &Value,
        to: &str,
        state: &str,
        attempts: usize,
    ) -> Value {
        let mut found = Value::Null;
        wait_until(&format!("{event} {state} to {to}"), || {
            let shown = self.event(event).unwrap_or_default();
            let all = shown["deliveries"].as_array().cloned().unwrap_or_default();
            let delivery = all
                .into_iter()
                .find(|one| one["to"] == to)
                .unwrap_or_default();
            let tried = delivery["attempts"].as_array().map_or(0, Vec::len);
            let holds = delivery["state"] == state && tried >= attempts;
            found = delivery;
            holds
        });
        found
    }

    /// Sends this signal to the demo's process, and waits for its end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Demo {
    #[expect(
        clippy::print_stderr,
        reason = "prints the demo's state after a failed test"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- events on the board ---\n{:#}", self.state()["events"]);
        }
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}
