//! Detects intake overload: many events wait for the store at once.
//!
//! Intake and sending share the processors. A client that pushes an event waits for the response and gives up
//! after seconds. Messages to send are safe in the store. So during an overload, intake has priority over
//! sending.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Intake is overloaded if at least this many events wait.
const MANY: usize = 16;

/// The overload ends after this long with fewer events. The delay is needed because each commit empties
/// the queue for a moment.
const OVER_AFTER: Duration = Duration::from_millis(20);

/// Counts the events that wait for the store.
#[derive(Debug, Default)]
pub(super) struct IntakePressure {
    waiting: AtomicUsize,
    overload: Mutex<Option<Crowd>>,
}

/// A recent overload.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// The recent maximum of waiting events.
    most: usize,
    most_at: Instant,
    last_at: Instant,
}

/// One waiting event. Dropped when the event is answered.
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl IntakePressure {
    /// Counts one more waiting event.
    pub(super) fn begin(&self) -> Waiting<'_> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        if waiting >= MANY {
            let now = Instant::now();
            let mut overload = self.lock();
            match overload.as_mut() {
                Some(overload)
                    if waiting < overload.most && now < overload.most_at + OVER_AFTER =>
                {
                    overload.last_at = now;
                }
                _ => {
                    *overload = Some(Crowd {
                        most: waiting,
                        most_at: now,
                        last_at: now,
                    });
                }
            }
        }
        Waiting(&self.waiting)
    }

    /// Returns the recent maximum of waiting events; `None` if intake is not overloaded.
    pub(super) fn recent_peak(&self) -> Option<usize> {
        let overload = (*self.lock())?;
        // While the disk is slow, the count does not rise, because every client is waiting.
        let is_on = self.waiting.load(Ordering::SeqCst) >= MANY
            || Instant::now() < overload.last_at + OVER_AFTER;
        is_on.then_some(overload.most)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Crowd>> {
        self.overload.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn waiting(pressure: &IntakePressure, size: usize) -> Vec<Waiting<'_>> {
        (0..size).map(|_| pressure.begin()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn overload_ends_shortly_after_the_peak() {
        let pressure = IntakePressure::default();
        let mut few = waiting(&pressure, MANY - 1);
        assert_eq!(pressure.recent_peak(), None);
        few.push(pressure.begin());
        few.push(pressure.begin());
        assert_eq!(pressure.recent_peak(), Some(MANY + 1));
        few.clear();
        tokio::time::advance(OVER_AFTER / 2).await;
        assert_eq!(pressure.recent_peak(), Some(MANY + 1));
        // One waiting event does not prolong it.
        let _one = pressure.begin();
        tokio::time::advance(OVER_AFTER / 2).await;
        assert_eq!(pressure.recent_peak(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn overload_lasts_while_the_disk_is_slow() {
        let pressure = IntakePressure::default();
        let all = waiting(&pressure, 3 * MANY);
        tokio::time::advance(OVER_AFTER * 50).await;
        assert_eq!(pressure.recent_peak(), Some(3 * MANY));
        drop(all);
        assert_eq!(pressure.recent_peak(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn overload_reports_the_recent_peak() {
        let pressure = IntakePressure::default();
        drop(waiting(&pressure, 4 * MANY));
        tokio::time::advance(OVER_AFTER / 2).await;
        drop(waiting(&pressure, 2 * MANY));
        assert_eq!(pressure.recent_peak(), Some(4 * MANY));
        tokio::time::advance(OVER_AFTER / 2).await;
        drop(waiting(&pressure, 2 * MANY));
        assert_eq!(pressure.recent_peak(), Some(2 * MANY));
    }
}
