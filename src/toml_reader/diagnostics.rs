//! Names the places of values, and collects the diagnostics of all readers.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::codes::{self, Code};
use super::node::{Node, Value};
use super::spans;
use crate::diag::{Diagnostic, Place};

/// The path of a value, and its bytes if it is written.
#[derive(Clone, Debug, Default)]
pub struct Location {
    /// The path from the top.
    pub path: String,
    /// The bytes.
    pub span: Option<Range<usize>>,
}

impl Location {
    /// Returns the location of a value that is written at `span`.
    pub fn new(path: impl Into<String>, span: Range<usize>) -> Self {
        Self {
            path: path.into(),
            span: Some(span),
        }
    }

    /// Returns the location of a value that is not written.
    pub fn of_path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            span: None,
        }
    }

    /// Returns the location of `key` below this one, at the span of the whole.
    pub fn inside(&self, key: &str) -> Self {
        Self {
            path: join(&self.path, key),
            span: self.span.clone(),
        }
    }

    /// Returns the location of `key` below this one.
    pub fn key(&self, key: &str, span: Range<usize>) -> Self {
        Self::new(join(&self.path, key), span)
    }

    /// Returns the location of element `index` of this list.
    pub fn index(&self, index: usize, span: Range<usize>) -> Self {
        Self::new(format!("{}[{index}]", self.path), span)
    }

    /// Returns the location of an element of `list`, or of the value itself if it is not a list.
    pub fn element(&self, list: &Node, index: usize, element: &Node) -> Self {
        match list.value {
            Value::List(_) => self.index(index, element.span.clone()),
            _ => Self::new(self.path.clone(), element.span.clone()),
        }
    }
}

/// Joins `path.key`, with quotes where TOML requires them.
pub fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let key = if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

fn is_at_or_below(place: &str, path: &str) -> bool {
    let rest = place.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Every diagnostic so far, and the data to locate the next.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// The file that spans refer to; empty if the caller of the reader sets it later.
    file: PathBuf,
    variables: Vec<String>,
    /// Entries in which errors are ignored; see [`hush`](Self::hush).
    hushed: Vec<String>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Returns an empty collection for a reader of `file`.
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            ..Self::default()
        }
    }

    /// Switches to `file` as the file that spans refer to. Returns the previous file.
    pub fn enter(&mut self, file: &Path) -> PathBuf {
        std::mem::replace(&mut self.file, file.to_owned())
    }

    /// Returns the file that spans refer to.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns a span that stands for an environment variable.
    pub fn variable_span(&mut self, name: &str) -> Range<usize> {
        let span = spans::of_variable(self.variables.len());
        self.variables.push(name.to_owned());
        span
    }

    /// Adds a diagnostic.
    pub fn add(&mut self, code: Code, at: &Location, message: impl Into<String>) {
        self.report(code, at, message, None);
    }

    /// Adds a diagnostic with help.
    pub fn add_with_help(
        &mut self,
        code: Code,
        at: &Location,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(code, at, message, Some(help.into()));
    }

    /// Adds a diagnostic, whose help depends on the value.
    pub fn report(
        &mut self,
        code: Code,
        at: &Location,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let variable = match &at.span {
            Some(span) => spans::variable(span)
                .and_then(|index| self.variables.get(index))
                .cloned(),
            None => None,
        };
        let place = Place {
            file: Some(self.file.clone())
                .filter(|file| variable.is_none() && !file.as_os_str().is_empty()),
            span: at.span.clone().filter(|_| variable.is_none()),
            path: at.path.clone(),
            variable,
        };
        self.list.push(Diagnostic {
            level: code.level(),
            code: code.0,
            message: message.into(),
            place,
            help,
        });
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type(&mut self, at: &Location, wanted: &str, found: &Node) {
        let message = format!("expected {wanted}, found {}", found.value.kind());
        self.add(codes::WRONG_TYPE, at, message);
    }

    /// Reports an unknown key.
    pub fn unknown_key(&mut self, at: &Location, key: &str, help: Option<String>) {
        self.report(codes::UNKNOWN_KEY, at, format!("unknown key `{key}`"), help);
    }

    /// Returns how many there are so far.
    pub const fn count(&self) -> usize {
        self.list.len()
    }

    /// Returns the diagnostics after the first `count`.
    pub fn since(&mut self, count: usize) -> &mut [Diagnostic] {
        self.list.get_mut(count..).unwrap_or_default()
    }

    /// Returns the diagnostics in the order of reading.
    pub fn into_list(self) -> Vec<Diagnostic> {
        self.list
    }

    /// Adds diagnostics of another module, whose spans refer to `file_of(path)`.
    pub fn adopt(
        &mut self,
        complaints: Vec<Diagnostic>,
        file_of: impl Fn(&str) -> Option<PathBuf>,
    ) {
        for mut complaint in complaints {
            let file = file_of(&complaint.place.path).unwrap_or_else(|| self.file.clone());
            complaint.place.file.get_or_insert(file);
            self.list.push(complaint);
        }
    }

    /// Returns whether an error was reported at `path` or below it, so that its consequences need not be
    /// reported.
    pub fn concern(&self, path: &str) -> bool {
        let mut places = self.list.iter().map(|complaint| &complaint.place.path);
        places.any(|place| is_at_or_below(place, path))
    }

    /// Ignores errors of the entry around `at`, such as `destinations.x` or `rules[3]`. Used if one of its
    /// variables is unset and the command does not need it.
    pub fn hush(&mut self, at: &Location) {
        let mut parts = at.path.splitn(3, '.');
        let first = parts.next().unwrap_or_default();
        let entry = match parts.next() {
            Some(second) if !first.contains('[') => format!("{first}.{second}"),
            Some(_) | None => first.to_owned(),
        };
        self.hushed.push(entry);
    }

    /// Returns whether there is an error that counts.
    pub fn any_errors(&self) -> bool {
        let is_error = |complaint: &&Diagnostic| complaint.level == crate::diag::Level::Error;
        let mut errors = self.list.iter().filter(is_error);
        errors.any(|error| {
            let is_hushed = |entry: &String| is_at_or_below(&error.place.path, entry);
            !self.hushed.iter().any(is_hushed)
        })
    }

    /// Returns all diagnostics: the environment's first, then file by file in reading order.
    pub fn into_sorted(mut self, files: &[(PathBuf, String)]) -> Vec<Diagnostic> {
        self.list.sort_by_key(|complaint| {
            let place = &complaint.place;
            let file = place
                .file
                .as_ref()
                .and_then(|file| files.iter().position(|(known, _)| known == file));
            let start = place.span.as_ref().map(|span| span.start);
            (file, start, place.path.clone(), complaint.code)
        });
        self.list
    }
}
