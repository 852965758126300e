//! Finds structures of Slack messages that Slack rejects or that would show nothing. Source: Slack, "Reference:
//! Block Kit" and "chat.postMessage".

use serde_json::{Map, Value};

use super::fields::SLACK_BLOCKS_MAX;
use super::names::nearest;
use super::problem::Problem;
use super::text::OPEN;

const REJECTED: &str = "E210";
const UNKNOWN_TYPE: &str = "W204";
const TOO_MANY_BLOCKS: &str = "W205";

/// Types of blocks.
const BLOCKS: &[&str] = &[
    "actions",
    "alert",
    "card",
    "carousel",
    "container",
    "context",
    "context_actions",
    "data_table",
    "divider",
    "file",
    "header",
    "image",
    "input",
    "markdown",
    "plan",
    "rich_text",
    "section",
    "table",
    "task_card",
    "video",
];
/// Types of text objects.
const TEXTS: &[&str] = &["mrkdwn", "plain_text"];
/// Types of the elements of a context.
const CONTEXT: &[&str] = &["image", "mrkdwn", "plain_text"];

const MESSAGE_HELP: &str = "write {\"text\": \"…\", \"blocks\": [ … ]}";
const TEXT_HELP: &str = "write {\"type\": \"mrkdwn\", \"text\": \"…\"}";
const PLAIN_TEXT_HELP: &str = "write {\"type\": \"plain_text\", \"text\": \"…\"}";

type Members = Map<String, Value>;

/// Returns the first mistake in a message. `written` is the message as its template wrote it, `sent` the message
/// without empty parts and surplus blocks.
pub(super) fn problem(written: &Value, sent: &Value) -> Option<Problem> {
    let Value::Object(members) = written else {
        return Some(rejected("a Slack message is a JSON object").with_help(MESSAGE_HELP));
    };
    in_message(members)
        .or_else(|| too_many(members, sent))
        .or_else(|| shows_nothing(members, sent))
}

fn rejected(message: impl Into<String>) -> Problem {
    Problem::new(REJECTED, message)
}

fn in_message(members: &Members) -> Option<Problem> {
    if members
        .get("text")
        .is_some_and(|text| !text.is_string() && !text.is_null())
    {
        let message = "`text` of a message is a string; only texts of blocks are objects";
        return Some(rejected(message).near("text"));
    }
    let attachments = items(members.get("attachments")).filter_map(Value::as_object);
    in_blocks(members).or_else(|| attachments.into_iter().find_map(in_blocks))
}

fn in_blocks(members: &Members) -> Option<Problem> {
    match members.get("blocks")? {
        Value::Array(blocks) => {
            let mut blocks = blocks.iter().filter(|block| !block.is_null());
            blocks.find_map(in_block)
        }
        Value::Null => None,
        _ => Some(rejected("`blocks` is a list").near("blocks")),
    }
}

fn in_block(block: &Value) -> Option<Problem> {
    let Value::Object(members) = block else {
        return Some(rejected("a block is a JSON object with a `type`"));
    };
    let kind = match kind(members, "a block", BLOCKS) {
        Ok(kind) => kind?,
        Err(problem) => return Some(problem),
    };
    match kind {
        "section" => section(members),
        "header" => text_of(members, "text", kind, &["plain_text"]),
        "image" => image(members),
        "context" => elements(members, kind, in_context),
        "actions" => elements(members, kind, in_element),
        "markdown" if !has_string(members, "text") => {
            Some(rejected("a block \"markdown\" needs `text`, a string").near(kind))
        }
        _ => None,
    }
}

/// Returns the type of an object, if it is known. `Ok(None)`: it comes from a value.
fn kind<'a>(
    members: &'a Members,
    object: &str,
    known: &[&'static str],
) -> Result<Option<&'a str>, Problem> {
    let Some(kind) = members.get("type").and_then(Value::as_str) else {
        let types = known.join("\", \"");
        return Err(rejected(format!("{object} needs a `type`"))
            .with_help(format!("there are \"{types}\"")));
    };
    if kind.contains(OPEN) {
        return Ok(None);
    }
    if known.contains(&kind) {
        return Ok(Some(kind));
    }
    let near = nearest(kind, known.iter().copied());
    // Slack may have introduced a new type of block since, but not a new type of text.
    let is_sure = near.is_some() || known != BLOCKS;
    let code = if is_sure { REJECTED } else { UNKNOWN_TYPE };
    Err(Problem {
        help: near.or_else(|| is_sure.then(|| format!("there are \"{}\"", known.join("\", \"")))),
        ..Problem::new(code, format!("{object} has no type \"{kind}\"")).near(kind)
    })
}

fn section(members: &Members) -> Option<Problem> {
    let (text, fields) = (members.contains_key("text"), members.contains_key("fields"));
    if !text && !fields {
        let message = "a block \"section\" needs `text` or `fields`";
        return Some(rejected(message).with_help(TEXT_HELP).near("section"));
    }
    let of_text = || text_of(members, "text", "section", TEXTS).filter(|_| text);
    let of_field =
        || items(members.get("fields")).find_map(|field| in_text(field, "fields", TEXTS));
    let of_accessory = || in_element(members.get("accessory")?);
    of_text().or_else(of_field).or_else(of_accessory)
}

/// Checks the text object `key` of a block or element.
fn text_of(members: &Members, key: &str, kind: &str, types: &[&'static str]) -> Option<Problem> {
    match members.get(key) {
        Some(text) => in_text(text, key, types),
        None => {
            let message = format!("\"{kind}\" needs `{key}`");
            Some(rejected(message).with_help(text_help(types)).near(kind))
        }
    }
}

fn text_help(types: &[&str]) -> &'static str {
    if types.contains(&"mrkdwn") {
        TEXT_HELP
    } else {
        PLAIN_TEXT_HELP
    }
}

fn in_text(text: &Value, key: &str, types: &[&'static str]) -> Option<Problem> {
    let Value::Object(members) = text else {
        let message = format!("`{key}` of a block holds text objects, not plain strings");
        return Some(rejected(message).with_help(text_help(types)).near(key))
            .filter(|_| !text.is_null());
    };
    if let Err(problem) = kind(members, "a text", types) {
        return Some(problem);
    }
    let message = "a text object needs `text`, a string";
    (!has_string(members, "text")).then(|| rejected(message).with_help(text_help(types)))
}

fn image(members: &Members) -> Option<Problem> {
    let sources = ["image_url", "slack_file"];
    if !sources.iter().any(|key| members.contains_key(*key)) {
        let message = "\"image\" needs `image_url` or `slack_file`";
        return Some(rejected(message).near("image"));
    }
    let message = "\"image\" needs `alt_text`, a string";
    (!has_string(members, "alt_text")).then(|| rejected(message).near("image"))
}

fn elements(
    members: &Members,
    kind: &str,
    check: fn(&Value) -> Option<Problem>,
) -> Option<Problem> {
    match members.get("elements") {
        Some(Value::Array(elements)) => elements.iter().find_map(check),
        Some(_) | None => Some(rejected(format!("\"{kind}\" needs `elements`, a list")).near(kind)),
    }
}

fn in_context(element: &Value) -> Option<Problem> {
    let Some(members) = element.as_object() else {
        return Some(rejected("an element of \"context\" is an object").near("context"))
            .filter(|_| !element.is_null());
    };
    match kind(members, "an element of \"context\"", CONTEXT) {
        Err(problem) => Some(problem),
        Ok(Some("image")) => image(members),
        Ok(Some(_)) => in_text(element, "elements", TEXTS),
        Ok(None) => None,
    }
}

/// Checks the elements that messages use most.
fn in_element(element: &Value) -> Option<Problem> {
    let members = element.as_object()?;
    match members.get("type").and_then(Value::as_str) {
        None => Some(rejected("an element needs a `type`, like \"button\"")),
        Some("button") => text_of(members, "text", "button", &["plain_text"]),
        Some("image") => image(members),
        Some(_) => None,
    }
}

fn too_many(members: &Members, sent: &Value) -> Option<Problem> {
    let written = items(members.get("blocks"))
        .filter(|block| !block.is_null())
        .count();
    let kept = items(sent.get("blocks")).count();
    let message = format!("Slack takes {SLACK_BLOCKS_MAX} blocks; the others are left out");
    (written > SLACK_BLOCKS_MAX && kept == SLACK_BLOCKS_MAX)
        .then(|| Problem::new(TOO_MANY_BLOCKS, message).near("blocks"))
}

fn shows_nothing(members: &Members, sent: &Value) -> Option<Problem> {
    let has_text = sent["text"]
        .as_str()
        .is_some_and(|text| !text.trim().is_empty());
    let has_parts = ["blocks", "attachments"]
        .iter()
        .any(|key| items(sent.get(*key)).count() > 0);
    if has_text || has_parts {
        return None;
    }
    let is_written = ["text", "blocks", "attachments"]
        .iter()
        .any(|key| members.contains_key(*key));
    let message = "the message has neither `text` nor `blocks`, so it would show nothing";
    Some(Problem {
        is_empty: is_written,
        ..rejected(message).with_help(MESSAGE_HELP)
    })
}

fn items(list: Option<&Value>) -> std::slice::Iter<'_, Value> {
    list.and_then(Value::as_array)
        .map_or_else(Default::default, |list| list.iter())
}

fn has_string(members: &Members, key: &str) -> bool {
    members.get(key).is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(message: &Value) -> Option<Problem> {
        problem(message, message)
    }

    #[track_caller]
    fn rejected_for(message: &Value, reason: &str) {
        let problem = found(message).unwrap();
        assert!(problem.message.contains(reason), "{message}: {problem:?}");
        assert_eq!(problem.code, REJECTED, "{problem:?}");
    }

    #[test]
    fn message_that_slack_rejects_is_named() {
        let text = json!({ "type": "mrkdwn", "text": "x" });
        for (message, reason) in [
            (json!([]), "is a JSON object"),
            (json!({}), "neither `text` nor `blocks`"),
            (
                json!({ "text": " ", "blocks": [] }),
                "neither `text` nor `blocks`",
            ),
            (json!({ "text": text }), "`text` of a message is a string"),
            (
                json!({ "blocks": { "type": "divider" } }),
                "`blocks` is a list",
            ),
            (
                json!({ "attachments": [{ "blocks": [{ "type": "section" }] }] }),
                "needs `text` or `fields`",
            ),
        ] {
            rejected_for(&message, reason);
        }
    }

    #[test]
    fn block_that_slack_rejects_is_named() {
        let text = json!({ "type": "mrkdwn", "text": "x" });
        for (block, reason) in [
            (json!("x"), "a block is a JSON object"),
            (json!({ "text": text }), "a block needs a `type`"),
            (
                json!({ "type": "sectoin", "text": text }),
                "no type \"sectoin\"",
            ),
            (text.clone(), "a block has no type \"mrkdwn\""),
            (json!({ "type": "section" }), "needs `text` or `fields`"),
            (
                json!({ "type": "section", "text": "x" }),
                "not plain strings",
            ),
            (
                json!({ "type": "section", "text": { "type": "markdown", "text": "x" } }),
                "no type \"markdown\"",
            ),
            (
                json!({ "type": "section", "fields": [{ "type": "mrkdwn" }] }),
                "needs `text`",
            ),
            (
                json!({ "type": "section", "text": text, "accessory": { "type": "image", "image_url": "u" } }),
                "`alt_text`",
            ),
            (
                json!({ "type": "header", "text": text }),
                "no type \"mrkdwn\"",
            ),
            (json!({ "type": "header" }), "\"header\" needs `text`"),
            (json!({ "type": "markdown", "text": text }), "a string"),
        ] {
            rejected_for(&json!({ "blocks": [block] }), reason);
        }
    }

    #[test]
    fn element_that_slack_rejects_is_named() {
        for (block, reason) in [
            (json!({ "type": "image", "image_url": "u" }), "`alt_text`"),
            (
                json!({ "type": "image", "alt_text": "x" }),
                "`image_url` or `slack_file`",
            ),
            (json!({ "type": "context" }), "needs `elements`"),
            (
                json!({ "type": "context", "elements": ["x"] }),
                "is an object",
            ),
            (
                json!({ "type": "context", "elements": [{ "type": "button" }] }),
                "no type \"button\"",
            ),
            (
                json!({ "type": "context", "elements": [{ "type": "image", "image_url": "u" }] }),
                "`alt_text`",
            ),
            (
                json!({ "type": "actions", "elements": [{ "text": "x" }] }),
                "needs a `type`",
            ),
            (
                json!({ "type": "actions", "elements": [{ "type": "button" }] }),
                "\"button\" needs `text`",
            ),
        ] {
            rejected_for(&json!({ "blocks": [block] }), reason);
        }
    }

    #[test]
    fn message_that_slack_accepts_is_silent() {
        let text = json!({ "type": "plain_text", "text": "x", "emoji": false });
        for message in [
            json!({ "text": "x" }),
            json!({ "blocks": [{ "type": "divider" }, null] }),
            json!({ "attachments": [{ "pretext": "x", "actions": [{ "type": "select" }] }] }),
            json!({ "text": "x", "blocks": [
                { "type": "header", "text": text },
                { "type": "section", "fields": [text, null] },
                { "type": "section", "text": text, "accessory": { "type": "overflow", "options": [] } },
                { "type": "context", "elements": [text, { "type": "image", "image_url": "u", "alt_text": "" }] },
                { "type": "image", "slack_file": { "id": "F1" }, "alt_text": "x" },
                { "type": "actions", "elements": [{ "type": "button", "text": text }, { "type": "datepicker" }] },
                { "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [] }] },
                { "type": format!("{OPEN}x") },
            ] }),
        ] {
            assert_eq!(found(&message), None, "{message}");
        }
    }

    #[test]
    fn unknown_type_of_block_is_only_warned_of() {
        let one = found(&json!({ "blocks": [{ "type": "hologram" }] })).unwrap();
        assert_eq!((one.code, one.help), (UNKNOWN_TYPE, None));
        let one = found(&json!({ "blocks": [{ "type": "hedaer" }] })).unwrap();
        assert_eq!(one.help.as_deref(), Some("did you mean \"header\"?"));
    }

    #[test]
    fn surplus_blocks_are_warned_of() {
        let divided = |count| json!({ "blocks": vec![json!({ "type": "divider" }); count] });
        let of = |count| problem(&divided(count), &divided(count.min(SLACK_BLOCKS_MAX)));
        assert_eq!(of(SLACK_BLOCKS_MAX), None);
        assert_eq!(of(SLACK_BLOCKS_MAX + 1).unwrap().code, TOO_MANY_BLOCKS);
        let many_empty = problem(&divided(60), &divided(9));
        assert_eq!(many_empty, None, "empty blocks do not count");
    }
}
