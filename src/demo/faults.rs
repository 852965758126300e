//! Failures on demand.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A failure of a fake: it replaces the answer to a call, or delays it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers at once; the call has no other effect.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Header names and values.
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Delays the call by this time.
    Slow(Duration),
    /// Serves the call and breaks the connection instead of answering.
    Lost,
}

impl Fault {
    /// Returns an answer in JSON.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::Answer {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".into())],
            body: body.to_string(),
        }
    }
}

/// The faults of one fake, by kind of call.
#[derive(Debug)]
pub struct Faults<K>(Mutex<Laid<K>>);

#[derive(Debug)]
struct Laid<K> {
    /// Faults for the next calls; each is used once.
    next: HashMap<K, VecDeque<Fault>>,
    /// Faults for every call, until they are removed.
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
    /// Adds a fault for the next call of this kind that has none yet.
    pub fn add(&self, kind: K, fault: Fault) {
        self.laid().next.entry(kind).or_default().push_back(fault);
    }

    /// Sets the fault for every call of this kind, and replaces an earlier one. `None` removes it.
    pub fn set_lasting(&self, kind: K, fault: Option<Fault>) {
        let lasting = &mut self.laid().lasting;
        match fault {
            Some(fault) => lasting.insert(kind, fault),
            None => lasting.remove(&kind),
        };
    }

    /// Returns the fault of this call: the next single one, else the lasting one.
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
    fn single_fault_is_used_once_and_lasting_fault_stays() {
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
