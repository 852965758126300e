//! Checks `path` patterns without a wildcard, which match one page and nothing below it.

use crate::diag::{Diagnostic, Level, Place};

use super::codes;
use super::matcher::{Glob, Matcher, Test};
use super::page;
use super::plan::Rule;
use super::report::Location;

/// The patterns of one `path` condition.
#[derive(Debug)]
pub struct LiteralPath {
    at: Location,
    /// The patterns without a wildcard.
    literal: Vec<String>,
    /// All patterns.
    all: Vec<Glob>,
}

impl LiteralPath {
    /// Warns if pages of `known` are below a pattern, and no page equals it. `known` contains the addresses of
    /// samples and tests.
    pub fn check(&self, known: &[String]) -> Option<Diagnostic> {
        let warn = |pattern: &String| Some(self.warning(pattern, &self.missed(pattern, known)?));
        self.literal.iter().find_map(warn)
    }

    /// Returns a page below the pattern that no pattern of the list matches.
    fn missed(&self, pattern: &str, known: &[String]) -> Option<String> {
        let pattern = pattern.to_lowercase();
        let mut missed = None;
        for address in known {
            let (path, _) = page::split(address);
            let lower = path.to_lowercase();
            if lower == pattern {
                return None;
            }
            let rest = lower.strip_prefix(&pattern);
            let below = rest.is_some_and(|rest| pattern.ends_with('/') || rest.starts_with('/'));
            if below && !self.all.iter().any(|one| one.regex.is_match(&path)) {
                missed.get_or_insert_with(|| path.into_owned());
            }
        }
        missed
    }

    fn warning(&self, pattern: &str, missed: &str) -> Diagnostic {
        let wide = pattern.trim_end_matches('/');
        Diagnostic {
            level: Level::Warning,
            code: codes::PATH_IS_PREFIX,
            message: format!("the path \"{pattern}\" matches only that page, not \"{missed}\""),
            place: Place {
                file: None,
                span: Some(self.at.span.clone()),
                path: self.at.path.clone(),
                variable: None,
            },
            help: Some(format!(
                "for all pages below it: path = [\"{wide}\", \"{wide}/*\"]"
            )),
        }
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
                let literal = globs.iter().filter(|glob| is_literal(&glob.written));
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

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{', '\\'])
}
