//! Simulated clicks on a card's buttons. Source: doc "卡片回传交互回调".

use serde_json::{Value, json};

use super::{EventKeys, FakeFeishu};
use crate::demo::PressError;
use crate::feishu::CARD_ACTION;
use crate::model::Secret;
use crate::net::{Answer, HttpClient};

/// A click on a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press<'a> {
    /// The message.
    pub message: &'a str,
    /// The button's `element_id`.
    pub button: &'a str,
    /// The person who clicks: `ou_…`.
    pub open_id: &'a str,
}

impl FakeFeishu {
    /// Clicks a button of a card in its current state, and sends the callback to `url`, the app's
    /// URL for events and callbacks.
    pub async fn press_button(
        &self,
        http: &HttpClient,
        url: &Secret,
        keys: &EventKeys,
        press: Press<'_>,
    ) -> Result<Answer, PressError> {
        let message = self.state.messages.find(press.message);
        let message = message.ok_or(PressError::NoButton)?;
        let value = value(&message.content, press.button).ok_or(PressError::NoButton)?;
        let callback = json!({
            "schema": "2.0",
            "header": {
                "event_id": format!("fake-press-{:016x}", fastrand::u64(..)),
                "event_type": CARD_ACTION,
                "create_time": message.created_at.as_millis().to_string(),
                "tenant_key": "fake",
                "app_id": message.app_id,
            },
            "event": {
                "operator": {"tenant_key": "fake", "open_id": press.open_id},
                "token": "c-fake",
                "action": {"value": value, "tag": "button", "timezone": "Asia/Shanghai"},
                "host": "im_message",
                "context": {"open_message_id": message.id, "open_chat_id": message.receiver},
            },
        });
        Ok(self.push_http(http, url, keys, &callback).await?)
    }
}

/// Returns the value of the button with this id.
fn value<'v>(card: &'v Value, button: &str) -> Option<&'v Value> {
    match card {
        Value::Object(members) if members.get("element_id").is_some_and(|id| id == button) => {
            let behaviors = members.get("behaviors")?.as_array()?;
            behaviors.iter().find_map(|one| one.get("value"))
        }
        Value::Object(members) => members.values().find_map(|one| value(one, button)),
        Value::Array(items) => items.iter().find_map(|one| value(one, button)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_found_by_its_id() {
        let button = |id, relay| {
            let behaviors =
                json!([{"type": "open_url"}, {"type": "callback", "value": {"relay": relay}}]);
            json!({"tag": "button", "element_id": id, "behaviors": behaviors})
        };
        let card = json!({"body": {"elements": [{"columns": [button("claim", "1"), button("done", "2")]}]}});
        assert_eq!(value(&card, "done"), Some(&json!({"relay": "2"})));
        assert_eq!(value(&card, "undo"), None);
    }
}
