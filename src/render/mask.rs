//! Masks values for audiences with `mask`: shows that a value exists, and a hint of it.

use unicode_segmentation::UnicodeSegmentation;

use super::Locale;

/// Masks contact details: `w***@example.com`, `138****8000`, or the first character.
pub(super) fn contact(text: &str) -> String {
    let text = text.trim();
    if let Some((name, host)) = text.rsplit_once('@') {
        return format!("{}***@{host}", first(name, 1));
    }
    let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
    let others = text
        .chars()
        .any(|c| !c.is_ascii_digit() && !matches!(c, '+' | '-' | ' ' | '(' | ')'));
    if digits.len() >= 9 && !others {
        let head: String = digits.iter().take(3).collect();
        let tail: String = digits.iter().skip(digits.len() - 4).collect();
        return format!("{head}****{tail}");
    }
    head(text)
}

/// Masks all but the first character.
pub(super) fn head(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{}***", first(text, 1))
}

/// Masks all but the prefix of an id: `ou_***`.
pub(super) fn id(text: &str) -> String {
    format!("{}***", first(text, 3))
}

/// Masks all but the first part of a path, or the host of a URL.
pub(super) fn path(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let part = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A path without `/` has only a last part, which may reveal everything.
    if part.len() == rest.len() && scheme.is_empty() {
        return head(text);
    }
    format!("{scheme}{part}/***")
}

/// Returns only the length of a text.
pub(super) fn words(text: &str, locale: Locale) -> String {
    let count = text.graphemes(true).count();
    match locale {
        Locale::Zh => format!("（{count} 字，已隐去）"),
        Locale::En => format!("({count} characters, hidden)"),
    }
}

fn first(text: &str, count: usize) -> String {
    text.graphemes(true).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_remains() {
        for (given, wanted) in [
            ("wang@example.com", "w***@example.com"),
            ("13800138000", "138****8000"),
            ("+86 138-0013-8000", "861****8000"),
            ("微信 abc", "微***"),
            ("", ""),
        ] {
            assert_eq!(contact(given), wanted, "{given}");
        }
        assert_eq!(path("pages/pay/index?card=1"), "pages/***");
        assert_eq!(path("https://a.example/x?y"), "https://a.example/***");
        assert_eq!(path("secret"), "s***");
        assert_eq!(id("ou_12345"), "ou_***");
    }
}
