//! The schema of `[destinations.NAME]`: one variant for each kind, with only its own keys.

use serde_json::{Value, json};

use crate::config::keys::{
    RawCommon, RawFeishuApp, RawFeishuBot, RawFile, RawSlackApp, RawSlackWebhook, RawWebhook,
};
use crate::toml_reader::{Keys, schema_with};

/// Returns the schema of a destination of any kind.
pub(super) fn one() -> Value {
    json!({ "oneOf": [
        kind::<RawFeishuBot>("feishu-bot"),
        kind::<RawFeishuApp>("feishu-app"),
        kind::<RawSlackWebhook>("slack-webhook"),
        kind::<RawSlackApp>("slack-app"),
        kind::<RawWebhook>("webhook"),
        kind::<RawFile>("file"),
    ] })
}

fn kind<T: Keys>(kind: &str) -> Value {
    let meaning = T::MEANING.trim();
    let first = RawCommon::KEYS.iter().filter(|key| key.name == "kind");
    let mut schema = schema_with(meaning, first.chain(T::KEYS).chain(RawCommon::KEYS));
    schema["properties"]["kind"] = json!({ "const": kind, "description": meaning });
    schema["required"] = json!(T::NEEDED);
    schema
}
