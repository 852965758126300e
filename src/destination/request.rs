//! Shows the request that a destination would send: the message in the shape of its platform's API, without
//! credentials and signatures.

use std::time::Duration;

use serde_json::Value;

use super::{KindSettings, Settings, feishu_app, slack_app};
use crate::feishu::{To, messages};
use crate::model::DeliveryId;
use crate::net::Body;

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The name of the destination's kind.
    pub kind: &'static str,
    /// The receiver, without secrets: the URL of a bot is its secret.
    pub to: String,
    /// The JSON body. JSON inside a string is expanded. A body that is not JSON stays text.
    pub body: Value,
    /// The size of the body as it is sent, in bytes.
    pub bytes: usize,
}

impl Settings {
    /// Returns the request for `payload`, which contains its links already, as the delivery `key`.
    pub fn request(&self, payload: &str, key: DeliveryId) -> Request {
        let plain = |to: String| Request {
            kind: self.kind.key(),
            to,
            bytes: payload.len(),
            body: json_or_text(payload),
        };
        match &self.kind {
            KindSettings::FeishuBot { secret, .. } => plain(match secret {
                Some(_) => "the bot's URL, signed".to_owned(),
                None => "the bot's URL".to_owned(),
            }),
            KindSettings::SlackWebhook { .. } => plain("the webhook's URL".to_owned()),
            KindSettings::Webhook { secrets, .. } => plain(if secrets.is_empty() {
                format!("its URL, webhook-id {key}")
            } else {
                format!("its URL, webhook-id {key}, signed")
            }),
            KindSettings::File { path } => plain(path.display().to_string()),
            KindSettings::FeishuApp { to, .. } => {
                let request = plain(match to {
                    To::Chat(id) => format!("chat {id}"),
                    To::Person(id) => format!("person {id}"),
                });
                of_feishu(to, payload, key).map_or(request.clone(), |(body, bytes)| Request {
                    body,
                    bytes,
                    ..request
                })
            }
            KindSettings::SlackApp { channel, .. } => {
                let request = plain(format!("channel {channel}"));
                slack_app::posted(payload, channel).map_or(request.clone(), |body| Request {
                    bytes: body.to_string().len(),
                    body,
                    ..request
                })
            }
        }
    }
}

/// Returns the body of the call that creates a message, with the card's JSON string expanded. Also returns
/// the size of the body as it is sent, in bytes.
fn of_feishu(to: &To, payload: &str, key: DeliveryId) -> Option<(Value, usize)> {
    let content = feishu_app::content_of(payload)?;
    // No call is made, so the time limit is unused.
    let call = messages::create(to, &content, &key.to_string(), Duration::ZERO);
    let Body::Bytes(sent) = &call.body else {
        return None;
    };
    let mut body: Value = serde_json::from_slice(sent).ok()?;
    body["content"] = json_or_text(&content.content);
    Some((body, sent.len()))
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
