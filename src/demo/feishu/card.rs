//! The platform's checks of a card 2.0. Sources: doc "卡片 JSON 2.0 结构", "2.0 不兼容变更", doc "发送消息" for
//! the numbers.

use std::collections::HashSet;

use serde_json::{Value, json};

/// The members that the top level of a card may have.
const TOP: &[&str] = &["schema", "config", "card_link", "header", "body"];
/// The largest number of elements in a card, nested ones included.
const ELEMENTS_MAX: usize = 200;
/// The largest number of tables in a card.
const TABLES_MAX: usize = 5;

/// Returns the number of the rule that a card breaks. Cards 1.0 are not checked.
pub(super) fn broken_rule(card: &Value, image_is_known: &dyn Fn(&str) -> bool) -> Option<u32> {
    if card["schema"] != "2.0" {
        return None;
    }
    let mut top = card.as_object()?.keys();
    if !top.all(|key| TOP.contains(&key.as_str())) || !card["body"]["elements"].is_array() {
        return Some(200_621);
    }
    let mut seen = Seen::default();
    if let Some(rule) = walk(card, &mut seen, image_is_known) {
        return Some(rule);
    }
    if seen.tables > TABLES_MAX {
        return Some(11310);
    }
    (seen.elements > ELEMENTS_MAX).then_some(300_305)
}

/// Returns the platform's answer to a card that breaks this rule.
pub(super) fn refusal(rule: u32) -> Value {
    let msg = format!(
        "Failed to create card content, ext=ErrCode: {rule}; ErrMsg: refused; ErrorValue: ;"
    );
    json!({"code": 230_099, "msg": msg})
}

#[derive(Default)]
struct Seen {
    elements: usize,
    tables: usize,
    ids: HashSet<String>,
}

fn walk(value: &Value, seen: &mut Seen, image_is_known: &dyn Fn(&str) -> bool) -> Option<u32> {
    match value {
        Value::Array(items) => items
            .iter()
            .find_map(|item| walk(item, seen, image_is_known)),
        Value::Object(members) => {
            if let Some(id) = members.get("element_id").and_then(Value::as_str)
                && !seen.ids.insert(id.to_owned())
            {
                return Some(300_301);
            }
            let tag = members.get("tag").and_then(Value::as_str);
            seen.elements += usize::from(tag.is_some());
            match tag {
                Some("action" | "note") => return Some(200_861),
                Some("table") => seen.tables += 1,
                Some("img") => {
                    let key = members.get("img_key").and_then(Value::as_str);
                    if !key.is_some_and(image_is_known) {
                        return Some(200_570);
                    }
                }
                Some(_) | None => {}
            }
            members
                .values()
                .find_map(|member| walk(member, seen, image_is_known))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_number() {
        let card = |elements: Value| json!({"schema": "2.0", "body": {"elements": elements}});
        let text = json!({"tag": "markdown", "content": "x"});
        let named = json!({"tag": "markdown", "content": "x", "element_id": "a"});
        for (card, rule) in [
            (card(json!([text])), None),
            (json!({"elements": []}), None),
            (json!({"schema": "2.0", "elements": []}), Some(200_621)),
            (json!({"schema": "2.0"}), Some(200_621)),
            (card(json!([{"tag": "note"}])), Some(200_861)),
            (card(json!([{"tag": "img", "img_key": "known"}])), None),
            (card(json!([{"tag": "img", "img_key": "x"}])), Some(200_570)),
            (card(json!([{"tag": "img"}])), Some(200_570)),
            (card(json!([named, named])), Some(300_301)),
            (card(json!(vec![text; 201])), Some(300_305)),
            (card(json!(vec![json!({"tag": "table"}); 6])), Some(11310)),
        ] {
            assert_eq!(broken_rule(&card, &|key| key == "known"), rule, "{card}");
        }
    }
}
