//! Events about incidents and digests. Values of `group_by` are never logged, because reporters typed some of them.

use crate::model::{IncidentId, IncidentState, RuleName};
use crate::telemetry::metrics::{Counted, InternalEvent, Metrics, Rule, State};

/// An incident got a message of its own: later reports are merged into it.
pub struct IncidentShown<'a> {
    pub id: IncidentId,
    pub rule: &'a RuleName,
}

impl InternalEvent for IncidentShown<'_> {
    fn emit(self, _metrics: &Metrics) {
        tracing::info!(incident.id = %self.id, rule = %self.rule, "incident has a message of its own");
    }
}

/// Reports were merged into the messages of an incident.
pub struct ReportsMerged<'a> {
    pub rule: &'a RuleName,
    pub reports: u64,
}

impl InternalEvent for ReportsMerged<'_> {
    fn emit(self, metrics: &Metrics) {
        let rule = self.rule.to_string();
        metrics
            .reports_merged
            .count_many(&Rule { rule }, self.reports);
    }
}

/// An incident with messages of its own ended.
pub struct IncidentEnded<'a> {
    pub id: IncidentId,
    pub rule: &'a RuleName,
    /// How it ended.
    pub state: IncidentState,
    /// The number of its reports.
    pub reports: u64,
}

impl InternalEvent for IncidentEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(
            incident.id = %self.id, rule = %self.rule, incident.state = %self.state,
            reports = self.reports, "incident ended"
        );
        let labels = State {
            state: self.state.key(),
        };
        metrics.incidents_ended.get_or_create(&labels).inc();
    }
}

/// The message of a digest was created.
pub struct DigestCreated<'a> {
    pub digest: &'a str,
}

impl InternalEvent for DigestCreated<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(digest = %self.digest, "digest created");
        metrics.digests.inc();
    }
}
