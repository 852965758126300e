//! Complaints about configuration, each at its place: `relay.toml:6:17`, the line, a caret, and the
//! name that was meant.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level as Title, Origin, Renderer, Snippet};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It works, and is probably not what was meant.
    Warning,
    /// It is refused.
    Error,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where in the configuration something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file; `None` until the loader, which knows it, fills it in, and for what comes from the environment.
    pub file: Option<PathBuf>,
    /// The bytes in that file. Empty spans and `None` are shown by the path alone.
    pub span: Option<Range<usize>>,
    /// The way to the value from the top, e.g. `rules[2].match.fault`.
    pub path: String,
    /// The environment variable that set the value, if one did.
    pub variable: Option<String>,
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub level: Level,
    /// What kind, e.g. `E012`; every kind is documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// What is wrong, in one sentence. Never holds a secret.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to do, e.g. `did you mean "oncall-chat"?`.
    pub help: Option<String>,
}

/// The line of a file that a complaint is about, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Which line, from 1.
    pub line: usize,
    /// The character in the line as it is written, from 1.
    pub column: usize,
    /// The line with what may be secret masked.
    pub text: String,
    /// The bytes of `text` that the complaint is about.
    pub mark: Range<usize>,
}

impl Diagnostic {
    /// The complaint as people read it, without colours, without a newline at its end.
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
        // The place stands by itself, for its column is that of the line as it is written. What the
        // renderer puts between it and the line says that two places are shown; it is one.
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
