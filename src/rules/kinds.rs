//! Which events a rule can take: new feedback, changes of state, or both.
//!
//! A rule whose `match` has no `event` takes new feedback alone, so that a file does not begin to tell of
//! every change of state. That default is a condition like a written one: the lints and the trace
//! need know nothing of it.

use crate::model::EventKind;

use super::codes;
use super::matcher::{Matcher, Test};
use super::plan::Rule;
use super::raw::{Node, Value};
use super::report::{At, Report};

/// What a trace says that a rule without `event` wants.
const DEFAULT: &str = "\"created\" (the default)";

/// Puts the condition on `event` before all others, the default where none is written: what an event
/// is says more of why a rule does not take it than what it lacks. `node` is the rule.
pub(super) fn settle(
    report: &mut Report,
    at: &At,
    node: &Node,
    mut wanted: Vec<Matcher>,
) -> Vec<Matcher> {
    let written = wanted
        .iter()
        .position(|one| matches!(one.test, Test::Event(_)));
    let event = match written {
        Some(index) => wanted.remove(index),
        None => Matcher {
            key: "event",
            wanted: DEFAULT.to_owned(),
            test: Test::Event(vec![EventKind::Created]),
        },
    };
    // An `event` that could not be read has been complained of.
    let known = written.is_some() || !has(node, "event");
    let is_status = |one: &Matcher| matches!(one.test, Test::Status(_));
    if known && !can_hold(&event.test, EventKind::Updated) && wanted.iter().any(is_status) {
        let at = at.key("match", node.span_of("match"));
        let at = at.key(
            "status",
            inside(node).map_or(0..0, |inside| inside.span_of("status")),
        );
        let message = "new feedback has no `status`, and this rule takes nothing else";
        let help = "write `event = \"updated\"` beside it to take changes of status".to_owned();
        report.error(codes::STATUS_OF_CREATED, &at, message, Some(help));
    }
    wanted.insert(0, event);
    wanted
}

/// The value of `match`.
fn inside(rule: &Node) -> Option<&Node> {
    member(rule, "match")
}

fn has(rule: &Node, key: &str) -> bool {
    inside(rule).is_some_and(|inside| member(inside, key).is_some())
}

fn member<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Table(entries) = &node.value else {
        return None;
    };
    let found = entries.iter().find(|(name, _)| name.get_ref() == key);
    found.map(|(_, value)| value)
}

/// The kinds of event that `rule` can take.
pub(super) fn taken_by(rule: &Rule) -> Vec<EventKind> {
    let all = EventKind::ALL.iter().copied();
    all.filter(|&kind| rule.wanted.iter().all(|one| can_hold(&one.test, kind)))
        .collect()
}

/// Whether events of this kind have what the test asks about.
pub(super) fn can_hold(test: &Test, kind: EventKind) -> bool {
    match test {
        Test::Event(kinds) => kinds.contains(&kind),
        Test::App(_) | Test::Via(_) | Test::TenantKey(_) => true,
        Test::Status(_) => kind == EventKind::Updated,
        Test::Kind(_)
        | Test::Fault(_)
        | Test::Source(_)
        | Test::Tenant(_)
        | Test::Path(_)
        | Test::Description(_)
        | Test::Contact(_)
        | Test::Images(_)
        | Test::User(_) => kind == EventKind::Created,
    }
}
