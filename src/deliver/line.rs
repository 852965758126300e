//! The line to one destination: leases what is due as its gate allows, sends, and minds the gate (`minding`).
//! Each destination has a line of its own, so that a dead one costs the others nothing.

mod minding;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::attempt::Sender;
use super::gate::{Gate, Limits};
use super::leasing::{LOOK_AGAIN, Leasing, READY_FOR_EACH, Ready, STORE_PAUSE};
use super::shared::SharedPaces;
use crate::destination::Destination;
use crate::model::{Current, DestinationName, Lease, Outcome};
use crate::store::{GateRecord, PutBack, Work};
use crate::telemetry::events::PanicCaught;

/// Attempts that may wait for the journal, for each send that may be in flight: what a crash would repeat is
/// bounded, and a send's place is taken again before its commit.
const UNRECORDED_FOR_EACH: usize = 2;

/// In a rush that is no larger a line has one send in flight: the commits are small and each costs the same, so that
/// they leave little of the processors.
const SMALL_CROWD: usize = 64;

/// In a larger one it has one send in flight for so many more events: with more of them, those who push would wait
/// too long; with fewer, the messages.
const EVENTS_FOR_EACH_SEND: usize = 8;

/// A send that has taken longer waits for its destination, and leaves the processors alone.
const AT_WORK: Duration = Duration::from_millis(100);

/// What became of a send.
struct Landed {
    task: task::Id,
    /// `None`: nothing was sent, and that is recorded.
    outcome: Option<Outcome>,
}

/// A send in flight.
struct Flight {
    /// For when it panics.
    lease: Arc<Lease<Work>>,
    /// When it took its part of the shared paces.
    began: Instant,
    /// When the gate let it go.
    started: Instant,
}

/// The line to one destination.
pub(super) struct Line {
    name: DestinationName,
    settings: Current<Settings>,
    sender: Arc<Sender>,
    gate: Gate,
    /// What it shares with the lines to other destinations.
    shared: SharedPaces,
    /// What the gate's limits are of; a reload replaces it.
    destination: Arc<dyn Destination>,
    leasing: Leasing,
    /// What goes back to the journal and is not there yet.
    returning: Vec<PutBack>,
    /// When to try that again.
    return_at: Instant,
    /// Each sends one message, says what became of it, and writes that down: others go out meanwhile.
    tasks: JoinSet<()>,
    /// What those hold that have not said it yet.
    flights: HashMap<task::Id, Flight>,
    tell: mpsc::UnboundedSender<Landed>,
    landed: mpsc::UnboundedReceiver<Landed>,
}

impl Line {
    /// A line whose gate is as the journal remembers it.
    pub(super) fn new(
        destination: Arc<dyn Destination>,
        settings: Current<Settings>,
        sender: Sender,
        shared: SharedPaces,
        record: Option<GateRecord>,
    ) -> Self {
        let name = destination.common().name.clone();
        let limits = limits(destination.as_ref());
        let gate = match record {
            Some(record) => Gate::restore(record, &limits, sender.now()),
            None => Gate::new(name.clone(), &limits),
        };
        let leasing = Leasing::new(name.clone(), sender.store.clone(), shared.clone());
        let (tell, landed) = mpsc::unbounded_channel();
        Self {
            name,
            settings,
            sender: Arc::new(sender),
            gate,
            shared,
            destination,
            leasing,
            returning: Vec::new(),
            return_at: Instant::now(),
            tasks: JoinSet::new(),
            flights: HashMap::new(),
            tell,
            landed,
        }
    }

    /// Works until `stopping`, then finishes the sends in flight.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let mut changes = self.sender.store.changes();
        if self.gate.is_open() || self.gate.stop_reason().is_some() {
            self.tell_gate();
        }
        while !stopping.is_cancelled() {
            let pause = self.step().await;
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(landed) = self.landed.recv() => {
                    self.landed(landed).await;
                    self.all_landed().await;
                }
                Some(ended) = self.tasks.join_next() => self.all_ended(ended).await,
                () = self.leasing.answered() => {}
                Ok(()) = changes.changed() => self.leasing.look_now(),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let unbegun = self.leasing.end().await;
        self.give_back(unbegun).await;
        while let Some(ended) = self.tasks.join_next().await {
            self.all_ended(ended).await;
        }
    }

    /// Starts what may start now. Returns when to look again at the latest.
    async fn step(&mut self) -> Duration {
        let settings = self.settings.get();
        self.heed_reload(&settings).await;
        self.heed_resume().await;
        // What waits for a stopped destination goes to its fallback, except that its probe goes to
        // itself: otherwise nothing would ever show that it works again.
        if self.gate.stop_reason().is_none() || self.gate.allowance(self.sender.now()).count == 0 {
            self.fall_back().await;
        }
        let now = self.sender.now();
        let allowance = self.gate.allowance(now);
        let waits_in_vain = match allowance.next_at {
            Some(_) => self.leasing.take_all(),
            None => {
                let timeout = self.destination.common().timeout;
                self.leasing.take_stale(now.wall + timeout)
            }
        };
        self.give_back(waits_in_vain).await;
        let unrecorded = self.destination.common().concurrency * UNRECORDED_FOR_EACH;
        let recording = self.tasks.len().saturating_sub(self.flights.len());
        let room = unrecorded.saturating_sub(recording);
        let (mut may_start, mut may_follow) = (allowance.count.min(room), allowance.ahead);
        // While many events wait to be taken in, that goes first. What waits here is safe.
        if let Some(crowd) = self.sender.store.rush() {
            let sends = sends_in_rush(crowd);
            may_start = may_start.min(sends.saturating_sub(self.at_work(now.mono)));
            may_follow = may_follow.min(sends * READY_FOR_EACH);
        }
        while may_start > 0
            && let Some(Ready { lease, began, .. }) = self.leasing.take_next()
        {
            self.gate.begin(1, now);
            self.start(&settings, lease, began, now.mono);
            may_start -= 1;
        }
        if let Some(next_at) = allowance.next_at {
            return next_at.duration_since(now.mono).min(LOOK_AGAIN);
        }
        let destination = Arc::clone(&self.destination);
        self.leasing.look(
            may_start,
            may_follow,
            destination.as_ref(),
            &self.sender.clock,
        )
    }

    /// How many sends are at work.
    fn at_work(&self, now: Instant) -> usize {
        let flights = self.flights.values();
        flights
            .filter(|flight| now < flight.started + AT_WORK)
            .count()
    }

    /// What is leased and cannot start goes back to the journal, due as it was. Where the journal does not take it,
    /// it is given again later; a lease that ends meanwhile has the journal take it up by itself.
    async fn give_back(&mut self, ready: Vec<Ready>) {
        let again = !self.returning.is_empty() && self.return_at <= Instant::now();
        if ready.is_empty() && !again {
            return;
        }
        let paces = self.destination.shared_paces();
        for Ready { lease, began, .. } in ready {
            self.shared.give_back(&paces, began);
            let due_at = lease.item.delivery.due_at;
            self.returning.push(PutBack::of(&lease, due_at));
        }
        match self.sender.store.put_back(self.returning.clone()).await {
            Ok(()) => self.returning.clear(),
            Err(error) => {
                self.return_at = Instant::now() + STORE_PAUSE;
                tracing::warn!(destination = %self.name, %error, "not put back yet");
            }
        }
    }

    fn start(
        &mut self,
        settings: &Arc<Settings>,
        lease: Arc<Lease<Work>>,
        began: Instant,
        started: Instant,
    ) {
        let sender = Arc::clone(&self.sender);
        let (settings, destination) = (Arc::clone(settings), Arc::clone(&self.destination));
        let held = Arc::clone(&lease);
        let tell = self.tell.clone();
        let send = async move {
            let made = sender.attempt(&settings, &destination, &lease).await;
            let outcome = made.as_ref().map(|made| made.sent.outcome.clone());
            // The line listens for as long as it has tasks.
            tell.send(Landed {
                task: task::id(),
                outcome,
            })
            .ok();
            if let Some(made) = made {
                sender.conclude(&destination, &lease, made).await;
            }
        };
        let id = self.tasks.spawn(send).id();
        let flight = Flight {
            lease: held,
            began,
            started,
        };
        self.flights.insert(id, flight);
    }

    /// Those that have landed meanwhile: the places they free are filled by one lease.
    async fn all_landed(&mut self) {
        while let Ok(landed) = self.landed.try_recv() {
            self.landed(landed).await;
        }
    }

    /// A send has ended: the gate hears of it, and what follows from that is done.
    async fn landed(&mut self, landed: Landed) {
        self.leasing.send_ended();
        let Some(flight) = self.flights.remove(&landed.task) else {
            return;
        };
        match landed.outcome {
            Some(outcome) => {
                let jitter = self.sender.chance();
                let changed = self.gate.end(&outcome, self.sender.now(), jitter);
                self.changed(changed).await;
            }
            None => self.abandon(&flight),
        }
    }

    /// It is as if the send had not begun.
    fn abandon(&mut self, flight: &Flight) {
        self.gate.abandon(flight.started);
        let paces = self.destination.shared_paces();
        self.shared.give_back(&paces, flight.began);
    }

    /// Tasks have ended: what they sent is written down.
    async fn all_ended(&mut self, first: Result<(), JoinError>) {
        let mut ended = Some(first);
        while let Some(one) = ended {
            if let Err(error) = one {
                self.panicked(error.id()).await;
            }
            ended = self.tasks.try_join_next();
        }
        // They said so before they ended.
        self.all_landed().await;
    }

    /// If it had said what became of its send, the lease of that ends by itself.
    async fn panicked(&mut self, task: task::Id) {
        self.sender.metrics.emit(PanicCaught { task: "deliver" });
        self.all_landed().await;
        if let Some(flight) = self.flights.remove(&task) {
            self.leasing.send_ended();
            let lease = &flight.lease;
            self.sender.panicked(&self.destination, lease).await;
            self.abandon(&flight);
        }
    }
}

fn limits(destination: &dyn Destination) -> Limits {
    let common = destination.common();
    let paces = destination
        .paces()
        .iter()
        .copied()
        .chain(common.rate)
        .collect();
    Limits {
        paces,
        concurrency: common.concurrency,
    }
}

/// How many sends may be at work while so many events wait to be taken in. There is always one, for what is critical
/// goes first.
fn sends_in_rush(crowd: usize) -> usize {
    (crowd.saturating_sub(SMALL_CROWD) / EVENTS_FOR_EACH_SEND).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_rush_leaves_more_for_sends_and_the_smallest_one() {
        assert_eq!(sends_in_rush(16), 1);
        assert_eq!(sends_in_rush(SMALL_CROWD), 1);
        assert_eq!(sends_in_rush(256), 24);
    }
}
