//! Reads `[[tests]]`: the expected outcome of the rules for an event. Only `check` reads them.

mod event;
mod events;
mod expect;
mod silences;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::Context;
use super::keys::{RawExpect, RawTest};
use super::rules::WrittenRule;
use super::section::{self, missing};
use crate::diag::{Diagnostic, Level, Place};
use crate::feishu::App;
use crate::model::{AppName, Event, Timestamp};
use crate::rules::Known;
use crate::simulation::{Muting, Repeated};
use crate::toml_reader::{
    Diagnostics, Entries, Field, Location, Many, Node, Table, Value, codes, elements, join,
};

use events::{refuse_about_one, refuse_without_events};
pub use expect::{Counts, Expect, Expected};

/// A test of the rules, with its events.
#[derive(Clone, Debug)]
pub struct RuleTest {
    /// Its name.
    pub name: String,
    /// The time of the test's clock at its start.
    pub at: Timestamp,
    /// What happens.
    pub given: Given,
    /// The time for which the clock runs.
    pub lasts: Duration,
    /// Silences that begin meanwhile.
    pub silences: Vec<Muting>,
    /// The expected outcome.
    pub expect: Expect,
}

/// The events of a test, modified by `with`.
#[derive(Clone, Debug)]
pub enum Given {
    /// `event`: one event at the start.
    One(Box<Repeated>),
    /// `events`: at least one event, over time.
    OverTime(Vec<Repeated>),
}

impl RuleTest {
    /// Returns a diagnostic: the expectation at `place` was not met.
    pub fn failed(&self, place: &Place, what: &str, why: Option<String>) -> Diagnostic {
        Diagnostic {
            level: Level::Error,
            code: codes::TEST_FAILED.0,
            message: format!("test \"{}\": {what}", self.name),
            place: place.clone(),
            help: why,
        }
    }
}

/// Names that tests may use, including entries with errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    pub(super) apps: &'a BTreeMap<AppName, App>,
    pub(super) rules: &'a [WrittenRule],
    /// The names that rules may use.
    pub(super) known: &'a Known,
}

impl<'a> Names<'a> {
    fn rule_names(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }
}

/// The unread entries of `[[tests]]`, each with its file.
#[derive(Debug, Default)]
pub(super) struct Written<'i>(Vec<(&'i Path, Spanned<DeValue<'i>>)>);

impl<'i> Written<'i> {
    /// Returns how many tests there are so far.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Takes the `[[tests]]` of one file.
    pub(super) fn take(&mut self, top: &mut DeTable<'i>, file: &'i Path, out: &mut Diagnostics) {
        let Some(tests) = top.remove("tests") else {
            return;
        };
        let span = tests.span();
        let DeValue::Array(entries) = tests.into_inner() else {
            let at = Location::new("tests", span);
            let message = "expected a list of tests";
            return out.add_with_help(codes::WRONG_TYPE, &at, message, "begin each with [[tests]]");
        };
        self.0
            .extend(entries.into_iter().map(|entry| (file, entry)));
    }

    /// Reads all tests and their events. An invalid test is reported and left out.
    pub(super) fn read(
        self,
        names: Names<'_>,
        context: &Context<'_>,
        out: &mut Diagnostics,
    ) -> Vec<RuleTest> {
        let mut tests: Vec<RuleTest> = Vec::with_capacity(self.0.len());
        let mut taken = HashSet::new();
        for (index, (file, entry)) in self.0.into_iter().enumerate() {
            let before = out.enter(file);
            let at = Location::new(format!("tests[{index}]"), entry.span());
            let node = Node::of(&entry);
            if let Value::Table(entries) = node.value {
                let reader = Reader {
                    names,
                    context,
                    file,
                };
                let table = Table {
                    at: at.clone(),
                    entries,
                };
                let test = reader.test(table, out);
                if let Some(test) = &test
                    && !taken.insert(test.name.clone())
                {
                    let message = format!("two tests are called {:?}", test.name);
                    out.add(codes::NAME_TAKEN, &at, message);
                }
                tests.extend(test);
            } else {
                out.wrong_type(&at, "a test", &node);
            }
            out.enter(&before);
        }
        tests
    }
}

/// The keys that describe an event.
struct EventParts {
    event: Field<String>,
    with: Field<Node>,
    feedback: Field<Many<String>>,
}

impl Given {
    /// Returns all events.
    pub fn events(&self) -> &[Repeated] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::OverTime(events) => events,
        }
    }

    /// Returns the own time of the first event.
    fn happened_at(&self) -> Option<Timestamp> {
        self.events().first()?.event.happened_at()
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    names: Names<'a>,
    context: &'a Context<'a>,
    /// The file that contains the test.
    file: &'a Path,
}

impl Reader<'_> {
    /// Reads a test; `None` if it is invalid.
    fn test(&self, table: Table, out: &mut Diagnostics) -> Option<RuleTest> {
        let at = table.at.clone();
        let mut raw: RawTest = section::read(table, out);
        let moment = moment(raw.at.take(), &at, out);
        if raw.name.is_none() {
            missing(&at, "name", "say what it is about", out);
        }
        let is_over_time = raw.events.is_some() || out.concern(&join(&at.path, "events"));
        let given = match is_over_time {
            true => self.over_time(&mut raw, &at, out),
            false => self.one_event(&mut raw, &at, out),
        };
        let lasts = given.as_ref().map(|(_, lasts)| *lasts);
        let silences = self.silences(raw.silences.take(), lasts, &at, out);
        let expect = self.expect(raw.expect, is_over_time, &at, out);
        let (name, (given, lasts)) = (raw.name?.into_inner(), given?);
        Some(RuleTest {
            name,
            at: moment?.or_else(|| given.happened_at()).unwrap_or(AT),
            given,
            lasts,
            silences: silences?,
            expect: expect?,
        })
    }

    /// Reads `event` and the keys about it.
    fn one_event(
        &self,
        raw: &mut RawTest,
        test: &Location,
        out: &mut Diagnostics,
    ) -> Option<(Given, Duration)> {
        refuse_without_events(raw, test, out);
        if raw.event.is_none() {
            let help = "name a file with an event; `feedback-relay events sample` has some";
            missing(test, "event", help, out);
        }
        let parts = EventParts {
            event: raw.event.take(),
            with: raw.with.take(),
            feedback: raw.feedback.take(),
        };
        let event = self.modified_event(parts, test, out)?;
        Some((Given::One(Box::new(Repeated::once(event))), Duration::ZERO))
    }

    /// Reads an event with its `with` and `feedback`; `None` if it is missing or invalid.
    fn modified_event(
        &self,
        parts: EventParts,
        parent: &Location,
        out: &mut Diagnostics,
    ) -> Option<Event> {
        let with = event::with(parts.with, parent, out);
        let file = parts.event?;
        let at = parent.key("event", file.span());
        let event = self.event(&file, with.as_ref()?, &at, out)?;
        let reports = elements(parts.feedback);
        match reports.is_empty() {
            true => Some(event),
            false => self.with_reports(event, &reports, parent, out),
        }
    }

    /// Reads `expect`; `None` if it is missing or invalid.
    fn expect(
        &self,
        written: Field<RawExpect>,
        is_over_time: bool,
        test: &Location,
        out: &mut Diagnostics,
    ) -> Option<Expect> {
        let Some(written) = written else {
            let help = "write the expected outcome: expect = { rule = \"…\", sent_to = \"…\" }";
            missing(test, "expect", help, out);
            return None;
        };
        let at = test.key("expect", written.span());
        let raw = written.into_inner();
        if raw.is_empty() && !out.concern(&at.path) {
            let help = match is_over_time {
                true => "write one of `messages`, `edits`, `incidents` and `suppressed`",
                false => {
                    "write one of `rule`, `sent_to`, `severity`, `template`, `contains`, `lacks`, `unrouted`, \
                     `messages`, `edits`, `incidents` and `suppressed`"
                }
            };
            out.add_with_help(codes::MISSING_KEY, &at, "nothing is expected", help);
        }
        if is_over_time {
            refuse_about_one(&raw, &at, out);
        }
        expect::read(raw, &at, self.names, self.file, out)
    }
}

/// The clock's time if neither the test nor the event has one: the beginning of 2026.
const AT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Reads `at`: a string or a TOML date, with its offset. `None` if it is invalid.
fn moment(
    written: Field<Node>,
    test: &Location,
    out: &mut Diagnostics,
) -> Option<Option<Timestamp>> {
    let Some(written) = written else {
        return Some(None);
    };
    let at = test.key("at", written.span());
    let node = written.into_inner();
    let (Value::Text(written) | Value::Date(written)) = &node.value else {
        out.wrong_type(&at, "a time", &node);
        return None;
    };
    let Ok(moment) = written.parse::<jiff::Timestamp>() else {
        let help = "write the date, the time and the offset, like \"2026-03-01T02:10:00+08:00\"";
        out.add_with_help(codes::WRONG_VALUE, &at, "not a time", help);
        return None;
    };
    Some(Some(Timestamp::from_millis(moment.as_millisecond())))
}

/// Converts the entries of a table to JSON.
pub(super) fn json(entries: &Entries) -> serde_json::Map<String, serde_json::Value> {
    let member = |(key, node): &(Spanned<String>, Node)| (key.get_ref().clone(), json_value(node));
    entries.iter().map(member).collect()
}

fn json_value(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Whole(number) => (*number).into(),
        Value::Huge => serde_json::Value::Null,
        Value::Fraction(number) => (*number).into(),
        Value::Flag(flag) => (*flag).into(),
        // As the platform writes it: no `T`, no offset.
        Value::Date(date) => date.replace('T', " ").into(),
        Value::List(items) => items.iter().map(json_value).collect(),
        Value::Table(entries) => json(entries).into(),
    }
}
