//! A sliding window over the latest sends: counts how many may still start within one rate limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::destination::RateLimit;

/// The most sends that one window remembers. A larger rate limit is kept as an equal one over a shorter time.
const REMEMBERED_MAX: u32 = 1000;

/// The sends within one rate limit.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pace: RateLimit,
    /// Starts within the last window, oldest first, at most as many as the rate limit allows.
    starts: VecDeque<Instant>,
}

impl Window {
    /// Builds an empty window.
    pub(super) fn new(pace: RateLimit) -> Self {
        Self {
            pace: remembered(pace),
            starts: VecDeque::new(),
        }
    }

    /// Returns the rate limit as it is kept.
    pub(super) const fn pace(&self) -> RateLimit {
        self.pace
    }

    fn limit(&self) -> usize {
        usize::try_from(self.pace.count).unwrap_or(usize::MAX)
    }

    fn used(&self, now: Instant) -> usize {
        let recent = self.starts.iter().rev();
        recent
            .take_while(|start| now < **start + self.pace.per)
            .count()
    }

    /// Returns the number of sends that may start now.
    pub(super) fn free(&self, now: Instant) -> usize {
        self.limit().saturating_sub(self.used(now))
    }

    /// Returns when the next send may start; `None` if it may start now.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.free(now) > 0 {
            return None;
        }
        let oldest_that_counts = self.starts.len().checked_sub(self.limit())?;
        let oldest = self.starts.get(oldest_that_counts)?;
        Some(*oldest + self.pace.per)
    }

    /// Counts `count` sends that start now.
    pub(super) fn add(&mut self, count: usize, now: Instant) {
        self.starts
            .extend(std::iter::repeat_n(now, count.min(self.limit())));
        let surplus = self.starts.len().saturating_sub(self.limit());
        self.starts.drain(..surplus);
    }

    /// Removes a send that was to start at `began` and did not.
    pub(super) fn give_back(&mut self, began: Instant) {
        if let Some(own) = self.starts.iter().rposition(|start| *start == began) {
            self.starts.remove(own);
        }
    }
}

/// Returns the rate limit as it is kept: never looser, and with few sends to remember. A million an hour
/// becomes a thousand each 3.6 s.
fn remembered(pace: RateLimit) -> RateLimit {
    let count = pace.count.max(1);
    let parts = count.div_ceil(REMEMBERED_MAX);
    let per = pace.per.max(Duration::from_millis(1));
    RateLimit {
        count: count / parts,
        // Rounded up, so that the parts together are no shorter than the whole.
        per: per / parts + Duration::from_nanos(u64::from(parts > 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_rate_limit_is_kept_compactly_and_not_loosened() {
        let hour = Duration::from_secs(3600);
        let pace = remembered(RateLimit {
            count: 1_000_001,
            per: hour,
        });
        assert!(pace.count <= REMEMBERED_MAX);
        let rate = f64::from(pace.count) / pace.per.as_secs_f64();
        assert!(
            rate <= 1_000_001.0 / 3600.0 && rate > 990_000.0 / 3600.0,
            "{rate}"
        );
        let none = remembered(RateLimit {
            count: 0,
            per: Duration::ZERO,
        });
        assert_eq!((none.count, none.per), (1, Duration::from_millis(1)));
    }
}
