//! The source of time. Code that needs the time takes a [`Clock`], so that tests can control it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Timestamp;

/// Returns the wall-clock time, which the relay compares and stores. Callers must tolerate jumps of it.
/// Waits use tokio's monotonic timer instead.
pub trait Clock: Send + Sync {
    /// Returns the current wall-clock time.
    fn now(&self) -> Timestamp;

    /// Returns the time since a fixed moment. Setting the wall clock does not change it.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "uptime runs beside tokio's clock, which tests pause"
    )]
    fn monotonic(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that moves only when it is set. For tests, and for `check`, whose samples must not age.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            wall: AtomicI64::new(now.as_millis()),
            monotonic_ms: AtomicU64::new(0),
        }
    }

    /// Advances both clocks by `span`.
    pub fn advance(&self, span: Duration) {
        self.set(self.now() + span);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock, possibly backwards. The monotonic clock does not change.
    pub fn set(&self, now: Timestamp) {
        self.wall.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}
