//! `[[rules]]` of the file, and those of the files that `include` names, as one list.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::{Variables, expand};
use super::section::{Section, kind_of, read_strict};
use super::spans::{At, Complaints};
use super::values::Many;
use super::{codes, layers, read_text};
use crate::rules::{Known, RawRule, RuleSet};

/// How many files all patterns of `include` may match.
const FILES_MAX: usize = 1000;

/// What a reload compares of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule {
    /// Its name; its path where it has none.
    pub name: String,
    /// Of everything that is written in it.
    pub fingerprint: u64,
}

/// All rules that are written, in order.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// How many there are, right or wrong.
    count: usize,
    rules: Vec<(String, RawRule)>,
    /// Where each comes from, by its number.
    files: Vec<PathBuf>,
    written: Vec<WrittenRule>,
    /// How many files each pattern of `include` matched.
    matched: BTreeMap<String, usize>,
}

impl Written {
    /// How many files each pattern of `include` matched.
    pub(super) fn matched(&self) -> BTreeMap<String, usize> {
        self.matched.clone()
    }

    /// Takes the `[[rules]]` of one file.
    pub(super) fn take(&mut self, top: &mut DeTable<'_>, file: &Path, out: &mut Complaints) {
        let Some(value) = top.remove("rules") else {
            return;
        };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            let at = At::new("rules", span);
            let message = "expected a list of rules";
            return out.add_with_help(codes::WRONG_TYPE, &at, message, "begin each with [[rules]]");
        };
        for entry in entries {
            let at = At::new(format!("rules[{}]", self.count), entry.span());
            self.count += 1;
            self.files.push(file.to_owned());
            match entry.into_inner() {
                DeValue::Table(table) => self.one(Section { at, table }, out),
                other => {
                    let message = format!("expected a rule, found {}", kind_of(&other));
                    out.add(codes::WRONG_TYPE, &at, message);
                }
            }
        }
    }

    fn one(&mut self, section: Section<'_>, out: &mut Complaints) {
        let name = section
            .table
            .get("name")
            .and_then(|name| name.get_ref().as_str());
        let mut hasher = DefaultHasher::new();
        canonical(&DeValue::Table(section.table.clone())).hash(&mut hasher);
        self.written.push(WrittenRule {
            name: name.unwrap_or(&section.at.path).to_owned(),
            fingerprint: hasher.finish(),
        });
        if let Some(rule) = read_strict::<RawRule>(&section, out) {
            self.rules.push((section.at.path, rule));
        }
    }

    /// Takes the rules of the files that the patterns name, in the order of names.
    /// Returns the text of each.
    pub(super) fn include(
        &mut self,
        patterns: Many<Spanned<String>>,
        folder: &Path,
        variables: Variables<'_>,
        out: &mut Complaints,
    ) -> Vec<(PathBuf, String)> {
        let mut files: Vec<(PathBuf, At)> = Vec::new();
        for pattern in patterns.0 {
            let at = At::new("include", pattern.span());
            match matching(folder, pattern.get_ref()) {
                Ok(found) if found.is_empty() => {
                    out.add(codes::NO_INCLUDE, &at, "no file matches this pattern");
                    self.matched.insert(pattern.into_inner(), 0);
                }
                Ok(found) => {
                    self.matched.insert(pattern.get_ref().clone(), found.len());
                    files.extend(found.into_iter().map(|file| (file, at.clone())));
                }
                Err(problem) => out.add(codes::INCLUDE, &at, problem),
            }
        }
        if files.len() > FILES_MAX {
            let at = At {
                path: "include".to_owned(),
                span: None,
            };
            let message = format!("`include` names more than {FILES_MAX} files");
            out.add(codes::INCLUDE, &at, message);
            return Vec::new();
        }
        let mut sources: Vec<(PathBuf, String)> = Vec::new();
        for (file, at) in files {
            // A file that two patterns match is read once.
            if sources.iter().any(|(known, _)| *known == file) {
                continue;
            }
            if let Some(text) = read_text(&file, &at, out) {
                self.included(&file, &text, variables, out);
                sources.push((file, text));
            }
        }
        sources
    }

    fn included(
        &mut self,
        file: &Path,
        text: &str,
        variables: Variables<'_>,
        out: &mut Complaints,
    ) {
        let before = out.enter(file);
        if let Some(mut top) = layers::parse(text, out) {
            super::misplaced::take_out(&mut top, out);
            // Paths of complaints count on from the rules before.
            expand_rules(&mut top, self.count, variables, out);
            self.take(&mut top, file, out);
            for key in top.keys() {
                let at = At::new(key.get_ref().to_string(), key.span());
                let message = format!("an included file cannot have the key `{}`", key.get_ref());
                let help = "it holds [[rules]] only; the rest stands in the main file";
                out.add_with_help(codes::UNKNOWN_KEY, &at, message, help);
            }
        }
        out.enter(&before);
    }

    /// Checks the rules against the names they use.
    pub(super) fn build(self, known: &Known, out: &mut Complaints) -> (RuleSet, Vec<WrittenRule>) {
        if self.count == 0 {
            if out.concern("rules") || out.concern("include") {
                return (RuleSet::default(), Vec::new());
            }
            let message = "there are no rules: events are kept and nobody is told";
            let help = "write [[rules]] with a name and `send_to`";
            out.add_with_help(codes::NO_RULES, &At::default(), message, help);
            return (RuleSet::default(), Vec::new());
        }
        let (rules, complaints) = RuleSet::build(&self.rules, known);
        out.adopt(complaints, |path| {
            let number = path.strip_prefix("rules[")?.split_once(']')?.0;
            self.files.get(number.parse::<usize>().ok()?).cloned()
        });
        (rules, self.written)
    }
}

/// Expands the strings of rules whose numbers start at `first`.
fn expand_rules(
    top: &mut DeTable<'_>,
    first: usize,
    variables: Variables<'_>,
    out: &mut Complaints,
) {
    let Some(DeValue::Array(entries)) = top.get_mut("rules").map(Spanned::get_mut) else {
        return;
    };
    for (index, entry) in entries.iter_mut().enumerate() {
        let at = At::new(format!("rules[{}]", first + index), entry.span());
        if let DeValue::Table(table) = entry.get_mut() {
            expand(table, &at, variables, out);
        }
    }
}

/// The files that a pattern matches, in the order of their names.
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
        .map_err(|error| format!("cannot list the folder {}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry
            .map_err(|error| format!("cannot list the folder {}: {error}", folder.display()))?;
        if glob.is_match(Path::new(&entry.file_name())) {
            files.push(folder.join(entry.file_name()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// A value without its place and spelling, so that moving a rule changes nothing.
fn canonical(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => items.iter().fold(String::from("["), |mut all, item| {
            all.push_str(&canonical(item.get_ref()));
            all.push(',');
            all
        }),
        DeValue::Table(table) => table
            .iter()
            .fold(String::from("{"), |mut all, (key, item)| {
                write!(all, "{:?}={},", key.get_ref(), canonical(item.get_ref())).ok(); // a String takes all
                all
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_sees_values_and_not_places() {
        let of = |text| canonical(&DeValue::Table(DeTable::parse(text).unwrap().into_inner()));
        assert_eq!(of("a = 1\nb = ['x']"), of("b = [ \"x\" ] # moved\n\na = 1"));
        assert_ne!(of("b = ['x', 'y']"), of("b = ['x,y']"));
        assert_ne!(of("a = 1"), of("a = '1'"));
    }

    #[test]
    fn patterns_match_in_name_order_and_reach_no_further_than_their_folder() {
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
        assert!(names("none.d/*.toml").unwrap_err().contains("cannot list"));
        assert!(names("rules.d/[").unwrap_err().contains("not a pattern"));
    }
}
