//! A sliding window over the latest sends: counts how many may still start within one rate limit.
//!
//! A platform counts requests when they arrive. A request may arrive at any time between the start and the end of
//! its send. So a send takes a slot from its start until one window after its end. Then, whenever the requests
//! arrive, no window at the platform holds more than the limit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::destination::RateLimit;

/// The most sends that one window remembers. A limit with a larger count is replaced by an equivalent one over
/// a shorter time.
const REMEMBERED_MAX: u32 = 1000;

/// The sends within one rate limit.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pace: RateLimit,
    /// Number of sends in flight.
    in_flight: usize,
    /// Until when each send that has ended takes its slot: oldest first, at most as many as the rate limit allows.
    taken_until: VecDeque<Instant>,
}

impl Window {
    /// Builds a window that contains only these sends in flight.
    pub(super) fn new(pace: RateLimit, in_flight: usize) -> Self {
        Self {
            pace: remembered(pace),
            in_flight,
            taken_until: VecDeque::new(),
        }
    }

    /// Returns whether it is the window of this rate limit.
    pub(super) fn is_of(&self, pace: RateLimit) -> bool {
        self.pace == remembered(pace)
    }

    fn limit(&self) -> usize {
        usize::try_from(self.pace.count).unwrap_or(usize::MAX)
    }

    /// Returns the number of sends that have ended and still take a slot.
    fn recent(&self, now: Instant) -> usize {
        let newest_first = self.taken_until.iter().rev();
        newest_first.take_while(|until| now < **until).count()
    }

    /// Returns the number of sends that may start now.
    pub(super) fn free(&self, now: Instant) -> usize {
        self.limit()
            .saturating_sub(self.in_flight + self.recent(now))
    }

    /// Returns when the next send may start at the earliest; `None` if it may start now. While all slots are in
    /// flight, that is one window from now, because each keeps its slot for that long after its end.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let recent = self.recent(now);
        let surplus = (self.in_flight + recent).checked_sub(self.limit())?;
        let must_end = self.taken_until.len() - recent + surplus;
        let until = self.taken_until.get(must_end).copied();
        Some(until.unwrap_or(now + self.pace.per))
    }

    /// Begins a send.
    pub(super) fn begin(&mut self) {
        self.in_flight += 1;
    }

    /// Ends a send.
    pub(super) fn end(&mut self, now: Instant) {
        self.abandon();
        self.take_until(now + self.pace.per);
    }

    /// Ends a send that was not made, so it takes no slot.
    pub(super) fn abandon(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Counts a send that ended this long ago, in an earlier run of the relay.
    pub(super) fn recall(&mut self, age: Duration, now: Instant) {
        let left = self.pace.per.saturating_sub(age);
        if !left.is_zero() {
            self.take_until(now + left);
        }
    }

    fn take_until(&mut self, until: Instant) {
        // Threads may report two ends in the wrong order. The later time is the safe one for both.
        let until = self
            .taken_until
            .back()
            .map_or(until, |last| until.max(*last));
        self.taken_until.push_back(until);
        let surplus = self.taken_until.len().saturating_sub(self.limit());
        self.taken_until.drain(..surplus);
    }
}

/// Returns an equivalent limit with at most [`REMEMBERED_MAX`] sends. It is never looser. A million an hour
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
    use proptest::prelude::*;

    use super::*;

    /// A send of a generated schedule, in milliseconds.
    #[derive(Clone, Debug)]
    struct Planned {
        /// The time from the previous start to this one, if the window allows a start then.
        after: u64,
        lasts: u64,
        /// When the request arrives, in percent of its duration.
        arrives: u64,
        made: bool,
    }

    fn planned() -> impl Strategy<Value = Planned> {
        let quick_or_slow = prop_oneof![0..50_u64, 0..3000_u64];
        (
            0..400_u64,
            quick_or_slow,
            0..=100_u64,
            prop::bool::weighted(0.9),
        )
            .prop_map(|(after, lasts, arrives, made)| Planned {
                after,
                lasts,
                arrives,
                made,
            })
    }

    /// Runs sends as early as the window allows, and returns when each request arrives.
    fn arrivals(pace: RateLimit, plan: &[Planned], crash_at: Option<usize>) -> Vec<u64> {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut window = Window::new(pace, 0);
        let (mut now, mut flights, mut ends, mut arrived) = (0, Vec::new(), Vec::new(), Vec::new());
        for (index, one) in plan.iter().enumerate() {
            if crash_at == Some(index) {
                // A new run knows when the sends of the last one ended.
                flights.sort_unstable();
                now = flights
                    .drain(..)
                    .fold(now, |now, (end, made): (u64, bool)| {
                        ends.extend(made.then_some(end));
                        now.max(end)
                    });
                window = Window::new(pace, 0);
                for end in &ends {
                    window.recall(Duration::from_millis(now - end), at(now));
                }
            }
            let mut target = now + one.after;
            loop {
                let first = flights
                    .iter()
                    .copied()
                    .min()
                    .filter(|(end, _)| *end <= target);
                if let Some((end, made)) = first {
                    flights
                        .swap_remove(flights.iter().position(|one| *one == (end, made)).unwrap());
                    now = now.max(end);
                    match made {
                        true => {
                            window.end(at(end));
                            ends.push(end);
                        }
                        false => window.abandon(),
                    }
                    continue;
                }
                now = target;
                match window.next_at(at(now)) {
                    None => break,
                    Some(next_at) => {
                        assert!(next_at > at(now) && window.free(at(now)) == 0);
                        let wait = (next_at - at(now)).as_nanos().div_ceil(1_000_000);
                        target = now + u64::try_from(wait).unwrap();
                    }
                }
            }
            assert!(window.free(at(now)) > 0);
            window.begin();
            flights.push((now + one.lasts, one.made));
            if one.made {
                arrived.push(now + one.lasts * one.arrives / 100);
            }
        }
        arrived.sort_unstable();
        arrived
    }

    proptest! {
        #[test]
        fn platform_never_receives_more_than_the_limit_in_any_window(
            count in 1..6_u32,
            per in 1..2000_u64,
            plan in prop::collection::vec(planned(), 1..60),
            crash_at in prop::option::of(0..60_usize),
        ) {
            let pace = RateLimit { count, per: Duration::from_millis(per) };
            let arrived = arrivals(pace, &plan, crash_at);
            for pair in arrived.windows(count as usize + 1) {
                prop_assert!(pair[pair.len() - 1] - pair[0] >= per, "{arrived:?}");
            }
        }
    }

    #[test]
    fn slot_is_free_one_window_after_the_end_and_not_before() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let per = Duration::from_secs(1);
        let mut window = Window::new(RateLimit { count: 2, per }, 0);
        window.begin();
        window.begin();
        assert_eq!(window.next_at(ms(100)), Some(ms(1100)), "at the earliest");
        window.end(ms(300));
        assert_eq!(window.next_at(ms(300)), Some(ms(1300)));
        assert_eq!((window.free(ms(1299)), window.free(ms(1300))), (0, 1));
        window.abandon();
        assert_eq!((window.free(ms(300)), window.free(ms(1300))), (1, 2));
    }

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
