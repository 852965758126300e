//! Suggests what was probably meant: similar names, Feishu's own names, misplaced keys, and planned features.

use toml::de::DeValue;

use crate::toml_reader::suggest;
pub(super) use crate::toml_reader::suggest::nearest;
use crate::toml_reader::{Diagnostics, Location};

use super::misplaced;
use crate::toml_reader::codes;

/// Feishu's field names, and the relay's.
const FEISHU_NAMES: &[(&str, &str)] = &[
    ("feedback_type", "type"),
    ("fault_type", "fault"),
    ("fault_types", "fault"),
    ("tenant_name", "tenant"),
    ("feedback_path", "path"),
    ("feedback_source", "source"),
    ("source_type", "source"),
    ("user_id", "user"),
    ("open_id", "user"),
    ("image_list", "images"),
    ("app_name", "app"),
    ("verify_token", "verification_token"),
    ("encryption_key", "encrypt_key"),
];

/// Planned keys that this version does not have, by the last part of their section.
const NOT_BUILT: &[(&str, &str)] = &[
    ("", "digests"),
    ("", "silences"),
    ("", "console"),
    ("destinations.", "stale_after"),
    ("tests[", "events"),
    ("tests[", "messages"),
    ("tests[", "incidents"),
];

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
    let message = format!("unknown key `{key}`");
    match help(key, known) {
        Some(help) => out.add_with_help(codes::UNKNOWN_KEY, at, message, help),
        None => out.add(codes::UNKNOWN_KEY, at, message),
    }
}

fn help(key: &str, known: &[&str]) -> Option<String> {
    let ours = FEISHU_NAMES.iter().find(|(theirs, _)| *theirs == key);
    if let Some((_, ours)) = ours.filter(|(_, ours)| known.contains(ours)) {
        return Some(format!(
            "did you mean `{ours}`? That is the relay's name for it"
        ));
    }
    // A misspelled key is checked first, because most unknown keys are misspelled.
    let near = nearest(key, known.iter().copied()).is_some();
    if let Some(section) = misplaced::section_of(key).filter(|_| !near) {
        return Some(format!("`{key}` is a key of [{section}]"));
    }
    suggest::key(key, known)
}

/// Reports a word that is not among the `expected` ones.
pub(super) fn unknown_word(
    given: Option<&DeValue<'_>>,
    expected: &str,
    at: &Location,
    out: &mut Diagnostics,
) {
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let message = format!("expected {expected}");
    let near = given
        .and_then(DeValue::as_str)
        .and_then(|given| nearest(given, words.iter().copied()));
    match near {
        Some(near) => {
            let help = format!("did you mean \"{near}\"?");
            out.add_with_help(codes::WRONG_VALUE, at, message, help);
        }
        None => out.add(codes::WRONG_VALUE, at, message),
    }
}

/// Returns help for a key that is none of the platform's `fields`. The relay's own names for these fields are
/// recognised.
pub(super) fn feishu_field(key: &str, fields: &[&str]) -> String {
    let ours = FEISHU_NAMES
        .iter()
        .find(|(theirs, ours)| *ours == key && fields.contains(theirs));
    match ours {
        Some((theirs, _)) => format!("did you mean `{theirs}`? That is Feishu's name for it"),
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
