//! Reads `[[digests]]`.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use toml::Spanned;

use super::Reader;
use crate::model::{DestinationName, Event, EventKind, Moment};
use crate::rules::matcher::{Matcher, Subject, all_hold};
use crate::rules::{Known, conditions, hours, kinds};
use crate::toml_reader::{
    Diagnostics, Field, Keys, Location, Many, Node, Table, Value, codes, join, keys, schema,
    suggest,
};

keys! {
    /// A message at fixed times about the reports that came since the time before
    pub(in crate::rules) struct RawDigest needs ["name", "at", "send_to"] {
        /// The digest's name, in its message and in the store
        name: String,
        /// When it is sent: a time, with days before it unless it is daily. The zone is `timezone` of [templates] unless written
        at: String [schema::form(hours::MOMENT_PATTERN, hours::MOMENT_EXAMPLES)],
        /// Names of [destinations]
        send_to: Many<String>,
        /// Conditions that must all hold; without it, every report counts
        wanted @ "match": Node [conditions::schema("All must hold")],
    }
}

/// A checked entry of `[[digests]]`.
#[derive(Clone, Debug)]
pub struct DigestSettings {
    pub name: String,
    /// The times at which it is sent.
    pub at: Moment,
    pub send_to: Vec<DestinationName>,
    /// Everything that is written in it, to find what a reload changes.
    pub written: String,
    wanted: Vec<Matcher>,
}

impl DigestSettings {
    /// Returns whether the digest counts this report.
    pub fn takes(&self, event: &Event) -> bool {
        let mut subjects = Subject::all_of(event).into_iter();
        subjects.any(|subject| all_hold(&self.wanted, subject))
    }
}

/// Reads all entries. Mistakes are reported; an entry with a mistake is left out.
pub fn digests(entries: &Node, known: &Known, out: &mut Diagnostics) -> Vec<DigestSettings> {
    let Value::List(entries) = &entries.value else {
        let at = Location::new("digests", entries.span.clone());
        let message = "expected a list of digests";
        out.add_with_help(
            codes::WRONG_TYPE,
            &at,
            message,
            "begin each with [[digests]]",
        );
        return Vec::new();
    };
    let mut read: BTreeMap<String, DigestSettings> = BTreeMap::new();
    for (index, node) in entries.iter().enumerate() {
        let at = Location::new(format!("digests[{index}]"), node.span.clone());
        let Some(digest) = digest(node, &at, known, out) else {
            continue;
        };
        if read.contains_key(&digest.name) {
            let at = at.key("name", node.span_of("name"));
            let message = format!("two digests are called \"{}\"", digest.name);
            out.add(codes::NAME_TAKEN, &at, message);
            continue;
        }
        read.insert(digest.name.clone(), digest);
    }
    read.into_values().collect()
}

fn digest(
    node: &Node,
    at: &Location,
    known: &Known,
    out: &mut Diagnostics,
) -> Option<DigestSettings> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a digest", node);
        return None;
    };
    let mut table = Table {
        at: at.clone(),
        entries: entries.clone(),
    };
    let mut raw: RawDigest = table.read(out);
    for (key, _) in &table.entries {
        let keys = RawDigest::KEYS.iter().map(|key| key.name);
        let help = suggest::key(key.get_ref(), &keys.collect::<Vec<_>>());
        out.unknown_key(&at.key(key.get_ref(), key.span()), key.get_ref(), help);
    }
    for (key, is_read) in [
        ("name", raw.name.is_some()),
        ("at", raw.at.is_some()),
        ("send_to", raw.send_to.is_some()),
    ] {
        if !is_read && !out.concern(&join(&at.path, key)) {
            out.add(codes::MISSING_KEY, at, format!("the digest has no `{key}`"));
        }
    }
    let mut reader = Reader { out, at };
    let wanted = reader.counted(raw.wanted.take(), known);
    let name = raw.name.and_then(|name| reader.line("name", name));
    let moment = raw.at.and_then(|at| reader.moment(&at, known));
    if raw
        .send_to
        .as_ref()
        .is_some_and(|to| to.get_ref().is_empty())
    {
        let at = at.key("send_to", node.span_of("send_to"));
        let message = "a digest without a destination is never sent";
        let help = "name a destination, or remove the digest";
        reader.out.add_with_help(codes::EMPTY, &at, message, help);
    }
    let send_to = reader.send_to(raw.send_to, known);
    Some(DigestSettings {
        name: name?,
        at: moment?,
        send_to,
        written: node.to_string(),
        wanted,
    })
}

impl Reader<'_> {
    /// Reads `match` of a digest, which counts new feedback only.
    fn counted(&mut self, node: Field<Node>, known: &Known) -> Vec<Matcher> {
        let before = self.out.count();
        let span = node.as_ref().map(Spanned::span);
        let mut wanted = self.set("match", node, known);
        kinds::settle(&mut wanted, self.at);
        let is_sound = self.out.count() == before;
        if is_sound && !kinds::taken_by(&wanted).contains(&EventKind::Created) {
            let at = self.at.key("match", span.unwrap_or_default());
            let message = "a digest counts new feedback only, so this one is never sent";
            let help = "remove `event` and `status` from its `match`";
            self.out
                .add_with_help(codes::UNKNOWN_VALUE, &at, message, help);
        }
        wanted
    }

    fn moment(&mut self, written: &Spanned<String>, known: &Known) -> Option<Moment> {
        let zone = known.timezone.clone().unwrap_or(TimeZone::UTC);
        match hours::parse_moment(written.get_ref(), &zone) {
            Ok(moment) => Some(moment),
            Err(bad) => {
                let at = self.at.key("at", written.span());
                self.out
                    .report(codes::UNKNOWN_VALUE, &at, bad.message, Some(bad.help));
                None
            }
        }
    }
}
