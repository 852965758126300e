//! A receiver that accepts a relay's deliveries, and records when each event first came.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::events::{ID_LEN, MARK, find};
use super::http::read_message;

/// The pause after which missing events count as lost.
const SILENCE: Duration = Duration::from_secs(10);
/// The body of every answer: the success of a custom bot. A webhook's body has no meaning.
const BOT_OK: &str = r#"{"code":0}"#;

/// The receiver, on a thread that lives as long as the program.
#[derive(Clone)]
pub struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    /// The status of answers; 0 means 200.
    status: AtomicU16,
    /// All requests, whatever the answer.
    requests: AtomicU64,
    /// The first arrival and the number of copies of each event.
    events: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Sink {
    /// Starts the receiver on a free port.
    pub fn start() -> Self {
        let seen = Arc::<Seen>::default();
        let (tell, hear) = std::sync::mpsc::channel();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = super::runtime();
            runtime.block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
                let listener = listener.expect("a free port");
                tell.send(listener.local_addr().expect("it is bound")).ok();
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            });
        });
        Self {
            address: hear.recv().expect("the thread has started"),
            seen,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Sets the status of later answers.
    pub fn answer(&self, status: u16) {
        self.seen.status.store(status, Ordering::SeqCst);
    }

    /// Returns the requests since the last [`forget`](Self::forget).
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Returns the number of events that arrived more than once.
    pub fn doubles(&self) -> usize {
        let events = self.lock();
        events.values().filter(|(_, count)| *count > 1).count()
    }

    /// Forgets everything.
    pub fn forget(&self) {
        self.seen.requests.store(0, Ordering::SeqCst);
        self.lock().clear();
    }

    /// Waits until all of `wanted` came, or nothing for a while. Returns when each event came.
    pub async fn arrivals(&self, wanted: &HashMap<String, Instant>) -> HashMap<String, Instant> {
        let (mut last, mut changed_at) = (0, Instant::now());
        loop {
            {
                let events = self.lock();
                if events.len() != last {
                    (last, changed_at) = (events.len(), Instant::now());
                }
                let all = last >= wanted.len() && wanted.keys().all(|id| events.contains_key(id));
                if all || changed_at.elapsed() > SILENCE {
                    let first = events.iter().map(|(id, (at, _))| (id.clone(), *at));
                    return first.collect();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, u64)>> {
        self.seen
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>) {
    stream.set_nodelay(true).ok();
    let mut buffer = Vec::new();
    while let Ok(Some(parsed)) = read_message(&mut stream, &mut buffer).await {
        let body = buffer.split_at(parsed.head).1.split_at(parsed.body).0;
        seen.requests.fetch_add(1, Ordering::SeqCst);
        let status = match seen.status.load(Ordering::SeqCst) {
            0 => 200,
            status => status,
        };
        if status == 200
            && let Some(id) = id_in(body)
        {
            let mut events = seen.events.lock().unwrap_or_else(PoisonError::into_inner);
            events.entry(id).or_insert((Instant::now(), 0)).1 += 1;
        }
        buffer.drain(..parsed.head + parsed.body);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{BOT_OK}",
            BOT_OK.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn id_in(body: &[u8]) -> Option<String> {
    let begin = find(body, MARK.as_bytes())?;
    let id = body.get(begin..begin + ID_LEN)?;
    Some(String::from_utf8_lossy(id).into_owned())
}
