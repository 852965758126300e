//! Tracks the phase of a connection, and how long that phase may last.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of a request is arriving, or a new connection has not sent a byte yet.
    Arriving { since: Instant },
    /// A handler works on a request.
    Handling,
    /// An answer is being sent or has been sent; nothing of a next request has arrived.
    Resting { moved_at: Instant },
}

impl Phase {
    fn deadline(self, limits: Limits) -> Option<Instant> {
        match self {
            Self::Arriving { since } => Some(since + limits.header),
            Self::Handling => None,
            Self::Resting { moved_at } => Some(moved_at + limits.idle),
        }
    }

    fn arriving(self) -> bool {
        matches!(self, Self::Arriving { .. })
    }
}

/// The phase of one connection, updated by its socket and its service. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Activity(watch::Sender<Phase>);

impl Activity {
    /// Builds the state of a connection that begins now.
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self(watch::Sender::new(Phase::Arriving { since }))
    }

    /// Records that the head of a request is complete.
    pub(super) fn handling(&self) {
        self.0.send_replace(Phase::Handling);
    }

    /// Records that the handler is done; the answer is sent from here on.
    pub(super) fn answered(&self) {
        let moved_at = Instant::now();
        self.0.send_replace(Phase::Resting { moved_at });
    }

    fn received(&self) {
        self.0.send_if_modified(|phase| match phase {
            Phase::Resting { .. } => {
                let since = Instant::now();
                *phase = Phase::Arriving { since };
                true
            }
            Phase::Arriving { .. } | Phase::Handling => false,
        });
    }

    fn sent(&self) {
        // This delays the deadline. Waiters check it again at the old deadline, so they need no wakeup.
        self.0.send_if_modified(|phase| {
            if let Phase::Resting { moved_at } = phase {
                *moved_at = Instant::now();
            }
            false
        });
    }

    /// Resolves when no head of a request is awaited.
    pub(super) async fn begun(&self) {
        let mut phases = self.0.subscribe();
        // The sender lives in `self`, so there is no error.
        phases.wait_for(|phase| !phase.arriving()).await.ok();
    }

    /// Resolves when the connection has exceeded a time limit. It checks when that is possible at the earliest,
    /// not with each request. A phase that begins after a check lasts until the check after the next one.
    pub(super) async fn overdue(&self, limits: Limits) {
        let shortest = limits.header.min(limits.idle);
        loop {
            let next = Instant::now() + shortest;
            let deadline = self.0.borrow().deadline(limits);
            sleep_until(deadline.map_or(next, |deadline| deadline.min(next))).await;
            if self
                .0
                .borrow()
                .deadline(limits)
                .is_some_and(|deadline| deadline <= Instant::now())
            {
                return;
            }
        }
    }
}

/// A socket that records when bytes move.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) activity: Activity,
}

impl Watched {
    fn wrote(&self, answer: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = answer {
            self.activity.sent();
        }
        answer
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let answer = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        answer
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(answer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(answer)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
