//! Decides when an app's list is read next. It is pure: time and random numbers are arguments.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two passes that [`Turn::wake`] causes.
const WAKE_APART: Duration = Duration::from_secs(60);
/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The number of consecutive failures after which the operator is notified.
const FAILURES_NOTIFY: u32 = 3;
/// The time between notices while passes keep failing.
const NOTIFY_AGAIN: Duration = Duration::from_secs(86_400);

/// The schedule of one app's passes.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    due_at: Instant,
    /// When the last pass that a wake caused was due.
    woken_for: Option<Instant>,
    failures: u32,
    notified_at: Option<Instant>,
}

impl Turn {
    /// Builds a schedule whose first pass is due at `due_at`.
    pub(super) const fn at(due_at: Instant) -> Self {
        Self {
            due_at,
            woken_for: None,
            failures: 0,
            notified_at: None,
        }
    }

    pub(super) const fn due_at(&self) -> Instant {
        self.due_at
    }

    /// Makes a pass due soon, because events may have been missed.
    pub(super) fn wake(&mut self, now: Instant) {
        let soon = self.woken_for.map_or(now, |at| now.max(at + WAKE_APART));
        if soon < self.due_at {
            self.due_at = soon;
            self.woken_for = Some(soon);
        }
    }

    /// Makes the next pass due within `every` (plus jitter), because a reload may have shortened the interval.
    pub(super) fn at_most(&mut self, now: Instant, every: Duration) {
        self.due_at = self.due_at.min(now + every + every / 10);
    }

    /// Schedules the next pass after a success. `chance` in [0, 1) is for jitter, so that many relays do not
    /// ask in the same second.
    pub(super) fn succeeded(&mut self, now: Instant, every: Duration, chance: f64) {
        *self = Self {
            woken_for: self.woken_for,
            ..Self::at(now + every + every.mul_f64(chance / 10.0))
        };
    }

    /// Schedules the next pass after a failure, `for_good` if only an operator can fix it. Returns whether the
    /// operator has to be notified.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        every: Duration,
        for_good: bool,
        chance: f64,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = match for_good {
            true => every,
            false => every.min(FIRST_PAUSE * 2_u32.pow(doublings)),
        };
        self.due_at = now + pause + pause.mul_f64(chance / 10.0);
        let notify = (for_good || self.failures >= FAILURES_NOTIFY)
            && self.notified_at.is_none_or(|at| now >= at + NOTIFY_AGAIN);
        if notify {
            self.notified_at = Some(now);
        }
        notify
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn next_pass_follows_after_the_interval_and_jitter() {
        let now = Instant::now();
        let mut turn = Turn::at(now);
        turn.succeeded(now, HOUR, 0.0);
        assert_eq!(turn.due_at() - now, HOUR);
        turn.succeeded(now, HOUR, 1.0);
        assert_eq!(turn.due_at() - now, HOUR + HOUR / 10);
        turn.at_most(now, HOUR);
        assert_eq!(turn.due_at() - now, HOUR + HOUR / 10);
        turn.at_most(now, WAKE_APART);
        assert_eq!(turn.due_at() - now, WAKE_APART + WAKE_APART / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_wakes_cause_one_pass_a_minute() {
        let now = Instant::now();
        let mut turn = Turn::at(now + HOUR);
        turn.wake(now);
        assert_eq!(turn.due_at(), now, "none was made yet");
        turn.succeeded(now, HOUR, 0.5);
        for seconds in 0..50 {
            turn.wake(now + Duration::from_secs(seconds));
            assert_eq!(turn.due_at(), now + WAKE_APART);
        }
        turn.succeeded(now, HOUR, 0.0);
        turn.wake(now + WAKE_APART * 2);
        assert_eq!(turn.due_at(), now + WAKE_APART * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn persistent_failures_back_off_and_cause_a_notice() {
        let now = Instant::now();
        let mut turn = Turn::at(now);
        let mut pauses = Vec::new();
        let mut notified = Vec::new();
        for _ in 0..9 {
            notified.push(turn.failed(now, HOUR, false, 0.0));
            pauses.push((turn.due_at() - now).as_secs());
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(notified.iter().position(|notified| *notified), Some(2));
        assert_eq!(notified.iter().filter(|notified| **notified).count(), 1);
        assert!(turn.failed(now + NOTIFY_AGAIN, HOUR, false, 0.0));
        turn.succeeded(now, HOUR, 0.0);
        assert!(!turn.failed(now, HOUR, false, 0.0), "a new row begins");
    }

    #[tokio::test(start_paused = true)]
    async fn permanent_failure_is_reported_and_retried_after_interval() {
        let now = Instant::now();
        let mut turn = Turn::at(now);
        assert!(turn.failed(now, HOUR, true, 0.0));
        assert_eq!(turn.due_at() - now, HOUR);
        assert!(!turn.failed(now, HOUR, true, 0.0));
    }
}
