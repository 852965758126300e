//! Compiles globs over text. `globset` validates them but matches bytes: its `?` matches a third of a Chinese
//! character, and it ignores case only for ASCII. So a valid glob is translated to a regular expression over
//! characters.

use std::iter::Peekable;
use std::str::Chars;

use globset::GlobBuilder;
use regex::{Regex, RegexBuilder};

/// The size limit of one compiled glob, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// Compiles a glob over a whole text. `*` matches anything, also `/`; `?` one character; `[a-z]` and `[!a]` one
/// character in or not in the class; `{a,b}` either. A backslash escapes the next character. Case is ignored.
pub(super) fn compile(glob: &str) -> Result<Regex, String> {
    let read = GlobBuilder::new(glob)
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    read.map_err(|error| error.kind().to_string())?;
    RegexBuilder::new(&translated(glob))
        .case_insensitive(true)
        .dot_matches_new_line(true)
        .size_limit(BYTES_MAX)
        .build()
        .map_err(|_too_large_or_odd| "it is too large, or has an invalid class".to_owned())
}

/// Translates a glob that `globset` has accepted to a regular expression.
fn translated(glob: &str) -> String {
    let mut regex = String::from("^");
    let mut signs = glob.chars().peekable();
    let mut alternatives = 0_usize;
    while let Some(sign) = signs.next() {
        match sign {
            '*' => regex.push_str(stars(&mut signs, &regex)),
            '?' => regex.push('.'),
            '[' => class(&mut signs, &mut regex),
            '{' => {
                alternatives += 1;
                regex.push_str("(?:");
            }
            '}' if alternatives > 0 => {
                alternatives -= 1;
                regex.push(')');
            }
            ',' if alternatives > 0 => regex.push('|'),
            '\\' => literal(signs.next().unwrap_or('\\'), &mut regex),
            other => literal(other, &mut regex),
        }
    }
    regex.push('$');
    regex
}

/// Translates one or more stars. `**/` at the start of a part matches any number of parts, also none.
fn stars(signs: &mut Peekable<Chars<'_>>, before: &str) -> &'static str {
    let mut count = 1;
    while signs.next_if_eq(&'*').is_some() {
        count += 1;
    }
    let starts_part = before == "^" || before.ends_with('/');
    if count > 1 && starts_part && signs.next_if_eq(&'/').is_some() {
        "(?:.*/)?"
    } else {
        ".*"
    }
}

/// Translates the rest of a class whose `[` has been read. A `]` or `-` that comes first is literal.
fn class(signs: &mut Peekable<Chars<'_>>, regex: &mut String) {
    regex.push('[');
    if signs.next_if(|sign| matches!(sign, '!' | '^')).is_some() {
        regex.push('^');
    }
    let mut first = true;
    while let Some(sign) = signs.next() {
        match sign {
            ']' if !first => break,
            '-' if !first && signs.peek().is_some_and(|next| *next != ']') => regex.push('-'),
            other => literal(other, regex),
        }
        first = false;
    }
    regex.push(']');
}

fn literal(sign: char, regex: &mut String) {
    let mut bytes = [0; 4];
    regex.push_str(&regex::escape(sign.encode_utf8(&mut bytes)));
}
