//! Collects the diagnostics of rules, each with its place.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::diag::{Diagnostic, Level, Place};

use super::raw::{Node, Value};
use crate::toml_reader::suggest;

/// The diagnostics so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The lists of `[lists]` that conditions use.
    pub(super) lists_used: BTreeSet<String>,
}

/// The place of a diagnostic: its path and byte range.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) path: String,
    pub(super) span: Range<usize>,
}

impl Location {
    pub(super) fn new(path: &str, span: Range<usize>) -> Self {
        Self {
            path: path.to_owned(),
            span,
        }
    }

    /// Returns the place of `key` below this one.
    pub(super) fn key(&self, key: &str, span: Range<usize>) -> Self {
        Self {
            path: format!("{}.{key}", self.path),
            span,
        }
    }

    /// Returns the place of an element of `list`, or of the value itself if it is no list.
    pub(super) fn element(&self, list: &Node, index: usize, element: &Node) -> Self {
        let path = match &list.value {
            Value::List(_) => format!("{}[{index}]", self.path),
            Value::Text(_)
            | Value::Whole(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Foreign(_) => self.path.clone(),
        };
        Self {
            path,
            span: element.span.clone(),
        }
    }
}

impl Report {
    /// Adds an error.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        at: &Location,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Level::Error, code, at, message.into(), help);
    }

    /// Adds a warning.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        at: &Location,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Level::Warning, code, at, message.into(), help);
    }

    fn add(
        &mut self,
        level: Level,
        code: &'static str,
        at: &Location,
        message: String,
        help: Option<String>,
    ) {
        let span = Some(at.span.clone()).filter(|span| !span.is_empty());
        self.diagnostics.push(Diagnostic {
            level,
            code,
            message,
            place: Place {
                file: None,
                span,
                path: at.path.clone(),
                variable: None,
            },
            help,
        });
    }

    /// Adds to the diagnostics from `first` on that their value comes from a list of `[lists]`.
    pub(super) fn say_list(&mut self, first: usize, list: &str) {
        for complaint in self.diagnostics.iter_mut().skip(first) {
            complaint
                .message
                .push_str(&format!(", in the list \"{list}\""));
        }
    }

    /// Reports an unknown key.
    pub(super) fn unknown_key(&mut self, at: &Location, name: &str, help: Option<String>) {
        let message = format!("unknown key `{name}`");
        self.error(super::codes::UNKNOWN_KEY, at, message, help);
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type(&mut self, at: &Location, wanted: &str, found: &Node) {
        let message = format!("expected {wanted}, found {}", found.value.kind());
        self.error(super::codes::WRONG_TYPE, at, message, None);
    }
}

/// Returns help for an unknown value.
pub(super) fn did_you_mean<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    suggest::value(given, known)
}
