//! What a value picks up on its way from a console, a secret store or an `--env-file`, and what nobody sees:
//! quotes around it, white space at its ends, invisible characters in it.

/// Where a value comes from without its line breaks at the end, as files and Kubernetes Secrets have them.
pub(super) fn without_line_breaks(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

/// What is wrong with a secret. It is told without a character of the secret.
pub(super) fn of_secret(text: &str) -> Option<String> {
    of_text(text).or_else(|| {
        let wide = text.chars().find(|c| c.is_whitespace() && !c.is_ascii());
        wide.map(|c| format!("a {} in it", called(c)))
    })
}

/// What is wrong with any other value that a variable gives. Wide blanks can be part of a text.
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

/// Whether one pair of quotes stands around the whole text.
fn quoted(text: &str) -> bool {
    let pairs = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('`', '`')];
    pairs.iter().any(|(open, close)| {
        let rest = text.trim().strip_prefix(*open);
        rest.is_some_and(|rest| rest.ends_with(*close))
    })
}

/// Control characters, and those of Unicode that show nothing and are no white space.
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
        _ => "character that shows nothing",
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
            (
                "a\u{202e}b",
                Some("a character that shows nothing (U+202E) in it"),
            ),
        ] {
            assert_eq!(of_secret(text).as_deref(), said, "{text:?}");
        }
        assert_eq!(of_text("全　体"), None);
        assert_eq!(without_line_breaks("key\r\n\n"), "key");
    }
}
