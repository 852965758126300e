//! Tests of docs/receiving.md: its receivers run unchanged, with the official libraries of Standard
//! Webhooks. They accept only the relay's messages.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use crate::harness::sealed::now_ms;
use crate::harness::{Feedback, Received, Receiver, Relay, post, wait_until};

const DOC: &str = include_str!("../../docs/receiving.md");

/// The key of the receivers.
const KEY: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// The second key of the relay, because the keys are being rotated.
const NEW_KEY: &str = "bmV3LWtleS1vZi1hLXRlc3QtbmV3LWtleQ==";

/// Returns the only fenced block in this language.
fn block(language: &str) -> &'static str {
    let (_, rest) = DOC
        .split_once(&format!("```{language}\n"))
        .expect("it is there");
    let (block, rest) = rest.split_once("```\n").expect("it ends");
    assert!(
        !rest.contains(&format!("```{language}\n")),
        "which of them?"
    );
    block
}

/// Returns the folder where `tests/run` installs the libraries.
fn libraries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/receivers")
}

/// A running receiver of the page.
struct Example {
    child: Child,
    address: String,
    told: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Example {
    fn started(program: &Path, file: &str, language: &str) -> Self {
        // Node searches for libraries in the parent folders of the file.
        let folder = tempfile::tempdir_in(libraries());
        let folder =
            folder.expect("the libraries are there: tests/run puts them into target/receivers");
        std::fs::write(folder.path().join(file), block(language)).expect("a writable folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.expect("a free port").port();
        let mut child = Command::new(program)
            .arg(file)
            .current_dir(folder.path())
            .env("WAREHOUSE_SECRET", format!("whsec_{KEY}"))
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // Python's server logs each request there
            .spawn()
            .expect("the interpreter is there: tests/run installs it");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let told = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&told);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                lines.lock().expect("not poisoned").push(line);
            }
        });
        let example = Self {
            child,
            address: format!("127.0.0.1:{port}"),
            told,
            _folder: folder,
        };
        wait_until("it listens", || {
            std::net::TcpStream::connect(&example.address).is_ok()
        });
        example
    }

    /// Returns the receiver's output.
    fn told(&self) -> Vec<String> {
        self.told.lock().expect("not poisoned").clone()
    }

    /// Returns the status for a request with these headers.
    fn answers(&self, id: &str, timestamp: &str, signature: &str, body: &[u8]) -> u16 {
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ];
        post(&self.address, "/hooks/feedback", &headers, body).status
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}

fn signature(key: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(key).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Sends one event to the example and to a test receiver; returns the test receiver's request.
fn deliver(example: &Example) -> Received {
    let ours = Receiver::answering("{}");
    let hook = |name: &str, url: &str| {
        format!(
            "[destinations.{name}]\nkind = \"webhook\"\nurl = \"{url}\"\n\
             secret = [\"whsec_{NEW_KEY}\", \"whsec_{KEY}\"]\n"
        )
    };
    let url = format!("http://{}/hooks/feedback", example.address);
    let relay = Relay::started(&Relay::config(&format!(
        "{}{}[[rules]]\nname = \"all\"\nsend_to = [\"warehouse\", \"ours\"]\n",
        hook("warehouse", &url),
        hook("ours", &ours.url("/")),
    )));
    let event = Feedback::fault(1).with("description", "白屏 \"<&>\" 👍".into());
    assert_eq!(relay.push(&event).status, 200);
    relay.wait_until_idle();
    let delivered = relay.deliveries();
    let delivered = delivered
        .iter()
        .filter(|one| one["state"] == "delivered" && one["attempts"] == 1);
    assert_eq!(delivered.count(), 2, "{:?}", relay.deliveries());
    ours.wait_for(1).remove(0)
}

/// Checks that the relay's message and a similar one are accepted, and foreign or old ones refused.
fn assert_accepts_only_the_relay(example: &Example) {
    let received = deliver(example);
    let line = "feedback.created shop 白屏 \"<&>\" 👍";
    wait_until("it is told", || example.told() == [line]);

    let header = |name| {
        received
            .header(name)
            .expect("the relay's headers")
            .to_owned()
    };
    let (id, stamp) = (header("webhook-id"), header("webhook-timestamp"));
    let (signed, body) = (header("webhook-signature"), received.body.as_slice());
    assert_eq!(signed.split(' ').count(), 2, "by both keys: {signed}");
    assert_eq!(example.answers(&id, &stamp, &signed, body), 204);
    wait_until("the other delivery is told too", || {
        example.told().len() == 2
    });
    assert_eq!(example.answers(&id, &stamp, &signed, body), 204, "a repeat");

    let changed = String::from_utf8(body.to_vec())
        .expect("JSON")
        .replace("shop", "bank");
    assert_eq!(
        example.answers(&id, &stamp, &signed, changed.as_bytes()),
        401
    );
    assert_eq!(example.answers("another", &stamp, &signed, body), 401);
    assert_eq!(example.answers(&id, &stamp, "v1,AAAA", body), 401);
    assert_eq!(example.answers(&id, &stamp, "", body), 401);
    let other = signature(NEW_KEY, &id, &stamp, body);
    assert_eq!(
        example.answers(&id, &stamp, &other, body),
        401,
        "by another key"
    );
    assert_eq!(
        post(&example.address, "/", &[], body).status,
        401,
        "not signed"
    );

    let now = i64::try_from(now_ms() / 1000).expect("small");
    for (age, status) in [(0, 204), (240, 204), (600, 401), (-600, 401)] {
        let (id, stamp) = (format!("aged-{age}"), (now - age).to_string());
        let good = signature(KEY, &id, &stamp, body);
        assert_eq!(
            example.answers(&id, &stamp, &good, body),
            status,
            "{age} s old"
        );
    }
    wait_until("what was taken is told", || example.told().len() == 4);
}

#[test]
fn python_receiver_accepts_only_the_relay() {
    let python = libraries().join("python/bin/python");
    let example = Example::started(&python, "receiver.py", "python");
    assert_accepts_only_the_relay(&example);
}

#[test]
fn node_receiver_accepts_only_the_relay() {
    let example = Example::started(Path::new("node"), "receiver.mjs", "js");
    assert_accepts_only_the_relay(&example);
}
