//! The lane to one destination: leases due deliveries as its gate permits, sends them, and handles changes of
//! the gate (`gate_events`). Each destination has its own lane, so a failing destination does not delay the
//! others.

pub(super) mod gate;
mod gate_events;
pub(super) mod limits;
pub(super) mod permit;
pub(super) mod prefetch;
mod sliding_window;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::gate::{Gate, Limits};
use self::gate_events::Failover;
use self::limits::SharedLimits;
use self::permit::SharedGate;
use self::prefetch::{POLL_AGAIN, Prefetched, Prefetcher, READY_FOR_EACH, STORE_PAUSE, Wanted};
use super::Settings;
use super::attempt::Sender;
use crate::destination::Destination;
use crate::model::{Current, DestinationName};
use crate::store::{GateRecord, LeaseRelease, Topic};
use crate::telemetry::events::PanicCaught;

/// The largest number of attempts that wait to be recorded, for each permitted send. A permit is free again
/// before the commit, so this number limits how many messages are repeated after a crash.
const UNRECORDED_FOR_EACH: usize = 2;

/// During intake overload with at most this many waiting events, a lane has one send in flight. Small batches
/// cost as much per commit as large ones, so they leave little CPU time for sends.
const OVERLOAD_SMALL: usize = 64;

/// Beyond that, each further group of this many events allows one more send in flight. A larger group would
/// delay messages for too long; a smaller one would delay the clients that push events.
const EVENTS_FOR_EACH_SEND: usize = 8;

/// A send that has taken longer than this is waiting for its destination and uses no CPU time.
const AT_WORK: Duration = Duration::from_millis(100);

/// The lane to one destination.
pub(super) struct Lane {
    name: DestinationName,
    settings: Current<Settings>,
    sender: Arc<Sender>,
    gate: SharedGate,
    /// The destination, whose limits apply to the gate. A reload replaces it.
    destination: Arc<dyn Destination>,
    prefetcher: Prefetcher,
    /// Released leases that the store has not recorded yet.
    returning: Vec<LeaseRelease>,
    /// When to try again to record the released leases.
    return_at: Instant,
    /// Tasks that each send one message, settle its permit and record the attempt. They run concurrently.
    tasks: JoinSet<()>,
    /// Changes when there may be new work.
    wakeups: watch::Receiver<u64>,
    /// Whether there was a wakeup since the lane last read its gate from the store.
    news: bool,
    /// The count of `destinations resume` that this lane has applied.
    resumes: u64,
    failover: Failover,
    /// When to look for messages that have waited too long.
    stale_at: Instant,
}

impl Lane {
    /// Builds a lane whose gate has the stored state.
    pub(super) fn new(
        destination: Arc<dyn Destination>,
        settings: Current<Settings>,
        sender: Sender,
        shared: SharedLimits,
        record: Option<GateRecord>,
    ) -> Self {
        let name = destination.common().name.clone();
        let limits = limits(destination.as_ref());
        let resumes = record.as_ref().map_or(0, |record| record.resumes);
        let gate = match record {
            Some(record) => Gate::restore(record, &limits, sender.now()),
            None => Gate::new(name.clone(), &limits),
        };
        let prefetcher = Prefetcher::new(name.clone(), sender.store.clone(), shared);
        Self {
            settings,
            gate: SharedGate::new(gate),
            destination,
            prefetcher,
            returning: Vec::new(),
            return_at: Instant::now(),
            tasks: JoinSet::new(),
            wakeups: sender.store.wakeups(Topic::Destination(name.clone())),
            news: false,
            resumes,
            failover: Failover::new(),
            stale_at: Instant::now(),
            sender: Arc::new(sender),
            name,
        }
    }

    /// Counts sends that ended this long ago, in an earlier run of the relay.
    pub(super) fn recall(&mut self, ages: &[Duration]) {
        let now = self.sender.now();
        self.gate.with(|gate| {
            for age in ages {
                gate.recall(*age, now);
            }
        });
    }

    /// Runs until `stopping`, then finishes the sends in flight.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        if self.gate.with(|gate| gate.is_failing()) {
            self.emit_gate_state();
        }
        while !stopping.is_cancelled() {
            let pause = self.step().await;
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.gate.changed() => {}
                Some(ended) = self.tasks.join_next() => self.on_task_end(&ended),
                () = self.prefetcher.answered() => {}
                Ok(()) = self.wakeups.changed() => {
                    self.news = true;
                    self.failover.on_news();
                    self.prefetcher.poll_now();
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        let unbegun = self.prefetcher.end().await;
        self.release(unbegun).await;
        while let Some(ended) = self.tasks.join_next().await {
            self.on_task_end(&ended);
            self.on_gate_change().await;
        }
        self.on_gate_change().await;
    }

    /// Starts the sends that may start now. Returns the longest time until the next call.
    async fn step(&mut self) -> Duration {
        let settings = self.settings.get();
        self.apply_reload(&settings).await;
        self.check_resume().await;
        self.on_gate_change().await;
        self.summarise_stale().await;
        let busy = self.hand_over_waiting().await;
        let now = self.sender.now();
        let permits = self.gate.with(|gate| gate.permits(now));
        let held = match permits.next_at {
            Some(_) => self.prefetcher.take_all(),
            None => {
                let timeout = self.destination.common().timeout;
                self.prefetcher.take_stale(now.wall + timeout)
            }
        };
        self.release(held).await;
        self.prefetcher.sends_ended(self.gate.take_ended());
        let unrecorded = self.destination.common().concurrency * UNRECORDED_FOR_EACH;
        let in_flight = self.gate.with(|gate| gate.in_flight().len());
        let recording = self.tasks.len().saturating_sub(in_flight);
        let room = unrecorded.saturating_sub(recording);
        let (mut may_start, mut may_follow) = (permits.count.min(room), permits.ahead);
        // While many events wait to be stored, intake has priority. Waiting deliveries are already safe in the
        // store.
        if let Some(waiting) = self.sender.store.intake_overload() {
            let sends = sends_in_overload(waiting);
            may_start = may_start.min(sends.saturating_sub(self.at_work(now.mono)));
            may_follow = may_follow.min(sends * READY_FOR_EACH);
        }
        while may_start > 0
            && let Some(ready) = self.prefetcher.take_next()
        {
            self.start(&settings, ready);
            may_start -= 1;
        }
        let pause = match permits.next_at {
            Some(next_at) => next_at.duration_since(now.mono),
            None => {
                let destination = Arc::clone(&self.destination);
                let wanted = Wanted {
                    may_start,
                    may_follow,
                    probe: permits.probe,
                    after_pause: permits.after_pause,
                };
                self.prefetcher
                    .poll(wanted, destination.as_ref(), &self.sender.clock)
            }
        };
        let failing = self.gate.with(|gate| gate.is_failing());
        match (busy, failing || !self.is_idle()) {
            (true, _) => Duration::ZERO,
            (false, true) => pause.min(POLL_AGAIN),
            (false, false) => pause,
        }
    }

    /// Returns whether no work of the lane will become ready by the passing of time alone.
    fn is_idle(&self) -> bool {
        self.prefetcher.is_empty() && self.returning.is_empty() && self.tasks.is_empty()
    }

    /// Returns the number of sends that use CPU time.
    fn at_work(&self, now: Instant) -> usize {
        self.gate.with(|gate| {
            let in_flight = gate.in_flight().iter();
            in_flight.filter(|began| now < **began + AT_WORK).count()
        })
    }

    /// Releases leases of deliveries that cannot start, with their due times unchanged. If the store fails, it
    /// is retried later; a lease that expires meanwhile is released by the store itself.
    async fn release(&mut self, ready: Vec<Prefetched>) {
        let again = !self.returning.is_empty() && self.return_at <= Instant::now();
        if ready.is_empty() && !again {
            return;
        }
        for Prefetched { lease, .. } in ready {
            let due_at = lease.item.delivery.due_at;
            self.returning.push(LeaseRelease::of(&lease, due_at));
        }
        match self
            .sender
            .store
            .release_lease(self.returning.clone())
            .await
        {
            Ok(()) => self.returning.clear(),
            Err(error) => {
                self.return_at = Instant::now() + STORE_PAUSE;
                tracing::warn!(destination = %self.name, %error, "failed to release leases; retrying");
            }
        }
    }

    fn start(&mut self, settings: &Arc<Settings>, ready: Prefetched) {
        let permit = self.gate.permit(self.sender.now(), ready.slot);
        let sender = Arc::clone(&self.sender);
        let (settings, destination) = (Arc::clone(settings), Arc::clone(&self.destination));
        let lease = ready.lease;
        self.tasks.spawn(async move {
            sender
                .deliver(&settings, &destination, &lease, permit)
                .await;
        });
    }

    fn on_task_end(&self, ended: &Result<(), JoinError>) {
        // A panic while sending is caught and recorded, so this one was in the recording. The lease expires by
        // itself.
        if ended.is_err() {
            self.sender.metrics.emit(PanicCaught { task: "deliver" });
        }
    }
}

fn limits(destination: &dyn Destination) -> Limits {
    let common = destination.common();
    Limits {
        rate: common.rate,
        concurrency: common.concurrency,
    }
}

/// Returns the number of concurrent sends while this many events wait to be stored. It is at least one, because
/// critical messages have priority.
fn sends_in_overload(waiting: usize) -> usize {
    (waiting.saturating_sub(OVERLOAD_SMALL) / EVENTS_FOR_EACH_SEND).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_in_overload_grow_with_waiting_events_from_one() {
        assert_eq!(sends_in_overload(16), 1);
        assert_eq!(sends_in_overload(OVERLOAD_SMALL), 1);
        assert_eq!(sends_in_overload(256), 24);
    }
}
