//! The stored form of digests and of their counts. The reports that a digest quotes are looked up when it is sent,
//! so that erased ones are not shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Arrival, Store, StoreError};
use crate::model::*;

/// The event type of a digest in the store.
pub const DIGEST: &str = "feedback_relay.digest";

/// The most apps, faults and pages of a period that are stored each, for the comparison with the next period.
const STORED_MAX: usize = 200;

/// The last period of a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastDigest {
    /// When it was due: the end of the period.
    pub due_at: Timestamp,
    pub counts: DigestCounts,
}

#[derive(Serialize, Deserialize)]
struct Body {
    name: String,
    from_ms: i64,
    until_ms: i64,
    late: bool,
    counts: Counts,
    before: Option<Counts>,
    unhandled: u64,
    oldest_at_ms: Option<i64>,
    newest: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct Counts {
    total: u64,
    images: u64,
    apps: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    pages: BTreeMap<String, u64>,
}

impl From<&DigestCounts> for Counts {
    fn from(counts: &DigestCounts) -> Self {
        Self {
            total: counts.total,
            images: counts.images,
            apps: largest(&counts.apps),
            faults: largest(&counts.faults),
            pages: largest(&counts.pages),
        }
    }
}

impl From<Counts> for DigestCounts {
    fn from(counts: Counts) -> Self {
        let Counts {
            total,
            images,
            apps,
            faults,
            pages,
        } = counts;
        Self {
            total,
            images,
            apps,
            faults,
            pages,
        }
    }
}

fn largest(counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let largest = counts.into_iter().take(STORED_MAX);
    largest
        .map(|(name, count)| (name.clone(), *count))
        .collect()
}

/// Serializes the counts of a period.
pub(super) fn write_counts(counts: &DigestCounts) -> String {
    serde_json::to_string(&Counts::from(counts)).expect("texts and numbers are JSON")
}

/// Parses the counts of a period.
pub(super) fn read_counts(text: &str) -> Option<DigestCounts> {
    let counts: Counts = serde_json::from_str(text).ok()?;
    Some(counts.into())
}

/// Serializes the body of a digest that quotes these events.
pub fn write_digest(digest: &Digest, newest: &[EventSeq]) -> String {
    let body = Body {
        name: digest.name.clone(),
        from_ms: digest.from.as_millis(),
        until_ms: digest.until.as_millis(),
        late: digest.late,
        counts: Counts::from(&digest.counts),
        before: digest.before.as_ref().map(Counts::from),
        unhandled: digest.unhandled,
        oldest_at_ms: digest.oldest_at.map(Timestamp::as_millis),
        newest: newest.iter().map(|event| event.0).collect(),
    };
    serde_json::to_string(&body).expect("texts and numbers are JSON")
}

/// Parses the body of an event of type [`DIGEST`], without its reports.
pub fn read_digest(body: &str) -> Option<Digest> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(Digest {
        name: body.name,
        from: Timestamp::from_millis(body.from_ms),
        until: Timestamp::from_millis(body.until_ms),
        late: body.late,
        counts: body.counts.into(),
        before: body.before.map(Into::into),
        unhandled: body.unhandled,
        oldest_at: body.oldest_at_ms.map(Timestamp::from_millis),
        newest: Vec::new(),
    })
}

/// Returns the events that a digest quotes, newest first.
pub(super) fn quoted_by_digest(body: &str) -> Vec<EventSeq> {
    let body = serde_json::from_str::<Body>(body);
    let newest = body.map(|body| body.newest).unwrap_or_default();
    newest.into_iter().map(EventSeq).collect()
}

impl Store {
    /// Returns the last period of a digest; `None` if there was none.
    pub async fn last_digest(&self, name: &str) -> Result<Option<LastDigest>, StoreError> {
        self.database.last_digest(name).await
    }

    /// Stores the counts of a period of a digest, and its message if there is one, in one transaction. Returns
    /// `false` if the period is stored already; its message is then not created again.
    pub async fn put_digest(
        &self,
        name: &str,
        last: LastDigest,
        message: Option<Arrival>,
    ) -> Result<bool, StoreError> {
        self.database.put_digest(name, last, message).await
    }
}
