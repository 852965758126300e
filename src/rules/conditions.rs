//! Reads `match` and `except`: checks every value and compiles it.

use regex::{Regex, RegexBuilder};

use crate::model::{AppName, EventKind, FaultKind, FeedbackKind, FeedbackStatus, SourceKind};

use super::Known;
use super::codes;
use super::glob;
use super::matcher::{Glob, Matcher, Test};
use super::raw::{Node, Value};
use super::report::{At, Report, did_you_mean};

/// How many values one key may list.
const VALUES_MAX: usize = 1000;
/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1000;
/// What one compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The largest code of an enumeration: Feishu's fields are 32-bit.
const CODE_MAX: i64 = i32::MAX as i64;

/// The keys of `match` and `except`.
pub const KEYS: &[&str] = &[
    "event",
    "status",
    "app",
    "via",
    "type",
    "fault",
    "source",
    "tenant",
    "path",
    "tenant_key",
    "description",
    "contact",
    "images",
    "user",
];
/// What Feishu calls these in its events, and what they are here.
const ALIASES: &[(&str, &str)] = &[
    ("event_type", "event"),
    ("feedback_type", "type"),
    ("fault_type", "fault"),
    ("tenant_name", "tenant"),
    ("feedback_path", "path"),
    ("app_id", "app"),
    ("open_id", "user"),
    ("user_id", "user"),
];

/// The key of `match` that Feishu's field `name` is about.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    let found = ALIASES.iter().find(|(theirs, _)| *theirs == name);
    found.map(|(_, ours)| *ours)
}

/// Reads one `match` or `except`. What is wrong is reported and left out.
pub(super) fn read(report: &mut Report, at: &At, node: &Node, known: &Known) -> Vec<Matcher> {
    let Value::Table(entries) = &node.value else {
        report.wrong_type(at, "a table of conditions", node);
        return Vec::new();
    };
    let mut matchers = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.get_ref().as_str();
        let Some(key_known) = KEYS.iter().find(|known| **known == name) else {
            unknown_key(report, &at.key(name, key.span()), name);
            continue;
        };
        let mut reader = Reader {
            report: &mut *report,
            at: at.key(name, value.span.clone()),
            known,
        };
        if let Some(test) = reader.test(key_known, value) {
            matchers.push(Matcher {
                key: key_known,
                wanted: value.to_string(),
                test,
            });
        }
    }
    matchers
}

fn unknown_key(report: &mut Report, at: &At, name: &str) {
    let help = match alias(name) {
        Some(ours) => Some(format!("Feishu's `{name}` is `{ours}` here")),
        None if super::read::KEYS.contains(&name) => Some(format!(
            "`{name}` belongs to the rule, not to its conditions"
        )),
        None => did_you_mean(name, KEYS.iter().copied()),
    };
    let message = format!("conditions have no key `{name}`");
    report.error(codes::UNKNOWN_KEY, at, message, help);
}

/// Reads the value of one key.
struct Reader<'a> {
    report: &'a mut Report,
    at: At,
    known: &'a Known,
}

impl Reader<'_> {
    fn test(&mut self, key: &str, node: &Node) -> Option<Test> {
        Some(match key {
            "event" => Test::Event(self.each(node, Self::event)?),
            "status" => Test::Status(self.each(node, |this, at, one| {
                this.code(at, one, "status").map(FeedbackStatus)
            })?),
            "app" => Test::App(self.apps(node)?),
            "via" => Test::Via(self.each(node, Self::via)?),
            "type" => Test::Kind(self.each(node, |this, at, one| {
                this.code(at, one, "type").map(FeedbackKind)
            })?),
            "fault" => Test::Fault(self.each(node, |this, at, one| {
                this.code(at, one, "fault").map(FaultKind)
            })?),
            "source" => Test::Source(self.each(node, |this, at, one| {
                this.code(at, one, "source").map(SourceKind)
            })?),
            "tenant" => Test::Tenant(self.each(node, Self::glob)?),
            "path" => Test::Path(self.each(node, Self::glob)?),
            "tenant_key" => Test::TenantKey(self.each(node, Self::text)?),
            "description" => Test::Description(self.each(node, Self::regex)?),
            "contact" => Test::Contact(self.flag(node)?),
            "images" => Test::Images(self.flag(node)?),
            "user" => Test::User(self.each(node, Self::open_id)?),
            // `KEYS` and these arms list the same; a test holds them to it.
            _ => return None,
        })
    }

    /// Reads each element. `None` if one is wrong, or there is none.
    fn each<T>(
        &mut self,
        node: &Node,
        read: impl Fn(&mut Self, &At, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = node.elements();
        let at = self.at.clone();
        if elements.is_empty() {
            let help = Some("leave the key out if any value will do".to_owned());
            let message = "an empty list matches nothing";
            self.report.error(codes::EMPTY, &at, message, help);
            return None;
        }
        if elements.len() > VALUES_MAX {
            let message = format!(
                "{} values; at most {VALUES_MAX} can be listed",
                elements.len()
            );
            self.report.error(codes::OUT_OF_RANGE, &at, message, None);
            return None;
        }
        let mut values = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            values.extend(read(self, &at.element(node, index, element), element));
        }
        (values.len() == elements.len()).then_some(values)
    }

    fn flag(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Flag(flag) => Some(*flag),
            Value::Text(_)
            | Value::Whole(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Foreign(_) => {
                self.report.wrong_type(&self.at, "true or false", node);
                None
            }
        }
    }

    fn text(&mut self, at: &At, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) if text.is_empty() => {
                let message = "an empty text matches nothing";
                self.report.error(codes::EMPTY, at, message, None);
                None
            }
            Value::Text(text) => Some(text.clone()),
            Value::Whole(_)
            | Value::Flag(_)
            | Value::List(_)
            | Value::Table(_)
            | Value::Foreign(_) => {
                self.report.wrong_type(at, "a text", node);
                None
            }
        }
    }

    fn open_id(&mut self, at: &At, node: &Node) -> Option<String> {
        let id = self.text(at, node)?;
        if id.starts_with("ou_") {
            return Some(id);
        }
        let help = Some("an open id begins with `ou_`; the event's `open_id` is one".to_owned());
        let message = format!("\"{id}\" is not an open id");
        self.report.error(codes::UNKNOWN_VALUE, at, message, help);
        None
    }

    fn event(&mut self, at: &At, node: &Node) -> Option<EventKind> {
        let name = self.text(at, node)?;
        let kind = EventKind::from_key(&name);
        if kind.is_none() {
            let message = format!("`event` has no value \"{name}\"");
            let help = where_it_belongs("event", &name);
            self.report.error(codes::UNKNOWN_VALUE, at, message, help);
        }
        kind
    }

    fn via(&mut self, at: &At, node: &Node) -> Option<AppName> {
        let name = self.text(at, node)?;
        let found = self.known.apps.iter().find(|app| app.as_str() == name);
        if found.is_none() {
            let help = did_you_mean(&name, self.known.apps.iter().map(AppName::as_str));
            let message = format!("`[apps]` has no \"{name}\"");
            self.report.error(codes::UNKNOWN_VIA, at, message, help);
        }
        found.cloned()
    }

    /// Ids of apps. One name may stand for several ids.
    fn apps(&mut self, node: &Node) -> Option<Vec<String>> {
        Some(self.each(node, Self::app)?.concat())
    }

    fn app(&mut self, at: &At, node: &Node) -> Option<Vec<String>> {
        let name = self.text(at, node)?;
        let named = self
            .known
            .app_ids
            .iter()
            .filter(|(known, _)| *known == name);
        let ids: Vec<String> = named.map(|(_, id)| id.clone()).collect();
        if !ids.is_empty() {
            return Some(ids);
        }
        if name.starts_with("cli_") {
            return Some(vec![name]);
        }
        let names = self.known.app_ids.iter().map(|(known, _)| known.as_str());
        let help = did_you_mean(&name, names);
        let message =
            format!("\"{name}\" is neither a name of `[apps]` or `[app_names]` nor an id `cli_…`");
        self.report.error(codes::UNKNOWN_APP, at, message, help);
        None
    }

    /// A code of an enumeration: by its name, or a number.
    fn code(&mut self, at: &At, node: &Node, key: &str) -> Option<i64> {
        match &node.value {
            Value::Whole(code) if (0..=CODE_MAX).contains(code) => Some(*code),
            Value::Whole(code) => {
                let message = format!("{code} is no code: they go from 0 to {CODE_MAX}");
                self.report.error(codes::OUT_OF_RANGE, at, message, None);
                None
            }
            Value::Text(name) => match code_named(key, name) {
                Some(code) => Some(code),
                None => {
                    let message = format!("`{key}` has no value \"{name}\"");
                    let help = where_it_belongs(key, name);
                    self.report.error(codes::UNKNOWN_VALUE, at, message, help);
                    None
                }
            },
            Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Foreign(_) => {
                self.report.wrong_type(at, "a name or a number", node);
                None
            }
        }
    }

    fn pattern(&mut self, at: &At, node: &Node) -> Option<String> {
        let pattern = self.text(at, node)?;
        if pattern.len() <= PATTERN_BYTES_MAX {
            return Some(pattern);
        }
        let message = format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes");
        self.report.error(codes::OUT_OF_RANGE, at, message, None);
        None
    }

    fn glob(&mut self, at: &At, node: &Node) -> Option<Glob> {
        let written = self.pattern(at, node)?;
        match glob::compile(&written) {
            Ok(regex) => Some(Glob { written, regex }),
            Err(reason) => {
                let message = format!("the glob \"{written}\" cannot be read: {reason}");
                self.report.error(codes::BAD_PATTERN, at, message, None);
                None
            }
        }
    }

    fn regex(&mut self, at: &At, node: &Node) -> Option<Regex> {
        let pattern = self.pattern(at, node)?;
        match RegexBuilder::new(&pattern)
            .size_limit(REGEX_BYTES_MAX)
            .build()
        {
            Ok(regex) => Some(regex),
            Err(error) => {
                let help = matches!(error, regex::Error::CompiledTooBig(_))
                    .then(|| "repeat less, e.g. `x{1,50}` instead of `x{1,5000}`".to_owned());
                let message = format!(
                    "the regular expression cannot be read: {}",
                    in_one_line(&error)
                );
                self.report.error(codes::BAD_PATTERN, at, message, help);
                None
            }
        }
    }
}

fn code_named(key: &str, name: &str) -> Option<i64> {
    match key {
        "type" => FeedbackKind::from_key(name).map(|kind| kind.0),
        "fault" => FaultKind::from_key(name).map(|fault| fault.0),
        "source" => SourceKind::from_key(name).map(|source| source.0),
        "status" => FeedbackStatus::from_key(name).map(|status| status.0),
        _ => None,
    }
}

/// What to write instead of `key = "name"`: another key, or another name.
fn where_it_belongs(key: &str, name: &str) -> Option<String> {
    if key != "event" && name.parse::<i64>().is_ok() {
        return Some(format!("write a number without quotes: {key} = {name}"));
    }
    let other = ["type", "fault", "source", "status"]
        .into_iter()
        .find(|other| code_named(other, name).is_some());
    if EventKind::from_key(name).is_some() {
        return Some(format!("{name} is an event: write event = \"{name}\""));
    }
    if let Some(other) = other {
        return Some(format!("{name} is a {other}: write {other} = \"{name}\""));
    }
    if let Some((key, value)) = super::words::meant(key, name) {
        return Some(format!("write {key} = \"{value}\""));
    }
    match key {
        "type" => did_you_mean(name, FeedbackKind::KNOWN.iter().filter_map(|one| one.key())),
        "fault" => did_you_mean(name, FaultKind::KNOWN.iter().filter_map(|one| one.key())),
        "event" => did_you_mean(name, EventKind::ALL.iter().map(|one| one.key())),
        "status" => did_you_mean(
            name,
            FeedbackStatus::KNOWN.iter().filter_map(|one| one.key()),
        ),
        _ => did_you_mean(name, SourceKind::KNOWN.iter().filter_map(|one| one.key())),
    }
}

/// The error in one sentence; the crate draws the pattern with a caret below it, which becomes a number.
fn in_one_line(error: &regex::Error) -> String {
    let drawn = error.to_string();
    let lines: Vec<&str> = drawn.lines().collect();
    let what = lines.last().copied().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    // The pattern and the caret stand four columns in; a pattern of several lines is drawn otherwise.
    match lines.as_slice() {
        [_, _, caret, _] => match caret.find('^').and_then(|at| at.checked_sub(4)) {
            Some(at) => format!("{what}, at character {}", at + 1),
            None => what.to_owned(),
        },
        _ => what.to_owned(),
    }
}
