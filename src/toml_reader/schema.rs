//! Schemas of values. Any string may contain `${VAR}`, so every pattern allows it.

use serde_json::{Value, json};

/// Matches a string with a reference to a variable.
const REFERENCE: &str = r"\$\{";

/// Accepts any text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// Accepts text that matches `pattern`.
pub fn form(pattern: &str, examples: &[&str]) -> Value {
    json!({
        "type": "string",
        "pattern": format!("{pattern}|{REFERENCE}"),
        "examples": examples,
    })
}

/// Accepts a web address.
pub fn url() -> Value {
    form("^https?://", &["https://relay.example.com"])
}

/// Accepts one of these words.
pub fn word<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": REFERENCE }] })
}

/// Accepts one of these words, or a number that the platform may name later.
pub fn code<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let mut code = word(words);
    if let Some(forms) = code["anyOf"].as_array_mut() {
        forms.push(json!({ "type": "integer", "minimum": 0 }));
    }
    code
}

/// Accepts one value or a list.
pub fn many(one: Value) -> Value {
    let list = list_of(one.clone());
    any_of(vec![one, list])
}

/// Accepts one value or a non-empty list.
pub fn some(one: Value) -> Value {
    let mut list = list_of(one.clone());
    list["minItems"] = 1.into();
    any_of(vec![one, list])
}

fn any_of(forms: Vec<Value>) -> Value {
    let mut any = json!({});
    any["anyOf"] = forms.into();
    any
}

/// Accepts a list of tables: `[[rules]]`.
pub fn list_of(one: Value) -> Value {
    let mut list = json!({ "type": "array" });
    list["items"] = one;
    list
}

/// Accepts tables with names chosen by the user: `[apps.NAME]`.
pub fn named(one: Value) -> Value {
    let mut named = json!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" },
    });
    named["additionalProperties"] = one;
    named
}
