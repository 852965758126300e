//! The source of a template, and diagnostics at places in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::names::Found;
use crate::diag::{Diagnostic, Level, Place};

/// The text of a template and its origin.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// Whether it is from the templates folder, not built in.
    pub(super) own: bool,
}

/// Returns the line and column of a byte, counted from 1.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// Returns a diagnostic at its place in the template file.
pub(super) fn diagnostic(found: Found, sources: &BTreeMap<String, Source>) -> Diagnostic {
    let (line, column) = found.place;
    let source = sources.get(&found.template);
    Diagnostic {
        level: level(found.code),
        code: found.code,
        message: found.message,
        place: Place {
            file: source.map(|source| source.file.clone()),
            span: source.map(|source| span(&source.text, line, column)),
            path: format!("{}:{line}:{column}", found.template),
            variable: None,
        },
        help: found.help,
    }
}

/// Returns a diagnostic about a whole file or folder.
pub(super) fn at_file(code: &'static str, file: &Path, message: String) -> Diagnostic {
    Diagnostic {
        level: level(code),
        code,
        message,
        place: Place {
            file: Some(file.to_owned()),
            span: None,
            path: "templates.dir".to_owned(),
            variable: None,
        },
        help: None,
    }
}

fn level(code: &str) -> Level {
    if code.starts_with('W') {
        Level::Warning
    } else {
        Level::Error
    }
}

/// Returns the range from this place to the end of the line.
fn span(text: &str, line: usize, column: usize) -> Range<usize> {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.lines().next().unwrap_or_default();
    let offset: usize = rest
        .chars()
        .take(column.saturating_sub(1))
        .map(char::len_utf8)
        .sum();
    let end = rest.len().min(
        offset
            + rest
                .get(offset..)
                .and_then(|tag| tag.find("}}"))
                .map_or(1, |n| n + 2),
    );
    start + offset..start + end.max(offset)
}
