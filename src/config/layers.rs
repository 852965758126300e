//! Merges the file with the `RELAY__SECTION__KEY` variables, which override it.
//!
//! The `config` crate merges the two but drops spans. So only changed values are copied from its result into the
//! file's own tree, where values keep their spans.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use config::{File, FileFormat, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::{Environment, FLAW_HELP};
use super::{flaw, misplaced};
use crate::toml_reader::{Diagnostics, Location, codes, join};

const PREFIX: &str = "RELAY";
const SEPARATOR: &str = "__";

/// Parses a file. A file with a syntax error yields nothing, because its parts would be reported twice.
pub(super) fn parse<'i>(text: &'i str, out: &mut Diagnostics) -> Option<DeTable<'i>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = Location {
            path: String::new(),
            span: error.span(),
        };
        let message = format!("not TOML: {}", error.message());
        match syntax_help(text, error) {
            Some(help) => out.add_with_help(codes::SYNTAX, &at, message, help),
            None => out.add(codes::SYNTAX, &at, message),
        }
    }
    errors.is_empty().then(|| tree.into_inner())
}

/// Returns help for a syntax error that the parser's message does not explain.
fn syntax_help(text: &str, error: &toml::de::Error) -> Option<String> {
    let message = error.message();
    if message.contains("escape") {
        let help = "in \"…\" a backslash begins an escape; write '…' in single quotes, where it is itself, or `\\\\` for each";
        return Some(help.to_owned());
    }
    let at = error.span()?.start;
    if !message.contains("duplicate key") {
        return None;
    }
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(start..)?.lines().next()?.trim();
    let name = line.strip_prefix('[')?.split(']').next()?.trim();
    let dotted = |line: &str| line.trim_start().starts_with(&format!("{name}."));
    Some(if text.get(..start)?.lines().any(dotted) {
        format!(
            "`{name}.…` above already defines this table: move those lines below [{name}], without `{name}.`"
        )
    } else {
        format!("[{name}] is already defined above: put these lines below it")
    })
}

/// Applies the environment's values to the file's `tree`.
pub(super) fn overlay<'i>(
    tree: &mut DeTable<'i>,
    text: &str,
    environment: &'i Environment,
    out: &mut Diagnostics,
) {
    // The variables, by the lower-case names that `config` uses.
    let variables = ours(environment, out);
    if variables.is_empty() {
        return;
    }
    let source = variables
        .values()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let merged = config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            config::Environment::with_prefix(PREFIX)
                .separator(SEPARATOR)
                .source(Some(source)),
        )
        .build()
        .and_then(|merged| merged.collect());
    match merged {
        Ok(merged) => {
            let mut overlay = Overlay {
                variables: &variables,
                out,
            };
            overlay.table(tree, merged, &[], "");
        }
        // The error text may contain a value.
        Err(_may_show_values) => {
            let at = Location::default();
            let message = "the RELAY__… variables cannot be merged into this file";
            out.add(codes::BAD_VARIABLE, &at, message);
        }
    }
}

/// Names and values of variables, by lower-case name.
type Variables<'i> = BTreeMap<String, (&'i str, &'i str)>;

/// Returns the variables that are meant for the relay and name a value.
fn ours<'i>(environment: &'i Environment, out: &mut Diagnostics) -> Variables<'i> {
    let prefix = format!("{PREFIX}{SEPARATOR}");
    let mut ours = Variables::new();
    for (name, value) in environment {
        if let Some(meant) = misplaced::variable(name) {
            let message = format!("the variable {name} is ignored");
            let at = Location::new("", out.variable_span(name));
            let help = format!("did you mean {meant}, with two `_` between the parts?");
            out.add_with_help(codes::IGNORED_VARIABLE, &at, message, help);
            continue;
        }
        let Some(way) = name.strip_prefix(&prefix) else {
            continue;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let step =
            |step: &str| !step.is_empty() && !step.starts_with('_') && step.chars().all(plain);
        if way.split(SEPARATOR).all(step) {
            ours.insert(name.to_lowercase(), (name, value));
        } else {
            let span = out.variable_span(name);
            out.add_with_help(
                codes::BAD_VARIABLE,
                &Location::new("", span),
                format!("{name} does not name a value"),
                "write RELAY__SECTION__KEY, with letters, digits and single `_` in names",
            );
        }
    }
    ours
}

struct Overlay<'a, 'i> {
    variables: &'a Variables<'i>,
    out: &'a mut Diagnostics,
}

impl<'i> Overlay<'_, 'i> {
    fn table(
        &mut self,
        tree: &mut DeTable<'i>,
        merged: config::Map<String, Value>,
        way: &[String],
        path: &str,
    ) {
        let changed: BTreeMap<String, Value> = merged
            .into_iter()
            .filter(|(_, value)| is_changed(value))
            .collect();
        for (name, value) in changed {
            let key = written_key(tree, &name);
            let path = join(path, &key);
            let mut way = way.to_vec();
            way.push(name);
            self.value(tree, key, value, &way, &path);
        }
    }

    fn value(
        &mut self,
        tree: &mut DeTable<'i>,
        key: String,
        value: Value,
        way: &[String],
        path: &str,
    ) {
        let existing = tree.get_mut(key.as_str()).map(Spanned::get_mut);
        match (value.kind, existing) {
            (ValueKind::Table(merged), Some(DeValue::Table(inner))) => {
                self.table(inner, merged, way, path);
            }
            (ValueKind::Table(_), Some(DeValue::Array(_))) => self.refuse_entries(way, path),
            (ValueKind::Table(merged), _) => {
                let span = self.span_below(way);
                let mut inner = DeTable::new();
                self.table(&mut inner, merged, way, path);
                insert(tree, key, Spanned::new(span, DeValue::Table(inner)));
            }
            // A changed scalar comes from a variable.
            (_, _) => {
                if let Some(&(name, text)) = self.variables.get(&variable(way)) {
                    let span = self.out.variable_span(name);
                    let text = flaw::without_line_breaks(text);
                    if let Some(flaw) = flaw::of_value(text, path) {
                        let message = format!("the value of {name} has {flaw}");
                        let at = Location::new(path, span);
                        self.out.add_with_help(codes::FLAW, &at, message, FLAW_HELP);
                        tree.remove(key.as_str());
                        return;
                    }
                    insert(tree, key, Spanned::new(span, DeValue::String(text.into())));
                }
            }
        }
    }

    fn refuse_entries(&mut self, way: &[String], path: &str) {
        let start = variable(way) + SEPARATOR;
        for (lower, (name, _)) in self.variables {
            if lower.starts_with(&start) {
                let span = self.out.variable_span(name);
                self.out.add_with_help(
                    codes::BAD_VARIABLE,
                    &Location::new(path, span),
                    format!("{name} reaches into the list `{path}`"),
                    "a variable replaces one value, not an entry of a list",
                );
            }
        }
    }

    /// Returns the span for a table that only the environment defines: that of its first variable.
    fn span_below(&mut self, way: &[String]) -> Range<usize> {
        let start = variable(way) + SEPARATOR;
        let mut below = self.variables.iter();
        let name = below
            .find(|(lower, _)| lower.starts_with(&start))
            .map_or("", |(_, (name, _))| name);
        self.out.variable_span(name)
    }
}

/// Returns the variable for the value at this path, in lower case.
fn variable(way: &[String]) -> String {
    format!("{PREFIX}{SEPARATOR}{}", way.join(SEPARATOR)).to_lowercase()
}

/// Inserts a value. Its key gets the value's span, because diagnostics should point at the variable.
fn insert<'i>(tree: &mut DeTable<'i>, key: String, value: Spanned<DeValue<'i>>) {
    tree.remove(key.as_str());
    tree.insert(Spanned::new(value.span(), Cow::Owned(key)), value);
}

/// Returns whether the environment set this value or one below it.
fn is_changed(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Table(table) => table.values().any(is_changed),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Array(_) => value.origin() == Some("the environment"),
    }
}

/// Returns the file's own spelling of a key. Variables cannot contain `-` or distinguish upper and lower case.
fn written_key(tree: &DeTable<'_>, name: &str) -> String {
    let folded = |key: &str| key.to_lowercase().replace('-', "_");
    if tree.contains_key(name) {
        return name.to_owned();
    }
    tree.keys()
        .map(|key| key.get_ref().as_ref())
        .find(|key| folded(key) == name)
        .unwrap_or(name)
        .to_owned()
}
