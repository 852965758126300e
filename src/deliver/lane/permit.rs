//! The permit for one send. The sending task holds it and settles it with what the answer says about the
//! destination. If it is dropped unsettled (nothing was sent, or the task panicked), the send counts as not
//! begun.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::gate::{Begun, Gate, GateUpdate, Now, Signal};
use super::limits::SharedLimits;
use crate::destination::SharedPace;

/// A gate that its lane and the sends in flight share. Clones share it.
#[derive(Clone)]
pub(super) struct SharedGate(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    gate: Gate,
    update: GateUpdate,
    /// Number of sends that ended since the last call of `take_ended`.
    ended: usize,
}

impl SharedGate {
    pub(super) fn new(gate: Gate) -> Self {
        let state = State {
            gate,
            update: GateUpdate::default(),
            ended: 0,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// Reads or changes the gate.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Gate) -> T) -> T {
        act(&mut self.state().gate)
    }

    /// Changes the gate; its lane handles what follows from that.
    pub(super) fn update(&self, act: impl FnOnce(&mut Gate) -> GateUpdate) {
        let mut state = self.state();
        let update = act(&mut state.gate);
        state.update.add(update);
    }

    /// Begins one send. Its share of the limits that lanes share has already been taken.
    pub(super) fn permit(&self, now: Now, limits: &LimitsTaken) -> Permit {
        Permit {
            begun: self.with(|gate| gate.begin(now)),
            gate: self.clone(),
            limits: limits.clone(),
            settled: false,
        }
    }

    /// Takes the updates since the last call.
    pub(super) fn take_update(&self) -> GateUpdate {
        std::mem::take(&mut self.state().update)
    }

    /// Takes the number of sends that ended since the last call.
    pub(super) fn take_ended(&self) -> usize {
        std::mem::take(&mut self.state().ended)
    }

    /// Resolves when a send has ended.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn end(&self, act: impl FnOnce(&mut Gate) -> GateUpdate) {
        {
            let mut state = self.state();
            let update = act(&mut state.gate);
            state.update.add(update);
            state.ended += 1;
        }
        self.0.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of the limits that several lanes share, taken for one send.
#[derive(Clone)]
pub(in crate::deliver) struct LimitsTaken {
    pub(super) limits: SharedLimits,
    pub(super) paces: Arc<[SharedPace]>,
    pub(super) at: Instant,
}

impl LimitsTaken {
    /// Returns the share, because nothing is sent.
    pub(super) fn give_back(&self) {
        self.limits.give_back(&self.paces, self.at);
    }
}

/// The permit for one send. See the module's header.
pub(in crate::deliver) struct Permit {
    gate: SharedGate,
    begun: Begun,
    limits: LimitsTaken,
    settled: bool,
}

impl Permit {
    /// Ends the send. `signal` is what the answer says about the destination.
    pub(in crate::deliver) fn settle(mut self, signal: &Signal, now: Now, jitter: f64) {
        self.settled = true;
        let begun = self.begun;
        self.gate
            .end(|gate| gate.settle(begun, signal, now, jitter));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        self.limits.give_back();
        let begun = self.begun;
        self.gate.end(|gate| {
            gate.abandon(begun);
            GateUpdate::default()
        });
    }
}
