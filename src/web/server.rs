//! The accept loop: HTTP/1.1 over TCP, with a limit on everything a stranger could keep open.
//!
//! `axum::serve` has no time limit for headers, so this stands in its place. One connection is one
//! task. A request's head must be whole in time, and a connection on which no byte moves is closed. Only while a handler works on a
//! request is there no limit here; handlers have their own.
//!
//! When all connections are taken, those that rest between two requests are closed to make room, the
//! others after their next answer, and nobody new is accepted until one has ended. At a soft stop resting connections are closed,
//! requests in hand are finished; a hard stop drops what is left.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

mod activity;
use activity::{Activity, Watched};

/// What a stranger may keep open, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time.
    pub connections: usize,
    /// For the head of a request, from its first byte to its last; for a new connection, from the start.
    pub header: Duration,
    /// For a connection on which no byte moves.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            header: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

/// How many headers a request may have; Feishu sends a dozen, proxies add some.
const HEADERS_MAX: usize = 64;

/// How large the head of a request may be; also what one connection can make us buffer.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long we wait after a failed accept: out of file descriptors, trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long, at a soft stop, a request that is just arriving has to become whole.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What every connection is told.
#[derive(Clone)]
struct Shared {
    router: TowerToHyperService<Router>,
    limits: Limits,
    tasks: Tasks,
    /// True while somebody waits for a connection to end.
    crowded: watch::Receiver<bool>,
}

/// Serves until the soft stop. Run it by [`Tasks::spawn`]; its connections are tasks of their own.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, tasks: Tasks) {
    let slots = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(slots));
    let (crowding, crowded) = watch::channel(false);
    let shared = Shared {
        router: TowerToHyperService::new(router),
        limits,
        tasks: tasks.clone(),
        crowded,
    };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    let slot = slot(&slots, &crowding).await;
                    // Ends with its connection or the hard stop: nobody waits for it.
                    drop(tasks.spawn_brief(connection(stream, slot, shared.clone())));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = tasks.stopping().cancelled_owned() => {}
        () = accepting => {}
    }
}

/// The right to one more connection. While there is none, resting connections are asked to close.
async fn slot(slots: &Arc<Semaphore>, crowding: &watch::Sender<bool>) -> OwnedSemaphorePermit {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return slot;
    }
    crowding.send_replace(true);
    let slot = Arc::clone(slots).acquire_owned().await;
    crowding.send_replace(false);
    slot.expect("the semaphore is never closed")
}

/// Serves one connection to its end, or until it has had its time.
async fn connection(stream: TcpStream, _slot: OwnedSemaphorePermit, shared: Shared) {
    // Without it an answer of two writes would wait for the peer's delayed ACK.
    stream.set_nodelay(true).ok();
    let activity = Activity::new();
    let limits = shared.limits;
    tokio::select! {
        () = exchange(stream, &activity, shared) => {}
        () = activity.overdue(limits) => {}
    }
}

/// Answers the requests of one connection until either side closes it.
async fn exchange(stream: TcpStream, activity: &Activity, shared: Shared) {
    let (router, busy) = (shared.router, activity.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = router.call(request);
        let busy = busy.clone();
        async move {
            busy.handling();
            let answer: Result<Response, Infallible> = answer.await;
            busy.answered();
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        // Who sends no more may still wait for the answer, and a handler that is halfway is not dropped.
        .half_close(true);
    let socket = Watched {
        stream,
        activity: activity.clone(),
    };
    let mut serving = pin!(http.serve_connection(TokioIo::new(socket), service));
    let stopping = shared.tasks.stopping();
    tokio::select! {
        // It broke, or was closed by either side: nothing that anyone could do about it.
        _ended = serving.as_mut() => return,
        () = stopping.cancelled() => {}
        () = crowd(shared.crowded, activity) => {}
    }
    // Closes at once if it rests between two requests, else after its next answer.
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        _ended = serving.as_mut() => {}
        () = last_call(&stopping, activity) => {}
    }
}

/// Resolves when somebody waits for a place that this connection could leave. One whose (first)
/// request is just arriving keeps it until that is answered.
async fn crowd(mut crowded: watch::Receiver<bool>, activity: &Activity) {
    // An error means that the accept loop has ended, at the stop: no more requests then either.
    crowded.wait_for(|&crowded| crowded).await.ok();
    activity.begun().await;
}

/// Resolves some time after the soft stop if no request has become whole by then.
async fn last_call(stopping: &CancellationToken, activity: &Activity) {
    stopping.cancelled().await;
    sleep(LAST_CALL).await;
    if !activity.awaits_request() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
