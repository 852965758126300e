//! Reads `[[rules]]` of the main file and of included files as one list.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::destination;
use crate::diag::Diagnostic;
use crate::model::DestinationName;
use crate::render::{Family, Templates};
use crate::rules::{Built, Known, NamedTemplate, RawRule, RuleSet};
use crate::toml_reader::{Diagnostics, Location, Node, Value, codes};

/// The part of a rule that a reload compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRule {
    /// The rule's name, or its path if it has none.
    pub name: String,
    /// A hash of everything written in the rule.
    pub fingerprint: u64,
}

/// All rules, in order.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The number of rules, including those with errors.
    count: usize,
    rules: Vec<(String, RawRule)>,
    /// The file of each rule, by the rule's number.
    files: Vec<PathBuf>,
    written: Vec<WrittenRule>,
}

impl Written {
    /// Takes the `[[rules]]` of one file.
    pub(super) fn take(&mut self, top: &mut DeTable<'_>, file: &Path, out: &mut Diagnostics) {
        let Some(value) = top.remove("rules") else {
            return;
        };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            let at = Location::new("rules", span);
            let message = "expected a list of rules";
            return out.add_with_help(codes::WRONG_TYPE, &at, message, "begin each with [[rules]]");
        };
        for entry in entries {
            let at = Location::new(format!("rules[{}]", self.count), entry.span());
            self.count += 1;
            self.files.push(file.to_owned());
            let node = Node::of(&entry);
            match node.value {
                Value::Table(_) => self.one(at.path, node),
                _ => out.wrong_type(&at, "a rule", &node),
            }
        }
    }

    fn one(&mut self, path: String, node: Node) {
        let mut hasher = DefaultHasher::new();
        // Positions are left out, so that moving a rule changes nothing.
        node.to_string().hash(&mut hasher);
        self.written.push(WrittenRule {
            name: node
                .get("name")
                .and_then(Node::text)
                .unwrap_or(&path)
                .to_owned(),
            fingerprint: hasher.finish(),
        });
        self.rules.push((path, RawRule::of(node)));
    }

    /// Returns the number of rules so far, including those with errors.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Checks the rules against the names they use.
    pub(super) fn build(self, known: &Known, out: &mut Diagnostics) -> Checked {
        if self.count == 0 {
            if !out.concern("rules") && !out.concern("include") {
                let message = "there are no rules: events are stored and go to no destination";
                let help = "write [[rules]] with a name and `send_to`";
                out.add_with_help(codes::NO_RULES, &Location::default(), message, help);
            }
            return Checked::default();
        }
        let mut built = RuleSet::build(&self.rules, known);
        let mut diagnostics = std::mem::take(&mut built.diagnostics);
        // A key that was removed because of an error is not missing.
        diagnostics.retain(|one| {
            let key = ["name", "send_to"]
                .into_iter()
                .find(|key| one.message.contains(key));
            let path = key.map(|key| format!("{}.{key}", one.place.path));
            one.code != codes::MISSING_KEY.0 || !path.is_some_and(|path| out.concern(&path))
        });
        let checked = Checked {
            built,
            written: self.written,
            files: self.files,
        };
        checked.adopt(diagnostics, out);
        checked
    }
}

/// The checked rules.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) built: Built,
    pub(super) written: Vec<WrittenRule>,
    /// The file of each rule, by its number.
    files: Vec<PathBuf>,
}

impl Checked {
    /// Warns of `path` patterns that match only the beginning of one of these pages.
    pub(super) fn check_paths(&self, pages: &[String], out: &mut Diagnostics) {
        self.adopt(self.built.check_paths(pages), out);
    }

    /// Warns of templates that a destination's family lacks, fallbacks included.
    pub(super) fn check_templates(
        &self,
        destinations: &BTreeMap<DestinationName, destination::Settings>,
        templates: &Templates,
        out: &mut Diagnostics,
    ) {
        let lacking = |used: &NamedTemplate| {
            let reached = used
                .send_to
                .iter()
                .flat_map(|first| way_of_fallbacks(first, destinations));
            let lacks = |one: &&destination::Settings| {
                let family = one.common.audience.family;
                // Webhooks need no template, and plain text uses `plain` for every name.
                matches!(family, Family::Feishu | Family::Slack)
                    && !templates.is_written(family, &used.name)
            };
            let one = reached.into_iter().find(lacks)?;
            let (name, family) = (&one.common.name, one.common.audience.family.key());
            let message = format!(
                "`{name}` would get the built-in plain message, because there is no template {family}/{}.hbs",
                used.name
            );
            let help = format!("write {family}/{}.hbs in `templates.dir`", used.name);
            Some(used.lacking(message, help))
        };
        let warnings = self
            .built
            .templates
            .iter()
            .filter_map(lacking)
            .flatten()
            .collect();
        self.adopt(warnings, out);
    }

    fn adopt(&self, diagnostics: Vec<Diagnostic>, out: &mut Diagnostics) {
        out.adopt(diagnostics, |path| {
            let number = path.strip_prefix("rules[")?.split_once(']')?.0;
            self.files.get(number.parse::<usize>().ok()?).cloned()
        });
    }
}

/// Returns a destination and its chain of fallbacks.
pub(super) fn way_of_fallbacks<'a>(
    first: &DestinationName,
    destinations: &'a BTreeMap<DestinationName, destination::Settings>,
) -> Vec<&'a destination::Settings> {
    let mut way: Vec<&destination::Settings> = Vec::new();
    let mut next = destinations.get(first);
    while let Some(one) = next {
        if way.iter().any(|known| known.common.name == one.common.name) {
            break; // A cycle, which has already been reported.
        }
        way.push(one);
        next = one
            .common
            .fallback
            .as_ref()
            .and_then(|name| destinations.get(name));
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_sees_values_and_not_places() {
        let of = |text| {
            let table = DeTable::parse(text).unwrap();
            Node::of_table(table.get_ref(), table.span()).to_string()
        };
        assert_eq!(of("a = 1\nb = ['x']"), of("b = [ \"x\" ] # moved\n\na = 1"));
        assert_ne!(of("b = ['x', 'y']"), of("b = ['x,y']"));
        assert_ne!(of("a = 1"), of("a = '1'"));
    }
}
