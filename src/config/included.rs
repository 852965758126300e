//! Finds, reads and splits the files that `include` names. They may hold rules, tests, lists, mentions and
//! destinations. Everything else belongs in the main file. Paths in them are relative to the main file's folder.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::Context;
use super::expand::{Variables, expand};
use super::rule_tests;
use super::{Needs, Tests, layers, misplaced, read_text, rules, stand_in};
use crate::toml_reader::{
    Diagnostics, Entries, Location, Many, Node, Table, Value, codes, from_environment, join,
};

/// How many files all patterns of `include` together may match.
const FILES_MAX: usize = 1000;

/// Sections of an included file whose entries are named.
const NAMED: &[&str] = &["lists", "mentions", "destinations"];

/// What `include` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Included {
    /// How many files each pattern matched.
    pub matched: BTreeMap<String, usize>,
    /// The files, and whether they contain anything but comments.
    pub files: BTreeMap<PathBuf, bool>,
}

/// The content of an included file, without rules and tests.
#[derive(Debug)]
pub(super) struct Part<'i> {
    /// The file's path.
    pub(super) file: &'i Path,
    /// Its text.
    pub(super) source: &'i str,
    /// Its named sections.
    pub(super) top: Table,
    /// Where strings start that contained `${…}`.
    pub(super) expanded: HashSet<usize>,
}

/// Reads the files that match the patterns, ordered by name. Also returns what was found. A file that several
/// paths or symbolic links lead to is read once, and the main file is not read again.
pub(super) fn read(
    patterns: Many<String>,
    context: &Context<'_>,
    out: &mut Diagnostics,
) -> (Vec<(PathBuf, String)>, Included) {
    let folder = context.path("");
    let mut included = Included::default();
    let matched = &mut included.matched;
    let mut taken = HashSet::from([real(context.file)]);
    let mut found: Vec<(PathBuf, Location)> = Vec::new();
    for pattern in patterns {
        let at = Location::new("include", pattern.span());
        match matching(&folder, pattern.get_ref()) {
            Ok(none) if none.is_empty() => {
                out.add(codes::NO_INCLUDE, &at, "no file matches this pattern");
                matched.insert(pattern.into_inner(), 0);
            }
            Ok(some) => {
                matched.insert(pattern.get_ref().clone(), some.len());
                let new = some.into_iter().filter(|file| taken.insert(real(file)));
                found.extend(new.map(|file| (file, at.clone())));
            }
            Err(problem) => out.add(codes::INCLUDE, &at, problem),
        }
    }
    if found.len() > FILES_MAX {
        let at = Location {
            path: "include".to_owned(),
            span: None,
        };
        let message = format!("`include` names more than {FILES_MAX} files");
        out.add(codes::INCLUDE, &at, message);
        return (Vec::new(), included);
    }
    let texts = found.into_iter().filter_map(|(file, at)| {
        let text = read_text(&file, &at, out)?;
        Some((file, text))
    });
    let texts: Vec<_> = texts.collect();
    let files = texts
        .iter()
        .map(|(file, text)| (file.clone(), has_content(text)));
    included.files = files.collect();
    (texts, included)
}

/// Returns the path with symbolic links resolved, or the path itself if it does not lead to a file.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Returns whether a file contains anything but comments. A truncated file does not.
fn has_content(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.any(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Splits the files. Their rules and tests are appended to those already read.
pub(super) fn parts<'i>(
    files: &'i [(PathBuf, String)],
    variables: Variables<'_>,
    tests: Tests,
    rules: &mut rules::Written,
    written: &mut rule_tests::Written<'i>,
    out: &mut Diagnostics,
) -> Vec<Part<'i>> {
    let mut parts = Vec::with_capacity(files.len());
    for (file, text) in files {
        let before = out.enter(file);
        if let Some(mut top) = layers::parse(text, out) {
            misplaced::take_out(&mut top, out);
            if tests == Tests::LeaveOut {
                top.remove("tests");
            }
            refuse_others(&mut top, out);
            if variables.needs != Needs::All {
                stand_in::for_secrets(&mut top);
            }
            // Paths in diagnostics continue the numbering of earlier entries.
            expand_list(&mut top, "rules", rules.count(), variables, out);
            expand_list(&mut top, "tests", written.count(), variables, out);
            rules.take(&mut top, file, out);
            written.take(&mut top, file, out);
            let expanded = expand(&mut top, &Location::default(), variables, out);
            parts.push(Part {
                file,
                source: text,
                top: Table::of(&top, Location::default()),
                expanded,
            });
        }
        out.enter(&before);
    }
    parts
}

/// Reports sections that only the main file may have, and removes them.
fn refuse_others(top: &mut DeTable<'_>, out: &mut Diagnostics) {
    let known = |key: &str| matches!(key, "rules" | "tests") || NAMED.contains(&key);
    let others: Vec<_> = top
        .keys()
        .filter(|key| !known(key.get_ref()))
        .cloned()
        .collect();
    for key in others {
        let at = Location::new(key.get_ref().to_string(), key.span());
        let message = format!("an included file cannot have the key `{}`", key.get_ref());
        let help = "it may contain [[rules]], [[tests]], [lists], [mentions] and [destinations]; everything else belongs in the main file";
        out.add_with_help(codes::UNKNOWN_KEY, &at, message, help);
        top.remove(&key);
    }
}

/// Expands the strings of entries whose numbers start at `first`.
fn expand_list(
    top: &mut DeTable<'_>,
    key: &str,
    first: usize,
    variables: Variables<'_>,
    out: &mut Diagnostics,
) {
    let Some(DeValue::Array(entries)) = top.get_mut(key).map(Spanned::get_mut) else {
        return;
    };
    for (index, entry) in entries.iter_mut().enumerate() {
        let at = Location::new(format!("{key}[{}]", first + index), entry.span());
        if let DeValue::Table(table) = entry.get_mut() {
            expand(table, &at, variables, out);
        }
    }
}

/// Reports an entry that two files define, and keeps the first. Environment overrides of an included entry are
/// applied to it.
pub(super) fn settle_names(
    main: &mut Table,
    (file, text): (&Path, &str),
    parts: &mut [Part<'_>],
    out: &mut Diagnostics,
) {
    for section in NAMED {
        let mut first: BTreeMap<String, String> = BTreeMap::new();
        for key in keys(main, section) {
            if !from_environment(&key.span()) {
                let place = format!("{}:{}", file.display(), line_of(text, key.span().start));
                first.insert(key.get_ref().clone(), place);
            }
        }
        for part in &mut *parts {
            let before = out.enter(part.file);
            for key in keys(&part.top, section) {
                let name = key.get_ref();
                let at = Location::new(join(section, name), key.span());
                if let Some(first) = first.get(name) {
                    let message = format!("`{}` is also in {first}", at.path);
                    out.add(codes::NAME_TAKEN, &at, message);
                    entries(&mut part.top, section).and_then(|all| remove(all, name));
                    continue;
                }
                let line = line_of(part.source, key.span().start);
                first.insert(name.clone(), format!("{}:{line}", part.file.display()));
                let over = entries(main, section).and_then(|all| remove(all, name));
                let under = entries(&mut part.top, section).and_then(|all| get(all, name));
                if let (Some(over), Some(under)) = (over, under) {
                    lay_over(under, over);
                }
            }
            out.enter(&before);
        }
    }
}

/// Returns the entries of one section.
fn entries<'a>(top: &'a mut Table, section: &str) -> Option<&'a mut Entries> {
    match &mut get(&mut top.entries, section)?.value {
        Value::Table(entries) => Some(entries),
        _ => None,
    }
}

fn get<'a>(entries: &'a mut Entries, name: &str) -> Option<&'a mut Node> {
    let mut entries = entries.iter_mut();
    let found = entries.find(|(key, _)| key.get_ref() == name);
    found.map(|(_, node)| node)
}

fn remove(entries: &mut Entries, name: &str) -> Option<Node> {
    let index = entries.iter().position(|(key, _)| key.get_ref() == name)?;
    Some(entries.remove(index).1)
}

/// Returns the entry names of a section.
fn keys(top: &Table, section: &str) -> Vec<Spanned<String>> {
    match top.get(section).map(|node| &node.value) {
        Some(Value::Table(entries)) => entries.iter().map(|(key, _)| key.clone()).collect(),
        _ => Vec::new(),
    }
}

fn lay_over(under: &mut Node, over: Node) {
    match (&mut under.value, over.value) {
        (Value::Table(under), Value::Table(over)) => {
            for (key, value) in over {
                match get(under, key.get_ref()) {
                    Some(under) => lay_over(under, value),
                    None => under.push((key, value)),
                }
            }
        }
        (_, value) => {
            let span = over.span;
            *under = Node { span, value };
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|&&byte| byte == b'\n').count() + 1
}

/// Returns the files that match a pattern, ordered by name.
fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let (above, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if above.contains(['*', '?', '[', '{']) {
        return Err("only the last part of an `include` pattern can have `*`".to_owned());
    }
    let folder = if above.is_empty() && pattern.starts_with('/') {
        PathBuf::from("/")
    } else {
        folder.join(above)
    };
    let glob = GlobBuilder::new(last)
        .literal_separator(true)
        .build()
        .map_err(|error| format!("not a pattern: {}", error.kind()))?
        .compile_matcher();
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &folder
    };
    let entries = std::fs::read_dir(listed)
        .map_err(|error| format!("failed to list the folder {}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry
            .map_err(|error| format!("failed to list the folder {}: {error}", folder.display()))?;
        if glob.is_match(Path::new(&entry.file_name())) {
            files.push(folder.join(entry.file_name()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_patterns_match_in_name_order_in_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules.d")).unwrap();
        for name in ["20-b.toml", "10-a.toml", "note.txt"] {
            std::fs::write(dir.path().join("rules.d").join(name), "").unwrap();
        }
        let names = |pattern| {
            matching(dir.path(), pattern).map(|files| {
                let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
                files.iter().map(name).collect::<Vec<_>>()
            })
        };
        assert_eq!(names("rules.d/*.toml").unwrap(), ["10-a.toml", "20-b.toml"]);
        assert_eq!(names("*.toml").unwrap(), [""; 0]);
        assert!(names("*/a.toml").unwrap_err().contains("last part"));
        assert!(
            names("none.d/*.toml")
                .unwrap_err()
                .contains("failed to list")
        );
        assert!(names("rules.d/[").unwrap_err().contains("not a pattern"));
    }
}
