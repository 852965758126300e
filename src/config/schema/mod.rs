//! The JSON Schema of `relay.toml`, for editors: the meaning and values of every key.
//!
//! It is generated from the same key types that read the file. Most of these types parse a string of a given form
//! (`"90s"`, `"50/s"`, `${VAR}`). A test checks that the schema and the reader refuse the same malformed values.

mod destinations;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::keys::{RawApp, RawMention, RawTest, RawTop, SECTIONS};
use crate::rules;
use crate::toml_reader::schema::{list_of, many, named, text};
use crate::toml_reader::{Read, schema_of};

/// Returns the whole schema.
pub fn schema() -> Value {
    let mut properties = schema_of::<RawTop>()["properties"].take();
    for (name, meaning, mut schema) in sections() {
        schema["description"] = meaning.into();
        properties[name] = schema;
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "relay.toml",
        "description": "A configuration of feedback-relay",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Returns each section: its name, its meaning and its values.
fn sections() -> Vec<(&'static str, &'static str, Value)> {
    let fixed = SECTIONS.iter();
    let fixed = fixed.map(|section| (section.name, section.meaning.trim(), (section.schema)()));
    let others = [
        (
            "app_names",
            "Names of apps that are not in [apps] but can have feedback, by app id",
            json!({
                "type": "object",
                "propertyNames": { "pattern": "^cli_[0-9A-Za-z]+$" },
                "additionalProperties": text(),
            }),
        ),
        (
            "mentions",
            "Names of people for `mention` in rules; \"all\" is everyone",
            named(RawMention::schema()),
        ),
        (
            "lists",
            "Words that rules share: in `match` and `except`, \"@name\" means all words of a list",
            named(many(
                json!({ "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "integer" }] }),
            )),
        ),
        (
            "apps",
            "Feishu or Lark apps whose events the relay receives",
            named(RawApp::schema()),
        ),
        (
            "destinations",
            "The receivers of messages",
            named(destinations::one()),
        ),
        (
            "rules",
            "Which events go to which destinations: tried from top to bottom; the first match ends the search unless `continue = true`",
            list_of(rules::schema()),
        ),
        (
            "digests",
            "Messages at fixed times about the reports that came since the time before",
            list_of(rules::digest_schema()),
        ),
        (
            "tests",
            "Tests of the rules with sample events; `check` runs them, `serve` does not read them",
            list_of(test()),
        ),
    ];
    fixed.chain(others).collect()
}

fn test() -> Value {
    let mut test = RawTest::schema();
    test["properties"]["expect"]["minProperties"] = 1.into();
    test
}
