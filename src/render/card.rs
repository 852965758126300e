//! Finds card structures that Feishu rejects or shows as nothing.

use serde_json::{Map, Value};

use super::names::nearest;
use super::problem::Problem;

/// Tags of cards 2.0 and of the objects inside their elements. Source: Feishu, "卡片 JSON 2.0 结构" and the pages of
/// components.
const TAGS: &[&str] = &[
    "audio",
    "button",
    "chart",
    "checker",
    "collapsible_panel",
    "column",
    "column_set",
    "custom_icon",
    "date_picker",
    "div",
    "form",
    "hr",
    "img",
    "img_combination",
    "input",
    "interactive_container",
    "lark_md",
    "local_datetime",
    "markdown",
    "multi_select_person",
    "multi_select_static",
    "option",
    "overflow",
    "person",
    "person_list",
    "picker_datetime",
    "picker_time",
    "plain_text",
    "repeat",
    "select_img",
    "select_person",
    "select_static",
    "standard_icon",
    "table",
    "text_tag",
];
/// Tags of cards 1.0 that cards 2.0 reject (error 200861).
const OLD_TAGS: &[&str] = &["action", "note"];
/// Members whose values are not elements: a button's return value, and the data of charts and tables.
const DATA: &[&str] = &["value", "chart_spec", "rows", "template_variable"];

const REJECTED: &str = "E209";
const UNKNOWN_TAG: &str = "W203";

fn rejected(message: &str, help: &str) -> Problem {
    Problem::new(REJECTED, message).with_help(help)
}

/// Returns the first mistake in a rendered card.
pub(super) fn problem(card: &Value) -> Option<Problem> {
    let Value::Object(members) = card else {
        let help = "write {\"schema\": \"2.0\", \"body\": {\"elements\": [ … ]}}";
        return Some(rejected("a card is a JSON object", help));
    };
    if members.contains_key("msg_type") || members.contains_key("card") {
        let message = "the relay adds `msg_type` and `card` around a card itself";
        let help = "keep only the content of `card`";
        return Some(rejected(message, help));
    }
    // A card stored at Feishu, referred to by its id.
    if members.get("type").is_some_and(|kind| kind == "template") {
        return None;
    }
    let is_new = members
        .get("schema")
        .is_some_and(|version| version == "2.0");
    shape(members, is_new).or_else(|| tags(card, is_new))
}

fn shape(card: &Map<String, Value>, is_new: bool) -> Option<Problem> {
    let elements = |value: Option<&Value>| {
        let list = value.and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    let in_body = elements(card.get("body").and_then(|body| body.get("elements")));
    let at_top = elements(card.get("elements")) || card.contains_key("i18n_elements");
    match (is_new, in_body, at_top) {
        (true, true, false) | (false, false, true) => None,
        (true, _, true) => {
            let message = "a card of schema 2.0 has its elements in `body` only";
            Some(rejected(message, "move `elements` into `body`"))
        }
        (false, true, _) => {
            let message = "a card with `body` needs schema 2.0";
            Some(rejected(message, "write \"schema\": \"2.0\" at its top"))
        }
        (_, false, false) => {
            let message = "the card has no elements, so it would show nothing";
            let help = "write {\"schema\": \"2.0\", \"body\": {\"elements\": [ … ]}}";
            Some(Problem {
                is_empty: true,
                ..rejected(message, help)
            })
        }
    }
}

fn tags(value: &Value, is_new: bool) -> Option<Problem> {
    match value {
        Value::Array(items) => items.iter().find_map(|item| tags(item, is_new)),
        Value::Object(members) => {
            let tag = members.get("tag").and_then(Value::as_str);
            tag.and_then(|tag| of_tag(tag, is_new)).or_else(|| {
                let inside = members
                    .iter()
                    .filter(|(key, _)| !DATA.contains(&key.as_str()));
                inside
                    .map(|(_, member)| member)
                    .find_map(|one| tags(one, is_new))
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn of_tag(tag: &str, is_new: bool) -> Option<Problem> {
    if TAGS.contains(&tag) || (!is_new && OLD_TAGS.contains(&tag)) {
        return None;
    }
    if OLD_TAGS.contains(&tag) {
        let message = format!("cards of schema 2.0 have no tag \"{tag}\"");
        let help = "put buttons and texts directly into `elements`";
        return Some(rejected(&message, help).near(tag));
    }
    let help = nearest(tag, TAGS.iter().copied());
    let code = if help.is_some() {
        REJECTED
    } else {
        UNKNOWN_TAG
    };
    let problem = Problem::new(code, format!("cards have no tag \"{tag}\"")).near(tag);
    Some(Problem { help, ..problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes_that_feishu_refuses_are_named() {
        let element = json!({ "tag": "markdown", "content": "x" });
        for (card, wanted) in [
            (json!([]), "a card is a JSON object"),
            (json!({}), "no elements"),
            (
                json!({ "schema": "2.0", "body": { "elements": [] } }),
                "no elements",
            ),
            (
                json!({ "msg_type": "interactive", "card": { "elements": [element] } }),
                "adds `msg_type` and `card`",
            ),
            (
                json!({ "schema": "2.0", "elements": [element] }),
                "in `body`",
            ),
            (
                json!({ "body": { "elements": [element] } }),
                "needs schema 2.0",
            ),
            (
                json!({ "schema": "2.0", "body": { "elements": [{ "tag": "note" }] } }),
                "schema 2.0 have no tag \"note\"",
            ),
            (
                json!({ "schema": "2.0", "body": { "elements": [{ "tag": "column_set", "columns": [{ "tag": "colum" }] }] } }),
                "no tag \"colum\"",
            ),
        ] {
            let problem = problem(&card).unwrap();
            assert!(problem.message.contains(wanted), "{card}: {problem:?}");
            assert_eq!(problem.code, REJECTED, "{problem:?}");
        }
    }

    #[test]
    fn what_feishu_takes_is_not_complained_of() {
        let new = |elements: Value| json!({ "schema": "2.0", "body": { "elements": elements } });
        for card in [
            new(json!([{ "tag": "markdown", "content": "x" }])),
            new(
                json!([{ "tag": "button", "behaviors": [{ "type": "callback", "value": { "tag": "mine" } }] }]),
            ),
            json!({ "elements": [{ "tag": "note", "elements": [] }] }),
            json!({ "type": "template", "data": { "template_id": "x" } }),
        ] {
            assert_eq!(problem(&card), None, "{card}");
        }
    }

    #[test]
    fn a_slip_is_an_error_and_a_tag_of_later_a_warning() {
        let card = |tag: &str| json!({ "schema": "2.0", "body": { "elements": [{ "tag": tag }] } });
        let slip = problem(&card("markdwn")).unwrap();
        assert_eq!(slip.help.as_deref(), Some("did you mean \"markdown\"?"));
        assert_eq!(slip.near.as_deref(), Some("\"markdwn\""));
        assert_eq!(slip.code, REJECTED);
        let later = problem(&card("hologram")).unwrap();
        assert_eq!((later.code, later.help), (UNKNOWN_TAG, None));
    }
}
