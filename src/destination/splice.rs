//! Inserts members at the front of a JSON object without rendering the object again. So a retry repeats the
//! first rendering byte for byte.

/// Returns `object` with `members` before its own. `members` is JSON without the braces, e.g. `"id":"x"`.
/// `None` if `object` is not a JSON object.
pub(super) fn splice(object: &str, members: &str) -> Option<String> {
    let rest = object.trim_start().strip_prefix('{')?;
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    Some(format!("{{{members}{comma}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_inserted_first_and_the_rest_is_unchanged() {
        let spliced = |object| splice(object, r#""id":"x""#);
        assert_eq!(
            spliced(r#"{"a":{"b":1}}"#).as_deref(),
            Some(r#"{"id":"x","a":{"b":1}}"#)
        );
        assert_eq!(spliced("{}").as_deref(), Some(r#"{"id":"x"}"#));
        assert_eq!(spliced("{ }").as_deref(), Some(r#"{"id":"x" }"#));
        assert_eq!(spliced("[1]"), None);
        assert_eq!(spliced(""), None);
    }
}
