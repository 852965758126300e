//! Sample events for tests: the field names of a feedback event, and replacement of their values.

use serde_json::{Map, Value};

use super::event::SampleError;
use super::json;
use crate::model::Timestamp;

/// The fields of `event` in `feedback.created_v6`. Source: doc "新增应用反馈".
pub const CREATED_FIELDS: &[&str] = &[
    "user_id",
    "app_id",
    "feedback_time",
    "tenant_name",
    "feedback_type",
    "fault_type",
    "fault_time",
    "source",
    "contact",
    "description",
    "images",
    "feedback_id",
    "feedback_path",
];

/// The fields of `event` in `feedback.updated_v6`. Source: doc "更新应用反馈".
pub const UPDATED_FIELDS: &[&str] = &[
    "feedback_ids",
    "status",
    "app_id",
    "update_time",
    "operator_id",
];

/// The ids in `user_id` and `operator_id`.
pub const USER_FIELDS: &[&str] = &["open_id", "union_id", "user_id"];

/// The pages in the samples that `events sample` prints.
pub const SAMPLE_PAGES: &[&str] = &[
    "https://help.example.com/",
    "https://help.example.com/chat",
    "https://shop.example.com/orders",
    "https://shop.example.com/reports?range=month",
    "pages/index",
    "pages/item/video",
    "pages/order/detail",
    "pages/order/list",
    "pages/pay/confirm",
    "pages/store/select",
];

/// Returns the sample with the given values in its event. The sample is a whole body, or the object
/// `event` alone. Tables are merged; any other value replaces the old one.
///
/// # Errors
///
/// The sample is not a JSON object.
pub fn sample_with(sample: &str, with: &Map<String, Value>) -> Result<String, SampleError> {
    let text = json::mend(sample.strip_prefix('\u{feff}').unwrap_or(sample));
    let mut whole: Map<String, Value> = serde_json::from_str(&text).map_err(SampleError::Json)?;
    match whole.get_mut("event") {
        Some(Value::Object(event)) => lay_over(event, with),
        Some(_) | None => lay_over(&mut whole, with),
    }
    Ok(Value::Object(whole).to_string())
}

/// Returns the sample as if it happened at `now`. The differences between its times stay the same;
/// the rest is unchanged.
pub fn sample_at(sample: &str, now: Timestamp) -> String {
    let created = member(sample, "create_time").and_then(|text| text.parse::<i64>().ok());
    let Some(created) = created else {
        return sample.to_owned();
    };
    let shift = jiff::SignedDuration::from_millis(now.as_millis() - created);
    let mut text = sample.replace(
        &format!("\"{created}\""),
        &format!("\"{}\"", now.as_millis()),
    );
    for field in ["feedback_time", "fault_time", "update_time"] {
        let Some(written) = member(sample, field) else {
            continue;
        };
        // The platform's times carry no offset, so shifting them is enough.
        let Ok(then) = jiff::civil::DateTime::strptime(TIME, written) else {
            continue;
        };
        let then = then.saturating_add(shift).strftime(TIME);
        text = text.replace(
            &format!("\"{field}\": \"{written}\""),
            &format!("\"{field}\": \"{then}\""),
        );
    }
    text
}

/// The platform's time format.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Returns the text of a sample's member. Each member is on a line of its own.
fn member<'a>(sample: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = sample.split_once(&format!("\"{name}\": \""))?;
    rest.split('"').next()
}

fn lay_over(event: &mut Map<String, Value>, with: &Map<String, Value>) {
    for (key, value) in with {
        match (event.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(with)) => {
                // The ids of a person: one more level, and none below it.
                inner.extend(with.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => {
                event.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::feishu::read_sample;
    use crate::model::AppName;

    fn laid(sample: &Value, with: &Value) -> Value {
        let with = with.as_object().unwrap();
        serde_json::from_str(&sample_with(&sample.to_string(), with).unwrap()).unwrap()
    }

    #[test]
    fn values_replace_fields_and_other_fields_stay() {
        let event = json!({ "source": 1, "user_id": { "open_id": "ou_1", "user_id": "u" } });
        let with = json!({ "source": 2, "user_id": { "open_id": "ou_2" }, "contact": "x" });
        let wanted = json!({
            "source": 2, "user_id": { "open_id": "ou_2", "user_id": "u" }, "contact": "x"
        });
        assert_eq!(laid(&event, &with), wanted);
        let whole = json!({ "header": { "app_id": "cli_1" }, "event": event });
        let laid = laid(&whole, &with);
        assert_eq!(laid["event"], wanted);
        assert_eq!(laid["header"], whole["header"]);
        assert!(sample_with("[]", &Map::new()).is_err());
    }

    #[test]
    fn sample_happens_now_and_keeps_its_distances() {
        let sample = "{ \"create_time\": \"1772302211000\", \"feedback_time\": \"2026-03-01 02:10:11\",\n  \"fault_time\": \"2026-03-01 02:08:00\" }";
        let now = Timestamp::from_millis(1_772_302_211_000 + 86_400_000 + 1000);
        let stamped = sample_at(sample, now);
        let wanted = "{ \"create_time\": \"1772388612000\", \"feedback_time\": \"2026-03-02 02:10:12\",\n  \"fault_time\": \"2026-03-02 02:08:01\" }";
        assert_eq!(stamped, wanted);
        assert_eq!(sample_at("{}", now), "{}");
    }

    /// A field that the parser does not know would give an empty event.
    #[test]
    fn every_listed_field_is_parsed() {
        let read = |event: Value| {
            let text = json!({ "event": event }).to_string();
            read_sample(&text, &AppName::new("shop"), &jiff::tz::TimeZone::UTC)
        };
        let value = |field: &str| match field {
            "user_id" | "operator_id" => json!({ "open_id": "ou_1" }),
            "feedback_time" | "fault_time" | "update_time" => json!("2026-03-01 02:10:11"),
            "fault_type" => json!([1]),
            "feedback_ids" | "images" => json!(["1"]),
            "feedback_id" => json!("1"),
            _ => json!(1),
        };
        for field in CREATED_FIELDS {
            let mut value = value(field);
            if [
                "app_id",
                "tenant_name",
                "contact",
                "description",
                "feedback_path",
            ]
            .contains(field)
            {
                value = json!("x");
            }
            let event = read(json!({ *field: value }));
            assert!(event.is_ok(), "{field}: {event:?}");
        }
        for field in UPDATED_FIELDS {
            let event = read(json!({ "feedback_ids": ["1"], *field: value(field) }));
            assert!(event.is_ok(), "{field}: {event:?}");
        }
        assert!(read(json!({ "feedback_tpye": 1 })).is_err());
    }
}
