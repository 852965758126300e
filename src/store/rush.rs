//! Whether many events come in at one time.
//!
//! Taking in and sending share the processors. Whoever pushes an event waits for its answer, and gives up after
//! seconds; what is to be sent waits in the journal and is safe. So in a rush the senders hold back.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// So many events that wait for the journal at one time are a rush.
const MANY: usize = 16;

/// It is over when there have been fewer for so long: after each commit there are none for a moment.
const OVER_AFTER: Duration = Duration::from_millis(20);

/// The events that wait for the journal.
#[derive(Debug)]
pub(super) struct Rush {
    waiting: AtomicUsize,
    /// How many they were when the last of many came.
    crowd: AtomicUsize,
    since: Instant,
    /// Milliseconds from `since` to the end of the last rush.
    ends_at: AtomicU64,
}

/// One of them. Dropped when it is answered.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Rush {
    pub(super) fn new() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            crowd: AtomicUsize::new(0),
            since: Instant::now(),
            ends_at: AtomicU64::new(0),
        }
    }

    /// One more waits.
    pub(super) fn begin(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        if waiting >= MANY {
            self.crowd.store(waiting, Ordering::SeqCst);
            self.ends_at
                .store(millis(self.since.elapsed() + OVER_AFTER), Ordering::SeqCst);
        }
        Waiting(&self.waiting)
    }

    /// How many wait, if there is one.
    pub(super) fn crowd(&self) -> Option<usize> {
        let is_on = millis(self.since.elapsed()) < self.ends_at.load(Ordering::SeqCst);
        is_on.then(|| self.crowd.load(Ordering::SeqCst))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rush_lasts_a_little_longer_than_the_crowd() {
        let rush = Rush::new();
        let mut few: Vec<_> = (1..MANY).map(|_| rush.begin()).collect();
        assert_eq!(rush.crowd(), None);
        few.push(rush.begin());
        few.push(rush.begin());
        assert_eq!(rush.crowd(), Some(MANY + 1));
        few.clear();
        tokio::time::advance(OVER_AFTER / 2).await;
        assert_eq!(rush.crowd(), Some(MANY + 1));
        // Fewer do not prolong it.
        let _one = rush.begin();
        tokio::time::advance(OVER_AFTER / 2).await;
        assert_eq!(rush.crowd(), None);
    }
}
