//! The schema of `[destinations.NAME]`: one variant for each kind, with only its own keys.

use serde_json::{Value, json};

use super::values::{
    boolean, duration, many, path, rate, secret, text, time_zone, url, whole, word,
};
use super::{Key, needing, or, table};

/// Returns the schema of a destination of any kind.
pub(super) fn one() -> Value {
    let kinds = [
        (
            "feishu-bot",
            "A group's custom bot in Feishu or Lark",
            feishu_bot as fn() -> Vec<Key>,
            &["url"][..],
        ),
        (
            "feishu-app",
            "An app's own bot in Feishu or Lark",
            feishu_app,
            &["app"],
        ),
        (
            "slack-webhook",
            "An incoming webhook of Slack",
            slack_webhook,
            &["url"],
        ),
        (
            "slack-app",
            "A Slack app's bot",
            slack_app,
            &["token", "channel"],
        ),
        (
            "webhook",
            "Signed JSON for programs, by Standard Webhooks",
            webhook,
            &["url"],
        ),
        ("file", "A file of JSON lines", file, &["path"]),
    ];
    let kinds = kinds.map(|(kind, meaning, own, needed)| {
        let mut keys: Vec<Key> = vec![("kind", meaning, json!({ "const": kind }))];
        keys.extend(own());
        keys.extend(common());
        let needed: Vec<&str> = ["kind"].into_iter().chain(needed.iter().copied()).collect();
        needing(table(meaning, keys), &needed)
    });
    json!({ "oneOf": kinds })
}

/// Returns the keys of every kind.
fn common() -> Vec<Key> {
    vec![
        (
            "rate",
            "A stricter rate limit than the platform's, which is built in",
            rate(),
        ),
        (
            "concurrency",
            "The maximum number of concurrent sends",
            or(whole(), 4),
        ),
        (
            "timeout",
            "The time limit of one send",
            or(duration(), "10s"),
        ),
        ("proxy", "An HTTP proxy for this destination", secret()),
        (
            "retry_for",
            "How long a message is retried. After that it is dead: it stays in the store and the operator is notified",
            or(duration(), "24h"),
        ),
        (
            "fallback",
            "The destination that gets a message if this one is stopped or has given up",
            text(),
        ),
        (
            "fallback_after",
            "How long this destination must fail before critical messages go to the fallback",
            duration(),
        ),
        (
            "was",
            "Old names of this destination, whose waiting messages it takes over",
            many(text()),
        ),
        (
            "locale",
            "The language of this audience; default: `locale` of [templates]",
            word(["zh", "en"]),
        ),
        (
            "timezone",
            "The time zone of this audience; default: `timezone` of [templates]",
            time_zone(),
        ),
        ("fields", "What this audience may see of a report", fields()),
    ]
}

fn fields() -> Value {
    let sight = || or(word(["full", "mask", "drop"]), "full");
    table(
        "What this audience may see of a report",
        vec![
            (
                "contact",
                "The reporter's e-mail address or telephone number",
                sight(),
            ),
            ("description", "The text that the reporter typed", sight()),
            ("path", "The page", sight()),
            ("tenant", "The reporter's tenant", sight()),
            ("user", "The reporter's ids", sight()),
            ("images", "The images", sight()),
        ],
    )
}

fn feishu_bot() -> Vec<Key> {
    vec![
        ("url", "The bot's URL, which is its secret", secret()),
        (
            "secret",
            "Signs messages, if the bot checks signatures",
            secret(),
        ),
        (
            "keyword",
            "The bot's keyword, which is added to every message",
            text(),
        ),
        (
            "upload_images_as",
            "The app of [apps] that uploads images for this bot",
            text(),
        ),
    ]
}

fn feishu_app() -> Vec<Key> {
    vec![
        (
            "app",
            "The app of [apps] whose bot sends the messages; it needs an app_secret",
            text(),
        ),
        ("chat_id", "The chat, `oc_…`; the bot must be in it", text()),
        ("user", "Instead of a chat: one person, `ou_…`", text()),
        (
            "urgent",
            "Also sends urgent notifications to the mentioned people (加急)",
            word(["app", "sms", "phone"]),
        ),
        ("buttons", "Whether cards have buttons", or(boolean(), true)),
    ]
}

fn slack_webhook() -> Vec<Key> {
    vec![("url", "The webhook's URL, which is its secret", secret())]
}

fn slack_app() -> Vec<Key> {
    vec![
        ("token", "The Bot User OAuth Token, `xoxb-…`", secret()),
        (
            "signing_secret",
            "Verifies button clicks, which Slack signs",
            secret(),
        ),
        ("channel", "The channel's id, `C…`, `G…` or `D…`", text()),
        (
            "buttons",
            "Whether messages have buttons; default: true if there is a signing_secret",
            boolean(),
        ),
        (
            "base_url",
            "The base URL of Slack's API, for tests or a proxy",
            or(url(), "https://slack.com"),
        ),
    ]
}

fn webhook() -> Vec<Key> {
    vec![
        ("url", "The URL that messages are posted to", secret()),
        (
            "secret",
            "Signing secrets, `whsec_…`, newest first; several during a rotation",
            many(secret()),
        ),
        (
            "headers",
            "Additional request headers",
            json!({ "type": "object", "additionalProperties": secret() }),
        ),
        (
            "body",
            "A template of templates/webhook that renders the body instead of the standard one",
            text(),
        ),
        (
            "success",
            "With a body of your own: the part of the answer that means success, e.g. `{ pointer = \"/errcode\", equals = 0 }`; \
             default: any 2xx",
            json!({
                "type": "object",
                "properties": {
                    "pointer": {
                        "type": "string",
                        "pattern": "^/",
                        "description": "The place in the answer's JSON, as a JSON pointer",
                    },
                    "equals": {
                        "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }],
                        "description": "The value there if the message was accepted",
                    },
                },
                "required": ["pointer", "equals"],
                "additionalProperties": false,
            }),
        ),
    ]
}

fn file() -> Vec<Key> {
    vec![(
        "path",
        "The file; created if missing, and appended to",
        path(),
    )]
}
