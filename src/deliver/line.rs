//! The line to one destination: leases what is due as its gate allows, sends, and minds the gate.
//! Each destination has a line of its own, so that a dead one costs the others nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::attempt::Sender;
use super::gate::{Change, Changed, Gate, Limits, Now};
use super::shared::SharedPaces;
use crate::destination::Destination;
use crate::model::{Current, DestinationName, Lease, Notice, NoticeKind, Outcome};
use crate::store::{FallBack, GateRecord, Work};
use crate::telemetry::events::{GateChanged, PanicCaught};

/// A line looks for work at least this often: wake-ups are hints.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A lease lasts at least this long; longer where two time limits of a send are longer.
const LEASE_MIN: Duration = Duration::from_secs(60);
/// How long a line pauses when the journal does not answer.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// The line to one destination.
pub(super) struct Line {
    name: DestinationName,
    settings: Current<Settings>,
    sender: Sender,
    gate: Gate,
    /// What it shares with the lines to other destinations.
    shared: SharedPaces,
    /// What the gate's limits are of; a reload replaces it.
    destination: Arc<dyn Destination>,
    sends: JoinSet<Option<Outcome>>,
    /// What each send holds, for when one panics.
    leases: HashMap<Id, Arc<Lease<Work>>>,
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
        Self {
            name,
            settings,
            sender,
            gate,
            shared,
            destination,
            sends: JoinSet::new(),
            leases: HashMap::new(),
        }
    }

    /// Works until `stopping`, then finishes the sends in flight.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let mut changes = self.sender.store.changes();
        if self.gate.is_open() || self.gate.stop_reason().is_some() {
            self.tell_gate();
        }
        while !stopping.is_cancelled() {
            // Marked before looking: what changes while we look wakes us again.
            changes.mark_unchanged();
            let pause = self.step().await;
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(ended) = self.sends.join_next_with_id() => self.ended(ended).await,
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = self.sends.join_next_with_id().await {
            self.ended(ended).await;
        }
    }

    /// Starts what may start now. Returns when to look again at the latest.
    async fn step(&mut self) -> Duration {
        let settings = self.settings.get();
        self.heed_reload(&settings).await;
        self.heed_resume().await;
        self.fall_back().await;
        let now = self.sender.now();
        let allowance = self.gate.allowance(now);
        if allowance.count == 0 {
            let wait = allowance
                .next_at
                .map_or(LOOK_AGAIN, |at| at.duration_since(now.mono));
            return wait.min(LOOK_AGAIN);
        }
        let leases = match self.lease(allowance.count, now).await {
            Ok(leases) => leases,
            Err(pause) => return pause,
        };
        for lease in leases {
            self.gate.begin(1, now);
            self.start(&settings, Arc::new(lease));
        }
        Duration::ZERO
    }

    /// Leases at most `count` due deliveries, or says when to look again.
    async fn lease(&self, count: usize, now: Now) -> Result<Vec<Lease<Work>>, Duration> {
        let paces = self.destination.shared_paces();
        if paces.is_empty() {
            return self.lease_due(count).await;
        }
        // Only what is due takes from what is shared; one by one, so that others get their turn.
        match self.sender.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) if due_at <= now.wall => {}
            Ok(Some(due_at)) => return Err(due_at.since(now.wall).min(LOOK_AGAIN)),
            Ok(None) => return Err(LOOK_AGAIN),
            Err(_) => return Err(STORE_PAUSE),
        }
        self.shared
            .begin(&paces, now.mono)
            .map_err(|next_at| next_at.duration_since(now.mono).min(LOOK_AGAIN))?;
        let leases = self.lease_due(1).await;
        if leases.is_err() {
            self.shared.give_back(&paces);
        }
        leases
    }

    /// As [`lease`](Self::lease), whatever others send.
    async fn lease_due(&self, count: usize) -> Result<Vec<Lease<Work>>, Duration> {
        let lasts = LEASE_MIN.max(self.destination.common().timeout * 2);
        let store = &self.sender.store;
        match store.lease_due(&self.name, count, lasts).await {
            Ok(leases) if leases.is_empty() => Err(self.until_next_due().await),
            Ok(leases) => Ok(leases),
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "cannot look for due deliveries");
                Err(STORE_PAUSE)
            }
        }
    }

    fn start(&mut self, settings: &Arc<Settings>, lease: Arc<Lease<Work>>) {
        let sender = self.sender.clone();
        let (settings, destination) = (Arc::clone(settings), Arc::clone(&self.destination));
        let held = Arc::clone(&lease);
        let send = async move { sender.attempt(&settings, &destination, &lease).await };
        let id = self.sends.spawn(send).id();
        self.leases.insert(id, held);
    }

    async fn until_next_due(&self) -> Duration {
        match self.sender.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) => due_at.since(self.sender.now().wall).min(LOOK_AGAIN),
            Ok(None) | Err(_) => LOOK_AGAIN,
        }
    }

    /// A send has ended: the gate hears of it, and what follows from that is done.
    async fn ended(&mut self, ended: Result<(Id, Option<Outcome>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                self.sender.metrics.emit(PanicCaught { task: "deliver" });
                if let Some(lease) = self.leases.get(&error.id()) {
                    self.sender.panicked(&self.destination, lease).await;
                }
                (error.id(), None)
            }
        };
        self.leases.remove(&id);
        match outcome {
            Some(outcome) => {
                let jitter = self.sender.chance();
                let changed = self.gate.end(&outcome, self.sender.now(), jitter);
                self.changed(changed).await;
            }
            None => self.gate.abandon(),
        }
    }

    async fn changed(&mut self, changed: Changed) {
        if changed.persist
            && let Err(error) = self.sender.store.put_gate(self.gate.record()).await
        {
            tracing::warn!(destination = %self.name, %error, "a restart will not know of its gate");
        }
        match changed.change {
            None | Some(Change::Blocked(_)) => {}
            Some(Change::Opened) => self.tell_gate(),
            Some(Change::Stopped(reason)) => {
                self.tell_gate();
                let text = format!(
                    "Destination {} is stopped: {reason}. It is tried again every ten minutes; \
                     `feedback-relay destinations resume {}` tries at once.",
                    self.name, self.name
                );
                let subject = self.name.to_string();
                let notice = Notice {
                    kind: NoticeKind::DestinationStopped,
                    subject,
                    text,
                };
                self.sender.operator.tell(notice).await;
            }
            Some(Change::WorksAgain) => {
                self.tell_gate();
                if let Err(error) = self.sender.store.make_due(&self.name).await {
                    tracing::warn!(destination = %self.name, %error, "what waits keeps its due times");
                }
            }
        }
    }

    fn tell_gate(&self) {
        self.sender.metrics.emit(GateChanged {
            destination: &self.name,
            breaker_open: self.gate.is_open(),
            stopped: self.gate.stop_reason(),
        });
    }

    /// A reload may have mended what was wrong: new limits, and a fresh start.
    async fn heed_reload(&mut self, settings: &Settings) {
        let Some(destination) = settings.destinations.get(&self.name) else {
            return;
        };
        if Arc::ptr_eq(destination, &self.destination) {
            return;
        }
        self.destination = Arc::clone(destination);
        self.gate.set_limits(&limits(destination.as_ref()));
        let changed = self.gate.release();
        self.changed(changed).await;
    }

    /// `destinations resume` clears what the journal says of the gate; we see it there.
    async fn heed_resume(&mut self) {
        if !self.gate.is_open() && self.gate.stop_reason().is_none() {
            return;
        }
        let Ok(gates) = self.sender.store.gates().await else {
            return;
        };
        let ours = gates.iter().find(|gate| gate.destination == self.name);
        if ours.is_some_and(|gate| gate.stopped.is_none() && gate.open_since.is_none()) {
            let changed = self.gate.release();
            self.changed(changed).await;
        }
    }

    /// While stopped, what waits goes to the fallback instead; while failing for too long, what is
    /// critical goes there as well.
    async fn fall_back(&self) {
        let common = self.destination.common();
        let Some(to) = &common.fallback else { return };
        let failing_for = self.gate.failing_for(self.sender.now());
        let which = if self.gate.stop_reason().is_some() {
            FallBack::Everything
        } else if common
            .fallback_after
            .is_some_and(|limit| failing_for >= limit)
        {
            FallBack::Critical
        } else {
            return;
        };
        match self.sender.store.fall_back(&self.name, to, which).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::warn!(destination = %self.name, fallback = %to, count, "sent to the fallback");
            }
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "the fallback is not told");
            }
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
