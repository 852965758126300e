//! Reads one `[[rules]]` entry: checks every key and value, reports every mistake.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{DestinationName, EventKind, RuleName, Severity};
use crate::toml_reader::codes::Code;
use crate::toml_reader::suggest::value as did_you_mean;
use crate::toml_reader::{
    DURATION_HELP, Diagnostics, Location, NOT_A_DURATION, codes, duration, suggest,
};

use super::Known;
use super::conditions;
use super::kinds;
use super::matcher::Matcher;
use super::plan::Rule;
use super::raw::{Node, Value};

/// The longest name or label, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// How many labels a rule may have.
const LABELS_MAX: usize = 50;
/// The longest that a message may wait for its images.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// The keys of a rule.
pub const KEYS: &[&str] = &[
    "name", "match", "except", "send_to", "continue", "severity", "template", "mention", "labels",
    "wait",
];
const NOT_BUILT: &[&str] = &[
    "group_by",
    "group_from",
    "group_interval",
    "repeat_after",
    "resolve_after",
    "escalate",
    "hold",
    "when",
];

/// Reads the rule at `at`. Mistakes are reported; a rule with an error must not be used.
pub(super) fn rule(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
) -> Option<Rule> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a table", node);
        return None;
    };
    for (key, _) in entries {
        unknown_key(out, &at.key(key.get_ref(), key.span()), key.get_ref());
    }
    let mut reader = Reader { out, at, entries };
    let name = reader
        .required("name")
        .and_then(|(at, node)| reader.line(&at, node));
    let (wanted, except) = reader.conditions(known);
    let send_to = reader.send_to(known);
    let goes_on = reader.goes_on();
    let severity = reader.severity();
    let template = reader.template(known);
    let mentions = reader.mentions(known);
    let labels = reader.labels();
    let wait = reader.wait();
    Some(Rule {
        name: RuleName::new(name?),
        wanted,
        except,
        send_to,
        goes_on,
        severity,
        template,
        mentions,
        labels,
        wait,
    })
}

fn unknown_key(out: &mut Diagnostics, at: &Location, name: &str) {
    if KEYS.contains(&name) {
        return;
    }
    if NOT_BUILT.contains(&name) {
        let message = format!("`{name}` in rules is not built yet");
        out.report(codes::NOT_BUILT, at, message, None);
        return;
    }
    let condition = conditions::KEYS.iter().copied().find(|key| *key == name);
    let help = match condition.or_else(|| conditions::alias(name)) {
        Some(key) => Some(format!("it is a condition: write match = {{ {key} = … }}")),
        None => suggest::key(name, KEYS),
    };
    out.report(
        codes::UNKNOWN_KEY,
        at,
        format!("unknown key `{name}`"),
        help,
    );
}

struct Reader<'a> {
    out: &'a mut Diagnostics,
    at: &'a Location,
    entries: &'a [(toml::Spanned<String>, Node)],
}

impl<'a> Reader<'a> {
    fn get(&self, name: &str) -> Option<(Location, &'a Node)> {
        let mut entries = self.entries.iter();
        let (_, node) = entries.find(|(key, _)| key.get_ref() == name)?;
        Some((self.at.key(name, node.span.clone()), node))
    }

    fn required(&mut self, name: &str) -> Option<(Location, &'a Node)> {
        let found = self.get(name);
        if found.is_none() {
            let message = format!("the rule has no `{name}`");
            let help = (name == "send_to")
                .then(|| "with `send_to = []` matched events go nowhere".to_owned());
            self.out.report(codes::MISSING_KEY, self.at, message, help);
        }
        found
    }

    /// Reads `match`, with the default for `event`, and `except`.
    fn conditions(&mut self, known: &Known) -> (Vec<Matcher>, Vec<Matcher>) {
        let before = self.out.count();
        let found = self.get("match");
        let mut wanted = found.map_or_else(Vec::new, |(at, node)| {
            conditions::read(self.out, &at, node, known)
        });
        kinds::settle(&mut wanted, self.at);
        // Consequences of an unreadable condition are not reported.
        if self.out.count() == before {
            kinds::check_status(self.out, &wanted, EventKind::ALL);
        }
        let found = self.get("except");
        let except = found.map_or_else(Vec::new, |(at, node)| {
            conditions::read(self.out, &at, node, known)
        });
        (wanted, except)
    }

    /// Reads a text that is neither empty nor too long.
    fn line(&mut self, at: &Location, node: &'a Node) -> Option<&'a str> {
        let Value::Text(text) = &node.value else {
            self.out.wrong_type(at, "a string", node);
            return None;
        };
        if text.trim().is_empty() {
            self.out.report(codes::EMPTY, at, "the text is empty", None);
            return None;
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            let message = format!("the text is longer than {TEXT_CHARS_MAX} characters");
            self.out.report(codes::RULE_OUT_OF_RANGE, at, message, None);
            return None;
        }
        Some(text)
    }

    /// Reads a list of texts (or one), each of which `find` must know; `unknown` reports an unknown one.
    fn names(
        &mut self,
        (at, list): (Location, &'a Node),
        unknown: (Code, &str),
        known: &[&str],
    ) -> Vec<&'a str> {
        let (code, what) = unknown;
        let mut names: Vec<&str> = Vec::new();
        for (index, node) in list.elements().iter().enumerate() {
            let at = at.element(list, index, node);
            let Some(name) = self.line(&at, node) else {
                continue;
            };
            if !known.contains(&name) {
                let message = format!("{what} \"{name}\"");
                let help = did_you_mean(name, known.iter().copied());
                self.out.report(code, &at, message, help);
            } else if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn send_to(&mut self, known: &Known) -> Vec<DestinationName> {
        let Some(found) = self.required("send_to") else {
            return Vec::new();
        };
        let names: Vec<&str> = known
            .destinations
            .iter()
            .map(DestinationName::as_str)
            .collect();
        let unknown = (codes::UNKNOWN_SEND_TO, "there is no destination");
        let names = self.names(found, unknown, &names);
        names.into_iter().map(DestinationName::from).collect()
    }

    fn mentions(&mut self, known: &Known) -> Vec<String> {
        let Some(found) = self.get("mention") else {
            return Vec::new();
        };
        let people = known.mentions.iter().map(String::as_str);
        let names: Vec<&str> = people.chain(["all"]).collect();
        let unknown = (codes::UNKNOWN_MENTION, "`[mentions]` has no");
        let names = self.names(found, unknown, &names);
        names.into_iter().map(str::to_owned).collect()
    }

    fn template(&mut self, known: &Known) -> Option<String> {
        let (at, node) = self.get("template")?;
        let name = self.line(&at, node)?;
        if known.templates.iter().any(|one| one == name) {
            return Some(name.to_owned());
        }
        let help = did_you_mean(name, known.templates.iter().map(String::as_str));
        let message = format!("there is no template \"{name}\"");
        self.out.report(codes::UNKNOWN_TEMPLATE, &at, message, help);
        None
    }

    fn severity(&mut self) -> Option<Severity> {
        let (at, node) = self.get("severity")?;
        let name = self.line(&at, node)?;
        let severity = Severity::from_key(name);
        if severity.is_none() {
            let help = did_you_mean(name, Severity::ALL.iter().map(|one| one.key()));
            let message = format!("there is no severity \"{name}\"");
            self.out.report(codes::UNKNOWN_VALUE, &at, message, help);
        }
        severity
    }

    fn goes_on(&mut self) -> bool {
        let Some((at, node)) = self.get("continue") else {
            return false;
        };
        let Value::Flag(flag) = &node.value else {
            self.out.wrong_type(&at, "a boolean", node);
            return false;
        };
        *flag
    }

    fn labels(&mut self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let Some((at, node)) = self.get("labels") else {
            return labels;
        };
        let Value::Table(entries) = &node.value else {
            self.out.wrong_type(&at, "a table of strings", node);
            return labels;
        };
        if entries.len() > LABELS_MAX {
            let message = format!("{} labels; a rule has at most {LABELS_MAX}", entries.len());
            self.out
                .report(codes::RULE_OUT_OF_RANGE, &at, message, None);
        }
        for (key, value) in entries {
            let at = at.key(key.get_ref(), value.span.clone());
            if let Some(text) = self.line(&at, value) {
                labels.insert(key.get_ref().clone(), text.to_owned());
            }
        }
        labels
    }

    fn wait(&mut self) -> Option<Duration> {
        let (at, node) = self.get("wait")?;
        let Value::Text(text) = &node.value else {
            self.out.wrong_type(&at, "a duration like \"90s\"", node);
            return None;
        };
        let Some(wait) = duration(text) else {
            let help = Some(DURATION_HELP.to_owned());
            self.out
                .report(codes::WRONG_VALUE, &at, NOT_A_DURATION, help);
            return None;
        };
        if wait > WAIT_MAX {
            let message = "a message can wait at most one hour for its images";
            self.out
                .report(codes::RULE_OUT_OF_RANGE, &at, message, None);
            return None;
        }
        Some(wait)
    }
}
