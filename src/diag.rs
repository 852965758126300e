//! Diagnostics about the configuration, each with a location: `relay.toml:6:17`, the line, a caret, and
//! a suggested name.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level as Title, Origin, Renderer, Snippet};

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It works, but is probably a mistake.
    Warning,
    /// The configuration is rejected.
    Error,
}

impl Level {
    /// Returns the severity as text: `warning` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The location of a value in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file. `None` until the loader sets it, and for values from the environment.
    pub file: Option<PathBuf>,
    /// The byte range in that file. If it is `None` or empty, only the path is shown.
    pub span: Option<Range<usize>>,
    /// The path to the value from the top, e.g. `rules[2].match.fault`.
    pub path: String,
    /// The environment variable that set the value; `None` if the file did.
    pub variable: Option<String>,
}

/// One diagnostic about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub level: Level,
    /// The kind, e.g. `E012`. Every kind is documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// The problem, in one sentence. Never contains a secret.
    pub message: String,
    pub place: Place,
    /// The suggested fix, e.g. `did you mean "oncall-chat"?`; `None` if there is none.
    pub help: Option<String>,
}

/// The line of a file that a diagnostic refers to, ready for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line number, from 1.
    pub line: usize,
    /// The character position in the unmasked line, from 1.
    pub column: usize,
    /// The line, with possible secrets masked.
    pub text: String,
    /// The byte range of `text` to underline.
    pub mark: Range<usize>,
}

impl Diagnostic {
    /// Renders the diagnostic for people: without colours and without a trailing newline.
    pub fn render(&self, excerpt: Option<&Excerpt>) -> String {
        let title = match self.level {
            Level::Warning => Title::WARNING,
            Level::Error => Title::ERROR,
        };
        let mut group = title
            .primary_title(self.message.as_str())
            .id(self.code)
            .element(self.origin(excerpt));
        if let Some(excerpt) = excerpt {
            let mark = AnnotationKind::Primary.span(excerpt.mark.clone());
            let snippet = Snippet::source(excerpt.text.as_str())
                .line_start(excerpt.line)
                .annotation(mark);
            group = group.element(snippet);
        }
        if !self.place.path.is_empty() {
            group = group.element(Title::NOTE.with_name("at").message(&self.place.path));
        }
        if let Some(help) = &self.help {
            group = group.element(Title::HELP.message(help));
        }
        // The origin has its own line, because its column refers to the unmasked line. The renderer
        // separates it with `:::`, which suggests two locations; remove that separator because there is
        // only one.
        let report = Renderer::plain().render(&[group]);
        let lines: Vec<&str> = report.lines().filter(|line| line.trim() != ":::").collect();
        lines.join("\n")
    }

    fn origin(&self, excerpt: Option<&Excerpt>) -> Origin<'_> {
        if let Some(variable) = &self.place.variable {
            return Origin::path(format!("environment variable {variable}"));
        }
        let file = self
            .place
            .file
            .as_deref()
            .unwrap_or("configuration".as_ref());
        let origin = Origin::path(file.display().to_string());
        match excerpt {
            Some(excerpt) => origin.line(excerpt.line).char_column(excerpt.column),
            None => origin,
        }
    }
}
