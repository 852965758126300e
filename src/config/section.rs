//! Reads sections whole. Unknown keys are reported with what was probably meant, and so are missing keys and bad
//! names.

use toml::Spanned;

use super::hints;
use crate::toml_reader::{Diagnostics, Key, Keys, Location, Table, codes, join};

/// The longest name of an entry, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Reads all remaining keys. Reports keys that `T` does not know.
pub(super) fn read<T: Keys>(table: Table, out: &mut Diagnostics) -> T {
    read_beside(table, &[], out)
}

/// Like [`read`]. `others` are known keys that were already read.
pub(super) fn read_beside<T: Keys>(mut table: Table, others: &[Key], out: &mut Diagnostics) -> T {
    let read = table.read(out);
    let known = T::KEYS.iter().chain(others).map(|key| key.name);
    refuse(table, &known.collect::<Vec<_>>(), out);
    read
}

/// Reports all remaining keys; `known` are suggested.
pub(super) fn refuse(table: Table, known: &[&str], out: &mut Diagnostics) {
    for (key, _) in table.entries {
        let at = table.at.key(key.get_ref(), key.span());
        hints::unknown_key(key.get_ref(), known, &at, out);
    }
}

/// Reports a missing key, unless its value has already been reported.
pub(super) fn missing(section: &Location, key: &str, help: &str, out: &mut Diagnostics) {
    if !out.concern(&join(&section.path, key)) {
        let message = format!("`{}` needs the key `{key}`", section.path);
        out.add_with_help(codes::MISSING_KEY, section, message, help);
    }
}

/// Checks a name, because names appear in URLs, metric labels and names of variables.
pub(super) fn check_name(name: &Spanned<String>, at: &Location, out: &mut Diagnostics) {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let text = name.get_ref();
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !starts_well || !text.chars().all(letter) || text.len() > NAME_CHARS_MAX {
        let message = format!("{text:?} cannot be a name");
        let help = "use a-z, 0-9, `-` and `_`, starting with a letter or digit; at most 64";
        out.add_with_help(codes::BAD_NAME, at, message, help);
    }
}
