//! Looks at rules that are right one by one: can each be reached, can each match, do all faults end somewhere?

use regex::Regex;

use crate::model::{EventKind, FeedbackKind};

use super::codes;
use super::kinds;
use super::matcher::{Glob, Matcher, Test};
use super::plan::Rule;
use super::report::{At, Report};

/// Warns of what is probably not meant.
pub(super) fn check(report: &mut Report, rules: &[(At, Rule)]) {
    for (index, (at, rule)) in rules.iter().enumerate() {
        let kinds = kinds::taken_by(rule);
        never_matches(report, at, rule, &kinds);
        except_never_holds(report, at, rule, &kinds);
        if kinds.is_empty() {
            continue; // That it could be asked nothing is said already.
        }
        let mut earlier = rules.iter().take(index).map(|(_, earlier)| earlier);
        if let Some(taker) = earlier.find(|earlier| takes_all_of(earlier, rule)) {
            let message = format!(
                "no event reaches \"{}\": \"{}\" takes all that it could match",
                rule.name, taker.name
            );
            let help = format!(
                "put it before \"{}\", or give that rule `continue = true`",
                taker.name
            );
            report.warning(codes::UNREACHABLE, at, message, Some(help));
        }
    }
    if !rules.iter().any(|(_, rule)| takes_every_fault(rule)) {
        let message = "faults can end unrouted: no rule without `continue` takes them all";
        let help = "end with a rule whose only condition is type = \"fault\", or that has none";
        let at = At::new("rules", 0..0);
        report.warning(codes::FAULTS_UNROUTED, &at, message, Some(help.to_owned()));
    }
}

/// Whether every event that `later` matches is taken for good by `earlier`.
fn takes_all_of(earlier: &Rule, later: &Rule) -> bool {
    let kinds = kinds::taken_by(later);
    let implied = |wanted: &Matcher| covers(&wanted.test, later, &kinds);
    !earlier.goes_on && earlier.except.is_empty() && earlier.wanted.iter().all(implied)
}

fn takes_every_fault(rule: &Rule) -> bool {
    let holds = |one: &Matcher| match &one.test {
        Test::Event(kinds) => kinds.contains(&EventKind::Created),
        Test::Kind(kinds) => kinds.contains(&FeedbackKind::FAULT),
        _ => false,
    };
    !rule.goes_on && rule.except.is_empty() && rule.wanted.iter().all(holds)
}

/// Whether `wide` holds for all that `rule`, which takes these kinds of event, can match.
fn covers(wide: &Test, rule: &Rule, kinds: &[EventKind]) -> bool {
    match wide {
        Test::Event(wide) => kinds.iter().all(|kind| wide.contains(kind)),
        wide => rule.wanted.iter().any(|one| within(&one.test, wide)),
    }
}

fn never_matches(report: &mut Report, at: &At, rule: &Rule, kinds: &[EventKind]) {
    if kinds.is_empty() {
        return no_kind(report, at, rule);
    }
    let mut except = rule.except.iter();
    if let Some(except) = except.find(|except| covers(&except.test, rule, kinds)) {
        let message = format!(
            "\"{}\" never matches: `except` takes all that `match` wants of `{}`",
            rule.name, except.key
        );
        report.warning(
            codes::NEVER_MATCHES,
            &at.key("except", at.span.clone()),
            message,
            None,
        );
    }
    let is_no_fault = rule
        .wanted
        .iter()
        .any(|one| matches!(&one.test, Test::Kind(kinds) if !kinds.contains(&FeedbackKind::FAULT)));
    let wants_fault = rule
        .wanted
        .iter()
        .any(|one| matches!(one.test, Test::Fault(_)));
    if is_no_fault && wants_fault {
        let message = format!(
            "\"{}\" never matches: only feedback of the type \"fault\" has a `fault`",
            rule.name
        );
        report.warning(
            codes::NEVER_MATCHES,
            &at.key("match", at.span.clone()),
            message,
            None,
        );
    }
}

/// No kind of event has all that the rule wants.
fn no_kind(report: &mut Report, at: &At, rule: &Rule) {
    let of_created = |one: &&Matcher| {
        !matches!(one.test, Test::Event(_)) && !kinds::can_hold(&one.test, EventKind::Updated)
    };
    let key = rule
        .wanted
        .iter()
        .find(of_created)
        .map_or("", |one| one.key);
    let message = format!(
        "\"{}\" never matches: a change of status has no `{key}`",
        rule.name
    );
    let help =
        "it has `app`, `via`, `tenant_key` and `status`; new feedback needs a rule of its own";
    let at = at.key("match", at.span.clone());
    report.warning(codes::NEVER_MATCHES, &at, message, Some(help.to_owned()));
}

/// What is written to keep something out, and keeps nothing out.
fn except_never_holds(report: &mut Report, at: &At, rule: &Rule, kinds: &[EventKind]) {
    let [kind] = kinds else {
        return; // Of one that takes both kinds every key can hold; of one that takes none it is no matter.
    };
    let idle = rule.except.iter();
    for except in idle.filter(|except| !kinds::can_hold(&except.test, *kind)) {
        let takes = match kind {
            EventKind::Created => "new feedback",
            EventKind::Updated => "changes of status",
        };
        let message = format!(
            "`{}` in `except` of \"{}\" never holds: the rule takes only {takes}",
            except.key, rule.name
        );
        let at = at.key("except", at.span.clone());
        report.warning(codes::EXCEPT_NEVER_HOLDS, &at, message, None);
    }
}

/// Whether `wide` holds wherever `narrow` does, as far as the written values show it.
fn within(narrow: &Test, wide: &Test) -> bool {
    match (narrow, wide) {
        (Test::App(narrow), Test::App(wide))
        | (Test::TenantKey(narrow), Test::TenantKey(wide))
        | (Test::User(narrow), Test::User(wide)) => subset(narrow, wide),
        (Test::Via(narrow), Test::Via(wide)) => subset(narrow, wide),
        (Test::Event(narrow), Test::Event(wide)) => subset(narrow, wide),
        (Test::Status(narrow), Test::Status(wide)) => subset(narrow, wide),
        (Test::Kind(narrow), Test::Kind(wide)) => subset(narrow, wide),
        (Test::Fault(narrow), Test::Fault(wide)) => subset(narrow, wide),
        (Test::Source(narrow), Test::Source(wide)) => subset(narrow, wide),
        (Test::Tenant(narrow), Test::Tenant(wide)) | (Test::Path(narrow), Test::Path(wide)) => {
            subset(&globs(narrow), &globs(wide))
        }
        (Test::Description(narrow), Test::Description(wide)) => {
            let texts = |all: &[Regex]| all.iter().map(Regex::to_string).collect::<Vec<_>>();
            subset(&texts(narrow), &texts(wide))
        }
        (Test::Contact(narrow), Test::Contact(wide))
        | (Test::Images(narrow), Test::Images(wide)) => narrow == wide,
        _ => false,
    }
}

fn globs(all: &[Glob]) -> Vec<&str> {
    all.iter().map(|one| one.written.as_str()).collect()
}

fn subset<T: PartialEq>(narrow: &[T], wide: &[T]) -> bool {
    narrow.iter().all(|one| wide.contains(one))
}
