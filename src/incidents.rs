//! Runs the timers of incidents, and logs and counts what changes.
//!
//! Timers are columns of the store, and each step is one transaction of it. So this loop only asks at the right
//! time; a restart, a second relay and a lost wake-up need no code of their own.
//!
//! Timers, arriving reports and commands can change an incident. So changes are found by comparing the open
//! incidents of two rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::{
    Clock, IncidentId, IncidentKey, IncidentState, Notice, NoticeKind, OPEN_INCIDENTS_MAX,
};
use crate::notices::Notifier;
use crate::store::{IncidentFilter, MergingIncident, Store, StoreError, Topic};
use crate::telemetry::Metrics;
use crate::telemetry::events::{IncidentEnded, IncidentShown, ReportsMerged};

/// The longest pause while a timer runs. If the wall clock jumps, timers are at most this much too early or too
/// late.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest pause. During a storm each commit wakes the loop.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The pause while no incident is open. Wake-ups announce new ones.
const IDLE: Duration = Duration::from_secs(60);

/// Runs due timers until the soft stop.
pub async fn run(
    store: Store,
    metrics: &Metrics,
    operator: &Notifier,
    clock: &dyn Clock,
    stopping: CancellationToken,
) {
    let mut wakeups = store.wakeups(Topic::Incidents);
    let mut observer = Observer::default();
    observer.round(&store, metrics).await;
    while !stopping.is_cancelled() {
        // A wake-up from here on causes another round, even if it comes during this one.
        wakeups.mark_unchanged();
        let advanced = store.advance_incidents().await;
        for notice in observer.round(&store, metrics).await {
            operator.notify(notice).await;
        }
        let pause = match advanced {
            Ok(Some(next_at)) => next_at.since(clock.now()).clamp(PAUSE_MIN, PAUSE_MAX),
            Ok(None) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "failed to run the timers of incidents; retrying");
                PAUSE_MAX
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Ok(()) = wakeups.changed() => tokio::time::sleep(PAUSE_MIN).await,
        }
    }
}

/// The most incidents marked as done that are remembered.
const DONE_MAX: usize = 1000;

/// Finds changes of the incidents that have messages of their own.
#[derive(Default)]
struct Observer {
    /// The open ones in the previous round; `None` before the first.
    known: Option<BTreeMap<IncidentId, MergingIncident>>,
    /// Those that somebody marked as done, because a report may reopen them. The newest [`DONE_MAX`].
    done: BTreeMap<IncidentId, MergingIncident>,
}

impl Observer {
    /// Logs and counts changes since the previous round, and returns the notices about them. The first round only
    /// reads.
    async fn round(&mut self, store: &Store, metrics: &Metrics) -> Vec<Notice> {
        let notices = self.try_round(store, metrics).await;
        notices.unwrap_or_else(|error| {
            tracing::debug!(%error, "failed to read incidents; retrying");
            Vec::new()
        })
    }

    async fn try_round(
        &mut self,
        store: &Store,
        metrics: &Metrics,
    ) -> Result<Vec<Notice>, StoreError> {
        let mut notices = Vec::new();
        let open = store.merging_incidents().await?.into_iter();
        let mut open: BTreeMap<_, _> = open.map(|incident| (incident.id, incident)).collect();
        if let Some(known) = &self.known {
            let mut ended = Vec::new();
            for (id, before) in known {
                if open.contains_key(id) {
                    continue;
                }
                match store.incident(*id).await? {
                    // A report has reopened it meanwhile.
                    Some(now) if now.incident.progress.state == IncidentState::Open => {
                        open.insert(*id, before.clone());
                    }
                    Some(now) => ended.push((before, now.incident)),
                    None => {}
                }
            }
            for (id, incident) in &open {
                let reopened = self.done.remove(id);
                if incident.is_collective && !known.contains_key(id) {
                    notices.push(too_many(store, incident).await?);
                }
                emit_open(metrics, known.get(id).or(reopened.as_ref()), incident);
            }
            for (before, now) in ended {
                let (rule, reports) = (&now.rule, now.progress.count);
                if now.progress.state == IncidentState::Done {
                    let count = reports;
                    self.done.insert(
                        now.id,
                        MergingIncident {
                            count,
                            ..before.clone()
                        },
                    );
                }
                metrics.emit(ReportsMerged {
                    rule,
                    reports: reports.saturating_sub(before.count),
                });
                metrics.emit(IncidentEnded {
                    id: now.id,
                    rule,
                    state: now.progress.state,
                    reports,
                });
            }
        }
        while self.done.len() > DONE_MAX {
            self.done.pop_first();
        }
        self.known = Some(open);
        Ok(notices)
    }
}

/// Returns the notice of a collective incident. It names the key of `group_by` that is the cause, and no values.
async fn too_many(store: &Store, collective: &MergingIncident) -> Result<Notice, StoreError> {
    let filter = IncidentFilter {
        open: true,
        rule: Some(collective.rule.clone()),
        limit: usize::try_from(OPEN_INCIDENTS_MAX).unwrap_or(usize::MAX) + 1,
        ..IncidentFilter::default()
    };
    let open = store.incidents(filter).await?.into_iter();
    let keys: Vec<IncidentKey> = open.map(|incident| incident.key).collect();
    let cause = match IncidentKey::most_varied(&keys) {
        Some(key) => format!(
            "The key of group_by with the most values is {}. ",
            key.key()
        ),
        None => String::new(),
    };
    Ok(Notice {
        kind: NoticeKind::TooManyIncidents,
        subject: collective.rule.to_string(),
        text: format!(
            "Rule {} has {OPEN_INCIDENTS_MAX} open incidents. Reports with further values are counted together in {}. \
             {cause}`feedback-relay incidents list` shows all.",
            collective.rule, collective.id
        ),
    })
}

/// Logs and counts what changed in an open incident since the previous round.
fn emit_open(metrics: &Metrics, before: Option<&MergingIncident>, now: &MergingIncident) {
    let rule = &now.rule;
    let counted = before.map_or(now.individual, |before| before.count);
    if before.is_none() {
        metrics.emit(IncidentShown { id: now.id, rule });
    }
    metrics.emit(ReportsMerged {
        rule,
        reports: now.count.saturating_sub(counted),
    });
}

#[cfg(test)]
mod tests;
