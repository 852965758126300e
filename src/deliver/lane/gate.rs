//! Decides whether a destination may be sent to: its rates, sends in flight, a pause it asked for, an open
//! breaker, a stop. One gate for each destination. It is pure: time comes in, updates go out. The state table is
//! in `docs/delivery.md`.
//!
//! Spans are measured on tokio's monotonic clock, so that a wall clock that jumps neither opens a gate nor holds it
//! shut. Wall time is what the store keeps and people read; uptime is what limits are measured with.

use std::time::Duration;

use tokio::time::Instant;

use super::sliding_window::Window;
use crate::destination::RateLimit;
use crate::model::{
    DestinationName, RETRY_AFTER_MAX, STOPPED_PROBE, Timestamp, Uptime, backoff, lengthened,
};
use crate::store::GateRecord;

/// The breaker opens after so many failures in a row that are the destination's.
const FAILURES_MAX: u32 = 5;
/// The time from the opening of a breaker to its first probe.
const PROBE_FIRST: Duration = Duration::from_secs(1);
/// The time between probes grows by this part of itself. So the wait after an outage is at most this part of the
/// outage, or [`PROBE_FIRST`].
const PROBE_GROWS: u32 = 4;
/// The longest time between probes.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// The time by three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For what is kept and shown.
    pub wall: Timestamp,
    /// For spans.
    pub mono: Instant,
    /// For limits that outlive a restart.
    pub uptime: Uptime,
}

/// The limits of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All of them hold: the platform's own and the narrower one of the configuration.
    pub paces: Vec<RateLimit>,
    /// The largest number of sends in flight.
    pub concurrency: usize,
}

/// How many sends may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    /// The number of sends.
    pub count: usize,
    /// The number of sends that may follow when others have ended, within the rates.
    pub ahead: usize,
    /// Whether the one send is a probe.
    pub probe: bool,
    /// If there are none: when to ask again. `None` if the end of a send in flight decides that.
    pub next_at: Option<Instant>,
}

/// A send that the gate let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When.
    pub at: Instant,
    /// Whether it probes a destination that fails.
    pub probe: bool,
}

/// What the end of a send says about the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It took the message.
    Worked,
    /// It answered, and refused this message or its form.
    Answered,
    /// It says nothing: the next form of the message will.
    Unclear,
    /// It asked for a pause; of this length if it named one.
    Paused(Option<Duration>),
    /// It failed. `failed_before` is when the same message failed last.
    Failed {
        /// Uptime of that failure.
        failed_before: Option<Uptime>,
    },
    /// Nothing will get through until an operator acts.
    Stopped(String),
}

/// A change of the gate that telemetry and people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened.
    Opened,
    /// The destination works again: its breaker closed, its stop ended. All that waits for it is due.
    WorksAgain,
    /// It is stopped, for this reason.
    Stopped(String),
    /// It asked for a pause.
    Paused(Duration),
}

/// What is to be done after a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct GateUpdate {
    /// In order.
    pub changes: Vec<Change>,
    /// Whether [`Gate::record`] has changed and is to be stored.
    pub persist: bool,
}

impl GateUpdate {
    fn of(change: Option<Change>, persist: bool) -> Self {
        Self {
            changes: change.into_iter().collect(),
            persist,
        }
    }

    /// Adds a later update.
    pub fn add(&mut self, later: Self) {
        self.changes.extend(later.changes);
        self.persist |= later.persist;
    }
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
    stopped_at: Instant,
    probe_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Timestamp,
    set_at: Instant,
    ends_at: Instant,
}

/// Since when there was no success.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Timestamp,
    from: Uptime,
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Gate {
    destination: DestinationName,
    concurrency: usize,
    windows: Vec<Window>,
    /// When each send in flight began.
    in_flight: Vec<Instant>,
    /// Failures of the destination in a row.
    failures: u32,
    /// Pauses asked for in a row.
    pauses: u32,
    pause: Option<Pause>,
    breaker: Option<Breaker>,
    stop: Option<Stop>,
    failing: Option<Failing>,
    /// When the destination answered last.
    answered_at: Option<Uptime>,
    /// When an operator or a reload freed it last. What began before says nothing about it.
    released_at: Option<Instant>,
}

impl Gate {
    /// An open gate.
    pub fn new(destination: DestinationName, limits: &Limits) -> Self {
        let mut gate = Self {
            destination,
            concurrency: 1,
            windows: Vec::new(),
            in_flight: Vec::new(),
            failures: 0,
            pauses: 0,
            pause: None,
            breaker: None,
            stop: None,
            failing: None,
            answered_at: None,
            released_at: None,
        };
        gate.set_limits(limits);
        gate
    }

    /// The gate that the store remembers. An open breaker and a stop are probed at once; a pause lasts.
    pub fn restore(record: GateRecord, limits: &Limits, now: Now) -> Self {
        let mut gate = Self::new(record.destination, limits);
        if let Some(until) = record.blocked_until.filter(|until| *until > now.wall) {
            gate.pause_for(until.since(now.wall), now);
            gate.pauses = 1;
        }
        gate.breaker = record.open_since.map(|open_since| Breaker {
            open_since,
            pause: PROBE_FIRST,
            probe_at: now.mono,
        });
        gate.stop = record.stopped.map(|reason| Stop {
            reason,
            stopped_at: now.mono,
            probe_at: now.mono,
        });
        gate.failing = record.failing_since.map(|since| Failing {
            since,
            from: record.failing_from.unwrap_or(now.uptime).min(now.uptime),
        });
        gate
    }

    /// The part of the gate that the store keeps.
    pub fn record(&self) -> GateRecord {
        GateRecord {
            blocked_until: self.pause.map(|pause| pause.until),
            open_since: self.breaker.as_ref().map(|breaker| breaker.open_since),
            stopped: self.stop.as_ref().map(|stop| stop.reason.clone()),
            failing_since: self.failing.map(|failing| failing.since),
            failing_from: self.failing.map(|failing| failing.from),
            ..GateRecord::open(self.destination.clone())
        }
    }

    /// Takes new limits after a reload. Earlier sends still count against rates that stay.
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

    /// The number of sends that may start now: one if the destination is only being probed, and one at a time
    /// after a pause until the destination takes a message.
    pub fn permits(&self, now: Now) -> Permits {
        let probe_at = self.probe_at();
        let free = match probe_at {
            Some(_) if !self.in_flight.is_empty() => 0,
            Some(_) => 1,
            None if self.pauses > 0 => 1_usize.saturating_sub(self.in_flight.len()),
            None => self.concurrency.saturating_sub(self.in_flight.len()),
        };
        let probe = probe_at.is_some();
        let nothing = |next_at| Permits {
            count: 0,
            ahead: 0,
            probe,
            next_at,
        };
        if free == 0 && probe {
            return nothing(None);
        }
        let paused_until = self.pause.map(|pause| pause.ends_at);
        let windows = self.windows.iter();
        let paced_until = windows.filter_map(|window| window.next_at(now.mono)).max();
        let next_at = [probe_at, paused_until, paced_until]
            .into_iter()
            .flatten()
            .max();
        if let Some(next_at) = next_at.filter(|next_at| *next_at > now.mono) {
            return nothing(Some(next_at));
        }
        let windows = self.windows.iter();
        let paced = windows.map(|window| window.free(now.mono)).min();
        let count = paced.map_or(free, |paced| paced.min(free));
        let ahead = match probe || self.pauses > 0 {
            true => 0,
            false => paced.map_or(usize::MAX, |paced| paced - count),
        };
        Permits {
            count,
            ahead,
            probe,
            next_at: None,
        }
    }

    /// Starts one send. At most as many as [`permits`](Self::permits) said.
    pub fn begin(&mut self, now: Now) -> Begun {
        self.in_flight.push(now.mono);
        for window in &mut self.windows {
            window.add(1, now.mono);
        }
        Begun {
            at: now.mono,
            probe: self.probe_at().is_some(),
        }
    }

    /// Ends a send that was not made after all: another may go in its place.
    pub fn abandon(&mut self, begun: Begun) {
        self.land(begun);
        for window in &mut self.windows {
            window.give_back(begun.at);
        }
    }

    /// Ends a send. `jitter` in [0, 1) lengthens a pause that the platform did not measure.
    pub fn settle(&mut self, begun: Begun, signal: &Signal, now: Now, jitter: f64) -> GateUpdate {
        self.land(begun);
        match signal {
            Signal::Worked => self.worked(begun, now),
            Signal::Answered => self.answered(begun, now),
            Signal::Unclear => self.unclear(begun, now),
            Signal::Paused(pause) => self.paused(begun, *pause, now, jitter),
            Signal::Failed { failed_before } => self.failed(begun, *failed_before, now),
            Signal::Stopped(reason) => self.stopped(begun, reason, now, jitter),
        }
    }

    /// Ends a stop and closes the breaker, because the configuration has changed. A pause lasts: the platform
    /// asked for it.
    pub fn release(&mut self, now: Now) -> GateUpdate {
        self.failures = 0;
        self.released_at = Some(now.mono);
        let was_shut = self.stop.take().is_some() | self.breaker.take().is_some();
        if self.pause.is_none() {
            self.failing = None;
        }
        GateUpdate::of(was_shut.then_some(Change::WorksAgain), was_shut)
    }

    /// Frees it of everything, a pause too, because an operator says so.
    pub fn resume(&mut self, now: Now) -> GateUpdate {
        self.pause = None;
        self.pauses = 0;
        let update = self.release(now);
        self.failing = None;
        GateUpdate {
            persist: true,
            changes: match update.changes.is_empty() {
                true => vec![Change::WorksAgain],
                false => update.changes,
            },
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

    /// Whether anything but a rate holds messages back.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some() || self.stop.is_some() || self.breaker.is_some()
    }

    /// How long it has failed or paused without one success between; zero if it does not.
    pub fn failing_for(&self, now: Now) -> Duration {
        self.failing
            .map_or(Duration::ZERO, |failing| now.uptime.since(failing.from))
    }

    /// When each send in flight began.
    pub fn in_flight(&self) -> &[Instant] {
        &self.in_flight
    }

    fn land(&mut self, begun: Begun) {
        let own = self.in_flight.iter().position(|at| *at == begun.at);
        if let Some(own) = own {
            self.in_flight.swap_remove(own);
        }
    }

    fn probe_at(&self) -> Option<Instant> {
        let stop = self.stop.as_ref().map(|stop| stop.probe_at);
        stop.or(self.breaker.as_ref().map(|breaker| breaker.probe_at))
    }

    /// Whether a send began before this moment: then it says nothing about what happened then.
    fn before(begun: Begun, moment: Option<Instant>) -> bool {
        moment.is_some_and(|moment| begun.at < moment)
    }

    fn mark_failing(&mut self, now: Now) -> bool {
        let newly = self.failing.is_none();
        self.failing.get_or_insert(Failing {
            since: now.wall,
            from: now.uptime,
        });
        newly
    }

    fn worked(&mut self, begun: Begun, now: Now) -> GateUpdate {
        self.answered_at = Some(now.uptime);
        self.failures = 0;
        if Self::before(begun, self.pause.map(|pause| pause.set_at)) {
            // It left before the pause was asked for. The pause ends when it ends.
            return GateUpdate::default();
        }
        self.pauses = 0;
        let was_paused = self.pause.take().is_some();
        let stopped_at = self.stop.as_ref().map(|stop| stop.stopped_at);
        if Self::before(begun, stopped_at) {
            return GateUpdate::of(None, was_paused);
        }
        let was_failing = self.failing.take().is_some();
        let was_shut = self.stop.take().is_some() | self.breaker.take().is_some();
        GateUpdate::of(
            was_shut.then_some(Change::WorksAgain),
            was_shut || was_failing || was_paused,
        )
    }

    /// A refusal of one message shows that the destination works. It does not end a stop.
    fn answered(&mut self, begun: Begun, now: Now) -> GateUpdate {
        self.answered_at = Some(now.uptime);
        self.failures = 0;
        if Self::before(begun, self.pause.map(|pause| pause.set_at)) {
            return GateUpdate::default();
        }
        self.pauses = 0;
        self.pause = None;
        if let Some(stop) = &mut self.stop {
            if begun.probe {
                stop.probe_at = now.mono + STOPPED_PROBE;
            }
            return GateUpdate::default();
        }
        let was_open = self.breaker.take().is_some();
        let was_failing = self.failing.take().is_some();
        GateUpdate::of(
            was_open.then_some(Change::WorksAgain),
            was_open || was_failing,
        )
    }

    fn unclear(&mut self, begun: Begun, now: Now) -> GateUpdate {
        if begun.probe
            && let Some(breaker) = &mut self.breaker
        {
            breaker.probe_at = now.mono + PROBE_FIRST;
        }
        GateUpdate::default()
    }

    fn paused(
        &mut self,
        begun: Begun,
        pause: Option<Duration>,
        now: Now,
        jitter: f64,
    ) -> GateUpdate {
        // Sends that left together are refused together: that is one refusal.
        if !Self::before(begun, self.pause.map(|pause| pause.set_at)) {
            self.pauses = self.pauses.saturating_add(1);
        }
        let least = backoff(self.pauses.max(1), jitter);
        let pause = self.pause_for(pause.unwrap_or_default().max(least), now);
        self.mark_failing(now);
        GateUpdate::of(Some(Change::Paused(pause)), true)
    }

    fn failed(&mut self, begun: Begun, failed_before: Option<Uptime>, now: Now) -> GateUpdate {
        if Self::before(begun, self.released_at) {
            return GateUpdate::default();
        }
        if begun.probe
            && let Some(stop) = &mut self.stop
        {
            stop.probe_at = now.mono + STOPPED_PROBE;
        }
        // The destination has answered others since this message failed: the message may be the cause.
        let own_fault = failed_before
            .zip(self.answered_at)
            .is_some_and(|(failed, answered)| failed < answered);
        if let Some(breaker) = &mut self.breaker {
            // Sends that were in flight when it opened end here too; they are no probes.
            if begun.probe {
                if !own_fault {
                    breaker.pause = (breaker.pause + breaker.pause / PROBE_GROWS).min(PROBE_MAX);
                }
                breaker.probe_at = now.mono + breaker.pause;
            }
            return GateUpdate::default();
        }
        if own_fault {
            return GateUpdate::default();
        }
        self.failures = self.failures.saturating_add(1);
        let newly = self.mark_failing(now);
        if self.failures < FAILURES_MAX {
            return GateUpdate::of(None, newly);
        }
        self.breaker = Some(Breaker {
            open_since: now.wall,
            pause: PROBE_FIRST,
            probe_at: now.mono + PROBE_FIRST,
        });
        GateUpdate::of(self.stop.is_none().then_some(Change::Opened), true)
    }

    fn stopped(&mut self, begun: Begun, reason: &str, now: Now, jitter: f64) -> GateUpdate {
        if Self::before(begun, self.released_at) {
            return GateUpdate::default();
        }
        self.mark_failing(now);
        let probe_at = now.mono + lengthened(STOPPED_PROBE, jitter);
        let known = self.stop.replace(Stop {
            reason: reason.to_owned(),
            stopped_at: now.mono,
            probe_at,
        });
        let newly = known.as_ref().is_none_or(|known| known.reason != reason);
        GateUpdate::of(
            known.is_none().then(|| Change::Stopped(reason.to_owned())),
            newly,
        )
    }

    /// Holds everything back for `pause`, an hour at most; a longer pause that is running stays.
    fn pause_for(&mut self, pause: Duration, now: Now) -> Duration {
        let pause = pause.min(RETRY_AFTER_MAX);
        let ends_at = now.mono + pause;
        let running = self.pause.filter(|running| running.ends_at >= ends_at);
        self.pause = Some(Pause {
            set_at: now.mono,
            ..running.unwrap_or(Pause {
                until: now.wall + pause,
                set_at: now.mono,
                ends_at,
            })
        });
        pause
    }
}

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod tests;
