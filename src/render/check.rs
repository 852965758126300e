//! Checks templates for `check`: reports each mistake at its place, and renders every template with samples.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::library::{Source, line_and_column};
use super::names::Found;
use super::{Audience, Family, Locale, Payload, Templates, card, sample};
use crate::diag::{Diagnostic, Level, Place};
use crate::model::{Content, Form, Trigger};

/// Every code of this module with its meaning.
pub const CODES: &[(&str, &str)] = &[
    ("E200", "the templates folder could not be read"),
    (
        "E201",
        "a template file is unreadable, too large or not UTF-8",
    ),
    (
        "E202",
        "a template is too large, nested too deep, or could take too long",
    ),
    ("E203", "a template cannot be parsed"),
    ("E204", "a template uses an unknown name"),
    (
        "E205",
        "a template uses an unknown helper, or a helper wrongly",
    ),
    (
        "E206",
        "a partial is missing, includes itself, or has a computed name",
    ),
    (
        "E207",
        "a template uses an unsupported feature of Handlebars",
    ),
    ("E208", "a template fails with a sample event"),
    ("E209", "a template renders a card that Feishu rejects"),
    ("W200", "triple braces escape like double ones"),
    (
        "W201",
        "a file in a templates folder that is not a template",
    ),
    (
        "W202",
        "a file or folder next to the templates that is never read",
    ),
    ("W203", "a card with an unknown tag"),
];

/// Renders every template of every family with sample events, in both languages, at a fixed time. Each failure is
/// reported once for each template.
pub fn check(templates: &Templates) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for key in templates.keys() {
        let Some((folder, name)) = key.split_once('/') else {
            continue;
        };
        let Some(&family) = Family::ALL.iter().find(|family| family.key() == folder) else {
            continue;
        };
        if let Some(reason) = first_failure(templates, family, name) {
            let found = Found {
                template: key.to_owned(),
                place: place_in(&reason),
                code: "E208",
                message: reason,
                help: None,
            };
            diagnostics.push(templates.diagnostic(found));
        } else if family == Family::Feishu
            && let Some(problem) = card_problem(templates, name)
        {
            let text = templates.source(key).unwrap_or_default();
            let near = problem.near.as_ref().and_then(|near| text.find(near));
            let found = Found {
                template: key.to_owned(),
                place: line_and_column(text, near.unwrap_or_default()),
                code: if problem.is_sure { "E209" } else { "W203" },
                message: problem.message,
                help: problem.help,
            };
            diagnostics.push(templates.diagnostic(found));
        }
    }
    diagnostics
}

/// Returns the first mistake in the cards that a template renders from the samples. A card may be empty for some
/// samples.
fn card_problem(templates: &Templates, name: &str) -> Option<card::Problem> {
    let (mut problem, mut empty, mut filled) = (None, None, false);
    let _no_failure = each_rendering(templates, Family::Feishu, name, |payload| {
        let body = payload.with_links(|_| String::new());
        let message: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
        match card::problem(message.get("card").unwrap_or(&message)) {
            Some(one) if one.is_empty => empty = Some(one),
            Some(one) => drop(problem.get_or_insert(one)),
            None => filled = true,
        }
    });
    problem.or(empty.filter(|_| !filled))
}

fn first_failure(templates: &Templates, family: Family, name: &str) -> Option<String> {
    each_rendering(templates, family, name, |_| ())
}

/// Renders a template with its samples and passes each payload to `show`. Returns the first failure.
fn each_rendering(
    templates: &Templates,
    family: Family,
    name: &str,
    mut show: impl FnMut(&Payload),
) -> Option<String> {
    for locale in [Locale::Zh, Locale::En] {
        for (sample_name, mut sample) in sample::all() {
            sample.spec.template = name.to_owned();
            // Templates that a trigger or a content selects are rendered only with those samples.
            let chosen = match (&sample.event.content, sample.trigger) {
                (Content::Notice(_), _) => "notice",
                (Content::Summary(_), _) => "summary",
                (_, Trigger::LateImages) => "images",
                (
                    _,
                    Trigger::Event
                    | Trigger::Edit
                    | Trigger::Fallback
                    | Trigger::Replay
                    | Trigger::Test,
                ) => name,
            };
            if family != Family::Webhook && chosen != name {
                continue;
            }
            let audience = Audience {
                body: (family == Family::Webhook).then(|| name.to_owned()),
                ..sample::audience(family, locale)
            };
            match templates.payload(&audience, Form::Full, &sample.subject()) {
                Ok(payload) => show(&payload),
                Err(error) => {
                    return Some(format!("with the sample {sample_name}: {}", error.reason));
                }
            }
        }
    }
    None
}

/// Returns the line and column that a failure reason contains.
fn place_in(reason: &str) -> (usize, usize) {
    let number = |word: &str| -> Option<usize> {
        let (_, after) = reason.split_once(word)?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    if reason.contains("of the outcome") {
        return (1, 1);
    }
    (number("line ").unwrap_or(1), number("column ").unwrap_or(1))
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
