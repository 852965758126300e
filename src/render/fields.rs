//! Finishes a parsed message whose strings still contain marked values. Each value is escaped for the field it is
//! in. Everything is cut to the platform's limits, and empty parts are removed.

use serde_json::{Map, Value, json};

use super::text::{self, Field, LINK_BYTES_MAX, OPEN, Room};
use super::{Family, Locale, SentAs};

/// Slack's limits: blocks in a message, fields of a section, elements of a context.
pub(super) const SLACK_BLOCKS_MAX: usize = 50;
const SLACK_FIELDS_MAX: usize = 10;
const SLACK_CONTEXT_MAX: usize = 10;
/// How many characters of a message's text Slack reads.
pub(super) const SLACK_TEXT_CHARS_MAX: usize = 4000;
/// Feishu's limit: elements of a card, including nested ones.
const FEISHU_ELEMENTS_MAX: usize = 200;

/// The constraints of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec<'a> {
    pub(super) family: Family,
    pub(super) locale: Locale,
    /// The size limit of the whole message.
    pub(super) size: Size,
    /// A keyword that its visible text must contain. `None`: not required.
    pub(super) keyword: Option<&'a str>,
}

/// A size limit, and how bytes are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) bytes_max: usize,
    pub(super) sent: SentAs,
}

impl Size {
    /// Returns whether `message` fits once its links are inserted.
    pub(super) fn holds(self, message: &str) -> bool {
        if self.bytes_max == usize::MAX {
            return true;
        }
        let links = message.matches([text::LINK, text::LINK_MRKDWN]).count();
        let escapes = match self.sent {
            SentAs::Json => 0,
            // In compact JSON only these two characters need an escape.
            SentAs::JsonInString => message.matches(['"', '\\']).count(),
        };
        message.len() + escapes + links * LINK_BYTES_MAX <= self.bytes_max
    }
}

/// Why a message could not be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// A value of the reporter would become the name of a JSON member.
    #[error("a value is used as the name of a JSON member")]
    ValueAsKey,
    /// The message is too large even with every value cut.
    #[error("the message is too large even with all values cut")]
    TooLarge,
}

/// The shortest length to which values are cut before a message counts as too large.
const TIGHTEST: usize = 8;

/// Escapes and cuts every value of a message, and removes empty parts. `wrap` builds the request
/// body from the result.
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

/// Cuts values as little as the limit allows. All values get the same maximum length, so the longest are cut
/// first.
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

/// The position of a value in the message.
#[derive(Clone, Copy)]
struct At {
    /// How the string is parsed.
    field: Field,
    chars: usize,
    line: bool,
    /// Whether the string must not be cut, because a program reads it.
    whole: bool,
    place: Place,
}

/// The surroundings of an object without `tag` or `type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The message itself.
    Root,
    /// Unknown: any content may be parsed as markup.
    Unknown,
    /// The `config` of a card.
    Config,
    /// Translations of a text, each parsed like that text.
    Languages(Field),
    /// Behaviors of a button or options of a menu. Their `value` is sent back to the relay.
    Choices,
    /// The data that the platform sends back when a button is pressed.
    Value,
    /// People, or a file at the platform, named by `id`.
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
    /// Returns the finished value; `None` if nothing is left to show.
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
            // These options would turn escaped text back into mentions.
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

    /// Returns the position of member `key` in an object with `tag`.
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

/// Keys that name people, in an object about people.
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

/// Keys whose texts are identifiers. They are not parsed, and people do not see them.
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

/// Returns the surroundings inside member `key`.
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
        // An object without a tag inherits its surroundings; so does a list of them.
        (Place::Config, None, "summary") => Place::Config,
        (Place::People, None, _) => Place::People,
        (_, _, _) => Place::Unknown,
    }
}

/// Returns whether an element's chosen option is sent back to the relay. In a table `options` is a cell.
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

/// Returns how the text `key` of an object with `tag` is parsed. Only known text fields count as text. All others
/// are escaped for the strictest parser of the family.
fn field(family: Family, tag: Option<&str>, key: &str, around: Place) -> Field {
    if matches!(key, "tag" | "data_type") || (key == "type" && family == Family::Slack) {
        // The value selects the type of the object.
        return Field::Nobody;
    }
    if is_url(key) {
        return Field::Url;
    }
    if family == Family::Feishu && key == "type" {
        // The style of a button: a fixed word.
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

/// Returns how the `content` or `text` of an object with `tag` is parsed.
fn text_field(family: Family, tag: &str) -> Field {
    match (family, tag) {
        // The tag itself comes from a value.
        (_, tag) if tag.contains(OPEN) => strictest(family),
        (_, "plain_text") => Field::Plain,
        (_, "markdown" | "lark_md" | "md") => Field::Markdown,
        (Family::Slack, "mrkdwn") => Field::Mrkdwn,
        // Parts of rich text, and cells of a table.
        (Family::Slack, "text" | "link" | "raw_text") => Field::Plain,
        (Family::Feishu, "text" | "a") => Field::FeishuText,
        (family, _) => strictest(family),
    }
}

/// Returns the field that escapes everything any parser of this family reads.
const fn strictest(family: Family) -> Field {
    match family {
        Family::Feishu => Field::Markdown,
        Family::Slack => Field::Mrkdwn,
        Family::Webhook | Family::Text => Field::Plain,
    }
}

/// Returns whether the value of this key is a URL.
fn is_url(key: &str) -> bool {
    ["url", "href", "_link", "_icon"]
        .iter()
        .any(|end| key.ends_with(end))
}

/// Returns Slack's limit for a text, in characters.
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

/// Removes elements beyond the platform's maximum counts.
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
            // One place is reserved for the keyword.
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

/// Adds the keyword in a visible place, if no visible text contains it.
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
            // A summary is visible only in the chat list, not in the message.
            other => key != "config" && shows(other, keyword),
        }),
        Value::Array(items) => items.iter().any(|item| shows(item, keyword)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
