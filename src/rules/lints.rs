//! Looks at rules that are right one by one: can each be reached, can each match, do all faults end somewhere?

use regex::Regex;

use crate::model::FeedbackKind;

use super::codes;
use super::matcher::{Glob, Matcher, Test};
use super::plan::Rule;
use super::report::{At, Report};

/// Warns of what is probably not meant.
pub(super) fn check(report: &mut Report, rules: &[(At, Rule)]) {
    for (index, (at, rule)) in rules.iter().enumerate() {
        never_matches(report, at, rule);
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
    let implied = |wanted: &Matcher| {
        later
            .wanted
            .iter()
            .any(|one| within(&one.test, &wanted.test))
    };
    !earlier.goes_on && earlier.except.is_empty() && earlier.wanted.iter().all(implied)
}

fn takes_every_fault(rule: &Rule) -> bool {
    let holds = |one: &Matcher| matches!(&one.test, Test::Kind(kinds) if kinds.contains(&FeedbackKind::FAULT));
    !rule.goes_on && rule.except.is_empty() && rule.wanted.iter().all(holds)
}

fn never_matches(report: &mut Report, at: &At, rule: &Rule) {
    let excluded = rule.wanted.iter().find_map(|wanted| {
        let mut except = rule.except.iter();
        except
            .find(|except| within(&wanted.test, &except.test))
            .map(|_| wanted.key)
    });
    if let Some(key) = excluded {
        let message = format!(
            "\"{}\" never matches: `except` takes all that `match` wants of `{key}`",
            rule.name
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

/// Whether `wide` holds wherever `narrow` does, as far as the written values show it.
fn within(narrow: &Test, wide: &Test) -> bool {
    match (narrow, wide) {
        (Test::App(narrow), Test::App(wide))
        | (Test::TenantKey(narrow), Test::TenantKey(wide))
        | (Test::User(narrow), Test::User(wide)) => subset(narrow, wide),
        (Test::Via(narrow), Test::Via(wide)) => subset(narrow, wide),
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
