//! Who should hear of an event. Planning is pure: `serve`, `try` and `check` call the same function.
//!
//! A [`RawRule`] is a `[[rules]]` entry as it is written. [`RuleSet::build`] checks all of them and
//! names every mistake at its place. [`RuleSet::plan`] asks the rules from top to bottom: all keys of
//! `match` must hold, any key of `except` is enough to be out, and the first rule that matches ends
//! the search unless it says `continue = true`. What an event does not have matches nothing.
//!
//! Two kinds of event are asked about: new feedback, and a change of the state of feedback. A rule takes new
//! feedback alone unless `event` says otherwise. Of a change, rules ask about the reports that the store
//! knows it is of; one that they take is enough. New feedback that no rule takes for good is unrouted,
//! which somebody should look at; a change of state is noted then, since nobody expects to hear of each.
//!
//! A destination hears of an event once, and what all matching rules that name it say is merged: the highest
//! severity, all mentions and labels, the template and the wait of the last rule that sets one.

mod codes;
mod conditions;
mod facts;
mod filter;
mod glob;
mod kinds;
mod lints;
mod matcher;
mod page;
mod paths;
mod plan;
mod raw;
mod read;
mod report;
#[cfg(test)]
mod tests;
mod trace;
mod values;
mod words;

pub use codes::CODES;
pub use conditions::KEYS as CONDITION_KEYS;
pub use filter::Filter;
pub use paths::LiteralPath;
pub use raw::RawRule;
pub use read::KEYS;
pub use trace::trace_json;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::diag::{Diagnostic, Level};
use crate::model::{AppName, DestinationName, Event, Plan, RuleName, Trace};

use report::{Location, Report};

/// The names that rules may use.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of `[apps]` and `[app_names]`, each with its id `cli_…`.
    pub app_ids: Vec<(String, String)>,
    /// Names of `[apps]`: what `via` may name.
    pub apps: Vec<AppName>,
    /// Names of `[destinations]`.
    pub destinations: Vec<DestinationName>,
    /// Names of `[mentions]`.
    pub mentions: Vec<String>,
    /// Names of templates that some family has.
    pub templates: Vec<String>,
    /// `[lists]`.
    pub lists: BTreeMap<String, Vec<Word>>,
}

/// A word of a list of `[lists]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A name, a pattern, an id.
    Text(String),
    /// A code.
    Whole(i64),
}

/// What [`RuleSet::build`] made of the rules that are written.
#[derive(Debug, Default)]
pub struct Built {
    /// The rules without errors.
    pub set: RuleSet,
    /// Every mistake.
    pub diagnostics: Vec<Diagnostic>,
    /// The lists that conditions name.
    pub lists_used: BTreeSet<String>,
    /// Patterns of `path` without a wildcard; see [`LiteralPath::check`].
    pub literal_paths: Vec<LiteralPath>,
    /// The templates that rules name.
    pub templates: Vec<NamedTemplate>,
}

/// A template that a rule names.
#[derive(Debug)]
pub struct NamedTemplate {
    at: Location,
    /// Its name.
    pub name: String,
    /// Where the rule sends it.
    pub send_to: Vec<DestinationName>,
}

impl NamedTemplate {
    /// A warning that some family of a destination lacks it.
    pub fn lacking(&self, message: String, help: String) -> Diagnostic {
        let mut report = Report::default();
        report.warning(codes::TEMPLATE_OF_FAMILY, &self.at, message, Some(help));
        report.diagnostics.remove(0)
    }
}

/// All rules, checked and ready. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Arc<[plan::Rule]>,
}

impl RuleSet {
    /// Checks the rules. Every mistake becomes a diagnostic whose path starts with the given one
    /// (`rules[2]`) and whose span counts in the file the rule came from; what concerns all rules
    /// together stands at `rules` without a span. Rules with errors are left out.
    pub fn build(rules: &[(String, RawRule)], known: &Known) -> Built {
        let mut report = Report::default();
        let mut good: Vec<(Location, plan::Rule)> = Vec::with_capacity(rules.len());
        let mut names: HashMap<String, &str> = HashMap::with_capacity(rules.len());
        let mut templates = Vec::new();
        for (path, RawRule(node)) in rules {
            let at = Location::new(path, node.span.clone());
            let before = report.diagnostics.len();
            let rule = read::rule(&mut report, &at, node, known);
            if let Some(rule) = &rule {
                let name = rule.name.as_str();
                match names.get(name) {
                    Some(first) => {
                        let at = at.key("name", node.span_of("name"));
                        name_taken(&mut report, &at, name, first);
                    }
                    None => drop(names.insert(name.to_owned(), path)),
                }
                templates.extend(rule.template.as_ref().map(|name| NamedTemplate {
                    at: at.key("template", node.span_of("template")),
                    name: name.clone(),
                    send_to: rule.send_to.clone(),
                }));
            }
            let mut new = report.diagnostics.iter().skip(before);
            if !new.any(|one| one.level == Level::Error) {
                good.extend(rule.map(|rule| (at, rule)));
            }
        }
        if !rules.is_empty() && good.len() == rules.len() {
            lints::check(&mut report, &good);
        }
        let literal_paths = paths::literal(&good);
        let rules = good.into_iter().map(|(_, rule)| rule).collect();
        Built {
            set: Self { rules },
            diagnostics: report.diagnostics,
            lists_used: report.lists_used,
            literal_paths,
            templates,
        }
    }

    /// How many rules there are.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// The rules' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &RuleName> {
        self.rules.iter().map(|rule| &rule.name)
    }

    /// What the rules make of `event`. Pure; a notice is noted and told to nobody.
    pub fn plan(&self, event: &Event) -> Plan {
        plan::evaluate(&self.rules, event, None)
    }

    /// The same as [`plan`](Self::plan), and what each rule said.
    pub fn explain(&self, event: &Event) -> (Plan, Trace) {
        let mut trace = Trace::default();
        let plan = plan::evaluate(&self.rules, event, Some(&mut trace));
        (plan, trace)
    }
}

fn name_taken(report: &mut Report, at: &Location, name: &str, first: &str) {
    let message = format!("{first} is called \"{name}\" too");
    let help = Some("names tell rules apart in the store and in templates".to_owned());
    report.error(codes::DUPLICATE_NAME, at, message, help);
}
