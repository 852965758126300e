//! Reads `match` and `except`: their keys, and sets of conditions inside `any`.

use super::Known;
use super::matcher::{Matcher, Test};
use super::raw::{Node, Value};
use super::values::Reader;
use crate::toml_reader::suggest;
use crate::toml_reader::{Diagnostics, Location, codes};

/// How many sets one `any` may have.
const SETS_MAX: usize = 1000;
/// How deep `any` may be nested.
const DEPTH_MAX: usize = 4;

/// The keys of `match` and `except`.
pub const KEYS: &[&str] = &[
    "event",
    "status",
    "app",
    "via",
    "type",
    "fault",
    "source",
    "tenant",
    "path",
    "query",
    "tenant_key",
    "description",
    "contact",
    "images",
    "user",
    ANY,
];
/// The key that holds sets of conditions.
const ANY: &str = "any";
/// Feishu's field names, and the keys of `match` for them.
const ALIASES: &[(&str, &str)] = &[
    ("event_type", "event"),
    ("feedback_type", "type"),
    ("fault_type", "fault"),
    ("tenant_name", "tenant"),
    ("feedback_path", "path"),
    ("app_id", "app"),
    ("open_id", "user"),
    ("union_id", "user"),
    ("user_id", "user"),
];

/// Returns the key of `match` for Feishu's field `name`.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    let found = ALIASES.iter().find(|(theirs, _)| *theirs == name);
    found.map(|(_, ours)| *ours)
}

/// Reads one `match` or `except`. Mistakes are reported and left out.
pub(super) fn read(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
) -> Vec<Matcher> {
    read_set(out, at, node, known, 0)
}

/// Reads a set of conditions that is nested `depth` levels deep in `any`.
fn read_set(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
    depth: usize,
) -> Vec<Matcher> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a table of conditions", node);
        return Vec::new();
    };
    let mut matchers = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key.get_ref().as_str();
        let Some(key_known) = KEYS.iter().find(|known| **known == name) else {
            unknown_key(out, &at.key(name, key.span()), name);
            continue;
        };
        let at = at.key(name, value.span.clone());
        let test = if *key_known == ANY {
            any(out, &at, value, known, depth)
        } else {
            let mut reader = Reader {
                out: &mut *out,
                at: at.clone(),
                known,
            };
            reader.test(key_known, value)
        };
        if let Some(test) = test {
            matchers.push(Matcher {
                key: key_known,
                wanted: value.to_string(),
                test,
                at,
            });
        }
    }
    matchers
}

/// Reads the sets of `any`. `None` if one is invalid, or there is none.
fn any(
    out: &mut Diagnostics,
    at: &Location,
    node: &Node,
    known: &Known,
    depth: usize,
) -> Option<Test> {
    let sets = node.elements();
    if sets.is_empty() {
        let help =
            Some("write any = [ { type = \"fault\" }, { path = \"pages/pay/*\" } ]".to_owned());
        out.report(codes::EMPTY, at, "an empty list matches nothing", help);
        return None;
    }
    if sets.len() > SETS_MAX || depth >= DEPTH_MAX {
        let message =
            format!("`any` has at most {SETS_MAX} sets and can be nested at most {DEPTH_MAX} deep");
        out.report(codes::RULE_OUT_OF_RANGE, at, message, None);
        return None;
    }
    let before = out.count();
    let mut all = Vec::with_capacity(sets.len());
    for (index, set) in sets.iter().enumerate() {
        let at = at.element(node, index, set);
        if matches!(&set.value, Value::Table(entries) if entries.is_empty()) {
            let message = "a set without conditions always holds";
            out.report(codes::EMPTY, &at, message, None);
        }
        all.push(read_set(out, &at, set, known, depth + 1));
    }
    (out.count() == before).then_some(Test::Any(all))
}

fn unknown_key(out: &mut Diagnostics, at: &Location, name: &str) {
    let help = match alias(name) {
        Some(ours) => Some(format!("Feishu's `{name}` is `{ours}` here")),
        None if super::read::KEYS.contains(&name) => Some(format!(
            "`{name}` belongs to the rule, not to its conditions"
        )),
        None => suggest::key(name, KEYS),
    };
    out.report(
        codes::UNKNOWN_KEY,
        at,
        format!("unknown key `{name}`"),
        help,
    );
}
