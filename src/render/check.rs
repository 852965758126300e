//! Checks templates for `check`: reports each mistake at its place, and renders every template with samples.

use super::diagnostics::line_and_column;
use super::names::Found;
use super::problem::Problem;
use super::sample::Sample;
use super::{Audience, Family, Locale, Payload, Templates, blocks, card, sample};
use crate::diag::Diagnostic;
use crate::model::Form;

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
    ("E210", "a template renders a message that Slack rejects"),
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
    ("W204", "a Slack message with an unknown type of block"),
    ("W205", "a Slack message with too many blocks"),
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
        let (failure, problem) = render_all(templates, family, name);
        let found = match (failure, problem) {
            (Some(reason), _) => Found {
                template: key.to_owned(),
                place: place_in(&reason),
                code: "E208",
                message: reason,
                help: None,
            },
            (None, Some(problem)) => {
                let text = templates.source(key).unwrap_or_default();
                let near = problem.near.as_ref().and_then(|near| text.find(near));
                Found {
                    template: key.to_owned(),
                    place: line_and_column(text, near.unwrap_or_default()),
                    code: problem.code,
                    message: problem.message,
                    help: problem.help,
                }
            }
            (None, None) => continue,
        };
        diagnostics.push(templates.diagnostic(found));
    }
    diagnostics
}

/// Returns the first failure of a template with its samples, and the first mistake in what it renders. A message
/// may be empty for some samples.
fn render_all(
    templates: &Templates,
    family: Family,
    name: &str,
) -> (Option<String>, Option<Problem>) {
    let (mut problem, mut empty, mut filled) = (None, None, false);
    let failure = each_rendering(templates, family, name, |rendering| {
        match rendering.problem(templates) {
            Some(one) if one.is_empty => empty = Some(one),
            Some(one) => drop(problem.get_or_insert(one)),
            None => filled = true,
        }
    });
    (failure, problem.or(empty.filter(|_| !filled)))
}

/// A message that a template rendered from a sample.
struct Rendering<'a> {
    audience: &'a Audience,
    sample: &'a Sample,
    payload: &'a Payload,
}

impl Rendering<'_> {
    /// Returns the first mistake in the message.
    fn problem(&self, templates: &Templates) -> Option<Problem> {
        let sent = || -> serde_json::Value {
            let body = self.payload.with_links(|_| String::new());
            serde_json::from_str(&body).unwrap_or_default()
        };
        match self.audience.family {
            Family::Feishu => {
                let message = sent();
                card::problem(message.get("card").unwrap_or(&message))
            }
            Family::Slack => {
                let written = templates.unfinished(self.audience, &self.sample.subject())?;
                blocks::problem(&written, &sent())
            }
            Family::Webhook | Family::Text => None,
        }
    }
}

/// Renders a template with its samples and passes each message to `show`. Returns the first failure.
fn each_rendering(
    templates: &Templates,
    family: Family,
    name: &str,
    mut show: impl FnMut(&Rendering<'_>),
) -> Option<String> {
    for locale in [Locale::Zh, Locale::En] {
        for (sample_name, mut sample) in sample::all() {
            sample.spec.template = name.to_owned();
            // Templates that a trigger or a content selects are rendered only with those samples.
            if family != Family::Webhook && sample.subject().template() != name {
                continue;
            }
            let audience = Audience {
                body: (family == Family::Webhook).then(|| name.to_owned()),
                ..sample::audience(family, locale)
            };
            match templates.payload(&audience, Form::Full, &sample.subject()) {
                Ok(payload) => show(&Rendering {
                    audience: &audience,
                    sample: &sample,
                    payload: &payload,
                }),
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
    if reason.contains("of the output") {
        return (1, 1);
    }
    (number("line ").unwrap_or(1), number("column ").unwrap_or(1))
}
