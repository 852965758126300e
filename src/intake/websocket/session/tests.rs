//! Tests over a connection in memory, with paused time.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::feishu::frame::Header;
use crate::model::{ManualClock, Timestamp};
use crate::telemetry::{Format, Names};

/// Returns a link, and its metrics.
fn link(room: usize) -> Link {
    let metrics = Metrics::new();
    metrics.name(Names {
        connected: BTreeSet::from(["shop".into()]),
        ..Names::default()
    });
    Link {
        app: "shop".into(),
        board: ConnectionStates::default(),
        metrics: Arc::new(metrics),
        clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_711_111_111_000))),
        tasks: Tasks::new(),
        room: Arc::new(Semaphore::new(room)),
    }
}

fn settings(ping_secs: u64) -> LinkSettings {
    LinkSettings {
        ping_interval: Duration::from_secs(ping_secs),
        ..LinkSettings::default()
    }
}

fn data(kind: &str, id: &str, payload: &str) -> Bytes {
    let headers = [
        ("type", kind),
        ("message_id", id),
        ("sum", "1"),
        ("seq", "0"),
    ];
    let frame = Frame {
        seq_id: 7,
        method: 1,
        headers: headers.map(|(key, value)| Header::new(key, value)).into(),
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        ..Frame::default()
    };
    frame.bytes()
}

fn pong(payload: &str) -> Bytes {
    let mut frame = Frame::ping(7);
    frame.headers = vec![Header::new("type", "pong")];
    frame.payload = Some(Bytes::copy_from_slice(payload.as_bytes()));
    frame.bytes()
}

/// Returns the next frame that the server gets; `None` at the end of the connection.
async fn next(server: &mut WebSocket) -> Option<Frame> {
    loop {
        match server.hear().await {
            Ok(Heard::Message(bytes)) => return Frame::read(bytes),
            Ok(Heard::Life) => {}
            Ok(Heard::Closed(_)) | Err(_) => return None,
        }
    }
}

/// Returns code and message of an acknowledgement.
fn acknowledged(frame: &Frame) -> (u64, String) {
    let said: Value = serde_json::from_slice(frame.payload.as_ref().unwrap()).unwrap();
    let id = frame.header("message_id").unwrap().to_owned();
    (said["code"].as_u64().unwrap(), id)
}

async fn at_once(_payload: Bytes, _arrived: Instant) -> Ack {
    Ack::Taken(json!({}))
}

/// Runs a session beside a server. Returns how the session ended and how long it lasted.
async fn run<H, F>(
    link: &Link,
    ping_secs: u64,
    handle: H,
    ending: &CancellationToken,
    server: impl AsyncFnOnce(WebSocket),
) -> (DisconnectReason, Duration)
where
    H: Fn(Bytes, Instant) -> F,
    F: Future<Output = Ack> + Send + 'static,
{
    let (client, theirs) = WebSocket::pair().await;
    let began = Instant::now();
    let mut settings = settings(ping_secs);
    let session = Session::new(link, client, 7, &mut settings, handle);
    let session = async {
        let end = session.run(ending).await;
        (end, began.elapsed())
    };
    let (ended, ()) = tokio::join!(session, server(theirs));
    ended
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_noticed_ten_seconds_after_a_ping() {
    let never = CancellationToken::new();
    // The server reads frames and sends nothing at all.
    let mute = async |mut server: WebSocket| while next(&mut server).await.is_some() {};
    let (end, lasted) = run(&link(8), 90, at_once, &never, mute).await;
    assert_eq!((end, lasted), (DisconnectReason::Silent, ANSWER_WITHIN));

    // The server is silent after its second pong. That is detected within an interval and ten seconds.
    let falls_silent = async |mut server: WebSocket| {
        for _ping in 0..2 {
            next(&mut server).await.unwrap();
            server.send(pong("")).await.unwrap();
        }
        while next(&mut server).await.is_some() {}
    };
    let (end, lasted) = run(&link(8), 90, at_once, &never, falls_silent).await;
    assert_eq!(
        (end, lasted),
        (DisconnectReason::Silent, Duration::from_secs(190))
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_noticed_too() {
    let never = CancellationToken::new();
    let frozen = async |server: WebSocket| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(server);
    };
    let (end, lasted) = run(&link(8), 5, at_once, &never, frozen).await;
    assert_eq!((end, lasted), (DisconnectReason::Silent, ANSWER_WITHIN));
}

#[tokio::test(start_paused = true)]
async fn any_frame_counts_as_sign_of_life() {
    let (never, link) = (CancellationToken::new(), link(8));
    let chatty = async |mut server: WebSocket| {
        for n in 0..30 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            server
                .send(data("event", &n.to_string(), "{}"))
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.close_with(1001).await;
        while next(&mut server).await.is_some() {}
    };
    let (end, _) = run(&link, 5, at_once, &never, chatty).await;
    assert_eq!(end, DisconnectReason::Closed(Some(1001)));
    let metrics = link.metrics.encode(Format::Prometheus);
    for line in [
        "feedback_relay_long_connection_frames_total{app=\"shop\",kind=\"event\"} 30",
        "feedback_relay_long_connection_acks_total{app=\"shop\",code=\"200\"} 30",
        "feedback_relay_long_connection_last_frame_timestamp_seconds{app=\"shop\"} 1711111111",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn pings_begin_at_once_and_follow_the_settings_of_a_pong() {
    let never = CancellationToken::new();
    let server = async |mut server: WebSocket| {
        let began = Instant::now();
        let mut at = Vec::new();
        for settings in [
            "",
            "{\"PingInterval\":30}",
            "",
            "garbage",
            "{\"PingInterval\":0}",
            "",
        ] {
            let ping = next(&mut server).await.unwrap();
            assert_eq!(ping, Frame::ping(7));
            at.push(began.elapsed().as_secs());
            server.send(pong(settings)).await.unwrap();
        }
        assert_eq!(at, [0, 90, 120, 150, 180, 185]);
    };
    run(&link(8), 90, at_once, &never, server).await;
}

#[tokio::test(start_paused = true)]
async fn event_is_acknowledged_after_commit() {
    let never = CancellationToken::new();
    let handle = |payload: Bytes, _arrived: Instant| async move {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        let (millis, failed) = text.split_once(' ').unwrap();
        tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
        match failed {
            "kept" => Ack::Taken(json!({})),
            _ => Ack::Failed,
        }
    };
    let server = async |mut server: WebSocket| {
        next(&mut server).await.unwrap();
        for (id, payload) in [
            ("slow", "800 kept"),
            ("quick", "5 kept"),
            ("full", "300 failed"),
        ] {
            server.send(data("event", id, payload)).await.unwrap();
        }
        let mut acks = Vec::new();
        for _ack in 0..3 {
            let frame = next(&mut server).await.unwrap();
            let took = frame.header("biz_rt").unwrap().to_owned();
            acks.push((acknowledged(&frame), took));
        }
        let expected = [
            (200, "quick", "5"),
            (500, "full", "300"),
            (200, "slow", "800"),
        ];
        let expected = expected.map(|(code, id, took)| ((code, id.to_owned()), took.to_owned()));
        assert_eq!(acks, expected);
    };
    run(&link(8), 90, handle, &never, server).await;
}

#[tokio::test(start_paused = true)]
async fn concurrency_limit_is_not_mistaken_for_silence() {
    let (never, link) = (CancellationToken::new(), link(2));
    let most = Arc::new(Mutex::new((0, 0)));
    let counted = Arc::clone(&most);
    let handle = move |_payload, _arrived| {
        let most = Arc::clone(&counted);
        async move {
            {
                let mut most = most.lock().unwrap();
                most.0 += 1;
                most.1 = most.0.max(most.1);
            }
            // Longer than an answer to a ping may take.
            tokio::time::sleep(Duration::from_secs(12)).await;
            most.lock().unwrap().0 -= 1;
            Ack::Taken(json!({}))
        }
    };
    let server = async |mut server: WebSocket| {
        for n in 0..6 {
            server
                .send(data("event", &n.to_string(), "{}"))
                .await
                .unwrap();
        }
        let mut acks = 0;
        while acks < 6 {
            let frame = next(&mut server).await.expect("no silence is suspected");
            acks += usize::from(frame.method == 1);
        }
    };
    run(&link, 5, handle, &never, server).await;
    assert_eq!(*most.lock().unwrap(), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn stop_finishes_events_in_progress_and_closes() {
    let ending = CancellationToken::new();
    let handle = |_payload, _arrived| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ack::Taken(json!({}))
    };
    let server = async |mut server: WebSocket| {
        next(&mut server).await.unwrap();
        server.send(data("event", "in hand", "{}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        ending.cancel();
        server.send(data("event", "too late", "{}")).await.unwrap();
        let ack = next(&mut server).await.unwrap();
        assert_eq!(acknowledged(&ack), (200, "in hand".into()));
        let closed = server.hear().await;
        assert_eq!(closed, Ok(Heard::Closed(Some(1000))));
        server.hear().await.ok(); // Sends the answer to the close.
    };
    let (end, lasted) = run(&link(8), 90, handle, &ending, server).await;
    assert_eq!(end, DisconnectReason::Left);
    assert!(lasted < Duration::from_secs(3), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn stop_is_not_delayed_by_stuck_store_or_dead_peer() {
    let ending = CancellationToken::new();
    let stuck = |_payload, _arrived| std::future::pending();
    let server = async |mut server: WebSocket| {
        server.send(data("event", "stuck", "{}")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        ending.cancel();
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    let (end, lasted) = run(&link(8), 90, stuck, &ending, server).await;
    assert_eq!(end, DisconnectReason::Left);
    assert!(
        lasted <= FINISH_WITHIN + CLOSE_WITHIN + Duration::from_secs(1),
        "{lasted:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn panicking_handler_fails_one_event_only() {
    let (never, link) = (CancellationToken::new(), link(1));
    let handle = |payload: Bytes, _arrived: Instant| async move {
        assert_ne!(payload, "boom", "on purpose");
        Ack::Taken(json!({}))
    };
    let server = async |mut server: WebSocket| {
        next(&mut server).await.unwrap();
        server.send(data("event", "1", "boom")).await.unwrap();
        server.send(data("event", "2", "fine")).await.unwrap();
        let ack = next(&mut server).await.unwrap();
        assert_eq!(acknowledged(&ack), (200, "2".into()));
    };
    run(&link, 90, handle, &never, server).await;
    let metrics = link.metrics.encode(Format::Prometheus);
    assert!(
        metrics.contains("feedback_relay_panics_total 1"),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn failed_fragmented_message_is_handled_when_resent() {
    let never = CancellationToken::new();
    let times = Arc::new(Mutex::new(0));
    let handle = move |_payload, _arrived| {
        let mut times = times.lock().unwrap();
        *times += 1;
        let ack = if *times == 1 {
            Ack::Failed
        } else {
            Ack::Taken(json!({}))
        };
        async move { ack }
    };
    let fragment = |seq: &str| {
        let headers = [
            ("type", "event"),
            ("message_id", "m"),
            ("sum", "2"),
            ("seq", seq),
        ];
        let headers = headers.map(|(key, value)| Header::new(key, value)).into();
        let frame = Frame {
            method: 1,
            headers,
            ..Frame::default()
        };
        frame.bytes()
    };
    let server = async |mut server: WebSocket| {
        next(&mut server).await.unwrap();
        for code in [500, 200] {
            server.send(fragment("0")).await.unwrap();
            server.send(fragment("1")).await.unwrap();
            let ack = next(&mut server).await.unwrap();
            assert_eq!(acknowledged(&ack), (code, "m".into()));
        }
        server.send(fragment("1")).await.unwrap();
    };
    run(&link(8), 90, handle, &never, server).await;
}
