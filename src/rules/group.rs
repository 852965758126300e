//! Groups reports into incidents. Pure.

use crate::model::{
    FaultKind, Feedback, GroupKey, GroupTerms, IncidentKey, PlannedDelivery, PlannedIncident,
    Private,
};

use super::matcher::{Matcher, Subject, Test, all_hold, named, text};
use super::page;
use super::plan::{Rule, is_fault};

/// How faults are grouped in a rule without `group_by`.
const DEFAULT_KEYS: &[GroupKey] = &[GroupKey::App, GroupKey::Fault];
/// The longest value of an incident's key, in characters. The rest is ignored, so that a report cannot make the
/// store large.
const VALUE_CHARS_MAX: usize = 200;

/// How a rule groups the reports that it matches.
#[derive(Clone, Debug)]
pub(super) struct Grouping {
    /// `group_by`; empty: the rule never groups. `None`: the rule groups only faults, by app and fault.
    pub(super) by: Option<Vec<GroupKey>>,
    pub(super) terms: GroupTerms,
}

/// Returns the incident that the rule counts the report in. `None` if it does not group this report.
pub(super) fn incident(
    rule: &Rule,
    subject: Subject<'_>,
    deliveries: &[PlannedDelivery],
) -> Option<PlannedIncident> {
    let feedback = subject.reported()?;
    let keys = keys(rule, feedback)?;
    let values = keys.iter().map(|&key| (key, value(rule, subject, key)));
    let merged = deliveries.iter().filter(|one| one.spec.rule == rule.name);
    Some(PlannedIncident {
        rule: rule.name.clone(),
        kind: feedback.kind,
        key: IncidentKey(values.collect()),
        terms: rule.grouping.terms.clone(),
        reported_at: subject.event.created_at,
        destinations: merged.map(|one| one.destination.clone()).collect(),
    })
}

/// Returns the keys by which the rule groups the report. `None` if it does not group it.
fn keys<'a>(rule: &'a Rule, feedback: &Feedback) -> Option<&'a [GroupKey]> {
    let keys = match &rule.grouping.by {
        Some(keys) => keys,
        None if is_fault(feedback) && notifies(rule) => DEFAULT_KEYS,
        None => &[],
    };
    (!keys.is_empty()).then_some(keys)
}

/// Returns whether a report of the rule can notify anybody.
fn notifies(rule: &Rule) -> bool {
    !rule.send_to.is_empty() || !rule.grouping.terms.steps.is_empty()
}

/// Returns the value of a key; `None` if the report lacks it.
fn value(rule: &Rule, subject: Subject<'_>, key: GroupKey) -> Option<Private> {
    let (event, feedback) = (subject.event, subject.reported()?);
    let value = match key {
        GroupKey::App => subject.app_id().map(str::to_owned),
        GroupKey::Via => Some(event.via.to_string()),
        GroupKey::Fault => fault(rule, subject, feedback),
        GroupKey::Source => match feedback.source {
            Some(source) => Some(named(source.key(), source.0)),
            None => feedback.odd.source.clone(),
        },
        GroupKey::Tenant => text(&feedback.tenant_name).map(str::to_owned),
        GroupKey::TenantKey => event.tenant_key.clone(),
        GroupKey::Path => text(&feedback.path).map(page::pattern),
    };
    let value = value.filter(|value| !value.is_empty())?;
    Some(Private::new(limited(value)))
}

fn limited(value: String) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => value.get(..end).unwrap_or_default().to_owned(),
        None => value,
    }
}

/// Returns the first fault of a report, in the words of rules.
pub fn first_fault(feedback: &Feedback) -> Option<String> {
    let first = feedback.faults.first();
    let first = first.map(|fault| named(fault.key(), fault.0));
    first.or_else(|| feedback.odd.faults.first().cloned())
}

/// Returns the page of a report, with ids replaced by `*`.
pub fn page(feedback: &Feedback) -> Option<String> {
    let page = text(&feedback.path).map(page::pattern)?;
    (!page.is_empty()).then(|| limited(page))
}

/// Returns the first listed fault that the rule's `fault` conditions accept; without such a condition, the first
/// listed one.
fn fault(rule: &Rule, subject: Subject<'_>, feedback: &Feedback) -> Option<String> {
    let mut accepted = Vec::new();
    collect_faults(&rule.wanted, subject, &mut accepted);
    let is_accepted = |fault: &&FaultKind| accepted.is_empty() || accepted.contains(fault);
    let first = feedback.faults.iter().find(is_accepted);
    let first = first.map(|fault| named(fault.key(), fault.0));
    first.or_else(|| feedback.odd.faults.first().cloned())
}

/// Collects the faults of all `fault` conditions, including those in sets of `any` that hold.
fn collect_faults(set: &[Matcher], subject: Subject<'_>, accepted: &mut Vec<FaultKind>) {
    for one in set {
        match &one.test {
            Test::Fault(faults) => accepted.extend(faults),
            Test::Any(sets) => sets
                .iter()
                .filter(|set| all_hold(set, subject))
                .for_each(|set| collect_faults(set, subject, accepted)),
            _ => {}
        }
    }
}
