//! Log lines that strangers can cause, paced: the first of a kind at once, the others counted.
//!
//! A line has a kind and a subject (an app, a reason), never a text that a stranger chose. After a line its like is left out for
//! [`WINDOW`]; then one line says how many were. The number of subjects is bounded, so the memory is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// For so long only the first of several lines is written.
const WINDOW: Duration = Duration::from_secs(30);
/// Subjects that are told apart. Beyond that all subjects of a kind share one place.
const SUBJECTS_MAX: usize = 256;
/// How often it is looked for windows that have ended.
const TICK: Duration = Duration::from_secs(1);

/// What was written lately, and what was left out.
#[derive(Debug, Default)]
pub struct Pacing(Mutex<BTreeMap<Key, Slot>>);

/// A kind and a subject.
type Key = (&'static str, String);

#[derive(Debug)]
struct Slot {
    begun: Instant,
    left_out: u64,
}

/// Lines that were not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) kind: &'static str,
    pub(super) subject: String,
    pub(super) count: u64,
}

impl Pacing {
    /// Whether a line of this kind is written. One that is not is counted.
    pub fn writes(&self, kind: &'static str, subject: &str) -> bool {
        self.writes_at(kind, subject, Instant::now())
    }

    fn writes_at(&self, kind: &'static str, subject: &str, now: Instant) -> bool {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind, subject.to_owned());
        if slots.len() >= SUBJECTS_MAX && !slots.contains_key(&key) {
            key.1.clear();
        }
        match slots.get_mut(&key) {
            Some(slot) if now.saturating_duration_since(slot.begun) < WINDOW => {
                slot.left_out += 1;
                false
            }
            Some(slot) => {
                slot.begun = now;
                true
            }
            None => {
                let begun = now;
                slots.insert(key, Slot { begun, left_out: 0 });
                true
            }
        }
    }

    /// What was left out in windows that have ended. Those in which nothing was are forgotten.
    pub(super) fn left_out(&self, now: Instant, all: bool) -> Vec<LeftOut> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = Vec::new();
        slots.retain(|(kind, subject), slot| {
            let ended = now.saturating_duration_since(slot.begun) >= WINDOW;
            if !ended && !all {
                return true;
            }
            if slot.left_out == 0 {
                return false;
            }
            left_out.push(LeftOut {
                kind,
                subject: subject.clone(),
                count: std::mem::take(&mut slot.left_out),
            });
            // The next window: a flood that goes on is counted again, without a line of its own first.
            slot.begun = now;
            true
        });
        left_out
    }
}

impl Metrics {
    /// Writes how many lines were left out, when their window has ended; all of them at the soft stop.
    pub async fn write_left_out(&self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            for one in self
                .pacing
                .left_out(Instant::now(), stopping.is_cancelled())
            {
                tracing::warn!(
                    line = one.kind,
                    subject = one.subject,
                    left_out = one.count,
                    "more lines like this were left out"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousand_lines_are_one_and_a_count() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        let written = (0..1000).filter(|_| pacing.writes_at("refused", "shop", now));
        assert_eq!(written.count(), 1);
        assert_eq!(pacing.left_out(now, false), []);
        let count = |after| {
            let left_out = pacing.left_out(now + after, false);
            left_out.iter().map(|one| one.count).sum::<u64>()
        };
        assert_eq!(count(WINDOW), 999);
        assert_eq!(count(WINDOW * 2), 0, "it is forgotten");
        assert!(pacing.writes_at("refused", "shop", now + WINDOW * 2));
    }

    #[test]
    fn each_kind_and_subject_is_written_once() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        assert!(pacing.writes_at("refused", "shop", now));
        assert!(pacing.writes_at("refused", "other", now));
        assert!(pacing.writes_at("clicked", "shop", now));
        assert!(!pacing.writes_at("refused", "other", now));
        assert_eq!(pacing.left_out(now, true).len(), 1, "at the stop");
    }

    #[test]
    fn memory_does_not_grow_with_subjects() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        for subject in 0..10_000 {
            pacing.writes_at("refused", &subject.to_string(), now);
        }
        let slots = pacing.0.lock().unwrap();
        assert!(slots.len() <= SUBJECTS_MAX + 1);
    }
}
