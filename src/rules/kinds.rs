//! Determines which events a rule can match: new feedback, changes of status, or both.
//!
//! A rule whose `match` has no `event` matches only new feedback, so that an older file does not start to report
//! every change of status. The default is added as an ordinary condition, so lints and traces need no special
//! case.

use crate::model::EventKind;

use super::matcher::{Matcher, Test};
use crate::toml_reader::{Diagnostics, Location, codes};

/// The wanted value that a trace shows for a rule without `event`.
const DEFAULT: &str = "\"created\" (the default)";

/// Moves the condition on `event` to the front, or adds the default. It comes first because it is the clearest
/// reason why a rule does not match. If sets of `any` have `event`, the default is added only to the sets without
/// it.
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

/// Returns whether the set, or a nested set, has `event`.
fn says_event(set: &[Matcher]) -> bool {
    set.iter().any(|one| match &one.test {
        Test::Event(_) => true,
        Test::Any(sets) => sets.iter().any(|set| says_event(set)),
        _ => false,
    })
}

/// Reports each `status` condition that can only see new feedback, which has no status.
pub(super) fn check_status(out: &mut Diagnostics, set: &[Matcher], outer: &[EventKind]) {
    let kinds = said(set, outer);
    for one in set {
        match &one.test {
            Test::Status(_) if !kinds.is_empty() && !kinds.contains(&EventKind::Updated) => {
                let message = "new feedback has no `status`, and this rule matches nothing else";
                let help = "also write `event = \"updated\"` to match changes of status".to_owned();
                out.report(codes::STATUS_OF_CREATED, &one.at, message, Some(help));
            }
            Test::Any(sets) => sets.iter().for_each(|set| check_status(out, set, &kinds)),
            _ => {}
        }
    }
}

/// Returns the kinds of event in `outer` that the `event` of this set accepts. Nested sets are ignored.
fn said(set: &[Matcher], outer: &[EventKind]) -> Vec<EventKind> {
    let mut kinds = outer.to_vec();
    for one in set {
        if let Test::Event(wanted) = &one.test {
            kinds.retain(|kind| wanted.contains(kind));
        }
    }
    kinds
}

/// Returns the kinds of event for which every condition of the set can hold.
pub(super) fn taken_by(set: &[Matcher]) -> Vec<EventKind> {
    let all = EventKind::ALL.iter().copied();
    all.filter(|&kind| set.iter().all(|one| can_hold(&one.test, kind)))
        .collect()
}

/// Returns whether events of this kind can have the tested value. A change of status has the values of its
/// report, if the report is known.
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
