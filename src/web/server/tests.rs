//! Tests over real sockets on the loopback; the limits are short, so that no test has to sleep.

use std::net::SocketAddr;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::*;

/// Far longer than anything here takes: reaching it fails a test.
const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3600);

struct Served {
    address: SocketAddr,
    tasks: Tasks,
    /// Lets `/slow` answer.
    go: Arc<Notify>,
    /// Notified when `/slow` has begun.
    begun: Arc<Notify>,
}

async fn served(limits: Limits) -> Served {
    let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
        move || async move {
            begun.notify_one();
            go.notified().await;
            "slow"
        }
    };
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/echo", post(|body: axum::body::Bytes| async move { body }))
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/slow", get(slow));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new();
    tasks.spawn("server", serve(listener, router, limits, tasks.clone()));
    Served {
        address,
        tasks,
        go,
        begun,
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

impl Served {
    async fn connect(&self, sends: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(sends.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads until the received text ends with `end`.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

/// Reads until the server closes; a reset is a close too.
async fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all))
        .await
        .unwrap()
        .ok();
    all
}

fn limits(header: Duration, idle: Duration) -> Limits {
    Limits {
        connections: 8,
        header,
        idle,
    }
}

#[tokio::test]
async fn incomplete_head_is_closed_after_its_limit() {
    let served = served(limits(SHORT, LONG)).await;
    for sends in ["", "GET / HTTP/1.1\r\nhost:"] {
        let started = Instant::now();
        let mut stream = served.connect(sends).await;
        assert!(read_to_close(&mut stream).await.is_empty());
        assert!(started.elapsed() >= SHORT, "{sends:?}");
    }
}

#[tokio::test]
async fn slow_head_is_closed_after_its_limit() {
    let served = served(limits(SHORT, LONG)).await;
    let mut stream = served.connect(GET).await;
    read_to(&mut stream, "ok").await;
    // A second request on the same connection, a byte each few milliseconds.
    let dribble = async {
        for byte in "GET / HTTP/1.1\r\nx: "
            .bytes()
            .chain(std::iter::repeat(b'a'))
        {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
            // The pause is the behaviour under test: a sender that never stops entirely.
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, dribble).await.unwrap();
}

#[tokio::test]
async fn idle_connection_is_kept_for_the_idle_limit() {
    let served = served(limits(LONG, SHORT)).await;
    let mut stream = served.connect(GET).await;
    read_to(&mut stream, "ok").await;
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_to(&mut stream, "ok").await;
    let rested = Instant::now();
    assert!(read_to_close(&mut stream).await.is_empty());
    assert!(rested.elapsed() >= SHORT / 2);
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_closed() {
    let served = served(Limits {
        connections: 1,
        ..limits(LONG, SHORT)
    })
    .await;
    let _deaf = served
        .connect("GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    // Its place is free again only after it has been closed.
    let mut next = served.connect(GET).await;
    read_to(&mut next, "ok").await;
}

#[tokio::test]
async fn handler_has_no_time_limit() {
    let served = served(limits(SHORT, SHORT)).await;
    let mut stream = served.connect(SLOW).await;
    served.begun.notified().await;
    let mut other = served.connect("").await;
    // Another connection's limit, begun later, has passed.
    read_to_close(&mut other).await;
    served.go.notify_one();
    read_to(&mut stream, "slow").await;
}

#[tokio::test]
async fn full_server_closes_idle_connections() {
    let served = served(Limits {
        connections: 2,
        ..limits(LONG, LONG)
    })
    .await;
    let mut working = served.connect(SLOW).await;
    served.begun.notified().await;
    let mut resting = served.connect(GET).await;
    read_to(&mut resting, "ok").await;
    let mut third = served.connect(GET).await;
    assert!(read_to_close(&mut resting).await.is_empty());
    assert!(read_to(&mut third, "ok").await.starts_with("HTTP/1.1 200"));
    served.go.notify_one();
    let answer = read_to(&mut working, "slow").await;
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn oversized_head_is_refused() {
    let served = served(limits(LONG, LONG)).await;
    let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
    let long = format!("a: {}\r\n", "b".repeat(2 * HEAD_BYTES_MAX));
    for headers in [many, long] {
        let mut stream = served
            .connect(&format!("GET / HTTP/1.1\r\n{headers}\r\n"))
            .await;
        let answer = String::from_utf8(read_to_close(&mut stream).await).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn soft_stop_closes_idle_and_finishes_requests() {
    let served = served(limits(LONG, LONG)).await;
    let mut resting = served.connect(GET).await;
    read_to(&mut resting, "ok").await;
    let mut arriving = served.connect("GET / HT").await;
    let mut working = served.connect(SLOW).await;
    served.begun.notified().await;
    served.tasks.stop();
    assert!(read_to_close(&mut resting).await.is_empty());
    assert!(read_to_close(&mut arriving).await.is_empty());
    assert!(
        TcpStream::connect(served.address).await.is_err(),
        "nobody new"
    );
    served.go.notify_one();
    let answer = String::from_utf8(read_to_close(&mut working).await).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow"),
        "{answer}"
    );
    assert!(served.tasks.drain(PATIENCE).await);
    assert!(!served.tasks.failed());
}

#[tokio::test]
async fn unread_answer_does_not_delay_stop() {
    let served = served(limits(LONG, LONG)).await;
    let mut deaf = served
        .connect("GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await;
    deaf.read_u8().await.unwrap();
    served.tasks.stop();
    assert!(served.tasks.drain(PATIENCE).await);
}

#[tokio::test]
async fn hard_stop_drops_requests_in_progress() {
    let served = served(limits(LONG, LONG)).await;
    let mut working = served.connect(SLOW).await;
    served.begun.notified().await;
    served.tasks.stop_now();
    assert!(read_to_close(&mut working).await.is_empty());
    served.tasks.drain(PATIENCE).await;
}

#[tokio::test]
async fn bodies_and_connections_are_reused() {
    let served = served(limits(LONG, LONG)).await;
    let mut stream = served.connect("").await;
    for words in ["one", "two"] {
        let request = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{words}");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to(&mut stream, words).await;
    }
}

#[tokio::test]
async fn half_closed_client_still_gets_the_answer() {
    let served = served(limits(LONG, LONG)).await;
    let mut stream = served.connect(SLOW).await;
    stream.shutdown().await.unwrap();
    served.begun.notified().await;
    served.go.notify_one();
    read_to(&mut stream, "slow").await;
}
