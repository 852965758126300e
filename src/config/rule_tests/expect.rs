//! Reads `expect`: what a test expects, each expectation with its place.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::Names;
use crate::config::hints;
use crate::config::keys::RawExpect;
use crate::diag::Place;
use crate::model::{DestinationName, RuleName, Severity};
use crate::toml_reader::codes::Code;
use crate::toml_reader::{Diagnostics, Field, Location, Many, Named, codes, elements, join};

/// An expected value and its place.
#[derive(Clone, Debug)]
pub struct Expected<T> {
    /// The expected value.
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

/// The expectations of a test. If `rules` are named, the other keys apply to the messages of those rules,
/// otherwise to all messages.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// Rules that must match the event.
    pub rules: Vec<Expected<RuleName>>,
    /// The exact set of destinations that must receive a message.
    pub sent_to: Option<Expected<Vec<DestinationName>>>,
    /// The severity of the most severe message.
    pub severity: Option<Expected<Severity>>,
    /// The template of the most severe message.
    pub template: Option<Expected<String>>,
    /// Texts that every message must contain.
    pub contains: Vec<Expected<String>>,
    /// Texts that no message may contain.
    pub lacks: Vec<Expected<String>>,
    /// Whether the event must be left unrouted.
    pub unrouted: Option<Expected<bool>>,
    /// The number of messages to these destinations, without edits.
    pub messages: Counts,
    /// The number of edits at these destinations.
    pub edits: Counts,
    /// The number of incidents that are opened.
    pub incidents: Option<Expected<u64>>,
    /// The number of reports of which silences mute messages.
    pub suppressed: Option<Expected<u64>>,
}

/// An expected number for each of some destinations.
pub type Counts = Vec<(DestinationName, Expected<u64>)>;

impl Expect {
    /// Returns whether anything is expected of what is sent over time.
    pub const fn counts_anything(&self) -> bool {
        !self.messages.is_empty()
            || !self.edits.is_empty()
            || self.incidents.is_some()
            || self.suppressed.is_some()
    }
}

/// Reads `expect`; `None` if any part is invalid.
pub(super) fn read(
    raw: RawExpect,
    at: &Location,
    names: Names<'_>,
    file: &Path,
    out: &mut Diagnostics,
) -> Option<Expect> {
    let reader = Reader { at, file };
    let rules = elements(raw.rule);
    for rule in &rules {
        let known = names.rule_names();
        reader.name(rule, ("rule", "rule", codes::UNKNOWN_RULE), known, out);
    }
    let destinations = names.known.destinations.iter();
    let destinations = destinations.map(DestinationName::as_str);
    let sent_to = raw.sent_to.map(|written| {
        let what = ("sent_to", "destination", codes::UNKNOWN_DESTINATION);
        for name in written.get_ref() {
            reader.name(name, what, destinations.clone(), out);
        }
        reader.names(written)
    });
    if let Some(template) = &raw.template {
        let known = names.known.templates.iter().map(String::as_str);
        let what = ("template", "template", codes::NO_TEMPLATE);
        reader.name(template, what, known, out);
    }
    let texts = |key: &str, texts| {
        let texts = elements(texts).into_iter();
        texts.map(|text| reader.one(key, text)).collect()
    };
    let expect = Expect {
        rules: rules
            .into_iter()
            .map(|rule| reader.one("rule", rule).map(RuleName::new))
            .collect(),
        sent_to,
        severity: raw.severity.map(|one| reader.one("severity", one)),
        template: raw.template.map(|one| reader.one("template", one)),
        contains: texts("contains", raw.contains),
        lacks: texts("lacks", raw.lacks),
        unrouted: raw.unrouted.map(|one| reader.one("unrouted", one)),
        messages: reader.counts("messages", raw.messages, &destinations, out),
        edits: reader.counts("edits", raw.edits, &destinations, out),
        incidents: raw
            .incidents
            .map(|one| reader.one("incidents", one).map(u64::from)),
        suppressed: raw
            .suppressed
            .map(|one| reader.one("suppressed", one).map(u64::from)),
    };
    (!out.concern(&at.path)).then_some(expect)
}

/// Reports a name that does not exist.
pub(super) fn check_known<'n>(
    name: &str,
    at: &Location,
    (what, code): (&str, Code),
    known: impl Iterator<Item = &'n str> + Clone,
    out: &mut Diagnostics,
) {
    if !known.clone().any(|known| known == name) {
        let message = format!("there is no {what} {name:?}");
        out.add_with_help(code, at, message, hints::which(name, known));
    }
}

/// Reads one `expect` table.
struct Reader<'a> {
    at: &'a Location,
    file: &'a Path,
}

impl Reader<'_> {
    /// Reports a name that does not exist.
    fn name<'n>(
        &self,
        name: &Spanned<String>,
        (key, what, code): (&str, &str, Code),
        known: impl Iterator<Item = &'n str> + Clone,
        out: &mut Diagnostics,
    ) {
        let at = self.at.key(key, name.span());
        check_known(name.get_ref(), &at, (what, code), known, out);
    }

    fn one<T>(&self, key: &str, written: Spanned<T>) -> Expected<T> {
        Expected {
            place: self.place(key, written.span()),
            value: written.into_inner(),
        }
    }

    /// Reads numbers by destination.
    fn counts<'n>(
        &self,
        key: &str,
        written: Field<Named<u32>>,
        known: &(impl Iterator<Item = &'n str> + Clone),
        out: &mut Diagnostics,
    ) -> Counts {
        let Some(written) = written else {
            return Counts::new();
        };
        let at = self.at.key(key, written.span());
        let reader = Reader {
            at: &at,
            file: self.file,
        };
        let counts = written.into_inner().into_iter();
        let counts = counts.map(|(name, count)| {
            let what = (
                name.get_ref().as_str(),
                "destination",
                codes::UNKNOWN_DESTINATION,
            );
            reader.name(&name, what, known.clone(), out);
            let count = reader.one(name.get_ref(), count).map(u64::from);
            (DestinationName::new(name.into_inner()), count)
        });
        counts.collect()
    }

    /// Reads a list that is compared as a whole.
    fn names(&self, written: Spanned<Many<String>>) -> Expected<Vec<DestinationName>> {
        let names = |names: Many<String>| {
            let names = names.into_iter();
            names
                .map(|name| DestinationName::new(name.into_inner()))
                .collect()
        };
        self.one("sent_to", written).map(names)
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
