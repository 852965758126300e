//! Limits the number of notices per hour, because strangers can cause some kinds.
//!
//! At most [`SINGLE_MAX`] notices of a kind are sent in an hour, whatever their subjects. The others are
//! counted and summarised: first a short time after the first of them, then at most once an hour. Refused image
//! hosts are always summarised, because reporters choose their names.
//!
//! Notices that reach nobody, because there is no destination for them, have a budget of their own. So none of
//! them uses up that of the notices that are sent.
//!
//! The memory is bounded: a few names and at most [`SUBJECTS_MAX`] hashes for each kind.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::model::{Notice, NoticeKind, Timestamp};

/// The number of notices of one kind that are sent individually in an hour.
pub(super) const SINGLE_MAX: usize = 5;
/// The number of subjects that a summary names.
const NAMED_MAX: usize = 3;
/// The longest quote of a subject in a summary, in characters. A host name is shorter.
const SUBJECT_CHARS_MAX: usize = 253;
/// The number of subjects that are distinguished when they are counted. Beyond that the count is a minimum.
const SUBJECTS_MAX: usize = 4096;
/// The delay before the first summary, so that more notices are included.
const GATHER: Duration = Duration::from_secs(60);
/// The same for refused hosts. It is shorter, because no single notice comes before the summary.
const GATHER_HOSTS: Duration = Duration::from_secs(3);
/// The shortest time between two summaries of a kind.
const SUMMARY_AFTER: Duration = Duration::from_secs(3600);

/// Whether a notice can be handed to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A destination takes it.
    Operator,
    /// There is no destination for it; the notice is only in the log and the store.
    Nobody,
}

/// The decision on a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Send it now.
    Give,
    /// It was sent in this hour already.
    Repeat,
    /// Count it and summarise it with others.
    Gather,
}

/// Several notices of one kind, which are summarised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gathered {
    pub(super) kind: NoticeKind,
    /// The number of different subjects; a minimum if `or_more`.
    pub(super) count: usize,
    pub(super) or_more: bool,
    /// The first few subjects.
    pub(super) named: Vec<String>,
    /// The text of the first notice.
    pub(super) text: String,
}

/// Sent and waiting notices, by kind and reach.
#[derive(Debug, Default)]
pub(super) struct Budget(BTreeMap<(NoticeKind, Reach), Spent>);

#[derive(Debug, Default)]
struct Spent {
    hour: i64,
    given: HashSet<u64>,
    /// The number that an earlier process sent in the same hour.
    given_before: usize,
    waiting: Option<Waiting>,
    /// When the last summary was sent; `None`: there was none.
    summarised_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Waiting {
    since: Timestamp,
    seen: HashSet<u64>,
    or_more: bool,
    named: Vec<String>,
    text: String,
}

impl Budget {
    /// Decides on a notice in this hour, and counts it.
    pub(super) fn ask(
        &mut self,
        notice: &Notice,
        reach: Reach,
        hour: i64,
        now: Timestamp,
    ) -> Ruling {
        let spent = self.0.entry((notice.kind, reach)).or_default();
        if spent.hour != hour {
            spent.hour = hour;
            spent.given.clear();
            spent.given_before = 0;
        }
        let subject = hash(&notice.subject);
        if spent.given.contains(&subject) {
            return Ruling::Repeat;
        }
        if spent.count() < single_max(notice.kind) {
            spent.given.insert(subject);
            return Ruling::Give;
        }
        spent.gather(notice, subject, now);
        Ruling::Gather
    }

    /// Removes a notice from the count, because it could not be sent.
    pub(super) fn forget(&mut self, notice: &Notice) {
        if let Some(spent) = self.0.get_mut(&(notice.kind, Reach::Operator)) {
            spent.given.remove(&hash(&notice.subject));
        }
    }

    /// Allows a notice that no destination took to be sent again, once an hour, because a destination may
    /// refuse every notice. Returns whether it may be sent.
    pub(super) fn not_taken(&mut self, notice: &Notice, hour: i64, now: Timestamp) -> bool {
        let again = self.ask(notice, Reach::Nobody, hour, now) == Ruling::Give;
        if again {
            self.forget(notice);
        }
        again
    }

    /// Returns whether a notice of this kind was sent since the start.
    pub(super) fn knows(&self, kind: NoticeKind) -> bool {
        self.0.contains_key(&(kind, Reach::Operator))
    }

    /// Sets how many notices of a kind an earlier process sent in this hour.
    pub(super) fn resume(&mut self, kind: NoticeKind, hour: i64, given: usize) {
        let key = (kind, Reach::Operator);
        self.0.entry(key).or_insert_with(|| Spent {
            hour,
            given_before: given,
            ..Spent::default()
        });
    }

    /// Corrects the count, because the store knew this notice from an earlier process.
    pub(super) fn was_known(&mut self, kind: NoticeKind) {
        if let Some(spent) = self.0.get_mut(&(kind, Reach::Operator)) {
            spent.given_before = spent.given_before.saturating_sub(1);
        }
    }

    /// Returns how many notices of a kind were sent in this hour.
    pub(super) fn given(&self, kind: NoticeKind) -> usize {
        self.0.get(&(kind, Reach::Operator)).map_or(0, Spent::count)
    }

    /// Takes the summaries that are due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Gathered> {
        self.take(now, |kind, spent, since| {
            let quiet = spent.summarised_at.is_none_or(|at| {
                // A clock that was set back must not silence a kind.
                at > now || now.since(at) >= SUMMARY_AFTER
            });
            quiet && (now.since(since) >= gather(kind) || since > now)
        })
    }

    /// Takes all waiting notices, because the relay stops.
    pub(super) fn rest(&mut self, now: Timestamp) -> Vec<Gathered> {
        self.take(now, |_, _, _| true)
    }

    fn take(
        &mut self,
        now: Timestamp,
        is_due: impl Fn(NoticeKind, &Spent, Timestamp) -> bool,
    ) -> Vec<Gathered> {
        let mut taken = Vec::new();
        for ((kind, _), spent) in &mut self.0 {
            let since = spent.waiting.as_ref().map(|waiting| waiting.since);
            if !since.is_some_and(|since| is_due(*kind, spent, since)) {
                continue;
            }
            let Some(waiting) = spent.waiting.take() else {
                continue;
            };
            spent.summarised_at = Some(now);
            taken.push(Gathered {
                kind: *kind,
                count: waiting.seen.len(),
                or_more: waiting.or_more,
                named: waiting.named,
                text: waiting.text,
            });
        }
        taken
    }
}

impl Spent {
    fn count(&self) -> usize {
        self.given.len() + self.given_before
    }

    fn gather(&mut self, notice: &Notice, subject: u64, now: Timestamp) {
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            since: now,
            seen: HashSet::new(),
            or_more: false,
            named: Vec::new(),
            text: notice.text.clone(),
        });
        if waiting.seen.len() >= SUBJECTS_MAX {
            waiting.or_more |= !waiting.seen.contains(&subject);
            return;
        }
        if waiting.seen.insert(subject) && waiting.named.len() < NAMED_MAX {
            let name = notice.subject.chars().take(SUBJECT_CHARS_MAX);
            waiting.named.push(name.collect());
        }
    }
}

const fn single_max(kind: NoticeKind) -> usize {
    match kind {
        NoticeKind::ImageHostRefused => 0,
        _ => SINGLE_MAX,
    }
}

const fn gather(kind: NoticeKind) -> Duration {
    match kind {
        NoticeKind::ImageHostRefused => GATHER_HOSTS,
        _ => GATHER,
    }
}

/// Returns a hash that distinguishes subjects within one process. A collision makes the count one too small.
fn hash(subject: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(10_000_000);

    fn notice(kind: NoticeKind, subject: &str) -> Notice {
        Notice {
            kind,
            subject: subject.into(),
            text: format!("about {subject}"),
        }
    }

    #[test]
    fn sixth_subject_of_a_kind_is_counted_not_given() {
        let mut budget = Budget::default();
        let mut ask = |subject: &str, hour| {
            budget.ask(
                &notice(NoticeKind::ImageLost, subject),
                Reach::Operator,
                hour,
                NOW,
            )
        };
        for subject in ["1", "2", "3", "4", "5"] {
            assert_eq!(ask(subject, 2), Ruling::Give);
            assert_eq!(ask(subject, 2), Ruling::Repeat);
        }
        assert_eq!(ask("6", 2), Ruling::Gather);
        assert_eq!(ask("6", 3), Ruling::Give, "the next hour begins anew");
    }

    #[test]
    fn notice_that_reaches_nobody_leaves_the_budget_as_it_was() {
        let mut budget = Budget::default();
        let about = |subject: &str| notice(NoticeKind::ImageLost, subject);
        for subject in ["1", "2", "3", "4", "5", "6"] {
            budget.ask(&about(subject), Reach::Nobody, 2, NOW);
        }
        assert_eq!(budget.given(NoticeKind::ImageLost), 0);
        assert_eq!(
            budget.ask(&about("1"), Reach::Operator, 2, NOW),
            Ruling::Give
        );
    }

    #[test]
    fn notice_that_no_destination_took_may_be_sent_once_more() {
        let mut budget = Budget::default();
        let lost = notice(NoticeKind::ImageLost, "1");
        assert_eq!(budget.ask(&lost, Reach::Operator, 2, NOW), Ruling::Give);
        assert!(budget.not_taken(&lost, 2, NOW));
        assert_eq!(budget.given(NoticeKind::ImageLost), 0);
        assert_eq!(budget.ask(&lost, Reach::Operator, 2, NOW), Ruling::Give);
        assert!(!budget.not_taken(&lost, 2, NOW));
        assert_eq!(budget.ask(&lost, Reach::Operator, 2, NOW), Ruling::Repeat);
    }

    #[test]
    fn other_kinds_have_their_own_budget() {
        let mut budget = Budget::default();
        for subject in 0..100 {
            budget.ask(
                &notice(NoticeKind::ImageLost, &subject.to_string()),
                Reach::Operator,
                2,
                NOW,
            );
        }
        let stopped = notice(NoticeKind::DestinationStopped, "ops");
        assert_eq!(budget.ask(&stopped, Reach::Operator, 2, NOW), Ruling::Give);
    }

    #[test]
    fn refused_hosts_are_one_notice_an_hour_with_three_names() {
        let mut budget = Budget::default();
        let ask = |budget: &mut Budget, range: std::ops::Range<u32>, now| {
            for host in range {
                let host = format!("h{host}.example");
                let ruling = budget.ask(
                    &notice(NoticeKind::ImageHostRefused, &host),
                    Reach::Operator,
                    2,
                    now,
                );
                assert_eq!(ruling, Ruling::Gather);
            }
        };
        ask(&mut budget, 0..100, NOW);
        assert_eq!(budget.due(NOW), [], "it waits for others");
        let then = NOW + GATHER_HOSTS;
        let summaries = budget.due(then);
        assert_eq!(summaries.len(), 1);
        assert_eq!((summaries[0].count, summaries[0].or_more), (100, false));
        assert_eq!(
            summaries[0].named,
            ["h0.example", "h1.example", "h2.example"]
        );
        ask(&mut budget, 100..150, then);
        assert_eq!(budget.due(then + SUMMARY_AFTER - GATHER), []);
        assert_eq!(budget.due(then + SUMMARY_AFTER)[0].count, 50);
    }

    #[test]
    fn memory_does_not_grow_with_invented_subjects() {
        let mut budget = Budget::default();
        for host in 0..20_000 {
            let host = format!("{host}.{}", "x".repeat(300));
            budget.ask(
                &notice(NoticeKind::ImageHostRefused, &host),
                Reach::Operator,
                2,
                NOW,
            );
        }
        let summaries = budget.rest(NOW);
        assert_eq!(
            (summaries[0].count, summaries[0].or_more),
            (SUBJECTS_MAX, true)
        );
        assert_eq!(summaries[0].named.len(), NAMED_MAX);
        assert!(summaries[0].named[0].chars().count() <= SUBJECT_CHARS_MAX);
        assert_eq!(budget.rest(NOW), []);
    }

    #[test]
    fn restart_does_not_renew_the_budget() {
        let mut budget = Budget::default();
        budget.resume(NoticeKind::ImageLost, 2, 4);
        let mut ask = |subject: &str| {
            budget.ask(
                &notice(NoticeKind::ImageLost, subject),
                Reach::Operator,
                2,
                NOW,
            )
        };
        assert_eq!(ask("known"), Ruling::Give);
        assert_eq!(ask("new"), Ruling::Gather);
        budget.was_known(NoticeKind::ImageLost);
        assert_eq!(
            budget.ask(
                &notice(NoticeKind::ImageLost, "new"),
                Reach::Operator,
                2,
                NOW
            ),
            Ruling::Give
        );
        assert_eq!(budget.given(NoticeKind::ImageLost), 5);
    }

    #[test]
    fn clock_set_back_silences_no_notice() {
        let mut budget = Budget::default();
        let host = |name| notice(NoticeKind::ImageHostRefused, name);
        budget.ask(&host("a.example"), Reach::Operator, 2, NOW);
        assert_eq!(budget.due(NOW + GATHER_HOSTS).len(), 1);
        let earlier = NOW - SUMMARY_AFTER * 2;
        budget.ask(&host("b.example"), Reach::Operator, 0, earlier);
        assert_eq!(budget.due(earlier + GATHER_HOSTS).len(), 1);
    }
}
