//! Formats mentions for each kind of message.

use serde_json::{Value, json};

use super::context::LIST_MAX;
use super::text::{Field, Room, clean, fit};
use super::{Family, Locale, Mention};

/// Returns whether `id` is safe inside markup. Ids come from the configuration; characters that could close the
/// markup are rejected.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@' | b'.' | b'+'))
}

/// Formats mentions for cards and Slack's mrkdwn.
pub(super) fn markup(mentions: &[Mention], family: Family) -> String {
    let mut out = Vec::new();
    for mention in mentions.iter().take(LIST_MAX) {
        match (mention, family) {
            (Mention::Shown(name), _) => out.push(shown(name)),
            (Mention::All, Family::Slack) => out.push("<!channel>".to_owned()),
            (Mention::All, Family::Feishu | Family::Webhook | Family::Text) => {
                out.push("<at id=all></at>".to_owned());
            }
            (Mention::Person { slack, .. }, Family::Slack) => {
                out.extend(slack.iter().filter(|id| is_id(id)).map(|id| {
                    if id.starts_with('S') {
                        format!("<!subteam^{id}>")
                    } else {
                        format!("<@{id}>")
                    }
                }));
            }
            (Mention::Person { feishu, .. }, Family::Feishu | Family::Webhook | Family::Text) => {
                out.extend(feishu.iter().filter(|id| is_id(id)).map(|id| {
                    let by = if id.contains('@') { "email" } else { "id" };
                    format!("<at {by}={id}></at>")
                }));
            }
        }
    }
    out.join(" ")
}

/// Formats mentions for Feishu's text messages, which need ids. People known only by e-mail are named without a
/// mention.
pub(super) fn text(mentions: &[Mention]) -> String {
    let mut out = Vec::new();
    for mention in mentions.iter().take(LIST_MAX) {
        match mention {
            Mention::All => out.push("<at user_id=\"all\"></at>".to_owned()),
            Mention::Shown(name) => out.push(shown(name)),
            Mention::Person { name, feishu, .. } => {
                let ids = open_ids(feishu);
                if ids.is_empty() {
                    out.push(format!("@{}", fit_name(name)));
                }
                out.extend(ids.iter().map(|id| format!("<at user_id=\"{id}\"></at>")));
            }
        }
    }
    out.join(" ")
}

fn open_ids(feishu: &[String]) -> Vec<&str> {
    let ids = feishu.iter().map(String::as_str);
    ids.filter(|id| is_id(id) && !id.contains('@')).collect()
}

/// Formats a name of the configuration. Its only markup character is `_`, and Slack does not turn plain text into
/// mentions.
fn shown(name: &str) -> String {
    format!("@{}", fit_name(name))
}

fn fit_name(name: &str) -> String {
    fit(&clean(name), Field::FeishuText, Room::ALL, Locale::En)
}

/// Formats mentions for Feishu's rich text.
pub(super) fn nodes(mentions: &[Mention]) -> Vec<Value> {
    let mut out = Vec::new();
    for mention in mentions.iter().take(LIST_MAX) {
        match mention {
            Mention::All => out.push(json!({"tag": "at", "user_id": "all"})),
            Mention::Shown(name) => {
                out.push(json!({"tag": "text", "text": format!("{} ", shown(name))}));
            }
            Mention::Person { name, feishu, .. } => {
                let ids = open_ids(feishu);
                if ids.is_empty() {
                    out.push(json!({"tag": "text", "text": format!("@{} ", fit_name(name))}));
                }
                out.extend(ids.iter().map(|id| json!({"tag": "at", "user_id": id})));
            }
        }
    }
    out
}

/// Formats names without mentioning anybody.
pub(super) fn names(mentions: &[Mention]) -> String {
    let names = mentions.iter().take(LIST_MAX).map(|mention| match mention {
        Mention::All => "@all".to_owned(),
        Mention::Person { name, .. } | Mention::Shown(name) => format!("@{}", clean(name)),
    });
    names.collect::<Vec<_>>().join(" ")
}
