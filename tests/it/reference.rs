//! Tests of `docs/configuration.md`: every key with its meaning and values, generated from the
//! program's schema.

use std::path::Path;

use serde_json::Value;

use crate::harness::Relay;

const HEAD: &str = "\
# Configuration

This page lists every key of `relay.toml`. [relay.full.toml](relay.full.toml) shows them all in one file, and
[relay.toml](../relay.toml) is a file to start from. Editors that support TOML schemas complete and explain keys with
[relay.schema.json](relay.schema.json).

- A list may be replaced by a single value.
- Relative paths start from the folder of `relay.toml`.
- Durations: `\"800ms\"`, `\"90s\"`, `\"5m\"`, `\"24h\"`, `\"3d\"`. Sizes: `\"512KiB\"`, `\"10MiB\"`, `\"20GiB\"`, or plain bytes.
- Any string may contain `${VAR}` or `${VAR:-default}`; `$${` is a literal `${`. An unset variable is an error.
- Any secret may be written as `{ file = \"/run/secrets/x\" }`.
- `RELAY__SERVER__LISTEN=…` overrides one value; write a `-` in a name as `_`.
- An unknown key is an error that suggests the right key. `feedback-relay check` reports every mistake;
  [diagnostics.md](diagnostics.md) explains its codes.

This page is generated from the program's schema.
";

/// The schema's pattern for names.
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// Returns the name of a value's form, e.g. `duration`; nothing if the description says it.
fn kind(schema: &Value) -> String {
    if let Some(word) = schema.get("const") {
        return code(word);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    if let Some(forms) = schema["anyOf"].as_array() {
        return alternatives(forms);
    }
    let text = |key: &str| schema[key].as_str().unwrap_or_default();
    match text("type") {
        "integer" => "number".into(),
        "boolean" => "true, false".into(),
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" => "table".into(),
        _ => match schema["examples"][0].as_str() {
            Some("800ms") => "duration".into(),
            Some("30m") => "duration, or `\"off\"`".into(),
            Some("512KiB") => "size".into(),
            Some("50/s") => "rate, e.g. `\"50/s\"`".into(),
            Some(example) => format!("text, e.g. `\"{example}\"`"),
            None => "text".into(),
        },
    }
}

/// Returns the alternatives; a reference to a variable is always possible and not listed.
fn alternatives(forms: &[Value]) -> String {
    let secret = |form: &Value| form["properties"].get("file").is_some();
    if forms.iter().any(secret) {
        return "secret".into();
    }
    let list = forms.iter().any(|form| form["type"] == "array");
    let plain = forms.iter().filter(|form| {
        let reference = form["pattern"] == r"\$\{";
        !reference && form["type"] != "array"
    });
    let mut kinds: Vec<String> = plain.map(kind).collect();
    if kinds.first().is_some_and(|first| first == "size") {
        kinds.truncate(1);
    }
    if list {
        kinds.push("or a list".into());
    }
    kinds.join(", ")
}

/// Returns the schema of a value that is a table with known keys, or a list of such tables.
fn table(value: &Value) -> Option<&Value> {
    let forms = value["anyOf"].as_array().into_iter().flatten();
    let mut tables = std::iter::once(value).chain(forms);
    tables.find(|form| form["properties"].is_object() && form["description"].is_string())
}

fn code(value: &Value) -> String {
    format!("`{value}`")
}

/// Writes the table of a section's keys, followed by its subsections.
fn section(way: &str, schema: &Value, level: usize, page: &mut String) {
    let keys = schema["properties"].as_object();
    let needed = schema["required"].as_array().cloned().unwrap_or_default();
    let about = schema["description"].as_str().unwrap_or_default();
    page.push_str(&format!("\n{} {way}\n\n{about}.\n", "#".repeat(level)));
    page.push_str("\n| key | meaning | type | default |\n| --- | --- | --- | --- |\n");
    for (key, value) in keys.into_iter().flatten() {
        let meaning = value["description"].as_str().unwrap_or_default();
        let default = match value.get("default") {
            Some(default) => code(default),
            None if needed.contains(&Value::from(key.as_str())) => "required".into(),
            None => String::new(),
        };
        let row = format!("| `{key}` | {meaning} | {} | {default} |\n", kind(value));
        page.push_str(&row);
    }
    for (key, value) in keys.into_iter().flatten() {
        // `with` has the fields of Feishu's event, which are no configuration keys; `except` and
        // `any` have those of `match`.
        if let Some(table) = table(value).filter(|_| !["with", "except", "any"].contains(&&**key)) {
            section(&format!("{way} {key}"), table, level + 1, page);
        }
    }
}

/// Writes the sections in the form in which the file contains them.
fn sections(schema: &Value, page: &mut String) {
    let top = schema["properties"].as_object().expect("sections");
    page.push_str("\n## Top level\n\n| key | meaning |\n| --- | --- |\n");
    for (key, value) in top {
        let written = match value["type"].as_str() {
            Some("array") => format!("[[{key}]]"),
            Some("object") if value["propertyNames"]["pattern"] == NAME => format!("[{key}.NAME]"),
            Some("object") => format!("[{key}]"),
            _ => format!("{key} = …"),
        };
        let meaning = value["description"].as_str().unwrap_or_default();
        page.push_str(&format!("| `{written}` | {meaning} |\n"));
    }
    for (key, value) in top {
        let kinds = value["additionalProperties"]["oneOf"].as_array();
        for kind in kinds.into_iter().flatten() {
            let name = kind["properties"]["kind"]["const"].as_str();
            let way = format!("[{key}.NAME] of the kind {}", name.expect("a kind"));
            section(&way, kind, 2, page);
        }
        if value["additionalProperties"]["properties"].is_object() {
            section(
                &format!("[{key}.NAME]"),
                &value["additionalProperties"],
                2,
                page,
            );
        } else if value["items"]["properties"].is_object() {
            section(&format!("[[{key}]]"), &value["items"], 2, page);
        } else if value["properties"].is_object() {
            section(&format!("[{key}]"), value, 2, page);
        }
    }
}

#[test]
fn configuration_reference_is_current() {
    let schema = Relay::prepared("").run(&["schema"]).json();
    let mut fresh = HEAD.to_owned();
    sections(&schema, &mut fresh);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap_or_default();
    if fresh != committed {
        let path = root.join("target/configuration.md");
        std::fs::write(path, &fresh).expect("a folder of cargo's");
    }
    assert!(
        fresh == committed,
        "cp target/configuration.md docs/configuration.md"
    );
}
