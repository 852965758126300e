//! Decides which destinations receive an event. Planning is pure: `serve`, `try` and `check` call the same
//! function.
//!
//! A [`RawRule`] is a `[[rules]]` entry as it is written. [`RuleSet::build`] checks all of them and reports every
//! mistake at its place. [`RuleSet::plan`] tries the rules from top to bottom. A rule matches if all keys of
//! `match` hold and no key of `except` does. The first match ends the search, unless the rule has
//! `continue = true`. A value that the event lacks matches nothing.
//!
//! Rules see two kinds of event: new feedback, and a change of its status. A rule matches only new feedback
//! unless `event` is set. A change of status is tested with each of its reports that the store knows; one match
//! is enough. New feedback that no rule matches is unrouted, and somebody should check it. An unmatched change of
//! status is only recorded, because most are of no interest.
//!
//! A destination receives an event once, so all matching rules that name it are merged. The message gets the
//! highest severity and all mentions and labels. Template and wait come from the last rule that sets them.
//!
//! A rule may group the reports that it matches into incidents. The plan names the incident of each such rule, and
//! the deliveries that the incident may merge.
//!
//! A rule with `when` matches only at these times, judged when the event is received. A rule with `hold` keeps its
//! messages at these times until the end of the window. Other rules' messages to the same destination are not held.

mod conditions;
mod facts;
mod filter;
mod glob;
mod group;
mod hours;
mod kinds;
mod lints;
mod matcher;
mod page;
mod paths;
mod plan;
mod raw;
mod read;
mod silences;
#[cfg(test)]
mod tests;
mod values;
mod words;

pub use conditions::names as condition_keys;
pub use filter::Filter;
pub use group::{first_fault, page as page_pattern};
pub use raw::RawRule;
pub use read::{DigestSettings, digests};
pub use silences::SilenceSet;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::diag::{Diagnostic, Level};
use crate::model::{AppName, DestinationName, Event, Plan, RuleName, Timestamp, Trace};
use crate::toml_reader::{Diagnostics, Key, Keys, Location, Node, Read, codes};

use paths::LiteralPath;

/// The names that rules may use.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Names of `[apps]` and `[app_names]`, each with its id `cli_…`.
    pub app_ids: Vec<(String, String)>,
    /// Names of `[apps]`, which `via` may name.
    pub apps: Vec<AppName>,
    /// Names of `[destinations]`.
    pub destinations: Vec<DestinationName>,
    /// Those of them that are for programs. They get every event at once.
    pub programs: Vec<DestinationName>,
    /// Names of `[mentions]`.
    pub mentions: Vec<String>,
    /// Names of templates that at least one family has.
    pub templates: Vec<String>,
    /// `[lists]`.
    pub lists: BTreeMap<String, Vec<Word>>,
    /// The zone of `when` without a zone; `None`: UTC.
    pub timezone: Option<TimeZone>,
}

impl Known {
    /// Returns the names that conditions of commands may use: those of `[apps]`, of `[app_names]` by id, and of
    /// `[lists]`.
    pub fn in_conditions<'a>(
        app_names: &BTreeMap<String, String>,
        apps: impl Iterator<Item = &'a AppName>,
        lists: &BTreeMap<String, Vec<Word>>,
    ) -> Self {
        let app_ids = app_names.iter();
        Self {
            app_ids: app_ids
                .map(|(id, name)| (name.clone(), id.clone()))
                .collect(),
            apps: apps.cloned().collect(),
            lists: lists.clone(),
            ..Self::default()
        }
    }
}

/// A word of a list of `[lists]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A name, a pattern or an id.
    Text(String),
    /// A code.
    Whole(i64),
}

/// The result of [`RuleSet::build`].
#[derive(Debug, Default)]
pub struct Built {
    /// The rules without errors.
    pub set: RuleSet,
    /// Every error and warning.
    pub diagnostics: Vec<Diagnostic>,
    /// The lists that conditions use.
    pub lists_used: BTreeSet<String>,
    /// Conditions with patterns of `path` without a wildcard.
    literal_paths: Vec<LiteralPath>,
    /// The templates that rules name.
    pub templates: Vec<NamedTemplate>,
}

impl Built {
    /// Warns of `path` patterns that match only the beginning of one of these pages.
    pub fn check_paths(&self, addresses: &[String]) -> Vec<Diagnostic> {
        paths::check(&self.literal_paths, addresses)
    }
}

/// A template that a rule names.
#[derive(Debug)]
pub struct NamedTemplate {
    at: Location,
    /// Its name.
    pub name: String,
    /// The destinations that the rule sends it to.
    pub send_to: Vec<DestinationName>,
}

impl NamedTemplate {
    /// Returns a warning that the family of a destination lacks the template.
    pub fn lacking(&self, message: String, help: String) -> Vec<Diagnostic> {
        let mut out = Diagnostics::default();
        out.add_with_help(codes::TEMPLATE_OF_FAMILY, &self.at, message, help);
        out.into_list()
    }
}

/// All checked rules. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Arc<[plan::Rule]>,
}

impl RuleSet {
    /// Checks the rules. The path of each diagnostic starts with the given one (`rules[2]`), and its span refers
    /// to the rule's file. Diagnostics about all rules have the path `rules` and no span. Rules with errors are
    /// left out.
    pub fn build(rules: &[(String, RawRule)], known: &Known) -> Built {
        let mut out = Diagnostics::default();
        let mut good: Vec<(Location, plan::Rule)> = Vec::with_capacity(rules.len());
        let mut names: HashMap<String, &str> = HashMap::with_capacity(rules.len());
        let mut templates = Vec::new();
        for (path, RawRule(node)) in rules {
            let at = Location::new(path, node.span.clone());
            let before = out.count();
            let rule = read::rule(&mut out, &at, node, known);
            if let Some(rule) = &rule {
                let name = rule.name.as_str();
                match names.get(name) {
                    Some(first) => {
                        let at = at.key("name", node.span_of("name"));
                        name_taken(&mut out, &at, name, first);
                    }
                    None => drop(names.insert(name.to_owned(), path)),
                }
                templates.extend(rule.template.as_ref().map(|name| NamedTemplate {
                    at: at.key("template", node.span_of("template")),
                    name: name.clone(),
                    send_to: rule.send_to.clone(),
                }));
            }
            let mut new = out.since(before).iter();
            if !new.any(|one| one.level == Level::Error) {
                good.extend(rule.map(|rule| (at, rule)));
            }
        }
        if !rules.is_empty() && good.len() == rules.len() {
            lints::check(&mut out, &good);
        }
        let literal_paths = paths::literal(&good);
        let lists_used = lists_used(rules);
        let rules = good.into_iter().map(|(_, rule)| rule).collect();
        Built {
            set: Self { rules },
            diagnostics: out.into_list(),
            lists_used,
            literal_paths,
            templates,
        }
    }

    /// Returns the number of rules.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// Returns the rules' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &RuleName> {
        self.rules.iter().map(|rule| &rule.name)
    }

    /// Plans the deliveries of `event`, received at `at`. Pure. The relay's own notices get no deliveries here.
    pub fn plan(&self, event: &Event, at: Timestamp) -> Plan {
        plan::evaluate(&self.rules, event, at, None)
    }

    /// Plans the deliveries like [`plan`](Self::plan), and also returns the result of each rule.
    pub fn explain(&self, event: &Event, at: Timestamp) -> (Plan, Trace) {
        let mut trace = Trace::default();
        let plan = plan::evaluate(&self.rules, event, at, Some(&mut trace));
        (plan, trace)
    }
}

/// Returns the lists of `[lists]` that the conditions of digests use.
pub fn lists_of_digests(entries: &Node) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for node in entries.elements().iter().filter_map(|one| one.get("match")) {
        node.each_text(&mut |text| used.extend(values::list_named(text).map(str::to_owned)));
    }
    used
}

/// Returns the lists of `[lists]` that conditions use.
fn lists_used(rules: &[(String, RawRule)]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (_, RawRule(node)) in rules {
        let conditions = ["match", "except"].into_iter();
        for node in conditions.filter_map(|key| node.get(key)) {
            node.each_text(&mut |text| used.extend(values::list_named(text).map(str::to_owned)));
        }
    }
    used
}

/// Returns the keys of rules, of their escalation steps and of their conditions.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    let keys = read::RawKeys::KEYS.iter().chain(read::RawStep::KEYS);
    let keys = keys.chain(read::RawDigest::KEYS);
    keys.chain(conditions::keys())
}

/// Returns the schema of a digest.
pub fn digest_schema() -> serde_json::Value {
    read::RawDigest::schema()
}

/// Returns the schema of a table of conditions. It does not describe the sets of `any`, because that is long.
pub fn conditions_schema(meaning: &str) -> serde_json::Value {
    conditions::schema_to(meaning, 0)
}

/// Returns the schema of a rule.
pub fn schema() -> serde_json::Value {
    read::RawKeys::schema()
}

fn name_taken(out: &mut Diagnostics, at: &Location, name: &str, first: &str) {
    let message = format!("{first} is called \"{name}\" too");
    let help = Some("names identify rules in the store and in templates".to_owned());
    out.report(codes::DUPLICATE_NAME, at, message, help);
}
