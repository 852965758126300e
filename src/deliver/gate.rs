//! What holds a destination's deliveries back now: its paces, how many are in flight, a pause it
//! asked for, an open breaker, a stop. One gate for each destination; pure, the time comes in.
//!
//! Two clocks come in together. Spans are measured on tokio's monotonic one, so that a wall clock that
//! jumps neither opens a gate nor holds it shut; wall time is what the journal keeps and people read.

use std::time::Duration;

use tokio::time::Instant;

use crate::destination::Pace;
use crate::model::{DestinationName, Outcome, RETRY_AFTER_MAX, STOPPED_PROBE, Timestamp, backoff};
use crate::store::GateRecord;

use super::window::Window;

/// After so many failures in a row that are the destination's, its breaker opens.
const FAILURES_MAX: u32 = 5;
/// How soon an open breaker lets a first probe through.
const PROBE_FIRST: Duration = Duration::from_secs(1);
/// By which part of itself the time between probes grows: the wait after an outage is at most this part of the
/// outage, and [`PROBE_FIRST`].
const PROBE_GROWS: u32 = 4;
/// The longest time between probes.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// The time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what is kept and shown.
    pub wall: Timestamp,
    /// For spans.
    pub mono: Instant,
}

/// What a gate is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All of them hold: the platform's own and the narrower one of the configuration.
    pub paces: Vec<Pace>,
    /// How many sends may be in flight.
    pub concurrency: usize,
}

/// How many sends may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// So many.
    pub count: usize,
    /// So many more once others have ended, within the paces.
    pub ahead: usize,
    /// If none: when to ask again. `None` where the end of a send that is in flight will tell.
    pub next_at: Option<Instant>,
}

/// What the end of a send changed, for telemetry and the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened.
    Opened,
    /// The destination works again: the breaker closed, the stop ended. All that waits for it is due.
    WorksAgain,
    /// It is stopped, for this reason.
    Stopped(String),
    /// It asked for a pause.
    Blocked(Duration),
}

/// What is to be done after the end of a send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Changed {
    /// What people should hear of.
    pub change: Option<Change>,
    /// Whether [`Gate::record`] is another now and is to be kept.
    pub persist: bool,
}

#[derive(Clone, Debug)]
struct Breaker {
    open_since: Timestamp,
    pause: Duration,
    probe_at: Instant,
}

#[derive(Clone, Debug)]
struct Stop {
    reason: String,
    probe_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    until: Timestamp,
    ends_at: Instant,
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Gate {
    destination: DestinationName,
    concurrency: usize,
    windows: Vec<Window>,
    in_flight: usize,
    /// Failures in a row.
    failures: u32,
    /// Requests for a pause in a row.
    slow_downs: u32,
    block: Option<Block>,
    breaker: Option<Breaker>,
    stop: Option<Stop>,
    failing_since: Option<Timestamp>,
}

impl Gate {
    /// An open gate.
    pub fn new(destination: DestinationName, limits: &Limits) -> Self {
        let mut gate = Self {
            destination,
            concurrency: 1,
            windows: Vec::new(),
            in_flight: 0,
            failures: 0,
            slow_downs: 0,
            block: None,
            breaker: None,
            stop: None,
            failing_since: None,
        };
        gate.set_limits(limits);
        gate
    }

    /// A gate as the journal knows it. What was open or stopped may be probed at once.
    pub fn restore(record: GateRecord, limits: &Limits, now: Now) -> Self {
        let mut gate = Self::new(record.destination, limits);
        if let Some(until) = record.blocked_until.filter(|until| *until > now.wall) {
            gate.block_for(until.since(now.wall), now);
        }
        gate.breaker = record.open_since.map(|open_since| Breaker {
            open_since,
            pause: PROBE_FIRST,
            probe_at: now.mono,
        });
        gate.stop = record.stopped.map(|reason| Stop {
            reason,
            probe_at: now.mono,
        });
        gate.failing_since = record.failing_since;
        gate
    }

    /// What the journal keeps.
    pub fn record(&self) -> GateRecord {
        GateRecord {
            destination: self.destination.clone(),
            blocked_until: self.block.map(|block| block.until),
            open_since: self.breaker.as_ref().map(|breaker| breaker.open_since),
            stopped: self.stop.as_ref().map(|stop| stop.reason.clone()),
            failing_since: self.failing_since,
        }
    }

    /// Takes new limits: after a reload. Sends already made count against paces that stay.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.concurrency = limits.concurrency.max(1);
        let mut old = std::mem::take(&mut self.windows);
        for pace in &limits.paces {
            let fresh = Window::new(*pace);
            let known = old.iter().position(|window| window.pace() == fresh.pace());
            self.windows
                .push(known.map_or(fresh, |index| old.swap_remove(index)));
        }
    }

    /// How many sends may start now: one, where the destination is only being probed.
    pub fn allowance(&self, now: Now) -> Allowance {
        let probe_at = self.probe_at();
        let free = match probe_at {
            Some(_) if self.in_flight > 0 => 0,
            Some(_) => 1,
            None => self.concurrency.saturating_sub(self.in_flight),
        };
        let nothing = |next_at| Allowance {
            count: 0,
            ahead: 0,
            next_at,
        };
        if free == 0 && probe_at.is_some() {
            return nothing(None);
        }
        let blocked_until = self.block.map(|block| block.ends_at);
        let windows = self.windows.iter();
        let paced_until = windows.filter_map(|window| window.next_at(now.mono)).max();
        let next_at = [probe_at, blocked_until, paced_until]
            .into_iter()
            .flatten()
            .max();
        if let Some(next_at) = next_at.filter(|next_at| *next_at > now.mono) {
            return nothing(Some(next_at));
        }
        let windows = self.windows.iter();
        let paced = windows.map(|window| window.free(now.mono)).min();
        let count = paced.map_or(free, |paced| paced.min(free));
        let ahead = match probe_at {
            Some(_) => 0,
            None => paced.map_or(usize::MAX, |paced| paced - count),
        };
        Allowance {
            count,
            ahead,
            next_at: None,
        }
    }

    /// `count` sends start now. At most what [`allowance`](Self::allowance) said.
    pub fn begin(&mut self, count: usize, now: Now) {
        self.in_flight += count;
        for window in &mut self.windows {
            window.add(count, now.mono);
        }
    }

    /// A send that had begun at `began` was not made after all: it was given back unsent, and another
    /// may go in its place.
    pub fn abandon(&mut self, began: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for window in &mut self.windows {
            window.give_back(began);
        }
    }

    /// A send ended. `jitter`, from 0 to 1, lengthens a pause that the platform did not measure.
    ///
    /// An answer to this message alone (rejected, degrade) shows that the destination works: it
    /// closes the breaker, but does not end a stop. A request for a pause does neither.
    pub fn end(&mut self, outcome: &Outcome, now: Now, jitter: f64) -> Changed {
        self.in_flight = self.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Delivered => self.succeeded(),
            Outcome::Rejected { .. } | Outcome::Degrade { .. } => self.answered(now),
            Outcome::SlowDown { pause, .. } => {
                self.slow_downs = self.slow_downs.saturating_add(1);
                let pause = pause.unwrap_or_else(|| backoff(self.slow_downs, jitter));
                let pause = self.block_for(pause, now);
                Changed {
                    change: Some(Change::Blocked(pause)),
                    persist: true,
                }
            }
            Outcome::Retry { .. } | Outcome::Ambiguous { .. } | Outcome::Unknown { .. } => {
                self.failed(now)
            }
            Outcome::Stop { reason } => self.stopped(reason, now),
        }
    }

    /// Ends a stop and closes the breaker: the operator says so, or the configuration is another. A
    /// pause that the platform asked for stays.
    pub fn release(&mut self) -> Changed {
        self.failures = 0;
        let was_shut = self.stop.take().is_some() | self.breaker.take().is_some();
        Changed {
            change: was_shut.then_some(Change::WorksAgain),
            persist: was_shut,
        }
    }

    /// Why it is stopped, if it is.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop.as_ref().map(|stop| stop.reason.as_str())
    }

    /// Whether its breaker is open.
    pub const fn is_open(&self) -> bool {
        self.breaker.is_some()
    }

    /// How long it has failed without one success between; zero if it does not. For `fallback_after`.
    pub fn failing_for(&self, now: Now) -> Duration {
        self.failing_since
            .map_or(Duration::ZERO, |since| now.wall.since(since))
    }

    fn probe_at(&self) -> Option<Instant> {
        let stop = self.stop.as_ref().map(|stop| stop.probe_at);
        stop.or(self.breaker.as_ref().map(|breaker| breaker.probe_at))
    }

    fn succeeded(&mut self) -> Changed {
        self.failures = 0;
        self.slow_downs = 0;
        let unblocked = self.block.take().is_some();
        let was_failing = self.failing_since.take().is_some();
        let was_shut = self.stop.take().is_some() | self.breaker.take().is_some();
        Changed {
            change: was_shut.then_some(Change::WorksAgain),
            persist: was_shut || was_failing || unblocked,
        }
    }

    fn answered(&mut self, now: Now) -> Changed {
        self.failures = 0;
        let was_open = self.breaker.take().is_some();
        let was_failing = match &mut self.stop {
            Some(stop) => {
                stop.probe_at = now.mono + STOPPED_PROBE;
                false
            }
            // It does not fail any more, or the next critical message would go to its fallback untried.
            None => self.failing_since.take().is_some(),
        };
        Changed {
            change: (was_open && self.stop.is_none()).then_some(Change::WorksAgain),
            persist: was_open || was_failing,
        }
    }

    fn failed(&mut self, now: Now) -> Changed {
        self.failures = self.failures.saturating_add(1);
        let newly = self.failing_since.is_none();
        self.failing_since.get_or_insert(now.wall);
        if let Some(stop) = &mut self.stop {
            stop.probe_at = now.mono + STOPPED_PROBE;
        }
        match &mut self.breaker {
            // Sends that were in flight when it opened end here too; they are no probes.
            Some(breaker) if now.mono < breaker.probe_at => {}
            Some(breaker) => {
                breaker.pause = (breaker.pause + breaker.pause / PROBE_GROWS).min(PROBE_MAX);
                breaker.probe_at = now.mono + breaker.pause;
            }
            None if self.failures >= FAILURES_MAX => {
                self.breaker = Some(Breaker {
                    open_since: now.wall,
                    pause: PROBE_FIRST,
                    probe_at: now.mono + PROBE_FIRST,
                });
                return Changed {
                    change: self.stop.is_none().then_some(Change::Opened),
                    persist: true,
                };
            }
            None => {}
        }
        Changed {
            change: None,
            persist: newly,
        }
    }

    fn stopped(&mut self, reason: &str, now: Now) -> Changed {
        self.failing_since.get_or_insert(now.wall);
        let probe_at = now.mono + STOPPED_PROBE;
        let known = self.stop.replace(Stop {
            reason: reason.to_owned(),
            probe_at,
        });
        let newly = known.as_ref().is_none_or(|known| known.reason != reason);
        Changed {
            change: known.is_none().then(|| Change::Stopped(reason.to_owned())),
            persist: newly,
        }
    }

    /// Holds everything back for `pause`, an hour at most; a longer pause that is running stays.
    fn block_for(&mut self, pause: Duration, now: Now) -> Duration {
        let pause = pause.min(RETRY_AFTER_MAX);
        let running = self.block.filter(|block| block.ends_at >= now.mono + pause);
        self.block = Some(running.unwrap_or(Block {
            until: now.wall + pause,
            ends_at: now.mono + pause,
        }));
        pause
    }
}

#[cfg(test)]
mod tests;
