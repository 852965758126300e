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
        "Who hears of what",
        vec![
            ("name", "Its name, in messages and in the store", text()),
            (
                "match",
                "All of these must hold; without it, the rule takes everything",
                conditions("All must hold", ANY_DEPTH),
            ),
            (
                "except",
                "One of these is enough to be out",
                conditions("One is enough to be out", ANY_DEPTH),
            ),
            (
                "send_to",
                "Names of [destinations]; `[]`: taken and told to nobody",
                many(text()),
            ),
            (
                "continue",
                "Whether later rules are asked too",
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
            ("labels", "Free words for templates", labels),
            (
                "wait",
                "How long messages of this rule wait for pictures",
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
            "New feedback (the default), or a changed status",
            some(or_list(word(kinds))),
        ),
        (
            "status",
            "What a changed status is now",
            words(names(FeedbackStatus::KNOWN, FeedbackStatus::key)),
        ),
        (
            "app",
            "The app it is about: a name of [apps] or [app_names], or an id `cli_…`",
            some(text()),
        ),
        ("via", "The app of [apps] that received it", some(text())),
        (
            "type",
            "Fault or suggestion",
            words(names(FeedbackKind::KNOWN, FeedbackKind::key)),
        ),
        (
            "fault",
            "What went wrong: one of the report's faults is enough",
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
    let meaning_of_any = "Sets of conditions, of which one must hold whole";
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
            "The page without its query: globs, `*` crosses `/`, `?` is any one character, case ignored",
            some(text()),
        ),
        (
            "query",
            "What follows the `?` of the page: globs, case ignored",
            some(text()),
        ),
        ("tenant_key", "The tenant's key", some(text())),
        (
            "description",
            "The reporter's words: regular expressions, unanchored",
            some(text()),
        ),
        (
            "contact",
            "Whether the reporter left a contact, or globs of it like \"*@example.com\"",
            json!({ "anyOf": [boolean(), some(text())] }),
        ),
        ("images", "Whether there are pictures", boolean()),
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
        "What the rules must make of an event",
        vec![
            ("name", "What it is about", text()),
            (
                "at",
                "What the clock says, with the offset; default: the event's own time",
                at,
            ),
            (
                "event",
                "A file with an event, as `feedback-relay events sample` prints one",
                path(),
            ),
            (
                "feedback",
                "For a change of status: files with the reports it is of, as far as the store would know them",
                many(path()),
            ),
            (
                "with",
                "Laid over the event's fields, by Feishu's names",
                with(),
            ),
            ("expect", "What must come of it", expect()),
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
            "Rules that must take it; the rest then speaks of what they send",
            many(text()),
        ),
        (
            "sent_to",
            "Who must be told, nobody else and nobody less",
            many(text()),
        ),
        (
            "severity",
            "How severe the most severe message must be",
            severity(),
        ),
        (
            "template",
            "Which template the most severe message must use",
            text(),
        ),
        ("contains", "What every message must say", many(text())),
        (
            "unrouted",
            "Whether no rule may take it for good",
            boolean(),
        ),
    ];
    let mut expect = table("What must come of it", keys);
    expect["minProperties"] = 1.into();
    expect
}
