//! Who should hear of an event. Planning is pure: `serve`, `try` and `check` call the same function.
//!
//! A [`RawRule`] is a `[[rules]]` entry as it is written. [`RuleSet::build`] checks all of them and
//! names every mistake at its place. [`RuleSet::plan`] asks the rules from top to bottom: all keys of
//! `match` must hold, any key of `except` is enough to be out, and the first rule that matches ends
//! the search unless it says `continue = true`. What an event does not have matches nothing.
//!
//! Two kinds of event are asked about: new feedback, and a change of the state of feedback. A rule takes new
//! feedback alone unless `event` says otherwise. New feedback that no rule takes for good is unrouted,
//! which somebody should look at; a change of state is noted then, since nobody expects to hear of each.
//!
//! A destination hears of an event once. Where several matching rules name it, the most severe of
//! them says how (template, mentions, labels, wait), and of equally severe ones the first.

mod codes;
mod conditions;
mod glob;
mod kinds;
mod lints;
mod matcher;
mod plan;
mod raw;
mod read;
mod report;
#[cfg(test)]
mod tests;
mod trace;
mod words;

pub use codes::CODES;
pub use conditions::KEYS as CONDITION_KEYS;
pub use raw::RawRule;
pub use read::KEYS;
pub use trace::trace_json;

use std::sync::Arc;

use crate::diag::{Diagnostic, Level};
use crate::model::{AppName, DestinationName, Event, Plan, RuleName, Trace};

use report::{At, Report};

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
    pub fn build(rules: &[(String, RawRule)], known: &Known) -> (Self, Vec<Diagnostic>) {
        let mut report = Report::default();
        let mut good: Vec<(At, plan::Rule)> = Vec::with_capacity(rules.len());
        let mut names: Vec<(String, &str)> = Vec::with_capacity(rules.len());
        for (path, RawRule(node)) in rules {
            let at = At::new(path, node.span.clone());
            let before = report.diagnostics.len();
            let rule = read::rule(&mut report, &at, node, known);
            if let Some(rule) = &rule {
                unique(
                    &mut report,
                    &at.key("name", node.span_of("name")),
                    rule.name.as_str(),
                    &names,
                );
                names.push((rule.name.to_string(), path));
            }
            let mut new = report.diagnostics.iter().skip(before);
            if !new.any(|one| one.level == Level::Error) {
                good.extend(rule.map(|rule| (at, rule)));
            }
        }
        if !rules.is_empty() && good.len() == rules.len() {
            lints::check(&mut report, &good);
        }
        let rules = good.into_iter().map(|(_, rule)| rule).collect();
        (Self { rules }, report.diagnostics)
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

fn unique(report: &mut Report, at: &At, name: &str, earlier: &[(String, &str)]) {
    if let Some((_, first)) = earlier.iter().find(|(other, _)| other == name) {
        let message = format!("{first} is called \"{name}\" too");
        let help = Some("names tell rules apart in the journal and in templates".to_owned());
        report.error(codes::DUPLICATE_NAME, at, message, help);
    }
}
