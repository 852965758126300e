//! Reads the value of one condition: checks and compiles every element.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::model::{AppName, EventKind, FaultKind, FeedbackKind, FeedbackStatus, SourceKind};

use super::matcher::Glob;
use super::raw::{Node, Value};
use super::{Known, Word};
use crate::toml_reader::suggest::value as did_you_mean;
use crate::toml_reader::{Diagnostics, Key, Location, codes};

/// How many values one key may list.
const VALUES_MAX: usize = 1000;
/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1000;
/// The size limit of one compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The largest accepted code. Feishu's code fields have 32 bits.
const CODE_MAX: i64 = i32::MAX as i64;

/// Reads the value of one key.
pub(super) struct Reader<'a> {
    pub(super) out: &'a mut Diagnostics,
    pub(super) at: Location,
    pub(super) known: &'a Known,
    /// The keys of the rule around the conditions.
    pub(super) rule_keys: &'static [Key],
    /// How many `any` the condition is in.
    pub(super) depth: usize,
}

/// An element of a list of words: its value, its place, and the list of `[lists]` it comes from.
struct Element<'a> {
    at: Location,
    node: Cow<'a, Node>,
    list: Option<&'a str>,
}

impl Reader<'_> {
    /// Reads each element, including those of named lists. `None` if one is invalid, or there is none.
    pub(super) fn each<T>(
        &mut self,
        node: &Node,
        read: impl Fn(&mut Self, &Location, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let at = self.at.clone();
        if node.elements().is_empty() {
            let help = Some("remove the key to accept any value".to_owned());
            let message = "an empty list matches nothing";
            self.out.report(codes::EMPTY, &at, message, help);
            return None;
        }
        let elements = self.elements(node)?;
        if elements.len() > VALUES_MAX {
            let message = format!(
                "{} values; at most {VALUES_MAX} can be listed",
                elements.len()
            );
            self.out
                .report(codes::RULE_OUT_OF_RANGE, &at, message, None);
            return None;
        }
        let mut values = Vec::with_capacity(elements.len());
        for element in &elements {
            let before = self.out.count();
            values.extend(read(self, &element.at, &element.node));
            if let Some(list) = element.list {
                for said in self.out.since(before) {
                    said.message.push_str(&format!(", in the list \"{list}\""));
                }
            }
        }
        (values.len() == elements.len()).then_some(values)
    }

    /// Returns the elements. `"@name"` is replaced by the words of that list of `[lists]`; `"@@x"` is read as the
    /// text `@x`.
    fn elements<'n>(&mut self, node: &'n Node) -> Option<Vec<Element<'n>>>
    where
        Self: 'n,
    {
        let base = self.at.clone();
        let mut all = Vec::with_capacity(node.elements().len());
        let mut sound = true;
        for (index, element) in node.elements().iter().enumerate() {
            let at = base.element(node, index, element);
            let text = element.text().unwrap_or_default();
            match (list_named(text), text.strip_prefix('@')) {
                (None, None) => all.push(Element::written(at, Cow::Borrowed(element))),
                (None, Some(literal)) => {
                    let node = Node {
                        span: element.span.clone(),
                        value: Value::Text(literal.to_owned()),
                    };
                    all.push(Element::written(at, Cow::Owned(node)));
                }
                (Some(name), _) => match self.list(&at, name) {
                    Some(words) => all.extend(words.iter().map(|word| Element {
                        at: at.clone(),
                        node: Cow::Owned(Node {
                            span: element.span.clone(),
                            value: match word {
                                Word::Text(text) => Value::Text(text.clone()),
                                Word::Whole(number) => Value::Whole(*number),
                            },
                        }),
                        list: Some(name),
                    })),
                    None => sound = false,
                },
            }
        }
        sound.then_some(all)
    }

    /// Returns the words of a list.
    fn list(&mut self, at: &Location, name: &str) -> Option<Vec<Word>> {
        if let Some(words) = self.known.lists.get(name) {
            return Some(words.clone());
        }
        let message = format!("`[lists]` has no \"{name}\"");
        let literal = format!("for the text itself, write \"@@{name}\"");
        let help = match did_you_mean(name, self.known.lists.keys().map(String::as_str)) {
            Some(help) => format!("{help}; {literal}"),
            None => literal,
        };
        self.out
            .report(codes::UNKNOWN_LIST, at, message, Some(help));
        None
    }

    pub(super) fn flag(&mut self, node: &Node) -> Option<bool> {
        let flag = node.flag();
        if flag.is_none() {
            self.out.wrong_type(&self.at, "a boolean", node);
        }
        flag
    }

    pub(super) fn text(&mut self, at: &Location, node: &Node) -> Option<String> {
        match node.text() {
            Some("") => self
                .out
                .add(codes::EMPTY, at, "an empty text matches nothing"),
            None => self.out.wrong_type(at, "a string", node),
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    /// Reads any id of a person. Only impossible ids are refused, because a tenant chooses its own user ids.
    pub(super) fn user_id(&mut self, at: &Location, node: &Node) -> Option<String> {
        let id = self.text(at, node)?;
        let other = ["oc_", "om_", "od-", "cli_"];
        let is_other = other.iter().any(|prefix| id.starts_with(prefix));
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '*');
        if !is_other && id.chars().all(plain) {
            return Some(id);
        }
        let help = "write an open id `ou_…`, a union id `on_…` or a user id; the event's `user_id` has them";
        let message = format!("\"{id}\" is not the id of a person");
        self.out
            .report(codes::UNKNOWN_VALUE, at, message, Some(help.to_owned()));
        None
    }

    pub(super) fn contact(&mut self, at: &Location, node: &Node) -> Option<Glob> {
        if matches!(node.value, Value::Text(_)) {
            return self.glob(at, node);
        }
        self.out
            .wrong_type(at, "true, false or patterns like \"*@example.com\"", node);
        None
    }

    pub(super) fn event(&mut self, at: &Location, node: &Node) -> Option<EventKind> {
        let name = self.text(at, node)?;
        let kind = EventKind::from_key(&name);
        if kind.is_none() {
            let message = format!("`event` has no value \"{name}\"");
            let help = where_it_belongs("event", &name);
            self.out.report(codes::UNKNOWN_VALUE, at, message, help);
        }
        kind
    }

    pub(super) fn via(&mut self, at: &Location, node: &Node) -> Option<AppName> {
        let name = self.text(at, node)?;
        let found = self.known.apps.iter().find(|app| app.as_str() == name);
        if found.is_none() {
            let help = did_you_mean(&name, self.known.apps.iter().map(AppName::as_str));
            let message = format!("`[apps]` has no \"{name}\"");
            self.out.report(codes::UNKNOWN_VIA, at, message, help);
        }
        found.cloned()
    }

    /// Reads an app as its ids: one name may stand for several.
    pub(super) fn app(&mut self, at: &Location, node: &Node) -> Option<Vec<String>> {
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
        self.out.report(codes::UNKNOWN_APP_NAME, at, message, help);
        None
    }

    /// Reads codes of the enumeration `T`, which `key` names.
    pub(super) fn codes<T>(
        &mut self,
        node: &Node,
        key: &str,
        into: fn(i64) -> T,
    ) -> Option<Vec<T>> {
        self.each(node, |this, at, one| this.code(at, one, key).map(into))
    }

    /// Reads a code of an enumeration: its name or its number.
    fn code(&mut self, at: &Location, node: &Node, key: &str) -> Option<i64> {
        match &node.value {
            Value::Whole(code) if (0..=CODE_MAX).contains(code) => Some(*code),
            Value::Whole(code) => {
                let message = format!("{code} is not a code: codes are from 0 to {CODE_MAX}");
                self.out.report(codes::RULE_OUT_OF_RANGE, at, message, None);
                None
            }
            Value::Text(name) => match code_named(key, name) {
                Some(code) => Some(code),
                None => {
                    let message = format!("`{key}` has no value \"{name}\"");
                    let help = where_it_belongs(key, name);
                    self.out.report(codes::UNKNOWN_VALUE, at, message, help);
                    None
                }
            },
            _ => {
                self.out.wrong_type(at, "a name or a number", node);
                None
            }
        }
    }

    fn pattern(&mut self, at: &Location, node: &Node) -> Option<String> {
        let pattern = self.text(at, node)?;
        if pattern.len() <= PATTERN_BYTES_MAX {
            return Some(pattern);
        }
        let message = format!("the pattern is longer than {PATTERN_BYTES_MAX} bytes");
        self.out.report(codes::RULE_OUT_OF_RANGE, at, message, None);
        None
    }

    pub(super) fn glob(&mut self, at: &Location, node: &Node) -> Option<Glob> {
        let written = self.pattern(at, node)?;
        match Glob::new(&written) {
            Ok(glob) => Some(glob),
            Err(reason) => {
                let message = format!("the glob \"{written}\" cannot be read: {reason}");
                self.out.report(codes::BAD_PATTERN, at, message, None);
                None
            }
        }
    }

    pub(super) fn regex(&mut self, at: &Location, node: &Node) -> Option<Regex> {
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
                self.out.report(codes::BAD_PATTERN, at, message, help);
                None
            }
        }
    }
}

impl<'a> Element<'a> {
    /// Returns an element that is written in the condition itself.
    const fn written(at: Location, node: Cow<'a, Node>) -> Self {
        Self {
            at,
            node,
            list: None,
        }
    }
}

/// Returns the list of `[lists]` that this text refers to.
pub(super) fn list_named(text: &str) -> Option<&str> {
    let name = text.strip_prefix('@')?;
    (!name.starts_with('@')).then_some(name)
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

/// Returns what to write instead of `key = "name"`: another key, or another name.
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

/// Returns the error as one sentence. The `regex` crate draws the pattern with a caret below it; the caret
/// becomes a position.
fn in_one_line(error: &regex::Error) -> String {
    let drawn = error.to_string();
    let lines: Vec<&str> = drawn.lines().collect();
    let what = lines.last().copied().unwrap_or_default();
    let what = what.strip_prefix("error: ").unwrap_or(what);
    // The pattern and the caret are indented by four columns; a pattern of several lines is drawn differently.
    match lines.as_slice() {
        [_, _, caret, _] => match caret.find('^').and_then(|at| at.checked_sub(4)) {
            Some(at) => format!("{what}, at character {}", at + 1),
            None => what.to_owned(),
        },
        _ => what.to_owned(),
    }
}
