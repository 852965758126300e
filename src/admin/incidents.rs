//! Lists, shows and closes incidents.

use std::collections::VecDeque;

use super::{Error, Events};
use crate::deliver;
use crate::model::{EventId, EventSeq, Incident, IncidentId, IncidentState};
use crate::store::{IncidentFilter, Store, StoreError};
use crate::view::{
    CountedView, IncidentSummary, IncidentView, ManualResult, ReportView, TimerView,
};

/// The number of incidents that are read at a time.
const PAGE: usize = 500;

/// The incidents of a list, newest first.
pub struct IncidentList<'a> {
    store: &'a Store,
    /// The filter of the next page. Its limit is how many incidents are still wanted.
    filter: IncidentFilter,
    /// Incidents that were read but not returned yet.
    page: VecDeque<Incident>,
    ended: bool,
}

/// Lists the incidents that `filter` selects.
pub fn list(store: &Store, filter: IncidentFilter) -> IncidentList<'_> {
    IncidentList {
        store,
        filter,
        page: VecDeque::new(),
        ended: false,
    }
}

impl IncidentList<'_> {
    /// Returns the next incident.
    pub async fn next(&mut self) -> Result<Option<IncidentSummary>, StoreError> {
        if self.page.is_empty() && !self.ended {
            let limit = PAGE.min(self.filter.limit);
            let filter = IncidentFilter {
                limit,
                ..self.filter.clone()
            };
            self.page = self.store.incidents(filter).await?.into();
            self.filter.limit -= self.page.len();
            self.ended = self.page.len() < limit || self.filter.limit == 0;
            let last = self.page.back().map(|last| last.id);
            self.filter.before = last.or(self.filter.before);
        }
        let next = self.page.pop_front();
        Ok(next.as_ref().map(IncidentSummary::from))
    }
}

/// Closes an open incident.
pub async fn close(store: &Store, id: IncidentId) -> Result<ManualResult<IncidentId>, Error> {
    let before = store.close_incident(id).await?;
    let before = before.ok_or(Error::NoIncident(id))?;
    Ok(result(id, before))
}

fn result(id: IncidentId, before: IncidentState) -> ManualResult<IncidentId> {
    let message = match before {
        IncidentState::Open => format!("{id} is closed"),
        IncidentState::Closed => format!("{id} is closed already"),
        IncidentState::Done => format!("{id} ended already: somebody marked it as done (done)"),
        IncidentState::Quiet => format!("{id} ended already, because no report came (quiet)"),
        IncidentState::Continued => {
            format!("{id} ended already, at its maximum age (continued); its successor may be open")
        }
    };
    ManualResult {
        id,
        done: before == IncidentState::Open,
        message,
    }
}

impl Events<'_> {
    /// Returns everything about an incident.
    pub async fn incident(&self, id: IncidentId) -> Result<IncidentView, Error> {
        let found = self.store.incident(id).await?;
        let record = found.ok_or(Error::NoIncident(id))?;
        let incident = &record.incident;
        let content = self.store.incident_content(id).await?;
        let seen_before = content.and_then(|(reports, earlier)| {
            deliver::seen_before(&reports, &earlier, self.config.names)
        });
        let timers = record.timers.into_iter();
        let timers = timers.map(|(timer, due_at)| TimerView { due_at, timer });
        Ok(IncidentView {
            summary: incident.into(),
            claimed: incident.progress.claimed,
            handled: incident.handled.clone().map(Into::into),
            trend: incident.trend,
            silence: incident.progress.mute.map(|mute| mute.silence),
            muted_until: incident.progress.mute.map(|mute| mute.until),
            silenced: incident.progress.silenced,
            previous: incident.previous,
            seen_before: seen_before.map(Into::into),
            terms: (&incident.progress.terms).into(),
            timers: timers.collect(),
            messages: record.messages.into_iter().map(Into::into).collect(),
            newest: self.reports(&record.newest).await?,
        })
    }

    async fn reports(&self, ids: &[EventId]) -> Result<Vec<ReportView>, StoreError> {
        let mut reports = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(stored) = self.store.event(id.as_str()).await? {
                let event = self.read(&stored).await.ok();
                reports.push(ReportView::new(stored, event.as_ref()));
            }
        }
        Ok(reports)
    }

    /// Returns the incidents that count an event.
    pub(super) async fn counted_in(&self, event: EventSeq) -> Result<Vec<CountedView>, StoreError> {
        let mut counted = Vec::new();
        for incident in self.store.incidents_of(event).await? {
            counted.push(CountedView {
                id: incident.id,
                state: incident.progress.state,
                number: self.store.report_number(incident.id, event).await?,
                count: incident.progress.count,
                individual: incident.progress.terms.from,
                key: incident.key.0,
                rule: incident.rule,
            });
        }
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_says_how_an_ended_incident_ended() {
        for (before, said) in [
            (IncidentState::Open, "inc_3 is closed"),
            (IncidentState::Closed, "inc_3 is closed already"),
            (IncidentState::Quiet, "(quiet)"),
            (IncidentState::Done, "(done)"),
            (IncidentState::Continued, "(continued)"),
        ] {
            let given = result(IncidentId(3), before);
            assert!(given.message.contains(said), "{}", given.message);
            assert_eq!(given.done, before == IncidentState::Open);
        }
    }
}
