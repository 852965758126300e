//! Compares the schema with the reader: the same keys, the same words, the same valid files.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Value, json};
use toml::de::DeTable;

use super::schema;
use crate::config::keys::Kind;
use crate::config::rule_tests;
use crate::config::tests::Folder;
use crate::toml_reader::{Read, entries_of};

/// Returns the first part of a value that violates the schema, with its path. Fails on schema keywords that it
/// does not know.
fn complaint(schema: &Value, value: &Value, way: &str) -> Option<String> {
    let mut words = schema.as_object().unwrap().iter();
    words.find_map(|(word, demand)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "examples" => None,
        "items" | "propertyNames" | "properties" | "additionalProperties" | "anyOf" | "oneOf" => {
            below(schema, (word, demand), value, way)
        }
        word => (!holds(word, demand, value)).then(|| format!("{way}: {word}")),
    })
}

/// Returns whether the value meets a schema keyword. A keyword for other types is always met.
fn holds(word: &str, demand: &Value, value: &Value) -> bool {
    let fits = |pattern: &Regex| value.as_str().is_none_or(|text| pattern.is_match(text));
    match word {
        "type" => is_of(value, demand.as_str().unwrap()),
        "enum" => demand.as_array().unwrap().contains(value),
        "const" => demand == value,
        "pattern" => fits(&Regex::new(demand.as_str().unwrap()).unwrap()),
        "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
        "minimum" => value.as_f64().is_none_or(|number| number >= 0.0),
        "maximum" => value.as_f64() <= demand.as_f64(),
        "minItems" => value.as_array().is_none_or(|items| !items.is_empty()),
        "minProperties" => value.as_object().is_none_or(|table| !table.is_empty()),
        "required" => value.as_object().is_none_or(|table| {
            let mut keys = demand.as_array().unwrap().iter();
            keys.all(|key| table.contains_key(key.as_str().unwrap()))
        }),
        other => panic!("the schema uses {other}, which this test does not know"),
    }
}

/// Returns the first violation of a keyword about nested values or alternative schemas.
fn below(
    schema: &Value,
    (word, demand): (&str, &Value),
    value: &Value,
    way: &str,
) -> Option<String> {
    let table = || value.as_object().into_iter().flatten();
    let known = |key: &str| schema["properties"].get(key).is_some();
    match word {
        "items" => {
            let mut items = value.as_array().into_iter().flatten();
            items.find_map(|item| complaint(demand, item, &format!("{way}[]")))
        }
        "propertyNames" => table().find_map(|(key, _)| complaint(demand, &json!(key), way)),
        "properties" => table()
            .find_map(|(key, value)| complaint(demand.get(key)?, value, &format!("{way}.{key}"))),
        "additionalProperties" => {
            let mut others = table().filter(|(key, _)| !known(key));
            others.find_map(|(key, value)| match demand {
                Value::Bool(false) => Some(format!("{way}.{key}: unknown")),
                schema => complaint(schema, value, &format!("{way}.{key}")),
            })
        }
        any_or_one => {
            let forms = demand.as_array().unwrap();
            let wrong = forms.iter().filter_map(|form| complaint(form, value, way));
            let wrong: Vec<String> = wrong.collect();
            let right = forms.len() - wrong.len();
            let good = right == 1 || (any_or_one == "anyOf" && right > 1);
            (!good).then(|| wrong.join(" | "))
        }
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

fn complaint_of_text(text: &str) -> Option<String> {
    let entries = entries_of(DeTable::parse(text).unwrap().get_ref());
    complaint(&schema(), &Value::Object(rule_tests::json(&entries)), "")
}

const FULL: &str = include_str!("../../../docs/relay.full.toml");

#[test]
fn the_samples_are_valid() {
    let short = include_str!("../../../relay.toml");
    for text in [FULL, short, ""] {
        assert_eq!(complaint_of_text(text), None);
    }
}

/// An extra key, a missing key and a wrong word are refused by reader and schema.
#[test]
fn schema_refuses_values_that_the_reader_refuses() {
    for (from, to) in [
        ("listen = \"0.0.0.0:9000\"", "lisen = \"0.0.0.0:9000\""),
        ("max_connections = 1000", "max_connections = \"many\""),
        (
            "shutdown_grace = \"30s\"",
            "shutdown_grace = \"30 seconds\"",
        ),
        ("max_body = \"2MiB\"", "max_body = \"2MB\""),
        ("level = \"debug\"", "level = \"verbose\""),
        ("rate = \"50/min\"", "rate = \"50\""),
        ("kind = \"file\"", "kind = \"fiel\""),
        ("kind = \"file\"", "kind = \"webhook\""),
        ("chat_id = \"oc_", "chatid = \"oc_"),
        ("app = \"shop\"  ", "# "),
        ("feishu = [", "feisu = ["),
        ("contact = \"mask\"", "contact = \"hide\""),
        ("[apps.shop]", "[apps.\"the shop\"]"),
        ("match = { tenant =", "match = { tenants ="),
        ("severity = \"critical\"", "severity = \"urgent\""),
        ("fault = [\"black_screen\",", "fault = [\"purple_screen\","),
        ("group_by = [\"app\"", "group_by = [\"ap\""),
        ("{ count = 20", "{ cuont = 20"),
        ("unless = \"claimed\"", "unless = \"done\""),
        ("name = \"blank screen\"", "nmae = \"blank screen\""),
        ("with = { fault_type", "with = { faulttype"),
        ("expect = { rule =", "expect = { rules ="),
    ] {
        assert!(FULL.contains(from), "{from}");
        let text = FULL.replacen(from, to, 1);
        assert!(complaint_of_text(&text).is_some(), "the schema allows {to}");
        let report = Folder::new(&text).report(&[]);
        assert!(report.contains("error["), "the reader allows {to}");
    }
}

fn keys(table: &Value) -> BTreeSet<String> {
    table["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[test]
fn schema_has_every_section_and_every_kind() {
    let schema = schema();
    let sections = crate::config::check::SECTIONS.iter().copied();
    assert_eq!(keys(&schema), sections.map(str::to_owned).collect());
    let kinds = &schema["properties"]["destinations"]["additionalProperties"]["oneOf"];
    let kinds = kinds.as_array().unwrap().iter();
    let kinds: BTreeSet<&str> = kinds
        .map(|kind| kind["properties"]["kind"]["const"].as_str().unwrap())
        .collect();
    let words = Kind::schema();
    let words = words["anyOf"][0]["enum"].as_array().unwrap().iter();
    assert_eq!(kinds, words.map(|word| word.as_str().unwrap()).collect());
}

/// Every key has a description.
#[test]
fn every_key_is_described() {
    fn look(schema: &Value, way: &str) {
        if let Some(keys) = schema["properties"].as_object() {
            for (key, value) in keys {
                let way = format!("{way}.{key}");
                let plain = way.contains(".with.") || key == "file";
                assert!(
                    plain
                        || value["description"]
                            .as_str()
                            .is_some_and(|text| text.len() > 5),
                    "{way}"
                );
                look(value, &way);
            }
        }
        for word in ["additionalProperties", "items"] {
            if schema[word].is_object() {
                look(&schema[word], way);
            }
        }
        for word in ["anyOf", "oneOf"] {
            for form in schema[word].as_array().into_iter().flatten() {
                look(form, way);
            }
        }
    }
    look(&schema(), "");
}

#[test]
fn the_committed_file_is_fresh() {
    let committed = std::fs::read_to_string("docs/relay.schema.json").unwrap();
    let fresh = format!("{:#}\n", schema());
    if committed != fresh {
        std::fs::write("target/relay.schema.json", &fresh).unwrap();
    }
    assert!(
        committed == fresh,
        "copy target/relay.schema.json to docs/relay.schema.json"
    );
    for file in ["relay.toml", "docs/relay.full.toml"] {
        let text = std::fs::read_to_string(file).unwrap();
        let first = text.lines().next().unwrap();
        let named = first.strip_prefix("#:schema ").unwrap();
        let folder = std::path::Path::new(file).parent().unwrap();
        assert!(folder.join(named).is_file(), "{file}: {named}");
    }
}
