//! Plans the deliveries of an event. Pure, and one function for `serve`, `try` and `check`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    DestinationName, Event, EventKind, EventState, Feedback, FeedbackKind, Finding, HeldUntil,
    Hours, MessageSpec, Plan, PlannedDelivery, RuleName, RuleTrace, Severity, Timestamp, Trace,
};

use super::group::{self, Grouping};
use super::hours;
use super::matcher::{Matcher, Subject};

/// A checked rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: RuleName,
    /// All must hold.
    pub(super) wanted: Vec<Matcher>,
    /// None may hold.
    pub(super) except: Vec<Matcher>,
    /// When the rule counts; `None`: always.
    pub(super) hours: Option<Hours>,
    /// When its messages are held; `None`: never.
    pub(super) hold: Option<Hold>,
    pub(super) send_to: Vec<DestinationName>,
    /// `continue`: whether later rules are tried too.
    pub(super) goes_on: bool,
    /// `None`: depends on the event's type.
    pub(super) severity: Option<Severity>,
    /// `None`: depends on the event's type.
    pub(super) template: Option<String>,
    pub(super) mentions: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) wait: Option<Duration>,
    /// How its reports become incidents.
    pub(super) grouping: Grouping,
}

/// The times at which a rule holds its messages.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) hours: Hours,
    /// The destinations whose messages it never holds.
    pub(super) never_for: Vec<DestinationName>,
}

/// Why a rule does not match an event: the condition with the report that was tested, or the time of receipt.
enum Miss<'a> {
    Failed(&'a Matcher, Subject<'a>),
    Excepted(&'a Matcher, Subject<'a>),
    NotNow(&'a Hours, Timestamp),
}

impl Rule {
    /// Tests each report of the event; one match is enough. The time is tested last, so that the finding names it
    /// only if the rule matches at other times.
    fn judge<'a>(&'a self, subjects: &[Subject<'a>], at: Timestamp) -> Result<(), Miss<'a>> {
        let mut first = Ok(());
        for &subject in subjects {
            match self.judge_one(subject) {
                Ok(()) => return self.judge_time(at),
                Err(miss) if first.is_ok() => first = Err(miss),
                Err(_) => {}
            }
        }
        first
    }

    fn judge_one<'a>(&'a self, subject: Subject<'a>) -> Result<(), Miss<'a>> {
        if let Some(failed) = self.wanted.iter().find(|one| !one.holds(subject)) {
            return Err(Miss::Failed(failed, subject));
        }
        match self.except.iter().find(|one| one.holds(subject)) {
            Some(excepted) => Err(Miss::Excepted(excepted, subject)),
            None => Ok(()),
        }
    }

    fn judge_time(&self, at: Timestamp) -> Result<(), Miss<'_>> {
        match &self.hours {
            Some(hours) if !hours.include(at) => Err(Miss::NotNow(hours, at)),
            _ => Ok(()),
        }
    }

    /// Returns how long the rule holds a message to `destination`; `None`: it is sent at once.
    fn held(&self, destination: &DestinationName, at: Timestamp) -> Option<HeldUntil> {
        let hold = self.hold.as_ref()?;
        let until = hold.hours.end(at)?;
        (!hold.never_for.contains(destination)).then(|| HeldUntil {
            until,
            hours: hold.hours.written(),
        })
    }

    fn finding(&self, judged: &Result<(), Miss<'_>>) -> Finding {
        match judged {
            Ok(()) => Finding::Matched {
                last: !self.goes_on,
            },
            Err(Miss::Failed(matcher, subject)) => Finding::Failed(matcher.condition(*subject)),
            Err(Miss::Excepted(matcher, subject)) => Finding::Excepted(matcher.condition(*subject)),
            Err(Miss::NotNow(hours, at)) => Finding::NotNow(hours::condition(hours, *at)),
        }
    }
}

/// Returns whether the feedback is a fault: by its type, or, without a type, by a named fault.
pub(super) fn is_fault(feedback: &Feedback) -> bool {
    match feedback.kind {
        Some(kind) => kind == FeedbackKind::FAULT,
        None => !feedback.faults.is_empty(),
    }
}

fn default_template(subject: Subject<'_>) -> &'static str {
    match subject.reported() {
        None => "status",
        Some(feedback) if is_fault(feedback) => "alert",
        Some(feedback) if feedback.kind == Some(FeedbackKind::SUGGESTION) => "suggestion",
        Some(_) => "plain",
    }
}

fn default_severity(subject: Subject<'_>) -> Severity {
    if subject.reported().is_some_and(is_fault) {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Tries `rules` in order for an event received at `at`. Fills the trace if there is one.
pub(super) fn evaluate(
    rules: &[Rule],
    event: &Event,
    at: Timestamp,
    trace: Option<&mut Trace>,
) -> Plan {
    let subjects = Subject::all_of(event);
    if let Some(first) = subjects.first() {
        return route(rules, (&subjects, *first), at, trace);
    }
    if let Some(trace) = trace {
        trace.rules.extend(rules.iter().map(not_reached));
    }
    Plan {
        state: EventState::Noted,
        rules: Vec::new(),
        deliveries: Vec::new(),
        incidents: Vec::new(),
    }
}

/// Returns the state of an event that no rule without `continue` matches.
const fn left(kind: EventKind) -> EventState {
    match kind {
        EventKind::Created => EventState::Unrouted,
        // Most changes of status are of no interest.
        EventKind::Updated => EventState::Noted,
    }
}

/// Tries the rules. Values that do not depend on the report are read from `first`, the first of `subjects`.
fn route(
    rules: &[Rule],
    (subjects, first): (&[Subject<'_>], Subject<'_>),
    at: Timestamp,
    mut trace: Option<&mut Trace>,
) -> Plan {
    let mut state = left(first.kind());
    let mut matched: Vec<&Rule> = Vec::new();
    let mut rest = rules.iter();
    for rule in rest.by_ref() {
        let judged = rule.judge(subjects, at);
        if let Some(trace) = trace.as_deref_mut() {
            let hours = rule.hours.as_ref().filter(|_| judged.is_ok());
            trace.rules.push(RuleTrace {
                rule: rule.name.clone(),
                finding: rule.finding(&judged),
                when: hours.map(|hours| hours::condition(hours, at)),
            });
        }
        if judged.is_err() {
            continue;
        }
        matched.push(rule);
        if !rule.goes_on {
            state = EventState::Routed;
            break;
        }
    }
    if let Some(trace) = trace {
        trace.rules.extend(rest.map(not_reached));
    }
    let deliveries = merge(&matched, first, at);
    let incidents = matched.iter();
    let incidents = incidents.filter_map(|rule| group::incident(rule, first, &deliveries));
    Plan {
        state,
        rules: matched.iter().map(|rule| rule.name.clone()).collect(),
        incidents: incidents.collect(),
        deliveries,
    }
}

/// A delivery being merged, and the severity that its rules set themselves.
struct Merged {
    planned: PlannedDelivery,
    named_by: Severity,
}

/// Creates one delivery for each destination, merged from all rules that name it: the highest severity, all
/// mentions and labels. If several rules set a template, a wait or a label, the last wins, because later rules
/// are usually more specific. The recorded rule is the most severe one, and the last of equals.
///
/// A rule without a severity uses the event's: the highest that any matching rule sets, and at least that of its
/// type. So a rule that sends everything to a data warehouse does not lower the severity there.
///
/// A message is held only if each of its rules holds it, until the first of the windows ends.
fn merge(matched: &[&Rule], subject: Subject<'_>, at: Timestamp) -> Vec<PlannedDelivery> {
    let default = default_severity(subject);
    let set = matched.iter().filter_map(|rule| rule.severity).max();
    let of_event = set.map_or(default, |set| set.max(default));
    let mut merged: Vec<Merged> = Vec::new();
    for rule in matched {
        let by_itself = rule.severity.unwrap_or(default);
        for destination in &rule.send_to {
            let known = merged
                .iter()
                .position(|one| one.planned.destination == *destination);
            let index = known.unwrap_or_else(|| {
                merged.push(Merged {
                    planned: PlannedDelivery {
                        destination: destination.clone(),
                        spec: unsaid(rule, subject),
                        rules: Vec::new(),
                        held: rule.held(destination, at),
                    },
                    named_by: by_itself,
                });
                merged.len() - 1
            });
            let Some(one) = merged.get_mut(index) else {
                continue;
            };
            let spec = &mut one.planned.spec;
            spec.severity = spec.severity.max(rule.severity.unwrap_or(of_event));
            if by_itself >= one.named_by {
                one.named_by = by_itself;
                spec.rule = rule.name.clone();
            }
            add(rule, spec);
            let held = rule.held(destination, at);
            one.planned.held = sooner(one.planned.held.take(), held);
            one.planned.rules.push(rule.name.clone());
        }
    }
    merged.into_iter().map(|one| one.planned).collect()
}

/// Returns the hold that ends first; `None` if one of two rules does not hold the message.
fn sooner(first: Option<HeldUntil>, second: Option<HeldUntil>) -> Option<HeldUntil> {
    let (first, second) = (first?, second?);
    Some(match second.until < first.until {
        true => second,
        false => first,
    })
}

/// Returns the message spec of a destination before any rule is merged.
fn unsaid(rule: &Rule, subject: Subject<'_>) -> MessageSpec {
    MessageSpec {
        rule: rule.name.clone(),
        severity: Severity::Info,
        template: default_template(subject).to_owned(),
        mentions: Vec::new(),
        labels: BTreeMap::new(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    }
}

/// Merges what the rule sets, except its severity.
fn add(rule: &Rule, spec: &mut MessageSpec) {
    if let Some(template) = &rule.template {
        spec.template.clone_from(template);
    }
    for name in &rule.mentions {
        if !spec.mentions.contains(name) {
            spec.mentions.push(name.clone());
        }
    }
    let labels = rule.labels.iter();
    spec.labels
        .extend(labels.map(|(key, value)| (key.clone(), value.clone())));
    spec.wait = rule.wait.or(spec.wait);
}

fn not_reached(rule: &Rule) -> RuleTrace {
    RuleTrace {
        rule: rule.name.clone(),
        finding: Finding::NotReached,
        when: None,
    }
}
