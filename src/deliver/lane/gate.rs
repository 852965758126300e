//! Decides whether messages may be sent to a destination. This depends on its configured rate, sends in flight,
//! a pause it asked for, an open breaker, and a stop. There is one gate for each destination. The gate is pure:
//! time is an argument, and changes are returned as updates. The state table is in `docs/delivery.md`.
//!
//! Durations are measured on tokio's monotonic clock, so a jump of the wall clock neither opens nor closes a
//! gate. Wall time is stored and shown to people. Uptime measures limits that outlive a restart.

use std::time::Duration;

use tokio::time::Instant;

use super::sliding_window::Window;
use crate::destination::RateLimit;
use crate::model::{
    DestinationName, RETRY_AFTER_MAX, STOPPED_PROBE, Timestamp, Uptime, backoff, lengthened,
};
use crate::store::GateRecord;

/// The number of consecutive failures of the destination after which the breaker opens.
const FAILURES_MAX: u32 = 5;
/// The time from the opening of a breaker to its first probe.
const PROBE_FIRST: Duration = Duration::from_secs(1);
/// The time between probes grows by one part in this many. So the wait after an outage is at most this part of
/// the outage, or [`PROBE_FIRST`].
const PROBE_GROWS: u32 = 4;
/// The longest time between probes.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// The current time of three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall time, which is stored and shown.
    pub wall: Timestamp,
    /// Monotonic time, for durations.
    pub mono: Instant,
    /// Uptime, for limits that outlive a restart.
    pub uptime: Uptime,
}

/// The limits of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The rate limit of the configuration. The platform's limits are in `limits`, because destinations share
    /// them.
    pub rate: Option<RateLimit>,
    /// The largest number of sends in flight.
    pub concurrency: usize,
}

/// The number of sends that may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    /// The number of sends.
    pub count: usize,
    /// The number of further sends that the rate limits allow once sends in flight have ended.
    pub ahead: usize,
    /// Whether the one send is a probe.
    pub probe: bool,
    /// Whether the destination has asked for a pause and accepted no message since. The message that caused the
    /// pause must not be the only one that is tried.
    pub after_pause: bool,
    /// When to ask again if `count` is zero; `None` if the next change is the end of a send in flight.
    pub next_at: Option<Instant>,
}

/// A send that the gate has permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// When the send began.
    pub at: Instant,
    /// Whether the send probes a failing destination.
    pub probe: bool,
    /// The last time at which the destination worked: the time of this send, or the time when it began to fail
    /// or pause.
    pub worked_until: Timestamp,
}

/// What the end of a send says about the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The destination accepted the message.
    Worked,
    /// The destination works, but refused this message or its form.
    Answered,
    /// The outcome says nothing about the destination. The attempt with the next form will.
    Unclear,
    /// The destination asked for a pause, of this length if it named one.
    Paused(Option<Duration>),
    /// The destination failed.
    Failed {
        /// Uptime of the message's last failure; `None` if it has not failed before.
        failed_before: Option<Uptime>,
    },
    /// No message will be accepted until an operator acts.
    Stopped(String),
}

/// A change of the gate that is reported to telemetry and operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The breaker opened.
    Opened,
    /// The destination works again: its breaker closed or its stop ended. All waiting deliveries are due.
    WorksAgain,
    /// The destination is stopped, for this reason.
    Stopped(String),
    /// The destination asked for a pause of this length.
    Paused(Duration),
}

/// The actions that a signal requires.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct GateUpdate {
    /// Changes in the order in which they happened.
    pub changes: Vec<Change>,
    /// Whether [`Gate::record`] has changed and has to be stored.
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

/// The time since the last success, by two clocks.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Timestamp,
    from: Uptime,
}

/// The gate of a destination. See the module's header.
#[derive(Clone, Debug)]
pub struct Gate {
    destination: DestinationName,
    concurrency: usize,
    window: Option<Window>,
    /// When each send in flight began.
    in_flight: Vec<Instant>,
    /// Number of consecutive failures of the destination.
    failures: u32,
    /// Number of consecutive pauses that the destination asked for.
    pauses: u32,
    pause: Option<Pause>,
    breaker: Option<Breaker>,
    stop: Option<Stop>,
    failing: Option<Failing>,
    /// When the destination last answered.
    answered_at: Option<Uptime>,
    /// When an operator or a reload last released the gate. The results of earlier sends are then ignored.
    released_at: Option<Instant>,
}

impl Gate {
    /// Builds an open gate.
    pub fn new(destination: DestinationName, limits: &Limits) -> Self {
        let mut gate = Self {
            destination,
            concurrency: 1,
            window: None,
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

    /// Restores the stored gate. An open breaker or a stop is probed at once; a pause continues.
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

    /// Returns the part of the gate that the store keeps.
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

    /// Applies new limits after a reload. Earlier sends still count against a rate limit that stays.
    pub fn set_limits(&mut self, limits: &Limits) {
        self.concurrency = limits.concurrency.max(1);
        let stays = |window: &Window| limits.rate.is_some_and(|rate| window.is_of(rate));
        if !self.window.as_ref().is_some_and(stays) {
            let in_flight = self.in_flight.len();
            self.window = limits.rate.map(|rate| Window::new(rate, in_flight));
        }
    }

    /// Counts a send that ended this long ago, in an earlier run of the relay.
    pub fn recall(&mut self, age: Duration, now: Now) {
        if let Some(window) = &mut self.window {
            window.recall(age, now.mono);
        }
    }

    /// Returns the number of sends that may start now. It is one while the destination is probed. After a
    /// pause, it is one at a time until the destination accepts a message.
    pub fn permits(&self, now: Now) -> Permits {
        let probe_at = self.probe_at();
        let free = match probe_at {
            Some(_) if !self.in_flight.is_empty() => 0,
            Some(_) => 1,
            None if self.pauses > 0 => 1_usize.saturating_sub(self.in_flight.len()),
            None => self.concurrency.saturating_sub(self.in_flight.len()),
        };
        let probe = probe_at.is_some();
        let after_pause = !probe && self.pauses > 0;
        let nothing = |next_at| Permits {
            count: 0,
            ahead: 0,
            probe,
            after_pause,
            next_at,
        };
        if free == 0 && probe {
            return nothing(None);
        }
        let paused_until = self.pause.map(|pause| pause.ends_at);
        let window = self.window.as_ref();
        let paced_until = window.and_then(|window| window.next_at(now.mono));
        let next_at = [probe_at, paused_until, paced_until]
            .into_iter()
            .flatten()
            .max();
        if let Some(next_at) = next_at.filter(|next_at| *next_at > now.mono) {
            return nothing(Some(next_at));
        }
        let paced = window.map(|window| window.free(now.mono));
        let count = paced.map_or(free, |paced| paced.min(free));
        let ahead = match probe || self.pauses > 0 {
            true => 0,
            false => paced.map_or(usize::MAX, |paced| paced - count),
        };
        Permits {
            count,
            ahead,
            probe,
            after_pause,
            next_at: None,
        }
    }

    /// Begins one send. Call it at most as often as [`permits`](Self::permits) allows.
    pub fn begin(&mut self, now: Now) -> Begun {
        self.in_flight.push(now.mono);
        if let Some(window) = &mut self.window {
            window.begin();
        }
        Begun {
            at: now.mono,
            probe: self.probe_at().is_some(),
            worked_until: self.failing.map_or(now.wall, |failing| failing.since),
        }
    }

    /// Ends a send that was not made. Another may start instead.
    pub fn abandon(&mut self, begun: Begun) {
        self.land(begun);
        if let Some(window) = &mut self.window {
            window.abandon();
        }
    }

    /// Ends a send. `jitter` in [0, 1) lengthens a pause whose length the platform did not state.
    pub fn settle(&mut self, begun: Begun, signal: &Signal, now: Now, jitter: f64) -> GateUpdate {
        self.land(begun);
        if let Some(window) = &mut self.window {
            window.end(now.mono);
        }
        match signal {
            Signal::Worked => self.worked(begun, now),
            Signal::Answered => self.answered(begun, now),
            Signal::Unclear => self.unclear(begun, now),
            Signal::Paused(pause) => self.paused(begun, *pause, now, jitter),
            Signal::Failed { failed_before } => self.failed(begun, *failed_before, now),
            Signal::Stopped(reason) => self.stopped(begun, reason, now, jitter),
        }
    }

    /// Ends a stop and closes the breaker, because the configuration has changed. A pause continues, because
    /// the platform asked for it.
    pub fn release(&mut self, now: Now) -> GateUpdate {
        self.failures = 0;
        self.released_at = Some(now.mono);
        let was_shut = self.stop.take().is_some() | self.breaker.take().is_some();
        if self.pause.is_none() {
            self.failing = None;
        }
        GateUpdate::of(was_shut.then_some(Change::WorksAgain), was_shut)
    }

    /// Ends a stop and a pause and closes the breaker, at an operator's request.
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

    /// Returns why the destination is stopped; `None` if it is not.
    pub fn stop_reason(&self) -> Option<&str> {
        self.stop.as_ref().map(|stop| stop.reason.as_str())
    }

    /// Returns whether the breaker is open.
    pub const fn is_open(&self) -> bool {
        self.breaker.is_some()
    }

    /// Returns whether anything other than a rate limit delays messages.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some() || self.stop.is_some() || self.breaker.is_some()
    }

    /// Returns how long the destination has failed or paused without a success; zero if it has not.
    pub fn failing_for(&self, now: Now) -> Duration {
        now.uptime.since(self.failing_from(now))
    }

    /// Returns the uptime since which the destination has failed or paused without a success; now if it has not.
    pub fn failing_from(&self, now: Now) -> Uptime {
        self.failing.map_or(now.uptime, |failing| failing.from)
    }

    /// Returns when each send in flight began.
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

    /// Returns whether a send began before this moment. Its result then says nothing about the time after.
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
            // The send began before the pause was requested, so it does not end the pause.
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

    /// Handles a refusal of one message, which shows that the destination works. It does not end a stop.
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
        if begun.probe {
            if let Some(stop) = &mut self.stop {
                stop.probe_at = now.mono + STOPPED_PROBE;
            }
            if let Some(breaker) = &mut self.breaker {
                breaker.probe_at = now.mono + PROBE_FIRST;
            }
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
        // Concurrent sends are refused together, so they count as one refusal.
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
        // The destination has answered others since this message failed, so the message may be the cause.
        let own_fault = failed_before
            .zip(self.answered_at)
            .is_some_and(|(failed, answered)| failed < answered);
        if let Some(breaker) = &mut self.breaker {
            // Sends that were in flight when the breaker opened end here too; they are no probes.
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

    /// Delays all messages for `pause`, an hour at most. A running pause that ends later is kept.
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
