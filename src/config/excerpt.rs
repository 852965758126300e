//! Shows the line a diagnostic points at, with possible secrets masked.
//!
//! Strings are masked unless their key is known and not secret, and comments are left out. If the file is
//! not valid TOML, only keys are shown, because the end of a string is unknown.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check::SECTIONS;
use super::keys;
use crate::diag::Excerpt;

const MASK: &str = "***";

/// Keys that are masked although they are not secret: ids and addresses of people, and URLs that
/// may contain a password.
const KEPT_BACK: &[&str] = &["feishu", "slack", "base_url"];

/// Returns the keys whose strings may be shown. A name that is secret anywhere, or unknown, is masked.
fn open_keys() -> &'static BTreeSet<&'static str> {
    static OPEN: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    OPEN.get_or_init(|| {
        let secret: BTreeSet<&str> = keys::all()
            .filter(|key| key.is_secret)
            .map(|key| key.name)
            .collect();
        let names = keys::all()
            .map(|key| key.name)
            .chain(SECTIONS.iter().copied());
        names
            .filter(|name| !secret.contains(name) && !KEPT_BACK.contains(name))
            .collect()
    })
}

fn is_open(key: &str) -> bool {
    open_keys().contains(key)
}

/// A file, parsed once for all of its excerpts.
pub(super) struct Source<'a> {
    text: &'a str,
    /// Keys and strings in the order of the file, none inside another; `None`: the file is not valid TOML.
    strings: Option<Vec<Found>>,
    /// The positions of the line breaks.
    breaks: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let strings = DeTable::parse(text).ok().map(|tree| {
            let mut strings = Vec::new();
            table_strings(tree.get_ref(), None, &mut strings);
            strings.sort_unstable_by_key(|(span, _)| (span.start, span.end));
            strings
        });
        Self {
            text,
            strings,
            breaks: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    /// Returns the excerpt around `span`; `None` for an empty file or a span outside it.
    pub(super) fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        let text = self.text;
        let start = (0..=span.start.min(text.len()))
            .rev()
            .find(|&at| text.is_char_boundary(at))?;
        let lines_before = self.breaks.partition_point(|&at| at < start);
        let last_break = lines_before
            .checked_sub(1)
            .and_then(|at| self.breaks.get(at));
        let line_start = last_break.map_or(0, |at| at + 1);
        let line_end = self.breaks.get(lines_before).copied().unwrap_or(text.len());
        let line_text = text.get(line_start..line_end)?.trim_end_matches('\r');
        let column = text.get(line_start..start)?.chars().count() + 1;
        let end = (span.end..text.len()).find(|&at| text.is_char_boundary(at));
        let line_stop = line_start + line_text.len();
        let mark = start.min(line_stop)
            ..end
                .unwrap_or(text.len())
                .clamp(start.min(line_stop), line_stop);
        let edits = self.edits(line_start..line_stop);
        let (masked, mark) = apply(line_text, line_start, &edits, mark);
        Some(Excerpt {
            line: lines_before + 1,
            column,
            text: masked,
            mark,
        })
    }

    fn edits(&self, line: Range<usize>) -> Vec<Edit> {
        let Some(strings) = &self.strings else {
            return edits_of_broken(self.text, line);
        };
        let first = strings.partition_point(|(span, _)| span.end <= line.start);
        let on_line = strings.iter().skip(first);
        let on_line = on_line.take_while(|(span, _)| span.start < line.end);
        edits_of_strings(self.text, line.clone(), on_line)
    }
}

/// A byte range and its replacement.
type Edit = (Range<usize>, String);

/// A string of the file, and whether it may be shown.
type Found = (Range<usize>, bool);

fn table_strings<'a>(table: &'a DeTable<'_>, within: Option<&'a str>, all: &mut Vec<Found>) {
    for (key, value) in table {
        // The user names these keys, so the enclosing key decides.
        let own = matches!(
            within,
            Some("headers" | "labels" | "lists" | "with" | "app_names")
        );
        let name = if own {
            within
        } else {
            Some(key.get_ref().as_ref())
        };
        all.push((key.span(), true));
        value_strings(value, name, all);
    }
}

fn value_strings<'a>(value: &'a Spanned<DeValue<'_>>, key: Option<&'a str>, all: &mut Vec<Found>) {
    match value.get_ref() {
        DeValue::String(text) => {
            let open = key.is_some_and(is_open) || is_reference(text);
            all.push((value.span(), open));
        }
        DeValue::Array(items) => items.iter().for_each(|item| value_strings(item, key, all)),
        DeValue::Table(table) => table_strings(table, key, all),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Returns whether the string is exactly one `${NAME}`.
fn is_reference(text: &str) -> bool {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn edits_of_strings<'a>(
    text: &str,
    line: Range<usize>,
    on_line: impl Iterator<Item = &'a Found>,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut after = line.start;
    for (span, open) in on_line {
        if let Some(comment) = comment_in(text, after..span.start) {
            edits.push((comment..line.end, String::new()));
            return edits;
        }
        after = span.end.max(after);
        if !*open {
            let quote = text
                .get(span.clone())
                .filter(|t| t.starts_with('\''))
                .map_or('"', |_| '\'');
            let whole = span.start.max(line.start)..span.end.min(line.end);
            edits.push((whole, format!("{quote}{MASK}{quote}")));
        }
    }
    if let Some(comment) = comment_in(text, after..line.end) {
        edits.push((comment..line.end, String::new()));
    }
    edits
}

fn comment_in(text: &str, between: Range<usize>) -> Option<usize> {
    let start = between.start;
    text.get(between)?.find('#').map(|at| start + at)
}

/// Masks a line of a file that is not valid TOML. Shows its key, and its value if the key is not secret.
fn edits_of_broken(text: &str, line: Range<usize>) -> Vec<Edit> {
    let shown = text.get(line.clone()).unwrap_or_default();
    if shown.trim_start().starts_with('[') && !shown.contains(['"', '\'', '=']) {
        return Vec::new();
    }
    let Some((key, _)) = shown.split_once('=') else {
        return vec![(line, MASK.to_owned())];
    };
    let name = key.rsplit(['.', ' ']).find(|part| !part.is_empty());
    let one = shown.matches('=').count() == 1 && !shown.contains('#');
    if one && name.is_some_and(is_open) {
        return Vec::new();
    }
    let after = line.start + key.len() + 1;
    vec![(after..line.end, format!(" {MASK}"))]
}

/// Applies the edits to the line, and returns where `mark` is in the result.
fn apply(
    line: &str,
    line_start: usize,
    edits: &[Edit],
    mark: Range<usize>,
) -> (String, Range<usize>) {
    let mut shown = String::new();
    let mut done = line_start;
    let mut new_mark = None..None;
    let place =
        |at: usize, is_end: bool, done: usize, edit: &Range<usize>, shown: &str, new: &str| {
            if at <= edit.start && at >= done {
                Some(shown.len() - (edit.start - at))
            } else if at < edit.end || (is_end && at == edit.end) {
                let end = shown.len() + new.len();
                Some(if is_end { end } else { shown.len() })
            } else {
                None
            }
        };
    let end = line_start + line.len();
    let last = (end..end, String::new());
    for (span, new) in edits.iter().chain([&last]) {
        let kept = line.get(done - line_start..span.start.max(done) - line_start);
        shown.push_str(kept.unwrap_or_default());
        for (at, is_end, slot) in [
            (mark.start, false, &mut new_mark.start),
            (mark.end, true, &mut new_mark.end),
        ] {
            if slot.is_none() {
                *slot = place(at, is_end, done, span, &shown, new);
            }
        }
        shown.push_str(new);
        done = span.end;
    }
    let length = shown.trim_end().len();
    shown.truncate(length);
    let start = new_mark.start.unwrap_or(length).min(length);
    let end = new_mark.end.unwrap_or(length).clamp(start, length);
    (shown, start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, about: &str) -> (String, String) {
        let start = text.find(about).unwrap();
        let excerpt = Source::new(text)
            .excerpt(&(start..start + about.len()))
            .unwrap();
        let marked = excerpt.text.get(excerpt.mark).unwrap().to_owned();
        (excerpt.text, marked)
    }

    #[test]
    fn strings_of_unknown_keys_and_comments_are_not_shown() {
        for (text, about, line, marked) in [
            (
                "kind = \"fille\" # hunter2",
                "\"fille\"",
                "kind = \"fille\"",
                "\"fille\"",
            ),
            ("secret = 'hunter2'", "'hunter2'", "secret = '***'", "'***'"),
            ("secret = 'hunter2'", "unter", "secret = '***'", "'***'"),
            (
                "a = 'hunter2'\nb = { c = 'hunter2', kind = 5 }",
                "5",
                "b = { c = '***', kind = 5 }",
                "5",
            ),
            ("url = \"${URL}\"", "url", "url = \"${URL}\"", "url"),
            ("url = \"${URL:-hunter2}\"", "url", "url = \"***\"", "url"),
            (
                "x = [\"a\", 7, \"b\"] # y",
                "7",
                "x = [\"***\", 7, \"***\"]",
                "7",
            ),
            (
                "headers = { kind = 'hunter2' }",
                "kind",
                "headers = { kind = '***' }",
                "kind",
            ),
            ("x = '''\nhunter2\n'''", "hunter2", "'***'", "'***'"),
            ("# hunter2\nx = 1", "x", "x = 1", "x"),
            (
                "'反馈 2' = 1\nname = '反馈' # 反馈",
                "'反馈'",
                "name = '反馈'",
                "'反馈'",
            ),
        ] {
            let wanted = (line.to_owned(), marked.to_owned());
            assert_eq!(shown(text, about), wanted, "{text}");
        }
    }

    #[test]
    fn secrecy_stands_with_the_key() {
        for open in [
            "status",
            "tenant_key",
            "public_url",
            "listen",
            "admin_listen",
            "wait",
            "query",
        ] {
            let known = keys::all().any(|key| key.name == open);
            assert_eq!(is_open(open), known, "{open}");
        }
        for secret in [
            "url",
            "secret",
            "token",
            "signing_secret",
            "proxy",
            "headers",
            "encrypt_key",
            "verification_token",
            "app_secret",
            "base_url",
            "feishu",
            "unknown",
        ] {
            assert!(!is_open(secret), "{secret}");
        }
    }

    #[test]
    fn of_a_broken_file_keys_are_shown() {
        for (text, about, line) in [
            ("secret = \"hunter2\nx = 1", "hunter2", "secret = ***"),
            ("kind = fille", "fille", "kind = fille"),
            ("kind = fille # hunter2", "fille", "kind = ***"),
            ("x = [\n  \"hunter2\"\n  7 8", "hunter2", "***"),
            ("[server\nlisten = 5", "[server", "[server"),
        ] {
            assert_eq!(shown(text, about).0, line, "{text}");
        }
    }

    /// So the time to report many mistakes does not grow with their square.
    #[test]
    fn line_of_a_large_file_is_found_among_its_neighbours() {
        let lines = (0..500)
            .map(|at| format!("[[rules]]\nsecret_{at} = 'hunter2' # hunter2\nname = 'r{at}'\n"));
        let text = lines.collect::<String>();
        let source = Source::new(&text);
        for at in [0, 1, 250, 499] {
            let shown = |about: &str| {
                let start = text.find(about).unwrap();
                let excerpt = source.excerpt(&(start..start + about.len())).unwrap();
                (excerpt.line, excerpt.column, excerpt.text)
            };
            let (secret, name) = (format!("secret_{at} "), format!("'r{at}'"));
            assert_eq!(
                shown(&secret),
                (3 * at + 2, 1, format!("secret_{at} = '***'"))
            );
            assert_eq!(shown(&name), (3 * at + 3, 8, format!("name = {name}")));
        }
    }

    #[test]
    fn any_span_of_any_text_is_survived() {
        let text = "\"名\" = '反馈'\r\n\n[a]\nb = \"\"\"x\ny\"\"\"\n";
        let source = Source::new(text);
        for start in 0..text.len() + 3 {
            for end in start..text.len() + 3 {
                let excerpt = source.excerpt(&(start..end)).unwrap();
                assert!(excerpt.text.get(excerpt.mark).is_some(), "{start}..{end}");
            }
        }
    }
}
