//! Checks that `docs/templates.md` lists every name and helper of templates, and no others.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::render::{helpers, sample, words};

const PAGE: &str = include_str!("../../../docs/templates.md");

/// Returns the part of the page under this heading.
fn part(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(heading).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// Returns the rows of the part's tables: the first cell, and the whole row.
fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
    let rows = part(heading).lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| (row.split('|').nth(1).unwrap(), row))
        .collect()
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Returns the paths of a row: `feedback.id`, `.app` is `feedback.id` and `feedback.app`.
fn paths(cell: &str) -> Vec<String> {
    let names = quoted(cell);
    let root = names.first().and_then(|first| first.split('.').next());
    let whole = |name: &&str| match name.strip_prefix('.') {
        Some(member) => format!("{}.{member}", root.unwrap()),
        None => (*name).to_owned(),
    };
    names.iter().map(whole).collect()
}

fn resolve<'a>(shape: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = shape;
    for name in path.split('.') {
        value = match value {
            Value::Array(items) => items.first()?.get(name)?,
            other => other.get(name)?,
        };
    }
    Some(value)
}

/// Returns whether this is an enumeration value, whose three members the page explains once.
fn is_enumeration(value: &Value) -> bool {
    let keys: Option<Vec<&String>> = value.as_object().map(|value| value.keys().collect());
    keys.is_some_and(|keys| keys == ["code", "key", "label"])
}

/// Collects every path of the shape. The elements of a list have the path of the list.
fn flatten(value: &Value, way: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(_) if is_enumeration(value) => {}
        Value::Object(members) => {
            for (name, member) in members {
                let way = match way {
                    "" => name.clone(),
                    way => format!("{way}.{name}"),
                };
                found.push(way.clone());
                flatten(member, &way, found);
            }
        }
        Value::Array(items) => {
            if let Some(item) = items.first() {
                flatten(item, way, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_name_of_the_context_is_on_the_page_and_no_other() {
    let shape = sample::shape();
    let rows = rows("## What a template sees");
    let mut documented: BTreeSet<String> = BTreeSet::new();
    for (cell, _) in &rows {
        for path in paths(cell) {
            assert!(resolve(&shape, &path).is_some(), "stale: {path}");
            documented.insert(path);
        }
    }
    let mut all = Vec::new();
    flatten(&shape, "", &mut all);
    assert!(all.len() > 50, "{all:?}");
    for path in all {
        let below = format!("{path}.");
        let stands_for_its_members = documented.iter().any(|one| one.starts_with(&below));
        // Members of the value that the row describes: a list of `number`, `id`, …
        let name = path.rsplit('.').next().unwrap();
        let named = |row: &str| {
            quoted(row)
                .iter()
                .any(|one| one.trim_end_matches("[]") == name)
        };
        let above = |one: &String| path.starts_with(&format!("{one}."));
        let in_the_row_above = rows
            .iter()
            .any(|(cell, row)| paths(cell).iter().any(above) && named(row));
        assert!(
            documented.contains(&path) || stands_for_its_members || in_the_row_above,
            "not on the page: {path}"
        );
    }
}

#[test]
fn every_helper_and_word_is_on_the_page_and_no_other() {
    let known: BTreeSet<&str> = helpers::NAMES
        .iter()
        .chain(helpers::BLOCKS)
        .copied()
        .collect();
    for (cell, _) in rows("## Helpers") {
        for call in quoted(cell) {
            let name = call
                .trim_start_matches('{')
                .split([' ', '}'])
                .next()
                .unwrap();
            assert!(known.contains(name), "stale: {call}");
        }
    }
    let prose = part("## Helpers").split("| helper").next().unwrap();
    for name in quoted(prose) {
        assert!(known.contains(name), "stale: {name}");
    }
    let words: BTreeSet<&str> = words::WORDS.iter().map(|(key, _, _)| *key).collect();
    let row = rows("## Helpers");
    let (_, row) = row.iter().find(|(cell, _)| cell.contains("{{t ")).unwrap();
    let listed: BTreeSet<&str> = quoted(row).into_iter().skip(1).collect();
    assert_eq!(listed, words);
}
