//! Simulated clicks on buttons. Source: docs.slack.dev "`block_actions` payload".

use std::time::Duration;

use serde_json::{Value, json};

use super::FakeSlack;
use crate::demo::PressError;
use crate::model::{Secret, Timestamp};
use crate::net::{Answer, Body, HttpClient, Method, Request};
use crate::slack::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};

/// How long Slack waits for a response.
const PATIENCE: Duration = Duration::from_secs(3);

/// A click on a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press<'a> {
    /// The channel of the message.
    pub channel: &'a str,
    /// The message's timestamp.
    pub ts: &'a str,
    /// The button's id.
    pub action_id: &'a str,
    /// The person who clicks: `U…`.
    pub user: &'a str,
    /// That person's name.
    pub user_name: &'a str,
}

impl FakeSlack {
    /// Clicks a button of a message in its current state, and sends the click to `url`, signed at
    /// `now`. Returns the response if it comes within Slack's three seconds.
    pub async fn press_button(
        &self,
        url: &str,
        press: &Press<'_>,
        now: Timestamp,
    ) -> Result<Answer, PressError> {
        let message = self.state.channels.message(press.channel, press.ts);
        let message = message.ok_or(PressError::NoButton)?;
        let button = button(&message.blocks, press.action_id).ok_or(PressError::NoButton)?;
        let payload = json!({
            "type": "block_actions",
            "user": {"id": press.user, "username": press.user_name, "name": press.user_name, "team_id": "T0FAKE"},
            "container": {"type": "message", "message_ts": press.ts, "channel_id": press.channel},
            "trigger_id": "1.2.fake",
            "team": {"id": "T0FAKE", "domain": "example"},
            "channel": {"id": press.channel, "name": "fake"},
            "message": {"type": "message", "ts": press.ts, "text": message.text, "blocks": message.blocks},
            "response_url": format!("{}/actions/T0FAKE/1/fake", self.url()),
            "actions": [button],
        });
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish();
        let timestamp = now.as_secs().to_string();
        let secret = &self.state.workspace.signing_secret;
        let signature = sign(secret, timestamp.as_bytes(), body.as_bytes());
        let form = "application/x-www-form-urlencoded".to_owned();
        let headers = [
            ("content-type", form),
            (TIMESTAMP_HEADER, timestamp),
            (SIGNATURE_HEADER, signature),
        ];
        let request = Request {
            method: Method::Post,
            url: &Secret::new(url),
            headers: headers
                .map(|(name, value)| (name.to_owned(), Secret::new(value)))
                .into(),
            body: Body::Bytes(body.into()),
            timeout: PATIENCE,
        };
        Ok(HttpClient::trusted(None)?.send(request).await?)
    }
}

/// Returns the button with this id.
fn button<'v>(value: &'v Value, action_id: &str) -> Option<&'v Value> {
    match value {
        Value::Array(items) => items.iter().find_map(|item| button(item, action_id)),
        Value::Object(members) if members.get("action_id").is_some_and(|id| id == action_id) => {
            Some(value)
        }
        Value::Object(members) => members.values().find_map(|item| button(item, action_id)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
