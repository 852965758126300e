//! Finds defects that values pick up from consoles, secret stores and `--env-file`: surrounding quotes, surrounding
//! white space, invisible characters, and parts of a line of an env file.

use super::stand_in;

/// Removes line breaks at the end of a value, which files and Kubernetes Secrets often have.
pub(super) fn without_line_breaks(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

/// Describes the defect of the secret at `path` without repeating any character of it.
pub(super) fn of_secret(text: &str, path: &str) -> Option<String> {
    of_value(text, path).or_else(|| {
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

/// Describes the defect of a variable's value for the key at `path`.
pub(super) fn of_value(text: &str, path: &str) -> Option<String> {
    let beside = || of_env_line(text).filter(|_| stand_in::is_token(path));
    of_text(text).or_else(beside)
}

/// Describes the part of an env file's line that is still in a value without blanks: a comment, or the
/// variable's name.
pub(super) fn of_env_line(text: &str) -> Option<String> {
    if text.contains(" #") || text.contains("\t#") {
        return Some("a comment (`# …`) after it".to_owned());
    }
    let exported = text.strip_prefix("export ").map(str::trim_start);
    let (name, value) = exported.unwrap_or(text).split_once('=')?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    // Without an underscore, it may be the beginning of a random text.
    let is_assigned = exported.is_some() || name.contains('_');
    (is_assigned && !value.is_empty() && !name.is_empty() && name.chars().all(is_name))
        .then(|| "a variable's name and `=` before it".to_owned())
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
    fn rest_of_an_env_line_is_named() {
        let (comment, name) = (
            "a comment (`# …`) after it",
            "a variable's name and `=` before it",
        );
        for (text, said) in [
            ("key # of shop", Some(comment)),
            ("key\t#of shop", Some(comment)),
            ("export KEY=key", Some(name)),
            ("SHOP_KEY=key", Some(name)),
            ("https://x/#key", None),
            ("#key", None),
            ("Bearer key", None),
            ("AB=cd", None),
            ("A_B==", Some(name)),
            ("A_B=", None),
            ("https://x/?A_B=c", None),
        ] {
            assert_eq!(of_env_line(text).as_deref(), said, "{text:?}");
        }
    }

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
            assert_eq!(
                of_secret(text, "apps.shop.app_secret").as_deref(),
                said,
                "{text:?}"
            );
        }
        assert_eq!(of_text("全　体"), None);
        assert_eq!(without_line_breaks("key\r\n\n"), "key");
    }
}
