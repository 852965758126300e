//! Digests: what came in a period, in one message.

use std::collections::BTreeMap;

use super::{Summarised, Timestamp};

/// The most apps, faults and pages that a digest lists each.
pub const DIGEST_LINES_MAX: usize = 5;

/// The content of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The name in the configuration.
    pub name: String,
    /// The beginning of the period.
    pub from: Timestamp,
    /// The end of the period, at which the digest was due.
    pub until: Timestamp,
    /// Whether it is sent later, because no relay ran when it was due.
    pub late: bool,
    pub counts: DigestCounts,
    /// The counts of the period before; `None`: they are unknown.
    pub before: Option<DigestCounts>,
    /// The number of reports of the period that nobody has marked as done or closed.
    pub unhandled: u64,
    /// When the oldest of these was received.
    pub oldest_at: Option<Timestamp>,
    /// The newest reports, newest first, at most [`SUMMARY_NEWEST_MAX`](super::SUMMARY_NEWEST_MAX).
    pub newest: Vec<Summarised>,
}

/// The reports of a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestCounts {
    /// The number of reports.
    pub total: u64,
    /// The number of their images.
    pub images: u64,
    /// By the id of the app that a report is about.
    pub apps: BTreeMap<String, u64>,
    /// By the first fault of a report, in the words of rules.
    pub faults: BTreeMap<String, u64>,
    /// By page, with ids replaced by `*`.
    pub pages: BTreeMap<String, u64>,
}

/// A number and the number of the period before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared<'a> {
    pub name: &'a str,
    pub count: u64,
    /// `None`: the period before is unknown.
    pub before: Option<u64>,
}

impl Digest {
    /// Returns the largest counts that `part` selects, largest first.
    pub fn largest<'a>(
        &'a self,
        part: impl Fn(&'a DigestCounts) -> &'a BTreeMap<String, u64>,
    ) -> Vec<Compared<'a>> {
        let before = self.before.as_ref().map(&part);
        let compared = part(&self.counts).iter().map(|(name, count)| Compared {
            name,
            count: *count,
            before: before.map(|before| before.get(name).copied().unwrap_or_default()),
        });
        let mut compared: Vec<_> = compared.collect();
        compared.sort_by_key(|one| std::cmp::Reverse(one.count));
        compared.truncate(DIGEST_LINES_MAX);
        compared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pages: &[(&str, u64)]) -> DigestCounts {
        let pages = pages
            .iter()
            .map(|(page, count)| ((*page).to_owned(), *count));
        DigestCounts {
            pages: pages.collect(),
            ..DigestCounts::default()
        }
    }

    #[test]
    fn largest_counts_come_first_with_those_before() {
        let at = Timestamp::from_millis(0);
        let mut digest = Digest {
            name: "monday".into(),
            from: at,
            until: at,
            late: false,
            counts: counts(&[("a", 1), ("b", 7), ("c", 2), ("d", 1), ("e", 1), ("f", 1)]),
            before: Some(counts(&[("b", 9)])),
            unhandled: 0,
            oldest_at: None,
            newest: Vec::new(),
        };
        let largest = digest.largest(|counts| &counts.pages);
        let told: Vec<_> = largest
            .iter()
            .map(|one| (one.name, one.count, one.before))
            .collect();
        let expected = [
            ("b", 7, Some(9)),
            ("c", 2, Some(0)),
            ("a", 1, Some(0)),
            ("d", 1, Some(0)),
            ("e", 1, Some(0)),
        ];
        assert_eq!(told, expected);
        digest.before = None;
        assert_eq!(digest.largest(|counts| &counts.pages)[0].before, None);
    }
}
