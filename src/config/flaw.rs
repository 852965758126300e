//! Finds invisible defects that values pick up from consoles, secret stores and `--env-file`: surrounding quotes,
//! surrounding white space, invisible characters.

/// Removes line breaks at the end of a value, which files and Kubernetes Secrets often have.
pub(super) fn without_line_breaks(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

/// Describes the defect of a secret without repeating any character of it.
pub(super) fn of_secret(text: &str) -> Option<String> {
    of_text(text).or_else(|| {
        let wide = text.chars().find(|c| c.is_whitespace() && !c.is_ascii());
        wide.map(|c| format!("a {} in it", called(c)))
    })
}

/// Describes the defect of any other value from a variable. Wide blanks are allowed, because a text may contain
/// them.
pub(super) fn of_text(text: &str) -> Option<String> {
    if quoted(text) {
        return Some("quotes around it".to_owned());
    }
    for (edge, place) in [
        (text.chars().next(), "at its start"),
        (text.chars().next_back(), "at its end"),
    ] {
        if let Some(c) = edge.filter(|c| c.is_whitespace() || is_invisible(*c)) {
            return Some(format!("a {} {place}", called(c)));
        }
    }
    let hidden = text.chars().find(|c| is_invisible(*c));
    hidden.map(|c| format!("a {} in it", called(c)))
}

/// Returns whether one pair of quotes surrounds the whole text.
fn quoted(text: &str) -> bool {
    let pairs = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('`', '`')];
    pairs.iter().any(|(open, close)| {
        let rest = text.trim().strip_prefix(*open);
        rest.is_some_and(|rest| rest.ends_with(*close))
    })
}

/// Returns whether `c` is a control character, or an invisible Unicode character that is not white space.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn called(c: char) -> String {
    let name = match c {
        ' ' => "blank",
        '\t' => "tab",
        '\n' | '\r' => "line break",
        '\u{a0}' | '\u{202f}' => "no-break space",
        '\u{200b}' => "zero-width space",
        '\u{feff}' => "byte order mark",
        '\u{3000}' => "wide blank",
        c if c.is_control() => "control character",
        _ => "invisible character",
    };
    if c == ' ' {
        return name.to_owned();
    }
    format!("{name} (U+{:04X})", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaw_is_named() {
        for (text, said) in [
            ("key", None),
            ("Bearer key", None),
            ("密钥", None),
            ("\"key\"", Some("quotes around it")),
            ("'key'\t", Some("quotes around it")),
            ("“key”", Some("quotes around it")),
            ("\"", None),
            (" key", Some("a blank at its start")),
            ("key\u{a0}", Some("a no-break space (U+00A0) at its end")),
            ("k\u{a0}ey", Some("a no-break space (U+00A0) in it")),
            ("k\u{200b}ey", Some("a zero-width space (U+200B) in it")),
            (
                "\u{feff}key",
                Some("a byte order mark (U+FEFF) at its start"),
            ),
            ("a\nb", Some("a line break (U+000A) in it")),
            ("a\u{7}b", Some("a control character (U+0007) in it")),
            ("a\u{202e}b", Some("a invisible character (U+202E) in it")),
        ] {
            assert_eq!(of_secret(text).as_deref(), said, "{text:?}");
        }
        assert_eq!(of_text("全　体"), None);
        assert_eq!(without_line_breaks("key\r\n\n"), "key");
    }
}
