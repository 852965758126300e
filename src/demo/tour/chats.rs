//! The chats of the demo, and the ways to break them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::demo::Fault;

/// The chat of the app's own bot.
pub(super) const ONCALL: &str = "oc_oncall";
/// The chat of the custom bot.
pub(super) const PRODUCT: &str = "oc_product";
/// The Slack channel.
pub(super) const CHANNEL: &str = "C0SHOPTALK";

/// A chat, named like its destination in `relay.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Chat {
    Oncall,
    Product,
    Slack,
    Warehouse,
}

/// How a chat responds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Condition {
    #[default]
    Works,
    /// Responds with HTTP 503 to everything.
    Fails,
    /// Responds with a rate limit.
    Limits,
    /// Does not respond.
    Hangs,
}

/// Longer than the relay waits.
const HANG: Duration = Duration::from_secs(600);
/// The pause that a rate limit asks for, in seconds.
const PAUSE_SECS: u64 = 3;

impl Chat {
    pub(super) const ALL: [Self; 4] = [Self::Oncall, Self::Product, Self::Slack, Self::Warehouse];

    /// Returns the chat's description for the page, without its messages.
    pub(super) fn about(self) -> Value {
        match self {
            Self::Oncall => {
                json!({"key": self, "kind": "feishu-app", "zh": "商城值班群", "en": "商城值班群 · on-call"})
            }
            Self::Product => {
                json!({"key": self, "kind": "feishu-bot", "zh": "产品反馈群", "en": "产品反馈群 · product"})
            }
            Self::Slack => {
                json!({"key": self, "kind": "slack-app", "zh": "shop-feedback", "en": "shop-feedback"})
            }
            Self::Warehouse => {
                json!({"key": self, "kind": "webhook", "zh": "数据仓库", "en": "Data warehouse"})
            }
        }
    }

    /// Returns the fault that simulates the condition on this platform.
    pub(super) fn fault(self, condition: Condition) -> Option<Fault> {
        match (condition, self) {
            (Condition::Works, _) => None,
            (Condition::Hangs, _) => Some(Fault::Slow(HANG)),
            (Condition::Fails, _) => Some(Fault::Answer {
                status: 503,
                headers: vec![("content-type", "text/html".into())],
                body: "<h1>503 Service Unavailable</h1>".into(),
            }),
            (Condition::Limits, Self::Product) => {
                let body = json!({"code": 11232, "msg": "frequency limited"});
                Some(Fault::json(200, &body))
            }
            (Condition::Limits, Self::Oncall) => {
                let body = json!({"code": 99_991_400, "msg": "request trigger frequency limit"});
                Some(wait("x-ogw-ratelimit-reset", body.to_string()))
            }
            (Condition::Limits, Self::Slack) => {
                let body = json!({"ok": false, "error": "ratelimited"});
                Some(wait("retry-after", body.to_string()))
            }
            (Condition::Limits, Self::Warehouse) => Some(wait("retry-after", String::new())),
        }
    }
}

fn wait(header: &'static str, body: String) -> Fault {
    Fault::Answer {
        status: 429,
        headers: vec![
            (header, PAUSE_SECS.to_string()),
            ("content-type", "application/json".into()),
        ],
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chat_supports_every_condition() {
        for chat in Chat::ALL {
            assert_eq!(chat.fault(Condition::Works), None);
            for condition in [Condition::Fails, Condition::Limits, Condition::Hangs] {
                assert!(chat.fault(condition).is_some(), "{chat:?} {condition:?}");
            }
        }
        let Some(Fault::Answer { status, body, .. }) = Chat::Product.fault(Condition::Limits)
        else {
            panic!("a bot answers");
        };
        assert!(status == 200 && body.contains("11232"));
    }
}
