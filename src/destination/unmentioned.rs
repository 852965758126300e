//! Removes the mentions from a message of the feishu family that was refused because of a person in it.

use serde_json::Value;

use super::Sent;
use crate::feishu::codes::Class;
use crate::model::Outcome;

/// Returns the message to send again after a refusal, without its mentions; `None` if the mentions cannot be
/// the cause. A refusal of the plainest form does not name the cause, so the message is sent once without
/// mentions before it is given up.
pub(super) fn unmentioned(class: Option<Class>, outcome: &Outcome, body: &str) -> Option<String> {
    let given_up = matches!(outcome, Outcome::Rejected { .. });
    match class? {
        Class::Person => without_mentions(body),
        Class::Form if given_up => without_mentions(body),
        _ => None,
    }
}

/// Returns the result of a message that was refused with its mentions and sent again without. The people are at
/// fault only if it was accepted without them.
pub(super) fn with_mentions_refused(with: Sent, without: Sent, reason: Option<String>) -> Sent {
    match without.outcome {
        Outcome::Delivered => Sent {
            mentions_refused: reason,
            ..without
        },
        Outcome::Rejected { .. } | Outcome::Degrade { .. } => with,
        Outcome::Ambiguous { .. }
        | Outcome::Retry { .. }
        | Outcome::SlowDown { .. }
        | Outcome::Stop { .. }
        | Outcome::Unknown { .. } => without,
    }
}

/// Returns `body` without mentions; `None` if it has none.
pub(super) fn without_mentions(body: &str) -> Option<String> {
    let mut message: Value = serde_json::from_str(body).ok()?;
    let mut found = false;
    if message["msg_type"] == "text"
        && let Some(text) = message.pointer_mut("/content/text")
    {
        strip_text(text, &mut found);
    } else {
        strip(&mut message, &mut found);
    }
    found.then(|| message.to_string())
}

/// Removes mentions from markup alone, because the same characters in `plain_text` are a reporter's.
fn strip(value: &mut Value, found: &mut bool) {
    match value {
        Value::Array(items) => {
            let before = items.len();
            items.retain(|item| item["tag"] != "at");
            *found |= items.len() < before;
            for item in items.iter_mut() {
                strip(item, found);
            }
            items.retain(|item| !(item["tag"] == "markdown" && item["content"] == ""));
        }
        Value::Object(members) => {
            let tag = members.get("tag").and_then(Value::as_str);
            if matches!(tag, Some("markdown" | "lark_md"))
                && let Some(content) = members.get_mut("content")
            {
                strip_text(content, found);
                return;
            }
            for member in members.values_mut() {
                strip(member, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Removes `<at …>…</at>` from a text.
fn strip_text(value: &mut Value, found: &mut bool) {
    let Value::String(text) = value else {
        return;
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, mention)) = rest.split_once("<at ") {
        let Some((_, after)) = mention.split_once("</at>") else {
            break;
        };
        out.push_str(before);
        *found = true;
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    out.push_str(rest);
    // The line may be empty without its mentions.
    *text = if out.trim().is_empty() {
        String::new()
    } else {
        out
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stripped(message: &Value) -> Option<Value> {
        without_mentions(&message.to_string()).map(|body| serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn mentions_are_removed_from_markup_only() {
        let card = |mention: Vec<Value>, first: &str| {
            let mut elements = mention;
            elements.push(json!({"tag": "markdown", "content": first}));
            elements.push(json!({"tag": "div", "text": {"tag": "plain_text", "content": "<at id=ou_1></at> typed"}}));
            elements.push(json!({"tag": "column", "elements": [{"tag": "div", "text": {"tag": "lark_md", "content": first}}]}));
            json!({"msg_type": "interactive", "card": {"body": {"elements": elements}}})
        };
        let mention =
            json!({"tag": "markdown", "content": "<at id=ou_1></at> <at email=a@b.c></at>"});
        let with = card(vec![mention], "<at id=all></at> **白屏**");
        assert_eq!(stripped(&with), Some(card(Vec::new(), "**白屏**")));
        assert_eq!(stripped(&card(Vec::new(), "no mention")), None);
    }

    #[test]
    fn mentions_are_removed_from_posts_and_texts() {
        let post = |nodes: Value| json!({"msg_type": "post", "content": {"post": {"zh_cn": {"content": [nodes]}}}});
        let text = json!({"tag": "text", "text": "<at id=typed>"});
        let with = post(json!([{"tag": "at", "user_id": "ou_1"}, text]));
        assert_eq!(stripped(&with), Some(post(json!([text]))));
        let message = |text: &str| json!({"msg_type": "text", "content": {"text": text}});
        let with = message("<at user_id=\"ou_1\">sre</at> it is broken");
        assert_eq!(stripped(&with), Some(message("it is broken")));
        assert_eq!(stripped(&message("it is broken")), None);
        assert_eq!(without_mentions("[]"), None);
    }
}
