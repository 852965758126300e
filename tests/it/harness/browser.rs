//! A headless browser, controlled by its developer tools protocol. Source:
//! chromedevtools.github.io.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// The time limit of every wait. It is long because test machines are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Options against everything that the test did not request: no window, no updates, no background
/// requests.
const QUIET: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en",
    "--remote-debugging-port=0",
];

/// One page of a browser with its own profile.
pub struct Browser {
    // Dropping it ends all processes that it started.
    _process: Process,
    socket: WebSocketStream<TcpStream>,
    /// Events that the browser sent unrequested.
    told: Vec<Value>,
    asked: u64,
    /// The session of the page, once it is open.
    session: Option<String>,
    runtime: Runtime,
    _profile: TempDir,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok(); // it may have ended already
        self.0.wait().ok();
    }
}

impl Browser {
    /// Starts a browser with a page of this size in pixels.
    pub fn start(width: u32, height: u32) -> Self {
        let profile = TempDir::new().expect("a temporary folder");
        let mut child = Command::new("chromium")
            .args(QUIET)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Debian's `chromium` is installed (tests/run does that)");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let process = Process(child);
        let url = endpoint(&mut lines);
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let socket = runtime.block_on(connect(&url));
        let mut browser = Self {
            _process: process,
            socket,
            told: Vec::new(),
            asked: 0,
            session: None,
            runtime,
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        browser.call("Emulation.setDeviceMetricsOverride", &size);
        browser
    }

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// Returns the value of an expression, after waiting for a promise.
    pub fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}\n{answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression) != true {
            let page = self.eval("document.body.innerText");
            assert!(
                Instant::now() < deadline,
                "waited in vain for: {expression}\n{page}"
            );
            thread::sleep(Duration::from_millis(50)); // polls another process
        }
    }

    /// Returns the exceptions, refusals and failed requests in the page's console.
    pub fn complaints(&mut self) -> Vec<String> {
        self.eval("0"); // what was told until now is here
        let wrong = self
            .told
            .iter()
            .filter(|told| match told["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Network.loadingFailed") => true,
                Some("Log.entryAdded") => told["params"]["entry"]["level"] == "error",
                Some("Runtime.consoleAPICalled") => told["params"]["type"] == "error",
                Some(_) | None => false,
            });
        wrong.map(|told| told["params"].to_string()).collect()
    }

    /// Returns the addresses that the page requested.
    pub fn requests(&mut self) -> Vec<String> {
        self.eval("0"); // as above
        let sent = self
            .told
            .iter()
            .filter(|told| told["method"] == "Network.requestWillBeSent");
        let url = |told: &Value| told["params"]["request"]["url"].as_str().map(str::to_owned);
        sent.filter_map(url).collect()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut call = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let Self {
            socket,
            told,
            runtime,
            ..
        } = self;
        runtime.block_on(async {
            socket
                .send(Message::text(call.to_string()))
                .await
                .expect("it listens");
            loop {
                let heard = timeout(PATIENCE, socket.next()).await;
                let heard = heard.expect("the browser answers").expect("it is there");
                let Message::Text(text) = heard.expect("it speaks") else {
                    continue;
                };
                let heard: Value = serde_json::from_str(&text).expect("JSON");
                if heard["id"] == id {
                    assert!(heard["error"].is_null(), "{method}: {heard}");
                    return heard["result"].clone();
                }
                told.push(heard);
            }
        })
    }
}

/// Returns the browser's address from its stderr.
fn endpoint(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        let read = lines.read_line(&mut line).expect("readable");
        assert!(read > 0, "the browser did not start");
        if let Some((_, url)) = line.split_once("DevTools listening on ") {
            return url.trim_end().to_owned();
        }
    }
}

async fn connect(url: &str) -> WebSocketStream<TcpStream> {
    let rest = url.strip_prefix("ws://").expect("a WebSocket");
    let (address, _) = rest.split_once('/').expect("a path");
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (socket, _) = client_async(url, stream).await.expect("a WebSocket");
    socket
}
