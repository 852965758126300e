//! Suggests the name that was probably meant. Keys are quoted with backticks, values as TOML writes them.

/// The minimum similarity of a suggestion. Below it most are wrong: `retry` and `rate` have 0.78.
const LIKENESS_MIN: f64 = 0.82;

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
    ("event_type", "event"),
    ("app_id", "app"),
    ("union_id", "user"),
];

/// How many values are listed if none is similar.
const VALUES_SHOWN_MAX: usize = 12;

/// Returns the most similar known name, if it is similar enough.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&given, &name.to_lowercase());
    names
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Returns the relay's name for a field of Feishu, if it is known here.
pub fn ours(given: &str, known: &[&str]) -> Option<&'static str> {
    let mut names = FEISHU_NAMES.iter();
    let found = names.find(|(theirs, ours)| *theirs == given && known.contains(ours));
    found.map(|(_, ours)| *ours)
}

/// Returns Feishu's name for a key of the relay, if it is among these fields.
pub fn theirs(given: &str, fields: &[&str]) -> Option<&'static str> {
    let mut names = FEISHU_NAMES.iter();
    let found = names.find(|(theirs, ours)| *ours == given && fields.contains(theirs));
    found.map(|(theirs, _)| *theirs)
}

/// Returns help for an unknown key: Feishu's or a similar key, otherwise all keys.
pub fn key(given: &str, known: &[&str]) -> Option<String> {
    if let Some(ours) = ours(given, known) {
        return Some(format!(
            "did you mean `{ours}`? That is the relay's name for it"
        ));
    }
    if let Some(near) = nearest(given, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut known = known.to_vec();
    known.sort_unstable();
    let list = known.join("`, `");
    (!known.is_empty()).then(|| format!("the keys here are `{list}`"))
}

/// Returns help for an unknown value: the similar value, otherwise all values if they are few.
pub fn value<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(given, known.iter().copied()) {
        return Some(format!("did you mean \"{near}\"?"));
    }
    known.sort_unstable();
    known.dedup();
    let list = known.join("\", \"");
    let is_short = (1..=VALUES_SHOWN_MAX).contains(&known.len());
    is_short.then(|| format!("there are \"{list}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_name_is_suggested_and_few_names_are_listed() {
        assert_eq!(
            key("sevrity", &["severity", "wait"]).unwrap(),
            "did you mean `severity`?"
        );
        assert_eq!(
            key("x", &["wait", "name"]).unwrap(),
            "the keys here are `name`, `wait`"
        );
        assert_eq!(key("x", &[]), None);
        assert_eq!(
            value("archiv", ["archive"]).unwrap(),
            "did you mean \"archive\"?"
        );
        assert_eq!(value("x", ["b", "a"]).unwrap(), "there are \"a\", \"b\"");
        assert_eq!(value("x", ["a"; 13]).unwrap(), "there are \"a\"");
        assert_eq!(value("x", []), None);
    }
}
