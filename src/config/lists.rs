//! Reads `[lists]`: words that several rules share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::check::check_name;
use super::section::{Section, kind_of};
use crate::rules::Word;
use crate::toml_reader::codes;
use crate::toml_reader::{Diagnostics, Location};

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
pub(super) fn lists(section: Section<'_>, out: &mut Diagnostics) -> BTreeMap<String, List> {
    let mut lists = BTreeMap::new();
    let section_at = section.at;
    for (key, value) in section.table {
        let name = Spanned::new(key.span(), key.get_ref().to_string());
        let at = section_at.key(name.get_ref(), key.span());
        check_name(&name, &at, out);
        let words = words(value, &at, out);
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
fn words(value: Spanned<DeValue<'_>>, at: &Location, out: &mut Diagnostics) -> Vec<Word> {
    let span = value.span();
    let items = match value.into_inner() {
        DeValue::Array(items) => items.into_iter().collect(),
        one => vec![Spanned::new(span, one)],
    };
    if items.is_empty() || items.len() > WORDS_MAX {
        let message = format!("a list has from 1 to {WORDS_MAX} words");
        out.add(codes::OUT_OF_RANGE, at, message);
        return Vec::new();
    }
    let mut words = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = at.index(index, item.span());
        words.extend(word(item.get_ref(), &at, out));
    }
    words
}

fn word(value: &DeValue<'_>, at: &Location, out: &mut Diagnostics) -> Option<Word> {
    match value {
        DeValue::String(text) if text.is_empty() => {
            out.add(codes::WRONG_VALUE, at, "an empty word matches nothing");
            None
        }
        DeValue::String(text) => match text.strip_prefix('@') {
            None => Some(Word::Text(text.to_string())),
            Some(literal) if literal.starts_with('@') => Some(Word::Text(literal.to_owned())),
            Some(_) => {
                let message = "a list cannot hold another list";
                let help = format!("for the text itself, write \"@{text}\"");
                out.add_with_help(codes::WRONG_VALUE, at, message, help);
                None
            }
        },
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            if number.is_err() {
                out.add(codes::OUT_OF_RANGE, at, "the number is too large");
            }
            number.ok().map(Word::Whole)
        }
        other => {
            let message = format!("expected a text or a number, found {}", kind_of(other));
            out.add(codes::WRONG_TYPE, at, message);
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
