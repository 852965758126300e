//! Checks rules against each other. Can each rule be reached and match, and does some rule always match a fault?

use std::collections::{BTreeSet, HashMap};

use crate::model::{DestinationName, EventKind, FeedbackKind, GroupKey};

use super::facts::{self, Fact, implies};
use super::kinds;
use super::matcher::{Matcher, Test};
use super::plan::Rule;
use crate::toml_reader::{Diagnostics, Location, codes};

/// A rule, and the facts that the lints compare.
struct Linted<'a> {
    at: &'a Location,
    rule: &'a Rule,
    kinds: Vec<EventKind>,
    wanted: Vec<Fact>,
}

impl<'a> Linted<'a> {
    fn new(at: &'a Location, rule: &'a Rule) -> Self {
        Self {
            at,
            rule,
            kinds: kinds::taken_by(&rule.wanted),
            wanted: facts::of(&rule.wanted),
        }
    }
}

/// Returns how many pairs of rules were compared to find unreachable rules.
#[cfg(test)]
pub(super) fn comparisons(at: &Location, rules: &[&Rule]) -> usize {
    let linted: Vec<Linted<'_>> = rules.iter().map(|rule| Linted::new(at, rule)).collect();
    let mut takers = Takers::new(&linted);
    let mut compared = 0;
    for (index, one) in linted.iter().enumerate() {
        compared += takers.candidates(one).len();
        takers.add(index, one);
    }
    compared
}

/// Warns of probable mistakes.
pub(super) fn check(out: &mut Diagnostics, rules: &[(Location, Rule)]) {
    let rules = rules.iter();
    let linted: Vec<Linted<'_>> = rules.map(|(at, rule)| Linted::new(at, rule)).collect();
    let mut takers = Takers::new(&linted);
    for (index, one) in linted.iter().enumerate() {
        never_matches(out, one);
        except_never_holds(out, one);
        queries(out, &one.rule.wanted);
        queries(out, &one.rule.except);
        if one.kinds.is_empty() {
            continue; // A rule that can never match has already been reported.
        }
        if let Some(taker) = takers.of(one) {
            let message = format!(
                "\"{}\" is unreachable: \"{}\" matches everything it could match",
                one.rule.name, taker.rule.name
            );
            let help = format!(
                "put it before \"{}\", or give that rule `continue = true`",
                taker.rule.name
            );
            out.report(codes::UNREACHABLE, one.at, message, Some(help));
        } else {
            // An unreachable rule need not be added: the rule that hides it matches the same events.
            takers.add(index, one);
        }
    }
    same_incidents(out, &linted);
    if !linted.iter().any(takes_every_fault) {
        let message =
            "faults can be left unrouted: no rule without `continue` or `when` matches them all";
        let help =
            "add a last rule whose only condition is type = \"fault\", or one without conditions";
        let at = Location::of_path("rules");
        out.report(codes::FAULTS_UNROUTED, &at, message, Some(help.to_owned()));
    }
}

/// A key with one of its values.
type Wanted<'a> = (&'static str, &'a str);

/// The rules so far that can hide a later one. Each is indexed by the key and values that the fewest rules share.
/// So few pairs are compared, and the time grows linearly with the number of rules.
struct Takers<'a> {
    linted: &'a [Linted<'a>],
    /// How many rules have each key and value.
    shared_by: HashMap<Wanted<'a>, usize>,
    by_wanted: HashMap<Wanted<'a>, Vec<usize>>,
    /// Rules without such a key.
    general: Vec<usize>,
}

impl<'a> Takers<'a> {
    fn new(linted: &'a [Linted<'a>]) -> Self {
        let mut shared_by = HashMap::new();
        for one in linted {
            for (key, values) in plain(&one.wanted) {
                for value in values {
                    *shared_by.entry((key, value.as_str())).or_insert(0) += 1;
                }
            }
        }
        Self {
            linted,
            shared_by,
            by_wanted: HashMap::new(),
            general: Vec::new(),
        }
    }

    fn add(&mut self, index: usize, one: &'a Linted<'a>) {
        if one.rule.goes_on || !one.rule.except.is_empty() {
            return;
        }
        let shared = |(key, values): &(&'static str, &'a BTreeSet<String>)| {
            let counts = values
                .iter()
                .map(|value| self.shared_by.get(&(*key, value.as_str())));
            counts.flatten().max().copied()
        };
        match plain(&one.wanted).min_by_key(shared) {
            Some((key, values)) => {
                for value in values {
                    let under = self.by_wanted.entry((key, value.as_str())).or_default();
                    under.push(index);
                }
            }
            None => self.general.push(index),
        }
    }

    /// Returns the rules that must be compared with `later`.
    fn candidates(&self, later: &'a Linted<'a>) -> Vec<usize> {
        let mut wanted = Vec::new();
        first_values(&later.wanted, &mut wanted);
        let listed = wanted.iter().filter_map(|one| self.by_wanted.get(one));
        listed.flatten().chain(&self.general).copied().collect()
    }

    /// Returns the first rule so far that matches everything `later` could match.
    fn of(&self, later: &'a Linted<'a>) -> Option<&'a Linted<'a>> {
        let candidates = self.candidates(later).into_iter();
        let takers = candidates.filter(|&index| {
            let taker = self.linted.get(index);
            taker.is_some_and(|taker| takes_all_of(taker, later))
        });
        takers.min().and_then(|index| self.linted.get(index))
    }
}

/// Returns the keys that a rule can be indexed by. `event` is excluded because most rules share its value.
fn plain(facts: &[Fact]) -> impl Iterator<Item = (&'static str, &BTreeSet<String>)> {
    facts.iter().filter_map(|fact| match fact {
        Fact::One("event", _) | Fact::Any(_) => None,
        Fact::One(key, values) => Some((*key, values)),
    })
}

/// Collects the first value of each key. An earlier rule that hides this one accepts every value of such a
/// key, so the index finds it under the first value. For `any`, the first set is enough, because the earlier
/// rule must accept every set.
fn first_values<'a>(facts: &'a [Fact], all: &mut Vec<Wanted<'a>>) {
    for fact in facts {
        match fact {
            Fact::One(key, values) => {
                all.extend(values.first().map(|value| (*key, value.as_str())));
            }
            Fact::Any(sets) => {
                if let Some(first) = sets.first() {
                    first_values(first, all);
                }
            }
        }
    }
}

/// Warns of two rules with the same `group_by` that count the same reports for one destination.
fn same_incidents(out: &mut Diagnostics, linted: &[Linted<'_>]) {
    // The rules so far with `continue`.
    let mut earlier: HashMap<(&DestinationName, Vec<GroupKey>), Vec<&Linted<'_>>> = HashMap::new();
    for one in linted {
        let mut keys = one.rule.grouping.by.clone().unwrap_or_default();
        keys.sort_unstable();
        let send_to = one.rule.send_to.iter().filter(|_| !keys.is_empty());
        for destination in send_to {
            let rules = earlier.entry((destination, keys.clone())).or_default();
            if let Some(other) = rules.iter().find(|other| overlap(other, one)) {
                let (name, other) = (&one.rule.name, &other.rule.name);
                let message = format!(
                    "\"{other}\" and \"{name}\" count the same reports for \"{destination}\", by the same keys"
                );
                let help = format!(
                    "write `group_by = []` in one of them, or remove `continue` from \"{other}\""
                );
                out.report(codes::SAME_INCIDENTS, one.at, message, Some(help));
                break;
            }
            if one.rule.goes_on {
                rules.push(one);
            }
        }
    }
}

/// Returns whether one of the rules matches every event that the other could match.
fn overlap(one: &Linted<'_>, other: &Linted<'_>) -> bool {
    let is_wider = |wide: &Linted<'_>, narrow: &Linted<'_>| {
        wide.rule.except.is_empty() && takes_all_of(wide, narrow)
    };
    is_wider(one, other) || is_wider(other, one)
}

/// Returns whether the conditions of `earlier` hold for every event that `later` matches, whenever it is received.
fn takes_all_of(earlier: &Linted<'_>, later: &Linted<'_>) -> bool {
    let hours = &earlier.rule.hours;
    (hours.is_none() || *hours == later.rule.hours)
        && earlier.wanted.iter().all(|wanted| holds_for(wanted, later))
}

/// Returns whether `wide` holds for every event that `rule` can match.
fn holds_for(wide: &Fact, rule: &Linted<'_>) -> bool {
    let of_kinds = match wide {
        Fact::One("event", wide) => rule.kinds.iter().all(|kind| wide.contains(kind.key())),
        Fact::One(..) | Fact::Any(_) => false,
    };
    of_kinds || implies(&rule.wanted, wide)
}

fn takes_every_fault(one: &Linted<'_>) -> bool {
    let is_partial = one.rule.goes_on || one.rule.hours.is_some();
    !is_partial && one.rule.except.is_empty() && holds_for_every_fault(&one.wanted)
}

fn holds_for_every_fault(set: &[Fact]) -> bool {
    let fault = FeedbackKind::FAULT.0.to_string();
    set.iter().all(|fact| match fact {
        Fact::One("event", kinds) => kinds.contains(EventKind::Created.key()),
        Fact::One("type", kinds) => kinds.contains(&fault),
        Fact::One(..) => false,
        Fact::Any(sets) => sets.iter().any(|set| holds_for_every_fault(set)),
    })
}

fn never_matches(out: &mut Diagnostics, one: &Linted<'_>) {
    let (rule, at) = (one.rule, one.at);
    let in_match = at.inside("match");
    if one.kinds.is_empty() {
        let message = format!(
            "\"{}\" never matches: its conditions need different kinds of event",
            rule.name
        );
        return out.report(codes::NEVER_MATCHES, &in_match, message, None);
    }
    let mut except = rule.except.iter();
    if let Some(except) = except.find(|except| holds_for(&facts::of_one(except), one)) {
        let message = format!(
            "\"{}\" never matches: `except` excludes everything that `match` accepts for `{}`",
            rule.name, except.key
        );
        let at = at.inside("except");
        out.report(codes::NEVER_MATCHES, &at, message, None);
    }
    if faults_of_no_fault(&one.wanted, &mut Vec::new()) {
        let message = format!(
            "\"{}\" never matches: only feedback of the type \"fault\" has a `fault`",
            rule.name
        );
        out.report(codes::NEVER_MATCHES, &in_match, message, None);
    }
}

/// Returns whether the set, or each of its nested sets, requires a fault of feedback that is not a fault. `outer` holds the
/// facts of the enclosing sets.
fn faults_of_no_fault<'a>(set: &'a [Fact], outer: &mut Vec<&'a Fact>) -> bool {
    let before = outer.len();
    outer.extend(set);
    let fault = FeedbackKind::FAULT.0.to_string();
    let is_no_fault =
        |fact: &&&Fact| matches!(fact, Fact::One("type", kinds) if !kinds.contains(&fault));
    let wants_fault = |fact: &&&Fact| matches!(fact, Fact::One("fault", _));
    let never =
        outer.iter().any(|fact| is_no_fault(&fact)) && outer.iter().any(|fact| wants_fault(&fact));
    let inside = set.iter().any(|fact| match fact {
        Fact::Any(sets) => {
            !sets.is_empty() && sets.iter().all(|set| faults_of_no_fault(set, outer))
        }
        Fact::One(..) => false,
    });
    outer.truncate(before);
    never || inside
}

/// Warns of an `except` that never holds and so excludes nothing.
fn except_never_holds(out: &mut Diagnostics, one: &Linted<'_>) {
    let [kind] = one.kinds.as_slice() else {
        return; // A rule for both kinds can have every key; a rule for none is reported elsewhere.
    };
    let idle = one.rule.except.iter();
    for except in idle.filter(|except| !kinds::can_hold(&except.test, *kind)) {
        let takes = match kind {
            EventKind::Created => "new feedback",
            EventKind::Updated => "changes of status",
        };
        let message = format!(
            "`{}` in `except` of \"{}\" never holds: the rule matches only {takes}",
            except.key, one.rule.name
        );
        let at = one.at.inside("except");
        out.report(codes::EXCEPT_NEVER_HOLDS, &at, message, None);
    }
}

/// Warns of patterns that expect a query in `path`, which has none.
fn queries(out: &mut Diagnostics, set: &[Matcher]) {
    for one in set {
        match &one.test {
            Test::Path(globs) => {
                if let Some(glob) = globs.iter().find(|glob| wants_query(&glob.written)) {
                    let message = format!(
                        "`path` has no query, and `?` in \"{}\" matches any one character",
                        glob.written
                    );
                    let help = "write the page in `path`, and the part after the `?` in `query`";
                    out.report(
                        codes::QUERY_IN_PATH,
                        &one.at,
                        message,
                        Some(help.to_owned()),
                    );
                }
            }
            Test::Any(sets) => sets.iter().for_each(|set| queries(out, set)),
            _ => {}
        }
    }
}

/// Returns whether the pattern has a `?` that begins a query: before `name=`, or before a final `*`.
fn wants_query(pattern: &str) -> bool {
    pattern.match_indices('?').any(|(at, _)| {
        let after = pattern.get(at + 1..).unwrap_or_default();
        let word =
            after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-.*".contains(c));
        after == "*" || (word.starts_with('=') && word.len() < after.len())
    })
}
