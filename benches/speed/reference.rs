//! The references that the relay is compared with, as small as possible.
//!
//! - `r0` verifies, decrypts, parses and answers. It stores nothing.
//! - `r1` is a minimal relay: `r0`, one row per event in SQLite (`synchronous = FULL`, group
//!   commit) before the response, then a Handlebars card, posted once. It detects no repeats,
//!   retries nothing, and records no delivery, so a crash loses everything in its memory.
//! - `bare` is the relay's own server with a route that reads the body and refuses it unchecked:
//!   the HTTP cost of a refusal.
//!
//! Their listen queues are as long as the relay's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use feedback_relay::feishu::{
    App, Found, NONCE_HEADER, Reading, Receive, SIGNATURE_HEADER, SignatureHeaders,
    TIMESTAMP_HEADER, Unverified, Verified,
};
use feedback_relay::model::{Content, Secret};
use feedback_relay::tasks::Tasks;
use feedback_relay::web::server;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, oneshot};

use super::events::{APP_ID, KEY, TOKEN};

/// The largest number of concurrent sends.
const CONCURRENCY: usize = 64;
/// The largest number of rows in one commit.
const BATCH_MAX: usize = 256;
/// The length of the listen queue, as in the relay.
const BACKLOG: u32 = 4096;

const CARD: &str = r#"{"msg_type":"interactive","card":{"schema":"2.0",
"header":{"template":"red","title":{"tag":"plain_text","content":"{{kind}} · {{app}}"}},
"body":{"elements":[{"tag":"div","text":{"tag":"plain_text","content":"{{description}}"}},
{"tag":"markdown","content":"**path** {{path}} **tenant** {{tenant}} **contact** {{contact}}"},
{"tag":"markdown","content":"{{id}}"}]}}}"#;

/// The state of `r1` for accepted events.
#[derive(Clone)]
struct Relay {
    rows: SyncSender<(Reading, oneshot::Sender<()>)>,
    cards: Arc<handlebars::Handlebars<'static>>,
    client: reqwest::Client,
    sends: Arc<Semaphore>,
    url: Arc<str>,
}

/// Serves `r0`, or `r1` if a store and a receiver's URL are given, until the process ends.
pub async fn serve(port: u16, relay: Option<(PathBuf, String)>) {
    let relay = relay.map(|(journal, url)| Relay::start(journal, &url));
    let routes = Router::new()
        .route("/apps/bench/events", post(receive))
        .with_state((app(), relay));
    axum::serve(listen(port), routes).await.expect("it serves");
}

/// Serves `bare`. The first request gets a 200, so a waiting client sees that the server is ready.
pub async fn serve_bare(port: u16) {
    let first = Arc::new(AtomicBool::new(true));
    let refuse = move |body: Bytes| {
        let first = first.swap(false, Ordering::SeqCst);
        std::hint::black_box(body);
        let status = if first {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        let answer = r#"{"error":"bad_signature"}"#;
        std::future::ready((status, [(CONTENT_TYPE, "application/json")], answer))
    };
    let routes = Router::new().route("/apps/{name}/events", post(refuse));
    server::serve(
        listen(port),
        routes,
        server::Limits::default(),
        Tasks::new(),
    )
    .await;
}

fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.bind(address).expect("the port is free");
    socket.listen(BACKLOG).expect("it can be listened on")
}

/// The app of the requests.
pub fn app() -> Arc<App> {
    Arc::new(App {
        name: "bench".into(),
        app_id: APP_ID.into(),
        receive: Receive::Webhook,
        encrypt_keys: vec![Secret::new(KEY)],
        verification_tokens: vec![Secret::new(TOKEN)],
        app_secret: None,
        base_url: String::new(),
        feedback_timezone: jiff::tz::TimeZone::UTC,
    })
}

async fn receive(
    State((app, relay)): State<(Arc<App>, Option<Relay>)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, StatusCode> {
    let header = |name| headers.get(name).map(|value| value.as_bytes());
    let request = Unverified {
        headers: SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            nonce: header(NONCE_HEADER),
            signature: header(SIGNATURE_HEADER),
        },
        body: &body,
    };
    let Ok(Verified::Envelope(envelope)) = request.verify(&app) else {
        return Err(StatusCode::UNAUTHORIZED);
    };
    let reading = envelope.into_event(&app);
    if let Some(relay) = relay {
        relay
            .accept(reading)
            .await
            .ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    }
    Ok("{}")
}

impl Relay {
    fn start(journal: PathBuf, url: &str) -> Self {
        let (rows, waiting) = sync_channel(4096);
        std::thread::spawn(move || write(&journal, &waiting));
        let mut cards = handlebars::Handlebars::new();
        cards.register_escape_fn(|text| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted.trim_matches('"').to_owned()
        });
        cards
            .register_template_string("card", CARD)
            .expect("a good template");
        Self {
            rows,
            cards: Arc::new(cards),
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            sends: Arc::new(Semaphore::new(CONCURRENCY)),
            url: url.into(),
        }
    }

    /// Accepts an event. `None`: the store cannot keep up.
    async fn accept(self, reading: Reading) -> Option<()> {
        let (written, wait) = oneshot::channel();
        self.rows.try_send((reading.clone(), written)).ok()?;
        wait.await.ok()?;
        tokio::task::spawn(async move {
            let _permit = self.sends.acquire().await;
            let card = self.card(&reading);
            let post = self.client.post(&*self.url).body(card);
            post.send().await.ok();
        });
        Some(())
    }

    fn card(&self, reading: &Reading) -> String {
        let Found::Event(event) = &reading.found else {
            return String::new();
        };
        let Content::Created(feedback) = &event.content else {
            return String::new();
        };
        let words = |text: &Option<feedback_relay::model::Private>| {
            text.as_ref().map(|text| text.expose().to_owned())
        };
        let context = serde_json::json!({
            "id": event.id.as_str(),
            "app": feedback.app_id,
            "kind": feedback.kind.map(|kind| kind.0),
            "description": words(&feedback.description),
            "path": words(&feedback.path),
            "tenant": words(&feedback.tenant_name),
            "contact": words(&feedback.contact),
        });
        self.cards
            .render("card", &context)
            .expect("a good template")
    }
}

/// Writes on its own thread: everything that waits goes into one commit.
fn write(journal: &std::path::Path, waiting: &Receiver<(Reading, oneshot::Sender<()>)>) {
    let mut conn = rusqlite::Connection::open(journal).expect("a store");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE events (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;",
    )
    .expect("a new store");
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
        let tx = conn.transaction().expect("a transaction");
        for (reading, _) in &batch {
            tx.prepare_cached("INSERT INTO events (id, body) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute([reading.id.as_str(), reading.body.expose()]))
                .expect("a row");
        }
        tx.commit().expect("a commit");
        for (_, written) in batch {
            written.send(()).ok();
        }
    }
}
