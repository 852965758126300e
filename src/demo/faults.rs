//! Misbehaviour on demand.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
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
pub struct Faults<K>(Mutex<HashMap<K, VecDeque<Fault>>>);

impl<K> Default for Faults<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Faults<K> {
    /// Lays a fault on the next call of this kind that has none yet.
    pub fn add(&self, kind: K, fault: Fault) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.entry(kind).or_default().push_back(fault);
    }

    /// The fault of this call, which is used up.
    pub(super) fn take(&self, kind: &K) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get_mut(kind)?.pop_front()
    }
}
