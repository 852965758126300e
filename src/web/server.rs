//! The accept loop: HTTP/1.1 over TCP, with a limit on everything that a stranger could keep open.
//!
//! It replaces `axum::serve`, which has no time limit for headers. Each connection is one task. A request's
//! head must be complete in time, and a connection on which no byte moves is closed. There is no limit here
//! while a handler works on a request, because handlers have their own.
//!
//! When all connections are taken, those that are idle between two requests are closed to make room. The others
//! are closed after their next answer. No connection is accepted until one has ended. A soft stop closes idle
//! connections, and soon those whose client makes no progress. It finishes requests in progress; a hard stop
//! drops the rest.

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

/// Limits on what a stranger may keep open, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of connections.
    pub connections: usize,
    /// The time for the head of a request, from its first byte to its last; for a new connection, from the
    /// start.
    pub header: Duration,
    /// The time for a connection on which no byte moves.
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

/// The largest number of headers in a request. Feishu sends a dozen, and proxies add some.
const HEADERS_MAX: usize = 64;

/// The largest head of a request, in bytes. It also limits the buffer of a connection.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The pause after a failed accept. Without it, a lack of file descriptors would cause a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The time in which the head of an arriving request must be complete after a soft stop.
const STOP_HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// After a soft stop, the time for an answer of which the client reads nothing.
const STOP_IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// State that all connections share.
#[derive(Clone)]
struct Shared {
    router: TowerToHyperService<Router>,
    limits: Limits,
    tasks: Tasks,
    /// True while a new connection waits for another to end.
    full: watch::Receiver<bool>,
}

/// Serves until the soft stop. Run it by [`Tasks::spawn`]; its connections are tasks of their own.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, tasks: Tasks) {
    let slots = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
    let slots = Arc::new(Semaphore::new(slots));
    let (full_sender, full) = watch::channel(false);
    let shared = Shared {
        router: TowerToHyperService::new(router),
        limits,
        tasks: tasks.clone(),
        full,
    };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    let slot = slot(&slots, &full_sender).await;
                    // The task ends with its connection or at the hard stop, so no one waits for it.
                    drop(tasks.spawn_brief(connection(stream, slot, shared.clone())));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
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

/// Waits for room for one more connection. While there is none, idle connections are asked to close.
async fn slot(slots: &Arc<Semaphore>, full_sender: &watch::Sender<bool>) -> OwnedSemaphorePermit {
    if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        return slot;
    }
    full_sender.send_replace(true);
    let slot = Arc::clone(slots).acquire_owned().await;
    full_sender.send_replace(false);
    slot.expect("the semaphore is never closed")
}

/// Serves one connection to its end, or until its time limit.
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
        // A client that sends no more may still wait for the answer, and a handler in progress is not dropped.
        .half_close(true);
    let socket = Watched {
        stream,
        activity: activity.clone(),
    };
    let mut serving = pin!(http.serve_connection(TokioIo::new(socket), service));
    let stopping = shared.tasks.stopping();
    tokio::select! {
        // The connection broke, or either side closed it; nothing can be done about that.
        _ended = serving.as_mut() => return,
        () = stopping.cancelled() => {}
        () = room_needed(shared.full, activity) => {}
    }
    // Closes at once if it is idle between two requests, else after its next answer.
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        _ended = serving.as_mut() => {}
        () = stalled_after_stop(&stopping, activity, shared.limits) => {}
    }
}

/// Resolves when a new connection waits and this one can close. While a (first) request is arriving, the
/// connection is kept until that is answered.
async fn room_needed(mut full: watch::Receiver<bool>, activity: &Activity) {
    // An error means that the accept loop has ended, at the stop: no more requests then either.
    full.wait_for(|&full| full).await.ok();
    activity.begun().await;
}

/// Resolves some time after the soft stop if the client sends no complete head, or does not read its answer.
async fn stalled_after_stop(stopping: &CancellationToken, activity: &Activity, limits: Limits) {
    stopping.cancelled().await;
    sleep(STOP_HEAD_TIMEOUT).await;
    let stricter = Limits {
        header: STOP_HEAD_TIMEOUT,
        idle: STOP_IDLE_TIMEOUT,
        ..limits
    };
    activity.overdue(stricter).await;
}

#[cfg(test)]
mod tests;
