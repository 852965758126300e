//! An HTTP server on a free port of the loopback interface.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::net::TcpListener;

use super::Fault;
use crate::tasks::Tasks;

/// How long current requests may take when a server is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    tasks: Tasks,
}

impl Server {
    /// Serves `routes` at `address`; port 0 lets the system choose.
    pub async fn start(address: SocketAddr, routes: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let tasks = Tasks::new();
        tasks.spawn_brief(async move {
            // Runs until it is dropped because accepting never fails for good.
            axum::serve(listener, routes).await.ok();
        });
        Ok(Self { address, tasks })
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server and waits until its port is free.
    pub async fn stop(self) {
        self.tasks.stop_now();
        self.tasks.drain(GRACE).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.stop_now();
    }
}

/// Serves one call with its fault; `serve` handles a call without one.
pub(super) async fn with_fault(
    fault: Option<Fault>,
    serve: impl Future<Output = Response>,
) -> Response {
    match fault {
        None => serve.await,
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = (status, body).into_response();
            for (name, value) in headers {
                if let Ok(value) = value.parse() {
                    answer.headers_mut().insert(name, value);
                }
            }
            answer
        }
        Some(Fault::Slow(pause)) => {
            tokio::time::sleep(pause).await;
            serve.await
        }
        Some(Fault::Lost) => {
            serve.await;
            broken()
        }
    }
}

/// Returns a response that breaks off after its head.
fn broken() -> Response {
    ([("content-length", "1000")], Body::new(Cut)).into_response()
}

/// A body that breaks at once.
struct Cut;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}
