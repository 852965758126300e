//! Whether many events come in at one time.
//!
//! Taking in and sending share the processors. Whoever pushes an event waits for its answer, and gives up after
//! seconds; what is to be sent waits in the store and is safe. So in a rush the senders hold back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many events that wait for the store at one time are a rush.
const MANY: usize = 16;

/// It is over when there have been fewer for so long: after each commit there are none for a moment.
const OVER_AFTER: Duration = Duration::from_millis(20);

/// The events that wait for the store.
#[derive(Debug, Default)]
pub(super) struct IntakePressure {
    waiting: AtomicUsize,
    crowd: Mutex<Option<Crowd>>,
}

/// When there were many.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// How many they were at most of late.
    most: usize,
    most_at: Instant,
    last_at: Instant,
}

/// One of them. Dropped when it is answered.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl IntakePressure {
    /// One more waits.
    pub(super) fn begin(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        if waiting >= MANY {
            let now = Instant::now();
            let mut crowd = self.lock();
            match crowd.as_mut() {
                Some(crowd) if waiting < crowd.most && now < crowd.most_at + OVER_AFTER => {
                    crowd.last_at = now;
                }
                _ => {
                    *crowd = Some(Crowd {
                        most: waiting,
                        most_at: now,
                        last_at: now,
                    });
                }
            }
        }
        Waiting(&self.waiting)
    }

    /// How many waited at most of late, if there is a rush.
    pub(super) fn crowd(&self) -> Option<usize> {
        let crowd = (*self.lock())?;
        // While the disk is slow nobody new comes, for all wait.
        let is_on = self.waiting.load(Ordering::SeqCst) >= MANY
            || Instant::now() < crowd.last_at + OVER_AFTER;
        is_on.then_some(crowd.most)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Crowd>> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(rush: &IntakePressure, size: usize) -> Vec<Waiting<'_>> {
        (0..size).map(|_| rush.begin()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rush_lasts_a_little_longer_than_the_crowd() {
        let rush = IntakePressure::default();
        let mut few = crowd(&rush, MANY - 1);
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

    #[tokio::test(start_paused = true)]
    async fn a_rush_lasts_while_all_wait_for_a_slow_disk() {
        let rush = IntakePressure::default();
        let all = crowd(&rush, 3 * MANY);
        tokio::time::advance(OVER_AFTER * 50).await;
        assert_eq!(rush.crowd(), Some(3 * MANY));
        drop(all);
        assert_eq!(rush.crowd(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_as_large_as_it_was_of_late() {
        let rush = IntakePressure::default();
        drop(crowd(&rush, 4 * MANY));
        tokio::time::advance(OVER_AFTER / 2).await;
        drop(crowd(&rush, 2 * MANY));
        assert_eq!(rush.crowd(), Some(4 * MANY));
        tokio::time::advance(OVER_AFTER / 2).await;
        drop(crowd(&rush, 2 * MANY));
        assert_eq!(rush.crowd(), Some(2 * MANY));
    }
}
