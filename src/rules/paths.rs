//! Checks `path` patterns without a wildcard, which match one page and nothing below it.

use std::collections::{BTreeMap, HashMap};

use crate::diag::Diagnostic;

use super::matcher::{Glob, Matcher, Test};
use super::page;
use super::plan::Rule;
use crate::toml_reader::{Diagnostics, Location, codes};

/// The patterns of one `path` condition.
#[derive(Debug)]
pub(super) struct LiteralPath {
    at: Location,
    /// The patterns without a wildcard.
    literal: Vec<String>,
    /// All patterns.
    all: Vec<Glob>,
}

/// The pages of samples and tests, in lower case and in order, each as it is written.
#[derive(Debug, Default)]
struct Pages(BTreeMap<String, String>);

impl Pages {
    fn new(addresses: &[String]) -> Self {
        let path = |address: &String| {
            let path = page::split(address).0.into_owned();
            (path.to_lowercase(), path)
        };
        Self(addresses.iter().map(path).collect())
    }

    fn contains(&self, lower: &str) -> bool {
        self.0.contains_key(lower)
    }

    /// Returns the pages below a path.
    fn below(&self, lower: &str) -> impl Iterator<Item = &String> {
        let folder = format!("{}/", lower.trim_end_matches('/'));
        let pages = self.0.range(folder.clone()..);
        let pages = pages.take_while(move |(page, _)| page.starts_with(&folder));
        pages.map(|(_, written)| written)
    }
}

/// Warns of each condition that has pages of `addresses` below one of its patterns, and no page equal to it.
///
/// Pages are looked up by their beginning, and conditions with the same patterns are checked once, so the time
/// grows linearly with rules and pages.
pub(super) fn check(conditions: &[LiteralPath], addresses: &[String]) -> Vec<Diagnostic> {
    let pages = Pages::new(addresses);
    let mut known: HashMap<Vec<&str>, Option<(&str, String)>> = HashMap::new();
    let mut warnings = Diagnostics::default();
    for condition in conditions {
        let patterns = condition.all.iter().map(|glob| glob.written.as_str());
        let missed = known
            .entry(patterns.collect())
            .or_insert_with(|| condition.missed(&pages));
        if let Some((pattern, missed)) = missed {
            condition.warn(pattern, missed, &mut warnings);
        }
    }
    warnings.into_list()
}

impl LiteralPath {
    /// Returns a pattern, and a page below it that no pattern of the condition matches.
    fn missed(&self, pages: &Pages) -> Option<(&str, String)> {
        self.literal.iter().find_map(|pattern| {
            let lower = pattern.to_lowercase();
            if pages.contains(&lower) {
                return None;
            }
            let is_missed = |page: &&String| !self.all.iter().any(|one| one.is_match(page));
            let missed = pages.below(&lower).find(is_missed)?;
            Some((pattern.as_str(), missed.clone()))
        })
    }

    fn warn(&self, pattern: &str, missed: &str, out: &mut Diagnostics) {
        let wide = pattern.trim_end_matches('/');
        let message = format!("the path \"{pattern}\" matches only that page, not \"{missed}\"");
        let help = format!("for all pages below it: path = [\"{wide}\", \"{wide}/*\"]");
        out.add_with_help(codes::PATH_IS_PREFIX, &self.at, message, help);
    }
}

/// Returns the patterns without a wildcard of all rules.
pub(super) fn literal(rules: &[(Location, Rule)]) -> Vec<LiteralPath> {
    let mut found = Vec::new();
    for (_, rule) in rules {
        collect(&rule.wanted, &mut found);
        collect(&rule.except, &mut found);
    }
    found
}

fn collect(set: &[Matcher], found: &mut Vec<LiteralPath>) {
    for one in set {
        match &one.test {
            Test::Path(globs) => {
                let literal = globs.iter().filter(|glob| glob.is_literal());
                let literal: Vec<String> = literal.map(|glob| glob.written.clone()).collect();
                if !literal.is_empty() {
                    found.push(LiteralPath {
                        at: one.at.clone(),
                        literal,
                        all: globs.clone(),
                    });
                }
            }
            Test::Any(sets) => sets.iter().for_each(|set| collect(set, found)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_below_a_path_are_compared() {
        let addresses: Vec<String> = (0..2000)
            .map(|number| format!("Pages/{number}/confirm?order={number}"))
            .collect();
        let pages = Pages::new(&addresses);
        let compared: usize = (0..2000)
            .map(|number| pages.below(&format!("pages/{number}")).count())
            .sum();
        assert_eq!(compared, 2000, "2000 patterns and 2000 pages");
        assert_eq!(pages.below("pages/").count(), 2000);
        assert_eq!(
            pages.below("pages/200").next().unwrap(),
            "Pages/200/confirm"
        );
        assert_eq!(pages.below("page").count(), 0, "a beginning of a name");
        assert!(pages.contains("pages/7/confirm"));
    }
}
