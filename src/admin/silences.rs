//! Lists, shows, adds and ends silences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Error, Events, deliveries, select};
use crate::model::{
    Delivery, DeliveryId, DeliveryState, DestinationName, EventSeq, Private, RuleName,
    SILENCE_WAITING_MAX, Silence, SilenceId, SilenceTarget, StoredEvent, Timestamp, Trigger,
};
use crate::rules::Filter;
use crate::store::{
    DeliveryFilter, EndedSilence, EventFilter, NewSilence, SilenceFilter, Store, StoreError,
};
use crate::view::{
    AddedSilenceView, ManualResult, MutedCount, MutedView, ReportView, SilenceSummary, SilenceView,
};

/// The period of a preview.
const PREVIEW: Duration = Duration::from_secs(86_400);
/// The most events that a preview examines: the newest ones.
const PREVIEW_EVENTS_MAX: usize = 10_000;
/// The most muted reports that are shown: the newest ones.
const NEWEST_MAX: usize = 5;
/// The number of rows that are read at a time.
const PAGE: usize = 500;

/// Lists silences, newest first; `all`: also those that have ended.
pub async fn list(
    store: &Store,
    all: bool,
    now: Timestamp,
) -> Result<Vec<SilenceSummary>, StoreError> {
    let filter = SilenceFilter {
        active: !all,
        id: None,
    };
    let found = store.silences(filter).await?.into_iter();
    Ok(found.map(|one| SilenceSummary::new(one, now)).collect())
}

/// Returns a silence.
async fn find(store: &Store, id: SilenceId) -> Result<Silence, Error> {
    let filter = SilenceFilter {
        active: false,
        id: Some(id),
    };
    let found = store.silences(filter).await?.pop();
    found.ok_or(Error::NoSilence(id))
}

/// Ends a silence early.
pub async fn end(store: &Store, id: SilenceId) -> Result<ManualResult<SilenceId>, Error> {
    let (done, message) = match store.end_silence(id).await? {
        EndedSilence::Done => (true, format!("{id} is ended")),
        EndedSilence::Already(at) => (false, format!("{id} had ended at {at} already")),
        EndedSilence::Unknown => return Err(Error::NoSilence(id)),
    };
    Ok(ManualResult { id, done, message })
}

/// Counts muted messages.
#[derive(Default)]
struct Tally {
    messages: BTreeMap<(RuleName, DestinationName), u64>,
    reports: u64,
    newest: Vec<EventSeq>,
}

impl Tally {
    /// Counts the muted messages of one event.
    fn add(&mut self, event: EventSeq, muted: &[&Delivery]) {
        if muted.is_empty() {
            return;
        }
        self.reports += 1;
        if self.newest.len() < NEWEST_MAX {
            self.newest.push(event);
        }
        for delivery in muted {
            let key = (delivery.spec.rule.clone(), delivery.destination.clone());
            *self.messages.entry(key).or_default() += 1;
        }
    }
}

impl Events<'_> {
    /// Returns everything about a silence.
    pub async fn silence(&self, id: SilenceId, now: Timestamp) -> Result<SilenceView, Error> {
        let silence = find(self.store, id).await?;
        let counts = self.store.silence_counts(id).await?.into_iter();
        let counts = counts.map(|one| MutedCount {
            rule: one.rule,
            destination: one.destination,
            messages: one.messages,
        });
        let filter = DeliveryFilter {
            states: vec![DeliveryState::Suppressed],
            silence: Some(id),
            limit: PAGE,
            ..DeliveryFilter::default()
        };
        let mut newest = Vec::new();
        for delivery in self.store.deliveries(filter).await? {
            if !newest.contains(&delivery.event) && newest.len() < NEWEST_MAX {
                newest.push(delivery.event);
            }
        }
        let muted = MutedView {
            reports: silence.reports,
            messages: silence.messages,
            counts: counts.collect(),
            newest: self.reports_of(&newest).await?,
        };
        Ok(SilenceView {
            summary: SilenceSummary::new(silence, now),
            muted,
        })
    }

    /// Adds a silence, and says what it would have muted in the last day. A dry run adds nothing.
    pub async fn silence_reports(
        &self,
        new: NewSilence,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<AddedSilenceView, Error> {
        let filter = self.conditions(&new.target)?;
        let (tally, examined, complete) = self.preview(&new.target, filter.as_ref(), now).await?;
        let waiting = self.waiting(&new.target, filter.as_ref()).await?;
        let mut added = AddedSilenceView {
            id: None,
            dry_run,
            target: new.target.clone().into(),
            ends_at: new.ends_at,
            would_have_muted: self.muted(tally).await?,
            examined,
            complete,
            waiting: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
        };
        if !dry_run {
            let done = self.store.add_silence(new, waiting).await?;
            added.id = Some(done.id);
            added.waiting = done.waiting;
        }
        Ok(added)
    }

    fn conditions(&self, target: &SilenceTarget) -> Result<Option<Filter>, Error> {
        if target.conditions.is_empty() {
            return Ok(None);
        }
        let texts: Vec<&str> = target.conditions.iter().map(String::as_str).collect();
        let filter = Filter::read(&texts, &select::known(self.config));
        Ok(Some(filter.map_err(Error::Conditions)?))
    }

    /// Counts what the silence would have muted in the last day. Also returns how many events were examined, and
    /// whether these are all.
    async fn preview(
        &self,
        target: &SilenceTarget,
        filter: Option<&Filter>,
        now: Timestamp,
    ) -> Result<(Tally, u64, bool), StoreError> {
        let mut tally = Tally::default();
        let mut examined = 0;
        let mut page = EventFilter {
            since: Some(now - PREVIEW),
            limit: PAGE,
            ..EventFilter::default()
        };
        loop {
            let rows = self.store.events(page.clone()).await?;
            for row in &rows {
                examined += 1;
                let stored = select::stored(row);
                if self.matches(&stored, filter).await {
                    let deliveries = self.of_event(row.seq).await?;
                    let muted = deliveries.iter().filter(|one| is_target(one, target));
                    tally.add(row.seq, &muted.collect::<Vec<_>>());
                }
            }
            page.before = rows.last().map(|row| row.seq);
            if rows.len() < PAGE {
                return Ok((tally, examined, true));
            }
            if examined >= u64::try_from(PREVIEW_EVENTS_MAX).unwrap_or(u64::MAX) {
                return Ok((tally, examined, false));
            }
        }
    }

    async fn matches(&self, stored: &StoredEvent, filter: Option<&Filter>) -> bool {
        match filter {
            None => true,
            Some(filter) => match self.read(stored).await {
                Ok(event) => filter.holds(&event),
                Err(_unreadable) => false,
            },
        }
    }

    async fn of_event(&self, event: EventSeq) -> Result<Vec<Delivery>, StoreError> {
        let filter = DeliveryFilter {
            event: Some(event),
            limit: PAGE,
            ..DeliveryFilter::default()
        };
        self.store.deliveries(filter).await
    }

    /// Returns the newest waiting messages that the silence mutes.
    async fn waiting(
        &self,
        target: &SilenceTarget,
        filter: Option<&Filter>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let pending = DeliveryFilter {
            states: vec![DeliveryState::Pending, DeliveryState::Held],
            limit: SILENCE_WAITING_MAX,
            ..DeliveryFilter::default()
        };
        let mut pending = deliveries::list(self.store, pending);
        let mut waiting = Vec::new();
        let (mut matching, mut tested) = (BTreeSet::new(), BTreeSet::new());
        while let Some(delivery) = pending.next_record().await? {
            if !is_target(&delivery, target) {
                continue;
            }
            if tested.insert(delivery.event)
                && let Some(stored) = self.store.event_by_seq(delivery.event).await?
                && self.matches(&stored, filter).await
            {
                matching.insert(delivery.event);
            }
            if matching.contains(&delivery.event) {
                waiting.push(delivery.id);
            }
        }
        Ok(waiting)
    }

    async fn muted(&self, tally: Tally) -> Result<MutedView, StoreError> {
        let newest = self.reports_of(&tally.newest).await?;
        let counts = tally.messages.into_iter();
        let mut counts: Vec<MutedCount> = counts
            .map(|((rule, destination), messages)| MutedCount {
                rule,
                destination,
                messages,
            })
            .collect();
        counts.sort_by_key(|one| std::cmp::Reverse(one.messages));
        Ok(MutedView {
            reports: tally.reports,
            messages: counts.iter().map(|one| one.messages).sum(),
            counts,
            newest,
        })
    }

    async fn reports_of(&self, events: &[EventSeq]) -> Result<Vec<ReportView>, StoreError> {
        let mut reports = Vec::with_capacity(events.len());
        for seq in events {
            if let Some(stored) = self.store.event_by_seq(*seq).await? {
                let event = self.read(&stored).await.ok();
                reports.push(ReportView::new(stored, event.as_ref()));
            }
        }
        Ok(reports)
    }
}

/// Returns whether a silence of this rule, or of any, mutes a message. The other rules that name its destination
/// have to be muted too, so one of them keeps it.
fn is_target(delivery: &Delivery, target: &SilenceTarget) -> bool {
    let names = |rule: &RuleName| target.rule.as_ref().is_none_or(|named| named == rule);
    let is_report = delivery.trigger == Trigger::Event;
    is_report && !delivery.rules.is_empty() && delivery.rules.iter().all(names)
}

/// Builds the silence of a command that begins now.
pub fn new(target: SilenceTarget, ends_at: Timestamp, reason: &str, author: &str) -> NewSilence {
    NewSilence {
        target,
        ends_at,
        reason: Private::new(reason),
        author: Private::new(author),
    }
}
