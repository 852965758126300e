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
            "The platform's own limit is built in; this narrows it",
            rate(),
        ),
        ("concurrency", "How many sends at once", or(whole(), 4)),
        (
            "timeout",
            "How long one send may take",
            or(duration(), "10s"),
        ),
        (
            "proxy",
            "An HTTP proxy that it is reached through",
            secret(),
        ),
        (
            "retry_for",
            "Time spent trying; then the message is dead, kept, and the operator is told",
            or(duration(), "24h"),
        ),
        (
            "fallback",
            "The destination where a message goes when this one is stopped or has given up",
            text(),
        ),
        (
            "fallback_after",
            "A critical message goes to the fallback when this one has failed for so long",
            duration(),
        ),
        (
            "was",
            "Its old names: what waits for them goes to it",
            many(text()),
        ),
        (
            "locale",
            "The language of this audience; default: as [templates]",
            word(["zh", "en"]),
        ),
        (
            "timezone",
            "The zone of this audience; default: as [templates]",
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
            ("description", "The reporter's own words", sight()),
            ("path", "The page", sight()),
            ("tenant", "The reporter's tenant", sight()),
            ("user", "Who reported", sight()),
            ("images", "The pictures", sight()),
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
            "If the bot demands one, it is put into every message",
            text(),
        ),
        (
            "upload_images_as",
            "The app of [apps] whose credentials turn pictures into image keys",
            text(),
        ),
    ]
}

fn feishu_app() -> Vec<Key> {
    vec![
        (
            "app",
            "The app of [apps] that speaks; its app_secret is needed",
            text(),
        ),
        ("chat_id", "The chat, `oc_…`; the bot must be in it", text()),
        ("user", "Instead of a chat: one person, `ou_…`", text()),
        (
            "urgent",
            "Also rings those it mentions (加急)",
            word(["app", "sms", "phone"]),
        ),
        (
            "buttons",
            "Whether its cards carry buttons",
            or(boolean(), true),
        ),
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
            "Tells Slack's clicks on buttons from others'",
            secret(),
        ),
        ("channel", "The channel's id, `C…`, `G…` or `D…`", text()),
        (
            "buttons",
            "Whether its messages carry buttons; default: where there is a signing_secret",
            boolean(),
        ),
        (
            "base_url",
            "For a proxy or a stand-in of Slack",
            or(url(), "https://slack.com"),
        ),
    ]
}

fn webhook() -> Vec<Key> {
    vec![
        ("url", "Where to", secret()),
        (
            "secret",
            "Signing secrets, `whsec_…`, newest first; several while one is rotated",
            many(secret()),
        ),
        (
            "headers",
            "Headers of your own",
            json!({ "type": "object", "additionalProperties": secret() }),
        ),
        (
            "body",
            "A template of templates/webhook that makes another body",
            text(),
        ),
        (
            "success",
            "With a body of one's own: what in the answer says yes, e.g. `{ pointer = \"/errcode\", equals = 0 }`; \
             default: any 2xx",
            json!({
                "type": "object",
                "properties": {
                    "pointer": {
                        "type": "string",
                        "pattern": "^/",
                        "description": "Where it stands in the answer's JSON, as a JSON pointer",
                    },
                    "equals": {
                        "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }],
                        "description": "What stands there if the message was taken",
                    },
                },
                "required": ["pointer", "equals"],
                "additionalProperties": false,
            }),
        ),
    ]
}

fn file() -> Vec<Key> {
    vec![("path", "The file; it is made, and appended to", path())]
}
