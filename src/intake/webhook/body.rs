//! Limits the memory and time for request bodies that are not verified yet.
//!
//! Everybody can send a body, so all bodies together share one budget of bytes ([`HELD_BYTES_MAX`]). The bytes
//! of a body that have arrived count until its sender is verified. Large bodies may use half of the budget, so
//! that real events, which have a few kilobytes, find room. The more bodies are arriving, the less time each of
//! them gets. After the soft stop it is one second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Bytes of all unverified bodies; twice the largest body if that is more.
pub const HELD_BYTES_MAX: usize = 32 << 20;
/// A larger body may use only half of the budget. 4,096 connections with bodies of this size fill the budget.
const SMALL_BYTES_MAX: usize = 8 << 10;
/// The smallest step by which a body grows, in bytes.
const GROWTH_BYTES_MIN: usize = 2 << 10;
/// The time in which a body must be complete after the soft stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the deadline of a stalled body is computed anew, because other bodies may have begun.
const TICK: Duration = Duration::from_millis(500);
/// The part of an oversized body that is read and discarded, in bytes. Otherwise the connection would break and
/// the sender would not see the answer.
pub(super) const DISCARD_BYTES_MAX: usize = 4 << 20;

/// The number of arriving bodies and the bytes that they hold. Clones share it.
#[derive(Clone, Debug)]
pub struct Bodies(Arc<Held>);

#[derive(Debug)]
struct Held {
    bytes: AtomicUsize,
    readers: AtomicUsize,
    /// The largest number of connections, and so of bodies.
    connections: usize,
    /// Cancelled at the soft stop.
    stopping: CancellationToken,
}

/// A body that has arrived. It counts until it is dropped.
#[derive(Debug)]
pub struct Arrived {
    bytes: Vec<u8>,
    share: Share,
}

impl Arrived {
    /// Returns the raw bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The body is larger than allowed.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The connection broke, or the body violates HTTP.
    Broken,
    /// Other bodies use up the budget.
    NoRoom,
}

/// The share of the budget that one body holds.
#[derive(Debug)]
struct Share {
    all: Arc<Held>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts one arriving body.
struct Reader(Arc<Held>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Bodies {
    /// Returns the reader for an intake without a server.
    fn default() -> Self {
        Self::new(usize::MAX, CancellationToken::new())
    }
}

impl Bodies {
    /// Creates the reader for a server with at most `connections` connections. `stopping` is cancelled at the soft
    /// stop.
    pub fn new(connections: usize, stopping: CancellationToken) -> Self {
        Self(Arc::new(Held {
            bytes: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            connections,
            stopping,
        }))
    }

    /// Reads a body of at most `bytes_max`. The receiver must be known; for an unknown one pass 0.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
    ) -> Result<Arrived, Unread> {
        let declared = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let too_large = declared.is_some_and(|length| length > bytes_max);
        let discarded_max = bytes_max.saturating_add(DISCARD_BYTES_MAX);
        let far_too_large = declared.is_some_and(|length| length > discarded_max);
        if far_too_large || (too_large && headers.contains_key(EXPECT)) {
            return Err(Unread::TooLarge);
        }
        self.0.readers.fetch_add(1, Ordering::Relaxed);
        let _reader = Reader(Arc::clone(&self.0));
        tokio::select! {
            // A body that has arrived is returned even after the stop.
            biased;
            read = self.collect(body, bytes_max) => read,
            () = self.stopped() => Err(Unread::TooSlow),
        }
    }

    /// Resolves some time after the soft stop.
    async fn stopped(&self) {
        self.0.stopping.cancelled().await;
        sleep(STOP_TIMEOUT).await;
    }

    async fn collect(&self, mut body: Body, bytes_max: usize) -> Result<Arrived, Unread> {
        let limit = HELD_BYTES_MAX.max(bytes_max.saturating_mul(2));
        let begun = Instant::now();
        let mut read = Arrived {
            bytes: Vec::new(),
            share: Share {
                all: Arc::clone(&self.0),
                bytes: 0,
            },
        };
        let mut discarded = 0;
        loop {
            let left = self.patience(limit).saturating_sub(begun.elapsed());
            let frame = timeout(TICK.min(left), body.frame()).await;
            if begun.elapsed() >= self.patience(limit) {
                return Err(Unread::TooSlow);
            }
            let Ok(frame) = frame else { continue };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_broken| Unread::Broken)?.into_data() else {
                continue; // Trailers.
            };
            if discarded == 0 && read.bytes.len() + data.len() <= bytes_max {
                read.append(&data, bytes_max, limit)?;
                continue;
            }
            discarded += data.len();
            // Its bytes are no longer needed.
            read.give_back();
            if discarded > DISCARD_BYTES_MAX {
                break;
            }
        }
        match discarded {
            0 => Ok(read),
            _ => Err(Unread::TooLarge),
        }
    }

    /// Returns how long a whole body may take to arrive: normally 30 s. The limit is 10 s if unverified bodies
    /// use an eighth of the byte budget or arriving ones a sixteenth of the connections. It is 3 s at a third of
    /// the budget or a quarter of the connections.
    ///
    /// The limit also applies to bodies that began to arrive before it fell. So if slow bodies take all
    /// connections, one becomes free after about 3 s at most, and events can still be received.
    fn patience(&self, limit: usize) -> Duration {
        let bytes = self.0.bytes.load(Ordering::Relaxed);
        let readers = self.0.readers.load(Ordering::Relaxed);
        let connections = self.0.connections;
        if bytes >= limit / 3 || readers >= connections.div_ceil(4) {
            Duration::from_secs(3)
        } else if bytes >= limit / 8 || readers >= connections.div_ceil(16) {
            Duration::from_secs(10)
        } else {
            Duration::from_secs(30)
        }
    }
}

impl Arrived {
    fn append(&mut self, data: &[u8], bytes_max: usize, limit: usize) -> Result<(), Unread> {
        let needed = self.bytes.len() + data.len();
        let held = self.bytes.capacity();
        if needed > held {
            let wanted = (held * 2).max(GROWTH_BYTES_MIN).min(bytes_max).max(needed);
            self.share.grow(wanted - held, wanted, limit)?;
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn give_back(&mut self) {
        self.bytes = Vec::new();
        self.share
            .all
            .bytes
            .fetch_sub(self.share.bytes, Ordering::Relaxed);
        self.share.bytes = 0;
    }
}

impl Share {
    /// Takes `more` bytes of the budget for a body that then has `whole` bytes.
    fn grow(&mut self, more: usize, whole: usize, limit: usize) -> Result<(), Unread> {
        let most = if whole > SMALL_BYTES_MAX {
            limit / 2
        } else {
            limit
        };
        let before = self.all.bytes.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > most {
            self.all.bytes.fetch_sub(more, Ordering::Relaxed);
            return Err(Unread::NoRoom);
        }
        self.bytes += more;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
