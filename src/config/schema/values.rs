//! Schemas of values. Any string may contain `${VAR}`, so every pattern allows it.

use serde_json::{Value, json};

/// Matches a string with a reference to a variable.
const REFERENCE: &str = r"\$\{";

/// Accepts any text.
pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

/// Accepts text that matches `pattern`.
fn form(pattern: &str, examples: &[&str]) -> Value {
    json!({
        "type": "string",
        "pattern": format!("{pattern}|{REFERENCE}"),
        "examples": examples,
    })
}

pub(super) fn duration() -> Value {
    form(
        r"^\s*[0-9]+\s*(ms|s|m|h|d)\s*$",
        &["800ms", "90s", "5m", "24h", "3d"],
    )
}

pub(super) fn often() -> Value {
    form(
        r"^\s*([0-9]+\s*(ms|s|m|h|d)|off)\s*$",
        &["30m", "1h", "off"],
    )
}

pub(super) fn size() -> Value {
    let text = form(
        r"^\s*[0-9]+\s*(B|KiB|MiB|GiB|TiB)?\s*$",
        &["512KiB", "10MiB", "20GiB"],
    );
    json!({ "anyOf": [text, { "type": "integer", "minimum": 0 }] })
}

pub(super) fn rate() -> Value {
    form(
        r"^\s*[0-9]+\s*/\s*(s|sec|m|min|h|hour)\s*$",
        &["50/s", "100/min", "1000/h"],
    )
}

pub(super) fn address() -> Value {
    form(
        r"^.+:[0-9]+$",
        &["127.0.0.1:8787", "0.0.0.0:8787", "[::]:8787"],
    )
}

pub(super) fn time_zone() -> Value {
    form(
        r"^([+-][0-9]{2}(:[0-9]{2})?|[A-Za-z].*)$",
        &["Asia/Shanghai", "+08:00"],
    )
}

pub(super) fn url() -> Value {
    form("^https?://", &["https://relay.example.com"])
}

/// Accepts a path, relative to the file's folder.
pub(super) fn path() -> Value {
    text()
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// Accepts one of these words.
pub(super) fn word<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let words: Vec<&str> = words.into_iter().collect();
    json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": REFERENCE }] })
}

/// Accepts one of these words, or a number that the platform may name later.
pub(super) fn code<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    let mut code = word(words);
    if let Some(forms) = code["anyOf"].as_array_mut() {
        forms.push(json!({ "type": "integer", "minimum": 0 }));
    }
    code
}

/// Accepts a secret: the value itself, or the file that contains it.
pub(super) fn secret() -> Value {
    json!({
        "anyOf": [
            { "type": "string", "minLength": 1, "examples": ["${NAME}"] },
            {
                "type": "object",
                "properties": { "file": { "type": "string" } },
                "required": ["file"],
                "additionalProperties": false,
            },
        ],
    })
}

/// Accepts one value or a list.
pub(super) fn many(one: Value) -> Value {
    let list = list_of(one.clone());
    any_of(vec![one, list])
}

/// Accepts one value or a non-empty list.
pub(super) fn some(one: Value) -> Value {
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
pub(super) fn list_of(one: Value) -> Value {
    let mut list = json!({ "type": "array" });
    list["items"] = one;
    list
}

/// Accepts tables with names chosen by the user: `[apps.NAME]`.
pub(super) fn named(one: Value) -> Value {
    let mut named = json!({
        "type": "object",
        "propertyNames": { "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" },
    });
    named["additionalProperties"] = one;
    named
}
