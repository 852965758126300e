//! The schema of `[[rules]]` and `[[tests]]`.

use serde_json::{Value, json};

use super::values::{boolean, code, duration, many, path, some, text, word};
use super::{Key, needing, or, table};
use crate::feishu::{CREATED_FIELDS, UPDATED_FIELDS};
use crate::model::{EventKind, FaultKind, FeedbackKind, FeedbackStatus, Severity, SourceKind};

/// Returns the schema of a rule.
pub(super) fn rule() -> Value {
    let labels = json!({ "type": "object", "additionalProperties": text() });
    let rule = table(
        "Which events go to which destinations",
        vec![
            (
                "name",
                "The rule's name, in messages and in the store",
                text(),
            ),
            (
                "match",
                "Conditions that must all hold; without it, the rule matches everything",
                conditions("All must hold", ANY_DEPTH),
            ),
            (
                "except",
                "Conditions of which none may hold",
                conditions("None may hold", ANY_DEPTH),
            ),
            (
                "send_to",
                "Names of [destinations]; `[]`: matched events go nowhere",
                many(text()),
            ),
            (
                "continue",
                "Whether later rules are tried too",
                or(boolean(), false),
            ),
            (
                "severity",
                "Default: the highest that a matching rule sets; at least warning for faults, else info",
                severity(),
            ),
            (
                "template",
                "Default by type: alert, suggestion, plain, status",
                text(),
            ),
            (
                "mention",
                "Names of [mentions]; \"all\" is everyone in the chat",
                many(text()),
            ),
            ("labels", "Labels for templates", labels),
            (
                "wait",
                "How long messages of this rule wait for images",
                duration(),
            ),
        ],
    );
    needing(rule, &["name", "send_to"])
}

fn severity() -> Value {
    word(Severity::ALL.iter().map(|one| one.key()))
}

/// How deep the schema nests sets of conditions in `any`. The reader accepts more.
const ANY_DEPTH: usize = 1;

/// Returns the keys of `match` and `except`. In every list of words, `"@name"` refers to a list of `[lists]`.
fn conditions(meaning: &str, depth: usize) -> Value {
    let words = |names| some(or_list(code(names)));
    let kinds = EventKind::ALL.iter().map(|one| one.key());
    let mut keys: Vec<Key> = vec![
        (
            "event",
            "New feedback (the default) or a change of status",
            some(or_list(word(kinds))),
        ),
        (
            "status",
            "The new status",
            words(names(FeedbackStatus::KNOWN, FeedbackStatus::key)),
        ),
        (
            "app",
            "The app that the feedback is about: a name of [apps] or [app_names], or an id `cli_…`",
            some(text()),
        ),
        (
            "via",
            "The app of [apps] that received the event",
            some(text()),
        ),
        (
            "type",
            "Fault or suggestion",
            words(names(FeedbackKind::KNOWN, FeedbackKind::key)),
        ),
        (
            "fault",
            "The fault; one of the report's faults is enough",
            words(names(FaultKind::KNOWN, FaultKind::key)),
        ),
        (
            "source",
            "Where the app ran",
            words(names(SourceKind::KNOWN, SourceKind::key)),
        ),
    ];
    keys.extend(typed_conditions());
    let set = match depth {
        0 => json!({ "type": "object", "minProperties": 1 }),
        depth => conditions("All must hold", depth - 1),
    };
    let meaning_of_any = "Sets of conditions; all conditions of one set must hold";
    keys.push(("any", meaning_of_any, some(set)));
    table(meaning, keys)
}

/// Returns the conditions on the reporter, and on the text they typed.
fn typed_conditions() -> Vec<Key> {
    vec![
        (
            "tenant",
            "The tenant's name: globs, case ignored",
            some(text()),
        ),
        (
            "path",
            "The page without its query: globs, `*` also matches `/`, `?` is any one character, case ignored",
            some(text()),
        ),
        (
            "query",
            "The part after the `?` of the page: globs, case ignored",
            some(text()),
        ),
        ("tenant_key", "The tenant's key", some(text())),
        (
            "description",
            "The text that the reporter typed: regular expressions, unanchored",
            some(text()),
        ),
        (
            "contact",
            "Whether the reporter left contact details, or globs of them like \"*@example.com\"",
            json!({ "anyOf": [boolean(), some(text())] }),
        ),
        ("images", "Whether the report has images", boolean()),
        (
            "user",
            "Ids of the reporter: open ids `ou_…`, union ids `on_…`, user ids",
            some(text()),
        ),
    ]
}

/// Returns the schema of a word in a list of `[lists]`.
pub(super) fn word_of_list() -> Value {
    json!({ "anyOf": [{ "type": "string", "minLength": 1 }, { "type": "integer" }] })
}

/// Accepts the code or a reference to a list of `[lists]`.
fn or_list(mut code: Value) -> Value {
    if let Some(forms) = code["anyOf"].as_array_mut() {
        forms.push(json!({ "type": "string", "pattern": "^@" }));
    }
    code
}

/// Returns the names of the codes that have one.
fn names<T: Copy>(known: &[T], key: fn(T) -> Option<&'static str>) -> Vec<&'static str> {
    known.iter().filter_map(|&one| key(one)).collect()
}

/// Returns the schema of a test.
pub(super) fn test() -> Value {
    let at = json!({
        "description": "…",
        "type": "string",
        "examples": ["2026-03-01T02:10:00+08:00"],
    });
    let test = table(
        "A test of the rules with a sample event",
        vec![
            ("name", "The test's name", text()),
            (
                "at",
                "The time of the test's clock, with the offset; default: the event's own time",
                at,
            ),
            (
                "event",
                "A file with an event, as `feedback-relay events sample` prints one",
                path(),
            ),
            (
                "feedback",
                "For a change of status: files with its reports, as far as the store would know them",
                many(path()),
            ),
            (
                "with",
                "Values that replace fields of the event, by Feishu's names",
                with(),
            ),
            ("expect", "The expected outcome", expect()),
        ],
    );
    needing(test, &["name", "event", "expect"])
}

fn with() -> Value {
    let mut fields = serde_json::Map::new();
    for field in CREATED_FIELDS.iter().chain(UPDATED_FIELDS) {
        let value = match *field {
            "feedback_type" => code(names(FeedbackKind::KNOWN, FeedbackKind::key)),
            "fault_type" => many(code(names(FaultKind::KNOWN, FaultKind::key))),
            "source" => code(names(SourceKind::KNOWN, SourceKind::key)),
            "status" => code(names(FeedbackStatus::KNOWN, FeedbackStatus::key)),
            "user_id" | "operator_id" => json!({ "type": "object" }),
            _ => json!({}),
        };
        fields.insert((*field).to_owned(), value);
    }
    json!({ "type": "object", "properties": fields, "additionalProperties": false })
}

fn expect() -> Value {
    let keys: Vec<Key> = vec![
        (
            "rule",
            "Rules that must match; the other keys then apply to the messages of these rules",
            many(text()),
        ),
        (
            "sent_to",
            "The exact set of destinations that must receive a message",
            many(text()),
        ),
        (
            "severity",
            "The severity of the most severe message",
            severity(),
        ),
        (
            "template",
            "The template of the most severe message",
            text(),
        ),
        (
            "contains",
            "Texts that every message must contain",
            many(text()),
        ),
        (
            "unrouted",
            "Whether the event must be left unrouted",
            boolean(),
        ),
    ];
    let mut expect = table("The expected outcome", keys);
    expect["minProperties"] = 1.into();
    expect
}
