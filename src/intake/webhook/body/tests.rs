use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::Frame;

use super::*;

const MAX: usize = 100;

/// The default of `server.max_connections`.
const CONNECTIONS: usize = 4096;

fn bodies() -> Bodies {
    Bodies::new(CONNECTIONS, CancellationToken::new())
}

/// A body that repeats one frame forever, or gives one frame and then stalls.
struct Endless {
    frame: Bytes,
    floods: bool,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frame.clone();
        if !self.floods {
            self.frame = Bytes::new();
        }
        match frame.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Some(Ok(Frame::data(frame)))),
        }
    }
}

fn endless(bytes: usize, floods: bool) -> Body {
    Body::new(Endless {
        frame: vec![b' '; bytes].into(),
        floods,
    })
}

#[tokio::test]
async fn a_body_may_have_exactly_the_limit() {
    let none = HeaderMap::new();
    let just = bodies()
        .read(&none, Body::from(vec![1; MAX]), MAX)
        .await
        .unwrap();
    assert_eq!(just.bytes().len(), MAX);
    let over = bodies()
        .read(&none, Body::from(vec![1; MAX + 1]), MAX)
        .await;
    assert!(matches!(over, Err(Unread::TooLarge)));
    assert!(matches!(
        bodies().read(&none, endless(1 << 16, true), MAX).await,
        Err(Unread::TooLarge)
    ));
}

#[tokio::test]
async fn oversized_length_is_refused_before_the_body() {
    // A body that never comes: waiting for it would hang this test.
    let declared = |length: usize| HeaderMap::from_iter([(CONTENT_LENGTH, length.into())]);
    let mut asks_first = declared(MAX + 1);
    asks_first.insert(EXPECT, axum::http::HeaderValue::from_static("100-continue"));
    for headers in [asks_first, declared(MAX + DISCARD_BYTES_MAX + 1)] {
        let refused = bodies().read(&headers, endless(0, false), MAX).await;
        assert!(matches!(refused, Err(Unread::TooLarge)));
    }
}

#[tokio::test(start_paused = true)]
async fn endless_body_is_refused_in_time() {
    let started = Instant::now();
    let refused = bodies()
        .read(&HeaderMap::new(), endless(10, false), MAX)
        .await;
    assert!(matches!(refused, Err(Unread::TooSlow)));
    assert_eq!(started.elapsed().as_secs(), 30);
}

/// Returns the bytes held by senders that have begun to send and stalled.
async fn stalled(
    bodies: &Bodies,
    count: usize,
    bytes: usize,
) -> tokio::task::JoinSet<Result<usize, Unread>> {
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..count {
        let bodies = bodies.clone();
        senders.spawn(async move {
            let read = bodies
                .read(&HeaderMap::new(), endless(bytes, false), 1 << 20)
                .await;
            read.map(|read| read.bytes().len())
        });
    }
    // Each sender delivers its first frame.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    senders
}

#[tokio::test(start_paused = true)]
async fn large_bodies_share_half_of_the_budget_and_small_ones_find_room() {
    let bodies = bodies();
    let mut senders = stalled(&bodies, 4096, 256 << 10).await;
    let held = bodies.0.bytes.load(Ordering::Relaxed);
    assert!(held <= HELD_BYTES_MAX / 2, "{held}");
    let event = vec![b'x'; SMALL_BYTES_MAX];
    let small = bodies
        .read(&HeaderMap::new(), Body::from(event), 1 << 20)
        .await;
    assert!(small.is_ok(), "{small:?}");
    drop(small);
    let (mut no_room, mut slow) = (0, 0);
    while let Some(ended) = senders.join_next().await {
        match ended.unwrap() {
            Err(Unread::NoRoom) => no_room += 1,
            Err(Unread::TooSlow) => slow += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((no_room, slow), (4096 - 64, 64));
    assert_eq!(bodies.0.bytes.load(Ordering::Relaxed), 0, "given back");
    assert_eq!(bodies.0.readers.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn time_per_body_shrinks_with_concurrent_bodies() {
    for (connections, others, secs) in [
        (CONNECTIONS, 0, 30),
        (CONNECTIONS, 300, 10),
        (CONNECTIONS, 2000, 3),
        (32, 0, 30),
        (32, 4, 10),
        (32, 31, 3),
        (1, 0, 3),
    ] {
        let bodies = Bodies::new(connections, CancellationToken::new());
        let _senders = stalled(&bodies, others, 10).await;
        let begun = Instant::now();
        let read = bodies
            .read(&HeaderMap::new(), endless(10, false), MAX)
            .await;
        assert!(matches!(read, Err(Unread::TooSlow)));
        assert_eq!(begun.elapsed().as_secs(), secs, "{others} of {connections}");
    }
}

#[tokio::test(start_paused = true)]
async fn incomplete_body_is_refused_soon_after_stop() {
    let stopping = CancellationToken::new();
    let bodies = Bodies::new(CONNECTIONS, stopping.clone());
    let headers = HeaderMap::new();
    let stop = async {
        sleep(Duration::from_secs(5)).await;
        stopping.cancel();
        Instant::now()
    };
    let (read, stopped_at) = tokio::join!(bodies.read(&headers, endless(10, false), MAX), stop);
    assert!(matches!(read, Err(Unread::TooSlow)));
    assert_eq!(stopped_at.elapsed().as_secs(), STOP_TIMEOUT.as_secs());
    let complete = bodies.read(&headers, Body::from("{}"), MAX).await;
    assert_eq!(complete.unwrap().bytes(), b"{}");
}

#[tokio::test]
async fn body_counts_until_it_is_dropped() {
    let bodies = bodies();
    let event = vec![b'x'; 3000];
    let read = bodies
        .read(&HeaderMap::new(), Body::from(event), 1 << 20)
        .await
        .unwrap();
    assert_eq!(bodies.0.bytes.load(Ordering::Relaxed), 3000);
    drop(read);
    assert_eq!(bodies.0.bytes.load(Ordering::Relaxed), 0);
    let none = bodies
        .read(&HeaderMap::new(), Body::from(vec![1; 9000]), 0)
        .await;
    assert!(
        matches!(none, Err(Unread::TooLarge)),
        "who is for nobody holds nothing"
    );
}
