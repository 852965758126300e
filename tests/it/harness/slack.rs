//! The fake Slack, beside tests that wait for other processes.

use std::ops::Deref;

use feedback_relay::demo::FakeSlack;
use feedback_relay::demo::slack::{Posted, Press, Workspace};
use feedback_relay::model::{Clock, Secret, SystemClock};
use feedback_relay::slack::sign;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::http::post;

/// The bot's token.
pub const TOKEN: &str = "xoxb-test-token";
/// The secret that signs clicks.
pub const SIGNING_SECRET: &str = "test-signing-secret";
/// The channel that the bot is in.
pub const CHANNEL: &str = "C0123ABCD";

/// A fake with one channel.
pub struct Slack {
    fake: FakeSlack,
    // Dropped last because the fake runs on it.
    runtime: Runtime,
}

impl Slack {
    /// Starts a fake whose bot has these scopes.
    pub fn with_scopes(scopes: &[&'static str]) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let workspace = Workspace {
            scopes: scopes.to_vec(),
            ..Workspace::new(TOKEN, SIGNING_SECRET, CHANNEL)
        };
        let fake = runtime.block_on(FakeSlack::start(workspace));
        Self {
            fake: fake.expect("a free port"),
            runtime,
        }
    }

    /// Starts a fake whose bot has every scope that the relay can use.
    pub fn started() -> Self {
        Self::with_scopes(&["chat:write", "files:write", "files:read"])
    }

    /// Clicks a button of a message as a user, and returns the status of the relay's response.
    pub fn press(&self, relay: &str, message: &Posted, action_id: &str, user: (&str, &str)) -> u16 {
        let url = format!("http://{relay}/destinations/product/actions");
        let press = Press {
            channel: &message.channel,
            ts: &message.ts,
            action_id,
            user: user.0,
            user_name: user.1,
        };
        let pressed = self.fake.press_button(&url, &press, SystemClock.now());
        self.runtime.block_on(pressed).expect("an answer").status
    }

    /// Clicks a button of an outdated version of a message.
    pub fn press_as_it_was(&self, relay: &str, old: &Posted, action_id: &str, user: &str) -> u16 {
        self.press_at(relay, ("product", SIGNING_SECRET), old, action_id, user)
    }

    /// Sends the click on a button of `old` to the URL of a destination, signed with this secret.
    pub fn press_at(
        &self,
        relay: &str,
        (destination, secret): (&str, &str),
        old: &Posted,
        action_id: &str,
        user: &str,
    ) -> u16 {
        let button = button(&old.blocks, action_id).expect("a button");
        let payload = json!({
            "type": "block_actions",
            "user": {"id": user, "name": "Somebody"},
            "channel": {"id": old.channel},
            "message": {"ts": old.ts},
            "response_url": format!("{}/actions/T0FAKE/1/fake", self.url()),
            "actions": [button],
        });
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &payload.to_string());
        let body = form.finish();
        let stamp = SystemClock.now().as_secs().to_string();
        let secret = Secret::new(secret);
        let signature = sign(&secret, stamp.as_bytes(), body.as_bytes());
        let headers = [
            ("x-slack-request-timestamp", stamp.as_str()),
            ("x-slack-signature", signature.as_str()),
        ];
        let path = format!("/destinations/{destination}/actions");
        post(relay, &path, &headers, body.as_bytes()).status
    }

    /// Returns `[destinations.product]` with this fake.
    pub fn destination(&self) -> String {
        format!(
            "[destinations.product]\nkind = \"slack-app\"\ntoken = \"{TOKEN}\"\nsigning_secret = \"{SIGNING_SECRET}\"\n\
             channel = \"{CHANNEL}\"\nbase_url = \"{}\"\nlocale = \"en\"\n",
            self.url()
        )
    }
}

impl Deref for Slack {
    type Target = FakeSlack;

    fn deref(&self) -> &FakeSlack {
        &self.fake
    }
}

/// Returns the button with this id.
fn button<'v>(value: &'v Value, action_id: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) if members.get("action_id").is_some_and(|id| id == action_id) => {
            Some(value)
        }
        Value::Object(members) => members.values().find_map(|one| button(one, action_id)),
        Value::Array(items) => items.iter().find_map(|one| button(one, action_id)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
