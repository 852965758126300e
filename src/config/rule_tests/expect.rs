//! `expect`: what a test demands, each demand with its place.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::Names;
use crate::config::codes::Code;
use crate::config::keys::RawExpect;
use crate::config::section::Section;
use crate::config::spans::{Diagnostics, Location, join};
use crate::config::values::Many;
use crate::config::{codes, hints};
use crate::diag::Place;
use crate::model::{DestinationName, RuleName, Severity};

/// A demand and where it stands.
#[derive(Clone, Debug)]
pub struct Expected<T> {
    /// What is demanded.
    pub value: T,
    /// Where it is written.
    pub place: Place,
}

impl<T> Expected<T> {
    fn map<U>(self, into: impl FnOnce(T) -> U) -> Expected<U> {
        Expected {
            value: into(self.value),
            place: self.place,
        }
    }
}

/// What a test demands. Where `rules` are named, the rest speaks of what those rules send; else of all that
/// is sent.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Rules that must take the event.
    pub rules: Vec<Expected<RuleName>>,
    /// Who must be told, nobody else and nobody less.
    pub sent_to: Option<Expected<Vec<DestinationName>>>,
    /// How severe the most severe message must be.
    pub severity: Option<Expected<Severity>>,
    /// Which template the most severe message must use.
    pub template: Option<Expected<String>>,
    /// What every message must say.
    pub contains: Vec<Expected<String>>,
    /// Whether no rule may take the event for good.
    pub unrouted: Option<Expected<bool>>,
}

/// Reads `expect`; `None` if anything in it is wrong.
pub(super) fn read(
    section: Section<'_>,
    names: Names<'_>,
    file: &Path,
    out: &mut Diagnostics,
) -> Option<Expect> {
    let at = section.at.clone();
    if section.table.is_empty() && at.span.is_some() && !out.concern(&at.path) {
        let help =
            "write one of `rule`, `sent_to`, `severity`, `template`, `contains` and `unrouted`";
        out.add_with_help(codes::MISSING_KEY, &at, "nothing is expected", help);
    }
    let raw: RawExpect = section.read(out);
    let reader = Reader { at: &at, file };
    let rules = raw.rule.map_or_else(Vec::new, |rules| rules.0);
    for rule in &rules {
        let known = names.rules.iter().map(|rule| rule.name.as_str());
        reader.name(rule, ("rule", "rule", codes::UNKNOWN_RULE), known, out);
    }
    let destinations = names.destinations.iter().map(DestinationName::as_str);
    let sent_to = raw.sent_to.map(|written| {
        let what = ("sent_to", "destination", codes::UNKNOWN_DESTINATION);
        for name in &written.0 {
            reader.name(name, what, destinations.clone(), out);
        }
        reader.names(written)
    });
    if let Some(template) = &raw.template {
        let known = names.templates.iter().map(String::as_str);
        let what = ("template", "template", codes::NO_TEMPLATE);
        reader.name(template, what, known, out);
    }
    let contains = raw.contains.map_or_else(Vec::new, |texts| texts.0);
    let contains = contains
        .into_iter()
        .map(|text| reader.one("contains", text));
    let expect = Expect {
        rules: rules
            .into_iter()
            .map(|rule| reader.one("rule", rule).map(RuleName::new))
            .collect(),
        sent_to,
        severity: raw
            .severity
            .map(|one| reader.one("severity", one).map(Severity::from)),
        template: raw.template.map(|one| reader.one("template", one)),
        contains: contains.collect(),
        unrouted: raw.unrouted.map(|one| reader.one("unrouted", one)),
    };
    (!out.concern(&at.path)).then_some(expect)
}

/// The table that is read.
struct Reader<'a> {
    at: &'a Location,
    file: &'a Path,
}

impl Reader<'_> {
    /// Complains of a name that nothing has.
    fn name<'n>(
        &self,
        name: &Spanned<String>,
        (key, what, code): (&str, &str, Code),
        known: impl Iterator<Item = &'n str> + Clone,
        out: &mut Diagnostics,
    ) {
        let given = name.get_ref();
        if !known.clone().any(|known| known == given) {
            let message = format!("there is no {what} {given:?}");
            let at = self.at.key(key, name.span());
            out.add_with_help(code, &at, message, hints::which(given, known));
        }
    }

    fn one<T>(&self, key: &str, written: Spanned<T>) -> Expected<T> {
        Expected {
            place: self.place(key, written.span()),
            value: written.into_inner(),
        }
    }

    /// A list that is demanded as a whole; it stands at its first value, or where an empty one would.
    fn names(&self, written: Many<Spanned<String>>) -> Expected<Vec<DestinationName>> {
        let first = written.0.first().map(Spanned::span);
        let span = first.or_else(|| self.at.span.clone()).unwrap_or_default();
        let names = written.0.into_iter();
        Expected {
            value: names
                .map(|name| DestinationName::new(name.into_inner()))
                .collect(),
            place: self.place("sent_to", span),
        }
    }

    fn place(&self, key: &str, span: Range<usize>) -> Place {
        Place {
            file: Some(self.file.to_owned()),
            span: Some(span),
            path: join(&self.at.path, key),
            variable: None,
        }
    }
}
