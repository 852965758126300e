//! The permit for one send. The sending task holds the permit. It settles the permit with the signal that the
//! answer gives about the destination. A permit that is dropped unsettled means that nothing was sent, and its
//! send counts as not begun.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::gate::{Begun, Gate, GateUpdate, Now, Signal};
use super::limits::Slot;

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

    /// Changes the gate. Its lane then handles the update.
    pub(super) fn update(&self, act: impl FnOnce(&mut Gate) -> GateUpdate) {
        let mut state = self.state();
        let update = act(&mut state.gate);
        state.update.add(update);
    }

    /// Begins one send, with its slot in the limits that lanes share.
    pub(super) fn permit(&self, now: Now, slot: Option<Slot>) -> Permit {
        Permit {
            begun: self.with(|gate| gate.begin(now)),
            gate: self.clone(),
            slot,
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

/// The permit for one send. See the module's header.
pub(in crate::deliver) struct Permit {
    gate: SharedGate,
    begun: Begun,
    slot: Option<Slot>,
    settled: bool,
}

impl Permit {
    /// Returns the send as the gate began it.
    pub(in crate::deliver) const fn begun(&self) -> Begun {
        self.begun
    }

    /// Ends the send. `signal` is what the answer says about the destination.
    pub(in crate::deliver) fn settle(mut self, signal: &Signal, now: Now, jitter: f64) {
        self.settled = true;
        if let Some(slot) = self.slot.take() {
            slot.end(now.mono);
        }
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
        let begun = self.begun;
        self.gate.end(|gate| {
            gate.abandon(begun);
            GateUpdate::default()
        });
    }
}
