//! Digests: counts the reports of a period, and creates the message that says so.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Error, EventQuery, Events};
use crate::model::{
    Content, Digest, DigestCounts, Event, EventId, EventSeq, FeedbackStatus, MessageSpec, RuleName,
    SUMMARY_NEWEST_MAX, Severity, Timestamp, Trigger,
};
use crate::rules::{self, DigestSettings};
use crate::store::{Arrival, DIGEST, LastDigest, NewDelivery, Store, StoreError, write_digest};
use crate::view::{DigestSummary, DigestView, ReportView};

/// A digest is sent if it was missed by less than this.
const MISSED_MAX: Duration = Duration::from_secs(12 * 3600);
/// From this delay on, a digest says that it is late.
const LATE: Duration = Duration::from_secs(15 * 60);
/// A digest, and the reports that it quotes.
#[derive(Debug)]
struct Counted {
    digest: Digest,
    newest: Vec<EventSeq>,
}

/// Returns the digests with their times.
pub async fn list(
    store: &Store,
    digests: &[DigestSettings],
    now: Timestamp,
) -> Result<Vec<DigestSummary>, StoreError> {
    let mut listed = Vec::with_capacity(digests.len());
    for one in digests {
        let last = store.last_digest(&one.name).await?;
        listed.push(DigestSummary {
            name: one.name.clone(),
            at: one.at.written.clone(),
            send_to: one.send_to.clone(),
            last_at: last.map(|last| last.due_at),
            next_at: one.at.next(now),
        });
    }
    Ok(listed)
}

impl Events<'_> {
    /// Counts the reports since the last time of a digest, as if it were due now.
    pub async fn preview_digest(
        self,
        digest: &DigestSettings,
        now: Timestamp,
    ) -> Result<DigestView, Error> {
        let from = digest.at.last(now).unwrap_or(now);
        let last = self.store.last_digest(&digest.name).await?;
        let before = last.map(|last| last.counts);
        let counted = self.count(digest, (from, now), before).await?;
        let mut newest = Vec::with_capacity(counted.newest.len());
        for seq in counted.newest {
            if let Some(stored) = self.store.event_by_seq(seq).await? {
                let event = self.read(&stored).await.ok();
                newest.push(ReportView::new(stored, event.as_ref()));
            }
        }
        Ok(DigestView::new(&counted.digest, newest))
    }

    /// Creates the message of a digest whose time has come, unless it was created before. Returns whether it
    /// created one.
    ///
    /// A digest that is new in the configuration begins with its next time. One that was missed by 12 hours is left
    /// out. The period is stored even if nothing came, so that it is counted once.
    pub async fn run_digest(self, digest: &DigestSettings, now: Timestamp) -> Result<bool, Error> {
        let known_since = self
            .store
            .begin_mark(&format!("digest:{}", digest.name))
            .await?;
        let due_at = digest.at.last(now).filter(|due_at| *due_at > known_since);
        let Some(due_at) = due_at.filter(|due_at| now.since(*due_at) < MISSED_MAX) else {
            return Ok(false);
        };
        let last = self.store.last_digest(&digest.name).await?;
        if last.as_ref().is_some_and(|last| last.due_at >= due_at) {
            return Ok(false);
        }
        let from = digest.at.last(before(due_at)).unwrap_or(due_at);
        let counts = last.map(|last| last.counts);
        let mut counted = self.count(digest, (from, due_at), counts).await?;
        counted.digest.late = now.since(due_at) > LATE;
        let period = LastDigest {
            due_at,
            counts: counted.digest.counts.clone(),
        };
        let message = (counted.digest.counts.total > 0).then(|| arrival(digest, &counted, now));
        let is_sent = message.is_some();
        let is_new = self.store.put_digest(&digest.name, period, message).await?;
        Ok(is_new && is_sent)
    }

    async fn count(
        self,
        settings: &DigestSettings,
        (from, until): (Timestamp, Timestamp),
        before: Option<DigestCounts>,
    ) -> Result<Counted, Error> {
        let query = EventQuery {
            since: Some(from),
            until: Some(until),
            ..EventQuery::default()
        };
        let store = self.store;
        let mut selection = self.select(query, None)?;
        let mut counted = Counted {
            digest: Digest {
                name: settings.name.clone(),
                from,
                until,
                late: false,
                counts: DigestCounts::default(),
                before,
                unhandled: 0,
                oldest_at: None,
                newest: Vec::new(),
            },
            newest: Vec::new(),
        };
        while let Some((seq, received_at, event)) = selection.next_event().await? {
            if !settings.takes(&event) || !add(&mut counted.digest.counts, &event) {
                continue;
            }
            let state = store.feedback_state(seq).await?;
            let status = state.map_or(FeedbackStatus::UNPROCESSED, |state| state.status);
            if !matches!(status, FeedbackStatus::PROCESSED | FeedbackStatus::CLOSED) {
                counted.digest.unhandled += 1;
                // Events come newest first.
                counted.digest.oldest_at = Some(received_at);
            }
            if counted.newest.len() < SUMMARY_NEWEST_MAX {
                counted.newest.push(seq);
            }
        }
        Ok(counted)
    }
}

/// Returns the last moment before this one.
fn before(at: Timestamp) -> Timestamp {
    at - Duration::from_millis(1)
}

/// Counts an event. Returns whether it is a report.
fn add(counts: &mut DigestCounts, event: &Event) -> bool {
    let Content::Created(feedback) = &event.content else {
        return false;
    };
    let count = |counts: &mut BTreeMap<String, u64>, name: Option<String>| {
        if let Some(name) = name {
            *counts.entry(name).or_default() += 1;
        }
    };
    counts.total += 1;
    counts.images += u64::try_from(feedback.images.len()).unwrap_or(u64::MAX);
    let app = feedback.app_id.clone();
    count(
        &mut counts.apps,
        app.or_else(|| Some(event.via.to_string())),
    );
    count(&mut counts.faults, rules::first_fault(feedback));
    count(&mut counts.pages, rules::page_pattern(feedback));
    true
}

/// Builds a digest as an event of the relay itself, with its deliveries.
fn arrival(settings: &DigestSettings, counted: &Counted, now: Timestamp) -> Arrival {
    let digest = &counted.digest;
    let due_at = digest.until.as_secs();
    let deliveries = settings.send_to.iter().map(|destination| NewDelivery {
        destination: destination.clone(),
        spec: MessageSpec {
            rule: RuleName::new(digest.name.as_str()),
            severity: Severity::Info,
            template: "digest".to_owned(),
            mentions: Vec::new(),
            labels: BTreeMap::new(),
            wait: None,
            fell_from: Vec::new(),
            news: None,
        },
        trigger: Trigger::Event,
        due_at: now,
        held: None,
    });
    let id = EventId::new(format!("digest:{}:{due_at}", digest.name));
    Arrival {
        deliveries: deliveries.collect(),
        ..Arrival::of_relay(id, DIGEST, write_digest(digest, &counted.newest), now)
    }
}
