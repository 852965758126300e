//! Reads `match` and `except`: their keys, and sets of conditions inside `any`.

use serde_json::{Value as Json, json};

use crate::model::{EventKind, FaultKind, FeedbackKind, FeedbackStatus, SourceKind};
use crate::toml_reader::schema::{code, some, text, word};
use crate::toml_reader::{Diagnostics, Key, Location, Node, Value, codes, schema_with, suggest};

use super::Known;
use super::matcher::{Contact, Matcher, Test};
use super::values::Reader;

/// How many sets one `any` may have.
const SETS_MAX: usize = 1000;
/// How deep `any` may be nested.
const DEPTH_MAX: usize = 4;
/// How deep the schema nests sets of conditions in `any`. The reader accepts more.
const SCHEMA_DEPTH: usize = 1;

/// A key of `match` and `except`, and how its value is read.
struct Condition {
    key: Key,
    read: fn(&mut Reader<'_>, &Node) -> Option<Test>,
}

const fn condition(
    name: &'static str,
    meaning: &'static str,
    schema: fn() -> Json,
    read: fn(&mut Reader<'_>, &Node) -> Option<Test>,
) -> Condition {
    let key = Key {
        name,
        meaning,
        is_secret: false,
        schema,
    };
    Condition { key, read }
}

/// The keys of `match` and `except`. In every list of words, `"@name"` refers to a list of `[lists]`.
const CONDITIONS: &[Condition] = &[
    condition(
        "event",
        "New feedback (the default) or a change of status",
        || some(or_list(word(EventKind::ALL.iter().map(|one| one.key())))),
        |reader, node| reader.each(node, Reader::event).map(Test::Event),
    ),
    condition(
        "status",
        "The new status",
        || codes_named(FeedbackStatus::KNOWN, FeedbackStatus::key),
        |reader, node| {
            reader
                .codes(node, "status", FeedbackStatus)
                .map(Test::Status)
        },
    ),
    condition(
        "app",
        "The app that the feedback is about: a name of [apps] or [app_names], or an id `cli_…`",
        texts,
        |reader, node| Some(Test::App(reader.each(node, Reader::app)?.concat())),
    ),
    condition(
        "via",
        "The app of [apps] that received the event",
        texts,
        |reader, node| reader.each(node, Reader::via).map(Test::Via),
    ),
    condition(
        "type",
        "Fault or suggestion",
        || codes_named(FeedbackKind::KNOWN, FeedbackKind::key),
        |reader, node| reader.codes(node, "type", FeedbackKind).map(Test::Kind),
    ),
    condition(
        "fault",
        "The fault; one of the report's faults is enough",
        || codes_named(FaultKind::KNOWN, FaultKind::key),
        |reader, node| reader.codes(node, "fault", FaultKind).map(Test::Fault),
    ),
    condition(
        "source",
        "Where the app ran",
        || codes_named(SourceKind::KNOWN, SourceKind::key),
        |reader, node| reader.codes(node, "source", SourceKind).map(Test::Source),
    ),
    condition(
        "tenant",
        "The tenant's name: globs, case ignored",
        texts,
        |reader, node| reader.each(node, Reader::glob).map(Test::Tenant),
    ),
    condition(
        "path",
        "The page without its query: globs, `*` also matches `/`, `?` is any one character, case ignored",
        texts,
        |reader, node| reader.each(node, Reader::glob).map(Test::Path),
    ),
    condition(
        "query",
        "The part after the `?` of the page: globs, case ignored",
        texts,
        |reader, node| reader.each(node, Reader::glob).map(Test::Query),
    ),
    condition("tenant_key", "The tenant's key", texts, |reader, node| {
        reader.each(node, Reader::text).map(Test::TenantKey)
    }),
    condition(
        "description",
        "The text that the reporter typed: regular expressions, unanchored",
        texts,
        |reader, node| reader.each(node, Reader::regex).map(Test::Description),
    ),
    condition(
        "contact",
        "Whether the reporter left contact details, or globs of them like \"*@example.com\"",
        || json!({ "anyOf": [{ "type": "boolean" }, texts()] }),
        |reader, node| {
            Some(Test::Contact(match node.flag() {
                Some(left) => Contact::Left(left),
                None => Contact::Like(reader.each(node, Reader::contact)?),
            }))
        },
    ),
    condition(
        "images",
        "Whether the report has images",
        || json!({ "type": "boolean" }),
        |reader, node| reader.flag(node).map(Test::Images),
    ),
    condition(
        "user",
        "Ids of the reporter: open ids `ou_…`, union ids `on_…`, user ids",
        texts,
        |reader, node| reader.each(node, Reader::user_id).map(Test::User),
    ),
    condition(
        "any",
        "Sets of conditions; all conditions of one set must hold",
        || some(json!({ "type": "object", "minProperties": 1 })),
        any,
    ),
];

pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    CONDITIONS.iter().map(|one| &one.key)
}

/// Returns the names of the keys of `match` and `except`.
pub fn names() -> Vec<&'static str> {
    keys().map(|key| key.name).collect()
}

/// Returns the schema of `match` or `except`.
pub(super) fn schema(meaning: &str) -> Json {
    schema_to(meaning, SCHEMA_DEPTH)
}

/// Returns the schema of conditions, with sets of `any` down to this depth.
pub(super) fn schema_to(meaning: &str, depth: usize) -> Json {
    let mut schema = schema_with(meaning, keys());
    if depth > 0 {
        let any = &mut schema["properties"]["any"];
        let meaning = any["description"].take();
        *any = some(schema_to("All must hold", depth - 1));
        any["description"] = meaning;
    }
    schema
}

fn texts() -> Json {
    some(text())
}

/// Accepts the codes, by those names that they have.
fn codes_named<T: Copy>(known: &[T], key: fn(T) -> Option<&'static str>) -> Json {
    some(or_list(code(known.iter().filter_map(|&one| key(one)))))
}

/// Accepts the code or a reference to a list of `[lists]`.
fn or_list(mut code: Json) -> Json {
    if let Some(forms) = code["anyOf"].as_array_mut() {
        forms.push(json!({ "type": "string", "pattern": "^@" }));
    }
    code
}

/// Reads one `match` or `except`. Mistakes are reported and left out. A key of `rule_keys` is known to belong
/// to the rule.
pub(super) fn read(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
    rule_keys: &'static [Key],
) -> Vec<Matcher> {
    read_set(out, at, node, (known, rule_keys), 0)
}

/// Reads a set of conditions that is nested `depth` levels deep in `any`.
fn read_set(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    (known, rule_keys): (&Known, &'static [Key]),
    depth: usize,
) -> Vec<Matcher> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a table of conditions", node);
        return Vec::new();
    };
    let mut matchers = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.get_ref().as_str();
        let Some(condition) = CONDITIONS.iter().find(|known| known.key.name == name) else {
            unknown_key(out, &at.key(name, key.span()), name, rule_keys);
            continue;
        };
        let at = at.key(name, value.span.clone());
        let mut reader = Reader {
            out: &mut *out,
            at: at.clone(),
            known,
            rule_keys,
            depth,
        };
        if let Some(test) = (condition.read)(&mut reader, value) {
            matchers.push(Matcher {
                key: condition.key.name,
                wanted: value.to_string(),
                test,
                at,
            });
        }
    }
    matchers
}

/// Reads the sets of `any`. `None` if one is invalid, or there is none.
fn any(reader: &mut Reader<'_>, node: &Node) -> Option<Test> {
    let sets = node.elements();
    let (at, out) = (&reader.at, &mut *reader.out);
    if sets.is_empty() {
        let help = "write any = [ { type = \"fault\" }, { path = \"pages/pay/*\" } ]";
        out.add_with_help(codes::EMPTY, at, "an empty list matches nothing", help);
        return None;
    }
    if sets.len() > SETS_MAX || reader.depth >= DEPTH_MAX {
        let message =
            format!("`any` has at most {SETS_MAX} sets and can be nested at most {DEPTH_MAX} deep");
        out.add(codes::RULE_OUT_OF_RANGE, at, message);
        return None;
    }
    let before = out.count();
    let mut all = Vec::with_capacity(sets.len());
    for (index, set) in sets.iter().enumerate() {
        let at = at.element(node, index, set);
        if matches!(&set.value, Value::Table(entries) if entries.is_empty()) {
            out.add(codes::EMPTY, &at, "a set without conditions always holds");
        }
        let known = (reader.known, reader.rule_keys);
        all.push(read_set(out, &at, set, known, reader.depth + 1));
    }
    (out.count() == before).then_some(Test::Any(all))
}

fn unknown_key(out: &mut Diagnostics, at: &Location, name: &str, rule_keys: &[Key]) {
    let help = match rule_keys.iter().any(|key| key.name == name) {
        true => Some(format!(
            "`{name}` belongs to the rule, not to its conditions"
        )),
        false => suggest::key(name, &names()),
    };
    out.unknown_key(at, name, help);
}
