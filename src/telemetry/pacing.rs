//! Limits the rate of log lines that strangers can cause: the first of a kind is written, the
//! others are counted.
//!
//! A line has a kind and a subject (an app, a reason), never a text that a stranger chose. After a
//! line, similar ones are left out for [`WINDOW`]; then one line reports their number. The number
//! of subjects is limited, and so is the memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// How long similar lines are left out after the first.
const WINDOW: Duration = Duration::from_secs(30);
/// The largest number of separate subjects. Beyond it, all subjects of a kind share one slot.
const SUBJECTS_MAX: usize = 256;
/// The time between two checks for windows that have ended.
const TICK: Duration = Duration::from_secs(1);

/// The recently written lines, and the number of lines left out.
#[derive(Debug, Default)]
pub struct Pacing(Mutex<BTreeMap<Key, Slot>>);

/// A kind and a subject.
type Key = (&'static str, String);

#[derive(Debug)]
struct Slot {
    begun: Instant,
    left_out: u64,
}

/// A number of lines that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) kind: &'static str,
    pub(super) subject: String,
    pub(super) count: u64,
}

impl Pacing {
    /// Returns whether a line of this kind is written. If not, counts it.
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

    /// Returns the lines left out in windows that have ended. Forgets windows without any.
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
            // If the flood continues, the next window only counts its lines and writes no first
            // line.
            slot.begun = now;
            true
        });
        left_out
    }
}

impl Metrics {
    /// Writes the number of lines left out when their window ends; at the soft stop, for all
    /// windows.
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
                    "similar log lines omitted"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_lines_give_one_line_and_count() {
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
    fn memory_is_bounded_for_many_subjects() {
        let (pacing, now) = (Pacing::default(), Instant::now());
        for subject in 0..10_000 {
            pacing.writes_at("refused", &subject.to_string(), now);
        }
        let slots = pacing.0.lock().unwrap();
        assert!(slots.len() <= SUBJECTS_MAX + 1);
    }
}
