//! Which events a rule can take: new feedback, changes of state, or both.
//!
//! A rule whose `match` has no `event` takes new feedback alone, so that a file does not begin to tell of
//! every change of state. That default is a condition like a written one: the lints and the trace
//! need know nothing of it.

use crate::model::EventKind;

use super::codes;
use super::matcher::{Matcher, Test};
use super::report::{Location, Report};

/// What a trace says that a rule without `event` wants.
const DEFAULT: &str = "\"created\" (the default)";

/// Puts the condition on `event` before all others, the default where none is written: what an event
/// is says more of why a rule does not take it than what it lacks. Where sets of `any` say
/// which events they take, the default goes into those that do not.
pub(super) fn settle(wanted: &mut Vec<Matcher>, at: &Location) {
    if let Some(index) = wanted
        .iter()
        .position(|one| matches!(one.test, Test::Event(_)))
    {
        let event = wanted.remove(index);
        wanted.insert(0, event);
        return;
    }
    let inside = wanted.iter_mut().find_map(|one| match &mut one.test {
        Test::Any(sets) if sets.iter().any(|set| says_event(set)) => Some(sets),
        _ => None,
    });
    match inside {
        Some(sets) => sets.iter_mut().for_each(|set| settle(set, at)),
        None => wanted.insert(
            0,
            Matcher {
                key: "event",
                wanted: DEFAULT.to_owned(),
                test: Test::Event(vec![EventKind::Created]),
                at: at.clone(),
            },
        ),
    }
}

/// Whether the set, or one inside it, says which events it takes.
fn says_event(set: &[Matcher]) -> bool {
    set.iter().any(|one| match &one.test {
        Test::Event(_) => true,
        Test::Any(sets) => sets.iter().any(|set| says_event(set)),
        _ => false,
    })
}

/// Complains of each `status` that only new feedback could meet, which has none.
pub(super) fn check_status(report: &mut Report, set: &[Matcher], outer: &[EventKind]) {
    let kinds = said(set, outer);
    for one in set {
        match &one.test {
            Test::Status(_) if !kinds.is_empty() && !kinds.contains(&EventKind::Updated) => {
                let message = "new feedback has no `status`, and this rule takes nothing else";
                let help =
                    "write `event = \"updated\"` beside it to take changes of status".to_owned();
                report.error(codes::STATUS_OF_CREATED, &one.at, message, Some(help));
            }
            Test::Any(sets) => sets
                .iter()
                .for_each(|set| check_status(report, set, &kinds)),
            _ => {}
        }
    }
}

/// The kinds of event that the `event` of this very set leaves of `outer`.
fn said(set: &[Matcher], outer: &[EventKind]) -> Vec<EventKind> {
    let mut kinds = outer.to_vec();
    for one in set {
        if let Test::Event(wanted) = &one.test {
            kinds.retain(|kind| wanted.contains(kind));
        }
    }
    kinds
}

/// The kinds of event of which something can hold for every condition of the set.
pub(super) fn taken_by(set: &[Matcher]) -> Vec<EventKind> {
    let all = EventKind::ALL.iter().copied();
    all.filter(|&kind| set.iter().all(|one| can_hold(&one.test, kind)))
        .collect()
}

/// Whether events of this kind can have what the test asks about. A change of status has what is known of
/// the report that it is of.
pub(super) fn can_hold(test: &Test, kind: EventKind) -> bool {
    match test {
        Test::Event(kinds) => kinds.contains(&kind),
        Test::Status(_) => kind == EventKind::Updated,
        Test::Any(sets) => sets
            .iter()
            .any(|set| set.iter().all(|one| can_hold(&one.test, kind))),
        Test::App(_)
        | Test::Via(_)
        | Test::TenantKey(_)
        | Test::Kind(_)
        | Test::Fault(_)
        | Test::Source(_)
        | Test::Tenant(_)
        | Test::Path(_)
        | Test::Query(_)
        | Test::Description(_)
        | Test::Contact(_)
        | Test::Images(_)
        | Test::User(_) => true,
    }
}
