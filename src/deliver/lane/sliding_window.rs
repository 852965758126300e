//! How many sends may still start within one pace: a window that slides over the latest starts.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::destination::RateLimit;

/// The most sends that one pace remembers; a pace of more is kept as an equal one over a shorter span.
const REMEMBERED_MAX: u32 = 1000;

/// Sends within one pace.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pace: RateLimit,
    /// Starts within the last span, oldest first, at most as many as the pace allows.
    starts: VecDeque<Instant>,
}

impl Window {
    /// Nothing has started yet.
    pub(super) fn new(pace: RateLimit) -> Self {
        Self {
            pace: remembered(pace),
            starts: VecDeque::new(),
        }
    }

    /// The pace as it is kept.
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

    /// How many may start now.
    pub(super) fn free(&self, now: Instant) -> usize {
        self.limit().saturating_sub(self.used(now))
    }

    /// When the next send may start, if not now.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        if self.free(now) > 0 {
            return None;
        }
        let oldest_that_counts = self.starts.len().checked_sub(self.limit())?;
        let oldest = self.starts.get(oldest_that_counts)?;
        Some(*oldest + self.pace.per)
    }

    /// So many start now.
    pub(super) fn add(&mut self, count: usize, now: Instant) {
        self.starts
            .extend(std::iter::repeat_n(now, count.min(self.limit())));
        let surplus = self.starts.len().saturating_sub(self.limit());
        self.starts.drain(..surplus);
    }

    /// One that was to start at `began` does not.
    pub(super) fn give_back(&mut self, began: Instant) {
        if let Some(own) = self.starts.iter().rposition(|start| *start == began) {
            self.starts.remove(own);
        }
    }
}

/// The pace as it is kept: never looser, and with a short memory. A million an hour becomes a
/// thousand each 3.6 s.
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
    fn a_huge_pace_is_kept_in_a_short_memory_and_not_loosened() {
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
