//! Runs `[[tests]]`: applies the configuration's rules and templates to the events of its tests. Each test has
//! its own clock. Nothing is sent, and nothing is stored on a disk.

mod counts;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app;
use crate::cli::{text, words};
use crate::config::{Config, Expected, Given, RuleTest};
use crate::deliver::preview::{Parts, Preview, preview};
use crate::diag::{Diagnostic, Place};
use crate::model::{
    DeliveryIds, DestinationName, Event, EventState, Finding, ImageId, MessageSpec, RuleName,
    RuleTrace, Severity, Trigger,
};
use crate::rules::RuleSet;
use crate::simulation::{self, Scenario};
use crate::store::StoreError;

/// The help for a failed test of texts.
const SHOWS_MESSAGES: &str = "`feedback-relay try` shows the whole messages";

/// The result of all tests.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// The number of tests.
    pub(super) count: usize,
    /// The number of failed tests.
    pub(super) failed: usize,
    /// Every expectation that was not met.
    pub(super) failures: Vec<Diagnostic>,
    /// Rules that matched the event of no test.
    pub(super) uncovered: Vec<RuleName>,
}

/// Runs each test.
pub(super) fn run(config: &Config, tests: &[RuleTest]) -> Result<Ran, StoreError> {
    let names = app::names(config);
    let parts = Parts {
        destinations: &config.destinations,
        names: &names,
        templates: &config.templates,
    };
    let simulated = app::simulation_settings(config);
    let mut ran = Ran {
        count: tests.len(),
        ..Ran::default()
    };
    let mut covered = BTreeSet::new();
    for test in tests {
        let mut failures = Vec::new();
        if let Given::One(one) = &test.given {
            let outcome = Outcome::of(test, &one.event, &config.rules, parts);
            covered.extend(outcome.taken_by.iter().cloned());
            failures = outcome.failures();
        }
        let is_over_time = matches!(test.given, Given::OverTime(_));
        if is_over_time || (failures.is_empty() && test.expect.counts_anything()) {
            let scenario = Scenario {
                events: test.given.events(),
                silences: &test.silences,
                lasts: Some(test.lasts),
            };
            let timeline = simulation::run(&simulated, test.at, scenario)?;
            failures.extend(counts::failures(test, &timeline));
            covered.extend(timeline.rules);
        }
        ran.failed += usize::from(!failures.is_empty());
        ran.failures.extend(failures);
    }
    let rules = config.rules_written.iter();
    let rules = rules.map(|rule| RuleName::new(rule.name.as_str()));
    ran.uncovered = rules.filter(|rule| !covered.contains(rule)).collect();
    Ok(ran)
}

/// A test of one event, and its outcome.
struct Outcome<'a> {
    test: &'a RuleTest,
    event: &'a Event,
    rules: &'a RuleSet,
    /// The state that the event would have.
    state: EventState,
    /// The rules that matched the event, with or without `continue`.
    taken_by: Vec<RuleName>,
    messages: Vec<Preview>,
}

impl<'a> Outcome<'a> {
    fn of(test: &'a RuleTest, event: &'a Event, rules: &'a RuleSet, parts: Parts<'_>) -> Self {
        // The same ids each time, so that a test has the same result each time.
        let ids = DeliveryIds::new(0);
        let plan = rules.plan(event, test.at);
        Self {
            test,
            event,
            rules,
            state: plan.state,
            taken_by: plan.rules,
            messages: preview(parts, event, plan.deliveries, Trigger::Event, &ids, test.at),
        }
    }

    /// Returns every expectation that was not met, causes before consequences.
    fn failures(&self) -> Vec<Diagnostic> {
        let expect = &self.test.expect;
        let mut failures: Vec<Diagnostic> = expect
            .rules
            .iter()
            .filter_map(|rule| self.rule(rule))
            .collect();
        failures.extend(expect.unrouted.as_ref().and_then(|one| self.unrouted(one)));
        if !failures.is_empty() {
            // Another rule matched, so all other differences follow from that. One mistake gives one diagnostic.
            return failures;
        }
        failures.extend(expect.sent_to.as_ref().and_then(|one| self.sent_to(one)));
        failures.extend(expect.severity.as_ref().and_then(|one| self.severity(one)));
        failures.extend(expect.template.as_ref().and_then(|one| self.template(one)));
        failures.extend(expect.contains.iter().filter_map(|one| self.contains(one)));
        failures.extend(expect.lacks.iter().filter_map(|one| self.lacks(one)));
        failures
    }

    fn fails(&self, place: &Place, what: &str, why: Option<String>) -> Diagnostic {
        self.test.failed(place, what, why)
    }

    fn rule(&self, expected: &Expected<RuleName>) -> Option<Diagnostic> {
        let wanted = &expected.value;
        if self.taken_by.contains(wanted) {
            return None;
        }
        let what = format!("expected rule {}, and {}", quoted(wanted), self.takers());
        Some(self.fails(&expected.place, &what, self.said(wanted)))
    }

    fn unrouted(&self, expected: &Expected<bool>) -> Option<Diagnostic> {
        let unrouted = self.state == EventState::Unrouted;
        if unrouted == expected.value {
            return None;
        }
        let wanted = if expected.value {
            "unrouted"
        } else {
            "not unrouted"
        };
        let what = format!(
            "expected the event {wanted}, and it is {}: {}",
            self.state,
            self.takers()
        );
        let why = unrouted.then(|| self.everything_said());
        Some(self.fails(&expected.place, &what, why))
    }

    fn sent_to(&self, expected: &Expected<Vec<DestinationName>>) -> Option<Diagnostic> {
        let came: BTreeSet<&DestinationName> =
            self.messages().map(|one| &one.destination).collect();
        let wanted: BTreeSet<&DestinationName> = expected.value.iter().collect();
        if came == wanted {
            return None;
        }
        let what = format!(
            "expected {}, and it goes to {}",
            list(wanted.iter().copied()),
            list(came.iter().copied())
        );
        let missing = wanted.difference(&came).next();
        let elsewhere = missing.and_then(|missing| {
            let mut all = self.messages.iter();
            all.find(|one| one.destination == **missing).map(|one| {
                format!(
                    "{missing} gets a message by rule {}",
                    quoted(&one.spec.rule)
                )
            })
        });
        let why =
            elsewhere.or_else(|| Some(self.takers()).filter(|_| self.test.expect.rules.is_empty()));
        Some(self.fails(&expected.place, &what, why))
    }

    fn severity(&self, expected: &Expected<Severity>) -> Option<Diagnostic> {
        self.most_severe_has(
            "severity",
            expected,
            |spec| &spec.severity,
            Severity::to_string,
        )
    }

    fn template(&self, expected: &Expected<String>) -> Option<Diagnostic> {
        let quoted = |template: &String| format!("\"{template}\"");
        self.most_severe_has("template", expected, |spec| &spec.template, quoted)
    }

    /// Checks a part of the most severe message.
    fn most_severe_has<T: PartialEq>(
        &self,
        name: &str,
        expected: &Expected<T>,
        part: fn(&MessageSpec) -> &T,
        shown: fn(&T) -> String,
    ) -> Option<Diagnostic> {
        let came = self.most_severe().map(|one| &one.spec);
        if came.is_some_and(|spec| *part(spec) == expected.value) {
            return None;
        }
        let came = came.map_or("there is no message".to_owned(), |spec| {
            format!("it is {} by rule {}", shown(part(spec)), quoted(&spec.rule))
        });
        let wanted = shown(&expected.value);
        let what = format!("expected {name} {wanted}, and {came}");
        Some(self.fails(&expected.place, &what, None))
    }

    fn contains(&self, expected: &Expected<String>) -> Option<Diagnostic> {
        let wanted = &expected.value;
        let mut messages = self.messages().peekable();
        if messages.peek().is_none() {
            let what = format!("expected {wanted:?} in every message, and there is no message");
            return Some(self.fails(&expected.place, &what, None));
        }
        let lacks = |one: &&Preview| !said_by(one).contains(wanted.as_str());
        let without: Vec<&DestinationName> =
            messages.filter(lacks).map(|one| &one.destination).collect();
        if without.is_empty() {
            return None;
        }
        let what = format!(
            "expected {wanted:?} in every message, and it is not in that to {}",
            list(without)
        );
        Some(self.fails(&expected.place, &what, Some(SHOWS_MESSAGES.to_owned())))
    }

    fn lacks(&self, expected: &Expected<String>) -> Option<Diagnostic> {
        let unwanted = &expected.value;
        let says = |one: &&Preview| said_by(one).contains(unwanted.as_str());
        let with = self.messages().filter(says);
        let with: Vec<&DestinationName> = with.map(|one| &one.destination).collect();
        if with.is_empty() {
            return None;
        }
        let what = format!(
            "expected {unwanted:?} in no message, and it is in that to {}",
            list(with)
        );
        Some(self.fails(&expected.place, &what, Some(SHOWS_MESSAGES.to_owned())))
    }

    /// Returns the messages that the test is about: those of the rules it names, otherwise all.
    fn messages(&self) -> impl Iterator<Item = &Preview> {
        let rules = &self.test.expect.rules;
        self.messages.iter().filter(move |one| {
            rules.is_empty() || rules.iter().any(|rule| one.rules.contains(&rule.value))
        })
    }

    /// Returns the first of the most severe messages.
    fn most_severe(&self) -> Option<&Preview> {
        let highest = self.messages().map(|one| one.spec.severity).max()?;
        self.messages().find(|one| one.spec.severity == highest)
    }

    /// Describes which rules matched.
    fn takers(&self) -> String {
        let takers: Vec<String> = self.taken_by.iter().map(quoted).collect();
        if takers.is_empty() {
            "no rule takes it".to_owned()
        } else {
            format!("it is taken by {}", takers.join(", "))
        }
    }

    /// Returns why `rule` did not match.
    fn said(&self, rule: &RuleName) -> Option<String> {
        let (_, trace) = self.rules.explain(self.event, self.test.at);
        trace.rules.iter().find(|one| one.rule == *rule).map(said)
    }

    /// Describes the result of each rule, for an event that should have matched.
    fn everything_said(&self) -> String {
        let (_, trace) = self.rules.explain(self.event, self.test.at);
        let said = trace.rules.iter().map(said);
        said.collect::<Vec<_>>().join("\n")
    }
}

/// Describes the result of a rule.
fn said(one: &RuleTrace) -> String {
    let said = text::escape(&words::finding(&one.into())).into_owned();
    let rule = quoted(&one.rule);
    match one.finding {
        Finding::NotReached => {
            format!("{rule} is not reached: a rule before it ends the search")
        }
        _ => format!("{rule}: {said}"),
    }
}

fn quoted(rule: &RuleName) -> String {
    format!("\"{rule}\"")
}

/// Formats names as a TOML list; empty if there are none.
fn list<'a>(names: impl IntoIterator<Item = &'a DestinationName>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    }
}

/// Returns the visible words of a message: all its strings, without the platform's escapes.
fn said_by(message: &Preview) -> String {
    let body = message.payload.with_links(ImageId::to_string);
    let mut said = String::new();
    match serde_json::from_str(&body) {
        Ok(value) => strings(&value, &mut said),
        Err(_is_text) => said = body,
    }
    let plain = unescaped(&said);
    // A template's author may look for either form.
    format!("{said}\n{plain}")
}

fn strings(value: &Value, said: &mut String) {
    match value {
        Value::String(text) => {
            said.push_str(text);
            said.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, said)),
        Value::Object(members) => {
            // The type of an element is not visible.
            let members = members.iter().filter(|(key, _)| *key != "tag");
            members.for_each(|(_, member)| strings(member, said));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Decodes `&#60;`, `&lt;` and similar entities.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').and_then(|(name, after)| {
            let c = match name {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                number => char::from_u32(number.strip_prefix('#')?.parse().ok()?)?,
            };
            Some((c, after))
        });
        match entity {
            Some((c, after)) => {
                out.push(c);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.replace(['\u{200B}'], "").replace('\u{A0}', " ")
}
