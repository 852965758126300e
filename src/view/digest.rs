//! Digests: their times, and what one would say now.

use serde::Serialize;

use super::{ReportView, text, text_or_null, texts};
use crate::model::{Compared, DestinationName, Digest, Timestamp};

/// A digest of the configuration.
#[derive(Clone, Debug, Serialize)]
pub struct DigestSummary {
    pub name: String,
    /// When it is sent, as it is written.
    pub at: String,
    #[serde(serialize_with = "texts")]
    pub send_to: Vec<DestinationName>,
    /// The end of its last period; null if none has ended.
    #[serde(serialize_with = "text_or_null")]
    pub last_at: Option<Timestamp>,
    /// When it is due next.
    #[serde(serialize_with = "text_or_null")]
    pub next_at: Option<Timestamp>,
}

/// What a digest would say.
#[derive(Clone, Debug, Serialize)]
pub struct DigestView {
    pub name: String,
    /// The beginning of the period.
    #[serde(serialize_with = "text")]
    pub from: Timestamp,
    /// The end of the period.
    #[serde(serialize_with = "text")]
    pub until: Timestamp,
    /// The number of reports; with 0, nothing is sent.
    pub total: u64,
    /// The number in the period before; null if it is unknown.
    pub before: Option<u64>,
    /// The number of images of the reports.
    pub images: u64,
    /// The largest numbers by app id.
    pub apps: Vec<ComparedView>,
    /// The largest numbers by fault.
    pub faults: Vec<ComparedView>,
    /// The largest numbers by page.
    pub pages: Vec<ComparedView>,
    /// The number of reports that nobody has marked as done or closed.
    pub unhandled: u64,
    /// When the oldest of these was received; null if there is none.
    #[serde(serialize_with = "text_or_null")]
    pub oldest_at: Option<Timestamp>,
    /// The newest reports, newest first.
    pub newest: Vec<ReportView>,
}

/// A number, and the number of the period before.
#[derive(Clone, Debug, Serialize)]
pub struct ComparedView {
    pub name: String,
    pub count: u64,
    /// Null if the period before is unknown.
    pub before: Option<u64>,
}

impl DigestView {
    /// Describes a digest that quotes these reports.
    pub fn new(digest: &Digest, newest: Vec<ReportView>) -> Self {
        Self {
            name: digest.name.clone(),
            from: digest.from,
            until: digest.until,
            total: digest.counts.total,
            before: digest.before.as_ref().map(|before| before.total),
            images: digest.counts.images,
            apps: views(digest.largest(|counts| &counts.apps)),
            faults: views(digest.largest(|counts| &counts.faults)),
            pages: views(digest.largest(|counts| &counts.pages)),
            unhandled: digest.unhandled,
            oldest_at: digest.oldest_at,
            newest,
        }
    }
}

fn views(compared: Vec<Compared<'_>>) -> Vec<ComparedView> {
    let view = |one: Compared<'_>| ComparedView {
        name: one.name.to_owned(),
        count: one.count,
        before: one.before,
    };
    compared.into_iter().map(view).collect()
}
