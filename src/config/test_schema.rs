//! The schemas of the values in `[[tests]]` that describe an event.

use serde_json::{Value, json};

use crate::feishu::{CREATED_FIELDS, UPDATED_FIELDS};
use crate::model::{FaultKind, FeedbackKind, FeedbackStatus, SourceKind};
use crate::rules;
use crate::simulation::EVENTS_MAX;
use crate::toml_reader::schema::{code, many};
use crate::toml_reader::{Keys, schema_of};

use super::keys::RawSilence;

/// Returns the schema of the time of a test.
pub(super) fn at() -> Value {
    json!({ "type": "string", "examples": ["2026-03-01T02:10:00+08:00"] })
}

/// Returns the schema of the number of events of a test.
pub(super) fn times() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": EVENTS_MAX })
}

/// Returns the schema of the silences of a test: their own keys, and those of `match`.
pub(super) fn silences() -> Value {
    let mut own = schema_of::<RawSilence>();
    let mut one = rules::conditions_schema(RawSilence::MEANING.trim());
    if let (Value::Object(keys), Value::Object(own)) =
        (&mut one["properties"], own["properties"].take())
    {
        keys.extend(own);
    }
    one["required"] = own["required"].take();
    many(one)
}

/// Returns the schema of `with` of a test.
pub(super) fn with() -> Value {
    fn names<T: Copy>(known: &[T], key: fn(T) -> Option<&'static str>) -> Value {
        code(known.iter().filter_map(|&one| key(one)))
    }
    let mut fields = serde_json::Map::new();
    for field in CREATED_FIELDS.iter().chain(UPDATED_FIELDS) {
        let value = match *field {
            "feedback_type" => names(FeedbackKind::KNOWN, FeedbackKind::key),
            "fault_type" => many(names(FaultKind::KNOWN, FaultKind::key)),
            "source" => names(SourceKind::KNOWN, SourceKind::key),
            "status" => names(FeedbackStatus::KNOWN, FeedbackStatus::key),
            "user_id" | "operator_id" => json!({ "type": "object" }),
            _ => json!({}),
        };
        fields.insert((*field).to_owned(), value);
    }
    json!({ "type": "object", "properties": fields, "additionalProperties": false })
}
