//! From a parsed message whose strings still hold marked values to the message as it is sent: each
//! value escaped for the field it landed in, everything within the platform's limits, what is empty left out.

use serde_json::{Map, Value, json};

use super::text::{self, Field, LINK_BYTES_MAX, OPEN, Room};
use super::{Family, Locale, SentAs};

/// Slack: blocks in a message, fields of a section, elements of a context.
const SLACK_BLOCKS_MAX: usize = 50;
const SLACK_FIELDS_MAX: usize = 10;
const SLACK_CONTEXT_MAX: usize = 10;
/// Slack: what is read of a message's text.
pub(super) const SLACK_TEXT_CHARS_MAX: usize = 4000;
/// Feishu: elements of a card, nested ones counted.
const FEISHU_ELEMENTS_MAX: usize = 200;

/// What a message must keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'a> {
    pub(super) family: Family,
    pub(super) locale: Locale,
    /// Of the whole.
    pub(super) size: Size,
    /// What must be in its visible text.
    pub(super) keyword: Option<&'a str>,
}

/// How large a message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) bytes_max: usize,
    pub(super) sent: SentAs,
}

impl Size {
    /// Whether `message` is small enough when its links are in their places.
    pub(super) fn holds(self, message: &str) -> bool {
        if self.bytes_max == usize::MAX {
            return true;
        }
        let links = message.matches([text::LINK, text::LINK_MRKDWN]).count();
        let escapes = match self.sent {
            SentAs::Json => 0,
            // Compact JSON has no character but these two that a string must escape.
            SentAs::JsonInString => message.matches(['"', '\\']).count(),
        };
        message.len() + escapes + links * LINK_BYTES_MAX <= self.bytes_max
    }
}

/// Why no message came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// A reporter would name parts of the message.
    #[error("a value stands in the name of a JSON member")]
    ValueAsKey,
    /// Even with every value cut.
    #[error("the message is too large even with all values cut")]
    TooLarge,
}

/// The tightest that values are cut before a message counts as too large.
const TIGHTEST: usize = 8;

/// Finishes a message; `wrap` makes what is sent of it.
pub(super) fn finish(
    tree: &Value,
    spec: Spec<'_>,
    wrap: impl Fn(Value) -> Value,
) -> Result<String, Unfit> {
    widest(spec.size, |bytes| {
        let room = Room {
            bytes,
            chars: usize::MAX,
        };
        let walk = Walk { spec, each: room };
        let mut message = walk.value(tree, At::top())?.unwrap_or(Value::Null);
        shorten(&mut message, spec.family);
        add_keyword(&mut message, spec);
        Ok(wrap(message).to_string())
    })
}

/// The message with values cut as little as its limit allows: all the same, so that the longest give
/// way first.
pub(super) fn widest(
    size: Size,
    make: impl Fn(usize) -> Result<String, Unfit>,
) -> Result<String, Unfit> {
    let whole = make(usize::MAX)?;
    if size.holds(&whole) {
        return Ok(whole);
    }
    let (mut low, mut high) = (TIGHTEST, size.bytes_max.max(TIGHTEST));
    let mut best = make(low)?;
    if !size.holds(&best) {
        return Err(Unfit::TooLarge);
    }
    while high - low > 16 {
        let middle = low + (high - low) / 2;
        let tried = make(middle)?;
        if size.holds(&tried) {
            best = tried;
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(best)
}

/// Where a value of the message stands.
#[derive(Clone, Copy)]
struct At {
    /// What reads this very string.
    field: Field,
    chars: usize,
    line: bool,
    /// What programs read is whole or useless.
    whole: bool,
    place: Place,
}

/// What surrounds an object that says of itself no `tag` or `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The message itself.
    Root,
    /// Nothing known: whatever it holds may be read as markup.
    Unknown,
    /// `config` of a card.
    Config,
    /// A text for each language, read as the text beside it.
    Languages(Field),
    /// Behaviours of a button or options of a menu: their `value` comes back to us.
    Choices,
    /// What comes back to us when a button is pressed.
    Value,
    /// People, or a file of the platform's: `id` names one.
    People,
    File,
}

impl At {
    const fn top() -> Self {
        Self {
            field: Field::Plain,
            chars: usize::MAX,
            line: false,
            whole: false,
            place: Place::Root,
        }
    }
}

struct Walk<'a> {
    spec: Spec<'a>,
    each: Room,
}

impl Walk<'_> {
    /// The finished value; `None` where nothing is left to show.
    fn value(&self, value: &Value, at: At) -> Result<Option<Value>, Unfit> {
        Ok(Some(match value {
            Value::String(string) => {
                let whole = Room {
                    chars: at.chars,
                    bytes: usize::MAX,
                };
                let each = if at.whole { Room::ALL } else { self.each };
                let filled = text::fill(string, at.field, each, whole, self.spec.locale);
                Value::String(filled)
            }
            Value::Array(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items.iter().filter(|item| !item.is_null()) {
                    out.extend(self.value(item, at)?);
                }
                Value::Array(out)
            }
            Value::Object(members) => return self.object(members, at),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }))
    }

    fn object(&self, members: &Map<String, Value>, at: At) -> Result<Option<Value>, Unfit> {
        let name = match self.spec.family {
            Family::Slack => "type",
            Family::Feishu | Family::Webhook | Family::Text => "tag",
        };
        let tag = members.get(name).and_then(Value::as_str);
        let mut out = Map::new();
        for (key, member) in members {
            if key.contains(OPEN) {
                return Err(Unfit::ValueAsKey);
            }
            // These make text that was escaped ring after all.
            if self.spec.family == Family::Slack && matches!(&**key, "link_names" | "parse") {
                continue;
            }
            let inner = self.member(tag, key, at);
            if let Some(member) = self.value(member, inner)? {
                out.insert(key.clone(), member);
            }
        }
        let empty = match self.spec.family {
            Family::Slack => slack_is_empty(tag, &out),
            Family::Feishu => feishu_is_empty(tag, &out),
            Family::Webhook | Family::Text => false,
        };
        Ok((!empty).then_some(Value::Object(out)))
    }

    /// Where the member `key` of an object with `tag` stands.
    fn member(&self, tag: Option<&str>, key: &str, at: At) -> At {
        let family = self.spec.family;
        let place = place(family, tag, key, at.place);
        let whole = at.whole || place == Place::Value;
        let field = match place {
            Place::Value => Field::Plain,
            Place::Languages(field) => field,
            Place::People if PEOPLE_KEYS.contains(&key) => Field::Nobody,
            Place::Root
            | Place::Unknown
            | Place::Config
            | Place::Choices
            | Place::People
            | Place::File => field(family, tag, key, at.place),
        };
        let line = at.line && (tag.is_none() || matches!(key, "content" | "text"))
            || matches!(key, "title" | "subtitle" | "alt" | "alt_text" | "summary")
            || tag == Some("header");
        let field = match field {
            Field::Plain if line && !whole => Field::Line,
            field => field,
        };
        let chars = match family {
            Family::Slack => slack_chars(tag, key, at.chars),
            Family::Feishu | Family::Webhook | Family::Text => usize::MAX,
        };
        At {
            field,
            chars,
            line,
            whole,
            place,
        }
    }
}

/// Keys whose texts name people where they stand in an object about people.
const PEOPLE_KEYS: &[&str] = &[
    "user_id",
    "usergroup_id",
    "id",
    "ids",
    "email",
    "range",
    "open_id",
    "union_id",
    "persons",
];

/// Keys whose texts are names of things: nothing parses them, and they are no texts for people.
const NAME_KEYS: &[&str] = &[
    "action_id",
    "block_id",
    "element_id",
    "img_key",
    "image_key",
    "file_key",
    "token",
    "style",
    "template",
];

/// What stands within the member `key`.
fn place(family: Family, tag: Option<&str>, key: &str, around: Place) -> Place {
    match (around, tag, key) {
        (Place::Value | Place::Languages(_), _, _) => around,
        (Place::Choices, None, "value") | (_, Some("button"), "value") => Place::Value,
        (_, Some("at" | "person" | "person_list" | "user" | "usergroup" | "broadcast"), _)
        | (_, _, "persons") => Place::People,
        (_, Some(tag), "i18n_content") => Place::Languages(text_field(family, tag)),
        (Place::Root, None, "config") => Place::Config,
        (_, _, "behaviors") | (_, Some(_), "options") if has_choices(tag) => Place::Choices,
        (_, _, "slack_file") => Place::File,
        // An object without a tag within another is as its surroundings; a list of them too.
        (Place::Config, None, "summary") => Place::Config,
        (Place::People, None, _) => Place::People,
        (_, _, _) => Place::Unknown,
    }
}

/// Whether what is chosen in such an element comes back to us. In a table `options` is a cell.
fn has_choices(tag: Option<&str>) -> bool {
    tag.is_some_and(|tag| {
        tag == "button"
            || tag == "overflow"
            || tag == "checkboxes"
            || tag == "radio_buttons"
            || tag.contains("select")
            || tag == "interactive_container"
    })
}

/// What reads the text `key` of an object with `tag`. Only what is known to be text is taken for it: everything else
/// is escaped as the strictest reader of its family wants it.
fn field(family: Family, tag: Option<&str>, key: &str, around: Place) -> Field {
    if matches!(key, "tag" | "data_type") || (key == "type" && family == Family::Slack) {
        // A value that chooses what an object is.
        return Field::Nobody;
    }
    if is_url(key) {
        return Field::Url;
    }
    if family == Family::Feishu && key == "type" {
        // The look of a button: a word.
        return Field::Url;
    }
    match (family, tag, key) {
        (Family::Webhook | Family::Text, _, _) => Field::Plain,
        (_, Some(tag), "content" | "text") => text_field(family, tag),
        (Family::Slack, _, "alt_text") => Field::Plain,
        (Family::Feishu, None, "content") if around == Place::Config => Field::Plain,
        (_, _, "id") if around == Place::File => Field::Plain,
        (_, _, key) if NAME_KEYS.contains(&key) => Field::Plain,
        (family, _, _) => strictest(family),
    }
}

/// What reads the `content` or `text` of an object with `tag`.
fn text_field(family: Family, tag: &str) -> Field {
    match (family, tag) {
        // A tag that a value would choose.
        (_, tag) if tag.contains(OPEN) => strictest(family),
        (_, "plain_text") => Field::Plain,
        (_, "markdown" | "lark_md" | "md") => Field::Markdown,
        (Family::Slack, "mrkdwn") => Field::Mrkdwn,
        // Parts of a rich text, and cells of a table.
        (Family::Slack, "text" | "link" | "raw_text") => Field::Plain,
        (Family::Feishu, "text" | "a") => Field::FeishuText,
        (family, _) => strictest(family),
    }
}

/// Escapes all that anything in this family reads.
const fn strictest(family: Family) -> Field {
    match family {
        Family::Feishu => Field::Markdown,
        Family::Slack => Field::Mrkdwn,
        Family::Webhook | Family::Text => Field::Plain,
    }
}

/// Whether an address stands under this key.
fn is_url(key: &str) -> bool {
    ["url", "href", "_link", "_icon"]
        .iter()
        .any(|end| key.ends_with(end))
}

/// Slack's limits, in characters.
fn slack_chars(tag: Option<&str>, key: &str, around: usize) -> usize {
    match (tag, key) {
        (None, "text") => SLACK_TEXT_CHARS_MAX,
        (Some("header"), "text") => 150,
        (Some("section"), "text") => 3000,
        (Some("section"), "fields") | (Some("context"), "elements") => 2000,
        (Some("image"), "alt_text" | "title") => 2000,
        (Some("button"), "text" | "accessibility_label") => 75,
        (Some("button"), "value") => 2000,
        (Some("markdown"), "text") => 12_000,
        (Some("plain_text" | "mrkdwn"), "text") => around,
        (_, "url" | "image_url") => usize::MAX,
        (_, "block_id" | "action_id") => 255,
        _ => around.min(3000),
    }
}

fn blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text::shows_nothing(text),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

fn slack_is_empty(tag: Option<&str>, members: &Map<String, Value>) -> bool {
    let lacks = |key: &str| blank(members.get(key));
    match tag {
        Some("plain_text" | "mrkdwn" | "markdown" | "header") => lacks("text"),
        Some("section") => lacks("text") && lacks("fields"),
        Some("context" | "actions") => lacks("elements"),
        Some("image") => lacks("image_url") && lacks("slack_file"),
        Some(_) | None => false,
    }
}

fn feishu_is_empty(tag: Option<&str>, members: &Map<String, Value>) -> bool {
    let lacks = |key: &str| blank(members.get(key));
    match tag {
        Some("markdown") => lacks("content"),
        Some("div") => {
            let text = members.get("text").and_then(|text| text.get("content"));
            blank(text) && lacks("fields")
        }
        Some("img") => lacks("img_key"),
        Some("column" | "collapsible_panel") => lacks("elements"),
        Some("column_set") => lacks("columns"),
        Some(_) | None => false,
    }
}

/// Leaves out what is beyond the platform's counts.
fn shorten(message: &mut Value, family: Family) {
    match family {
        Family::Slack => {
            let Some(blocks) = message.get_mut("blocks").and_then(Value::as_array_mut) else {
                return;
            };
            blocks.truncate(SLACK_BLOCKS_MAX);
            for block in blocks {
                for (key, most) in [
                    ("fields", SLACK_FIELDS_MAX),
                    ("elements", SLACK_CONTEXT_MAX),
                ] {
                    let context = key == "fields" || block["type"] == "context";
                    if let Some(list) = block.get_mut(key).and_then(Value::as_array_mut)
                        && context
                    {
                        list.truncate(most);
                    }
                }
            }
        }
        Family::Feishu => {
            let body = message
                .get_mut("body")
                .and_then(|body| body.get_mut("elements"));
            let Some(elements) = body.and_then(Value::as_array_mut) else {
                return;
            };
            let mut total = 0;
            // One place is kept for the keyword.
            let fit = elements
                .iter()
                .take_while(|element| {
                    total += tags(element);
                    total < FEISHU_ELEMENTS_MAX
                })
                .count();
            elements.truncate(fit);
        }
        Family::Webhook | Family::Text => {}
    }
}

fn tags(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            usize::from(members.contains_key("tag")) + members.values().map(tags).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(tags).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Puts the keyword where people see it, if nothing visible holds it.
fn add_keyword(message: &mut Value, spec: Spec<'_>) {
    let Some(keyword) = spec.keyword.filter(|keyword| !shows(message, keyword)) else {
        return;
    };
    match spec.family {
        Family::Feishu => {
            let element = json!({"tag": "div", "text": {"tag": "plain_text", "content": keyword,
                "text_size": "notation", "text_color": "grey"}});
            let body = message
                .get_mut("body")
                .and_then(|body| body.get_mut("elements"));
            if let Some(elements) = body.and_then(Value::as_array_mut) {
                elements.push(element);
            }
        }
        Family::Slack => {
            if let Some(blocks) = message.get_mut("blocks").and_then(Value::as_array_mut) {
                blocks.truncate(SLACK_BLOCKS_MAX - 1);
                blocks.push(json!({"type": "context", "elements": [
                    {"type": "plain_text", "text": keyword, "emoji": false}]}));
            }
        }
        Family::Webhook | Family::Text => {}
    }
}

fn shows(value: &Value, keyword: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| match member {
            Value::String(text) => {
                matches!(key.as_str(), "content" | "text") && text.contains(keyword)
            }
            // A summary is seen in the list of chats, not in the message.
            other => key != "config" && shows(other, keyword),
        }),
        Value::Array(items) => items.iter().any(|item| shows(item, keyword)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
