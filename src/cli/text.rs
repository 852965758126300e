//! Escapes and aligns text for terminals.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a terminal might interpret the character, or reorder the text around it. These are C0, DEL,
/// C1, line and paragraph separators, and direction marks.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Returns the text on one line, with unsafe characters escaped as in Rust.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_unsafe, |c, out| out.extend(c.escape_default()))
}

/// Escapes text like [`escape`], but keeps line ends and tabs.
pub(super) fn escape_lines(text: &str) -> Cow<'_, str> {
    let wanted = |c| is_unsafe(c) && !matches!(c, '\n' | '\t');
    escape_where(text, wanted, |c, out| out.extend(c.escape_default()))
}

/// Escapes JSON text without changing its value. Unsafe characters become `\u….`; except for line ends, they can
/// only be inside strings.
pub(super) fn escape_json(json: &str) -> Cow<'_, str> {
    let wanted = |c| is_unsafe(c) && c != '\n';
    escape_where(json, wanted, |c, out| {
        write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String does not fail");
    })
}

fn escape_where(
    text: &str,
    wanted: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if wanted(c) {
            escape(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Returns the width of the text in a terminal: two columns for East Asian wide characters, one for others.
fn width(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// Returns the beginning of the text on one line, at most `columns` wide. An ellipsis marks a cut.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let escaped = escape(&words);
    if width(&escaped) <= columns {
        return escaped.into_owned();
    }
    let mut kept = String::new();
    let mut used = 1; // for the ellipsis
    for c in escaped.chars() {
        used += if is_wide(c) { 2 } else { 1 };
        if used > columns {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// Returns whether a character is wide, approximated by blocks of Unicode's East Asian Width.
fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd)
}

/// A table with aligned columns.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns an empty table with these column titles.
    pub(super) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row; each cell stays on one line.
    pub(super) fn push<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().map(|cell| escape(&cell).into_owned());
        self.rows.push(cells.collect());
    }

    /// Returns the lines of the table, without trailing blanks.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell: &String| width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', wide - width(cell) + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert_eq!(
            escape("白屏 \u{1b}[2J\n\u{9b}1m"),
            "白屏 \\u{1b}[2J\\n\\u{9b}1m"
        );
        assert_eq!(escape("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(escape_lines("a\n\tb\r\u{7f}"), "a\n\tb\\r\\u{7f}");
        assert!(matches!(escape("plain"), Cow::Borrowed("plain")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_escaped_and_json_keeps_its_value(typed in any::<String>()) {
            prop_assert!(!escape(&typed).contains(is_unsafe));
            let json = serde_json::json!({ &typed: &typed });
            let printed = escape_json(&json.to_string()).into_owned();
            prop_assert!(!printed.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), json);
        }
    }

    #[test]
    fn a_text_is_cut_to_its_columns_on_one_line() {
        assert_eq!(cut("two\n words", 20), "two words");
        assert_eq!(cut("白屏白屏", 8), "白屏白屏");
        assert_eq!(cut("白屏白屏", 7), "白屏白…");
        assert_eq!(cut("\u{1b}[2J", 20), "\\u{1b}[2J");
    }

    #[test]
    fn columns_are_aligned_where_characters_are_wide() {
        let mut table = Table::new(["NAME", "WHAT"]);
        table.push(["白屏".into(), "one".into()]);
        table.push(["a\nb".into(), String::new()]);
        assert_eq!(table.render(), "NAME  WHAT\n白屏  one\na\\nb\n");
    }
}
