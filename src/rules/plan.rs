//! From an event to who is told. Pure, and one function for `serve`, `try` and `check`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    DestinationName, Event, EventKind, EventState, Feedback, FeedbackKind, Finding, Order, Plan,
    PlannedDelivery, RuleName, RuleTrace, Severity, Trace,
};

use super::matcher::{Matcher, Subject};

/// A checked rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: RuleName,
    /// All must hold.
    pub(super) wanted: Vec<Matcher>,
    /// One is enough to be out.
    pub(super) except: Vec<Matcher>,
    pub(super) send_to: Vec<DestinationName>,
    /// Whether later rules are asked too.
    pub(super) goes_on: bool,
    /// `None`: by the event's type.
    pub(super) severity: Option<Severity>,
    /// `None`: by the event's type.
    pub(super) template: Option<String>,
    pub(super) mentions: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) wait: Option<Duration>,
}

/// Why a rule does not take an event.
enum Miss<'a> {
    Failed(&'a Matcher),
    Excepted(&'a Matcher),
}

impl Rule {
    fn judge(&self, subject: Subject<'_>) -> Result<(), Miss<'_>> {
        if let Some(failed) = self.wanted.iter().find(|one| !one.holds(subject)) {
            return Err(Miss::Failed(failed));
        }
        match self.except.iter().find(|one| one.holds(subject)) {
            Some(excepted) => Err(Miss::Excepted(excepted)),
            None => Ok(()),
        }
    }

    fn finding(&self, judged: &Result<(), Miss<'_>>, subject: Subject<'_>) -> Finding {
        match judged {
            Ok(()) => Finding::Matched {
                last: !self.goes_on,
            },
            Err(Miss::Failed(matcher)) => Finding::Failed(matcher.condition(subject)),
            Err(Miss::Excepted(matcher)) => Finding::Excepted(matcher.condition(subject)),
        }
    }

    fn order(&self, subject: Subject<'_>) -> Order {
        Order {
            rule: self.name.clone(),
            severity: self.severity_for(subject),
            template: match &self.template {
                Some(template) => template.clone(),
                None => default_template(subject).to_owned(),
            },
            mentions: self.mentions.clone(),
            labels: self.labels.clone(),
            wait: self.wait,
        }
    }

    fn severity_for(&self, subject: Subject<'_>) -> Severity {
        self.severity
            .unwrap_or(if subject.feedback().is_some_and(is_fault) {
                Severity::Warning
            } else {
                Severity::Info
            })
    }
}

/// The type says so; where it is absent, a named fault does.
fn is_fault(feedback: &Feedback) -> bool {
    match feedback.kind {
        Some(kind) => kind == FeedbackKind::FAULT,
        None => !feedback.faults.is_empty(),
    }
}

fn default_template(subject: Subject<'_>) -> &'static str {
    match subject.feedback() {
        None => "status",
        Some(feedback) if is_fault(feedback) => "alert",
        Some(feedback) if feedback.kind == Some(FeedbackKind::SUGGESTION) => "suggestion",
        Some(_) => "plain",
    }
}

/// Asks `rules` in order. The trace is made only where it is asked for.
pub(super) fn evaluate(rules: &[Rule], event: &Event, trace: Option<&mut Trace>) -> Plan {
    if let Some(subject) = Subject::of(event) {
        return route(rules, subject, trace);
    }
    if let Some(trace) = trace {
        trace.rules.extend(rules.iter().map(not_reached));
    }
    Plan {
        state: EventState::Noted,
        rules: Vec::new(),
        deliveries: Vec::new(),
    }
}

/// What an event is that no rule takes for good.
const fn left(kind: EventKind) -> EventState {
    match kind {
        EventKind::Created => EventState::Unrouted,
        // Nobody expects to hear of each.
        EventKind::Updated => EventState::Noted,
    }
}

fn route(rules: &[Rule], subject: Subject<'_>, mut trace: Option<&mut Trace>) -> Plan {
    let mut plan = Plan {
        state: left(subject.kind()),
        rules: Vec::new(),
        deliveries: Vec::new(),
    };
    let mut rest = rules.iter();
    for rule in rest.by_ref() {
        let judged = rule.judge(subject);
        let matched = judged.is_ok();
        if let Some(trace) = trace.as_deref_mut() {
            trace.rules.push(RuleTrace {
                rule: rule.name.clone(),
                finding: rule.finding(&judged, subject),
            });
        }
        if !matched {
            continue;
        }
        plan.rules.push(rule.name.clone());
        tell(rule, subject, &mut plan.deliveries);
        if !rule.goes_on {
            plan.state = EventState::Routed;
            break;
        }
    }
    if let Some(trace) = trace {
        trace.rules.extend(rest.map(not_reached));
    }
    plan
}

/// Adds what `rule` wants sent. A destination is told once: where several rules name it, the most
/// severe of them says how, and of equals the first.
fn tell(rule: &Rule, subject: Subject<'_>, deliveries: &mut Vec<PlannedDelivery>) {
    for destination in &rule.send_to {
        match deliveries
            .iter_mut()
            .find(|one| one.destination == *destination)
        {
            Some(there) if there.order.severity >= rule.severity_for(subject) => {}
            Some(there) => there.order = rule.order(subject),
            None => deliveries.push(PlannedDelivery {
                destination: destination.clone(),
                order: rule.order(subject),
            }),
        }
    }
}

fn not_reached(rule: &Rule) -> RuleTrace {
    RuleTrace {
        rule: rule.name.clone(),
        finding: Finding::NotReached,
    }
}
