//! Reads `[lists]`: words that several rules share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::section::check_name;
use crate::rules::Word;
use crate::toml_reader::{Diagnostics, Location, Node, Table, Value, codes};

/// How many words a list may have.
const WORDS_MAX: usize = 1000;

/// A list and its place.
#[derive(Debug)]
pub(super) struct List {
    pub(super) words: Vec<Word>,
    at: Location,
    file: PathBuf,
}

/// Reads `[lists]` of one file.
pub(super) fn lists(section: Table, out: &mut Diagnostics) -> BTreeMap<String, List> {
    let mut lists = BTreeMap::new();
    let section_at = section.at;
    for (name, value) in section.entries {
        let at = section_at.key(name.get_ref(), name.span());
        check_name(&name, &at, out);
        let words = words(&value, &at, out);
        let list = List {
            words,
            at,
            file: out.file().to_owned(),
        };
        lists.insert(name.into_inner(), list);
    }
    lists
}

/// Reads the words of a list, or a single word.
fn words(value: &Node, at: &Location, out: &mut Diagnostics) -> Vec<Word> {
    let items = value.elements();
    if items.is_empty() || items.len() > WORDS_MAX {
        let message = format!("a list has from 1 to {WORDS_MAX} words");
        out.add(codes::OUT_OF_RANGE, at, message);
        return Vec::new();
    }
    let mut words = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index, item.span.clone());
        words.extend(word(item, &at, out));
    }
    words
}

fn word(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Word> {
    match &node.value {
        Value::Text(text) if text.is_empty() => {
            out.add(codes::WRONG_VALUE, at, "an empty word matches nothing");
            None
        }
        Value::Text(text) => match text.strip_prefix('@') {
            None => Some(Word::Text(text.to_string())),
            Some(literal) if literal.starts_with('@') => Some(Word::Text(literal.to_owned())),
            Some(_) => {
                let message = "a list cannot hold another list";
                let help = format!("for the text itself, write \"@{text}\"");
                out.add_with_help(codes::WRONG_VALUE, at, message, help);
                None
            }
        },
        Value::Whole(number) => Some(Word::Whole(*number)),
        Value::Huge => {
            out.add(codes::OUT_OF_RANGE, at, "the number is too large");
            None
        }
        _ => {
            out.wrong_type(at, "a text or a number", node);
            None
        }
    }
}

/// Warns of lists that no condition uses.
pub(super) fn unused(
    lists: &BTreeMap<String, List>,
    used: &BTreeSet<String>,
    out: &mut Diagnostics,
) {
    if out.any_errors() {
        return; // A rule that could not be read may use a list.
    }
    for (name, list) in lists {
        if !used.contains(name) {
            let before = out.enter(&list.file);
            let message = format!("no rule uses the list `{name}`");
            let help = format!("write \"@{name}\" in `match` or `except`");
            out.add_with_help(codes::UNUSED_LIST, &list.at, message, help);
            out.enter(&before);
        }
    }
}
