//! Stored bodies for display. The verification token in a body is a secret and is masked.

use serde_json::Value;

use super::json::{self, Raw};

const MASKED: &str = "‹masked›";

/// Returns the body with the value of every `token` masked. A body that a strict parser refuses
/// (half a surrogate pair, too deep) becomes a JSON string of its text. The token is masked there
/// too, at the top level and in `header`, where the platform sends it.
pub fn shown_body(body: &str) -> Value {
    match serde_json::from_str(body) {
        Ok(mut value) => {
            mask(&mut value);
            value
        }
        Err(_too_odd) => mask_text(body).into(),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "token" {
                    *member = MASKED.into();
                } else {
                    mask(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mask_text(text: &str) -> String {
    let mended = json::mend(text);
    let members = json::members(&mended, ["token", "header"]);
    let [token, header] = members.unwrap_or_default();
    let inner = header.and_then(|header| json::members(header.get(), ["token"]).ok());
    let [header_token]: [Raw<'_>; 1] = inner.unwrap_or_default();
    let tokens = [token, header_token].into_iter().flatten();
    tokens.fold(text.to_owned(), |text, token| {
        text.replace(token.get(), &format!("\"{MASKED}\""))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_masked_at_any_depth() {
        let body = r#"{"token":"a","list":[{"token":{"b":1}}],"tokens":2}"#;
        let shown = json!({ "token": MASKED, "list": [{ "token": MASKED }], "tokens": 2 });
        assert_eq!(shown_body(body), shown);
    }

    #[test]
    fn token_is_masked_in_body_that_is_not_strict_json() {
        let half = r#"{"header":{"token":"v-secret"},"event":{"description":"half \ud83d"}}"#;
        let shown = half.replace("v-secret", MASKED);
        assert_eq!(shown_body(half), Value::from(shown));

        let deep = format!(
            "{{\"token\":\"v-secret\",\"header\":{{\"token\":\"old-secret\"}},\"x\":{}{}}}",
            "[".repeat(1000),
            "]".repeat(1000)
        );
        let shown = shown_body(&deep);
        let text = shown.as_str().expect("too deep for a value");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(text.matches(MASKED).count(), 2);
        assert_eq!(shown_body("no JSON"), Value::from("no JSON"));
    }
}
