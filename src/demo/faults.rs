//! Misbehaviour on demand.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a stand-in does with a call instead of serving it, or before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers this at once; the call has no other effect.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Header names and values.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Serves the call so much later.
    Slow(Duration),
    /// Serves the call, and breaks the connection instead of answering.
    Lost,
}

impl Fault {
    /// An answer in JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".into())],
            body: body.to_string(),
        }
    }
}

/// The faults that lie on the kinds of call of one stand-in.
#[derive(Debug)]
pub struct Faults<K>(Mutex<Laid<K>>);

#[derive(Debug)]
struct Laid<K> {
    /// For the next calls, each used up by one.
    next: HashMap<K, VecDeque<Fault>>,
    /// For every call, until it is lifted.
    lasting: HashMap<K, Fault>,
}

impl<K> Default for Faults<K> {
    fn default() -> Self {
        Self(Mutex::new(Laid {
            next: HashMap::new(),
            lasting: HashMap::new(),
        }))
    }
}

impl<K: Eq + Hash> Faults<K> {
    /// Lays a fault on the next call of this kind that has none yet.
    pub fn add(&self, kind: K, fault: Fault) {
        self.laid().next.entry(kind).or_default().push_back(fault);
    }

    /// Lays a fault on every call of this kind, in the place of one that lies there so; with `None` such calls are
    /// served again.
    pub fn set_lasting(&self, kind: K, fault: Option<Fault>) {
        let lasting = &mut self.laid().lasting;
        match fault {
            Some(fault) => lasting.insert(kind, fault),
            None => lasting.remove(&kind),
        };
    }

    /// The fault of this call: one that it uses up, else one that lasts.
    pub(super) fn take(&self, kind: &K) -> Option<Fault> {
        let mut laid = self.laid();
        let next = laid.next.get_mut(kind).and_then(VecDeque::pop_front);
        next.or_else(|| laid.lasting.get(kind).cloned())
    }

    fn laid(&self) -> MutexGuard<'_, Laid<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up_and_a_lasting_one_stays_until_it_is_lifted() {
        let faults = Faults::default();
        faults.add("a", Fault::Lost);
        faults.set_lasting("a", Some(Fault::Slow(Duration::ZERO)));
        assert_eq!(faults.take(&"a"), Some(Fault::Lost));
        for _call in 0..3 {
            assert_eq!(faults.take(&"a"), Some(Fault::Slow(Duration::ZERO)));
        }
        assert_eq!(faults.take(&"b"), None);
        faults.set_lasting("a", None);
        assert_eq!(faults.take(&"a"), None);
    }
}
