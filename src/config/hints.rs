//! Suggests what was probably meant: similar names, Feishu's own names, misplaced keys, and planned features.

use crate::toml_reader::suggest::nearest;
use crate::toml_reader::{Diagnostics, Location, codes, suggest};

use super::misplaced;

/// Planned keys that this version does not have, by the last part of their section.
const NOT_BUILT: &[(&str, &str)] = &[("", "console")];

/// Returns whether `path` is a planned key that is not built.
fn is_not_built(path: &str) -> bool {
    NOT_BUILT
        .iter()
        .any(|(section, key)| match path.rsplit_once('.') {
            Some((above, last)) => {
                !section.is_empty() && above.starts_with(section) && last == *key
            }
            None => section.is_empty() && path == *key,
        })
}

/// Reports a key that is not among the `known` ones.
pub(super) fn unknown_key(key: &str, known: &[&str], at: &Location, out: &mut Diagnostics) {
    if is_not_built(&at.path) {
        let message = format!("`{key}` is not built yet");
        return out.add(codes::NOT_BUILT, at, message);
    }
    out.unknown_key(at, key, help(key, known));
}

fn help(key: &str, known: &[&str]) -> Option<String> {
    // A misspelled key is checked first, because most unknown keys are misspelled.
    let is_meant =
        suggest::ours(key, known).is_some() || nearest(key, known.iter().copied()).is_some();
    if let Some(section) = misplaced::section_of(key).filter(|_| !is_meant) {
        return Some(format!("`{key}` is a key of [{section}]"));
    }
    suggest::key(key, known)
}

/// Returns help for a key that is none of the platform's `fields`. The relay's own names for these fields are
/// recognised.
pub(super) fn feishu_field(key: &str, fields: &[&str]) -> String {
    match suggest::theirs(key, fields) {
        Some(theirs) => format!("did you mean `{theirs}`? That is Feishu's name for it"),
        None => which(key, fields.iter().copied()),
    }
}

/// Returns help for a name that is none of `names`.
pub(super) fn which<'a>(given: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(given, names.clone()) {
        return format!("did you mean \"{near}\"?");
    }
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        "there is none yet".to_owned()
    } else {
        format!("there are \"{}\"", names.join("\", \""))
    }
}
