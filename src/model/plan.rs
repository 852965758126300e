//! What the rules make of an event, before anything is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::keyed;
use super::{DestinationName, EventState, RuleName};

keyed!(
    /// How urgent a message is. Ordered: critical is the greatest.
    Severity {
        /// Nobody needs to look now.
        Info => "info",
        /// Somebody should look.
        Warning => "warning",
        /// Somebody must look now; goes first where a limit makes messages queue.
        Critical => "critical",
    }
);

/// What the rules make of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What becomes of the event.
    pub state: EventState,
    /// The rules that took it, in order; the last one for good, if the event is routed.
    pub rules: Vec<RuleName>,
    /// One for each destination that is told.
    pub deliveries: Vec<PlannedDelivery>,
}

/// A message that a rule wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDelivery {
    /// Where to.
    pub destination: DestinationName,
    /// How it is to be told: what all of `rules` say, merged.
    pub spec: MessageSpec,
    /// The rules that took the event and name this destination, in order.
    pub rules: Vec<RuleName>,
}

/// How a rule wants an event told. It is kept with the delivery, so that a reload changes nothing
/// that was promised before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSpec {
    /// The rule that says so.
    pub rule: RuleName,
    /// How urgent.
    pub severity: Severity,
    /// The template's name, without family and suffix.
    pub template: String,
    /// Names of `[mentions]`, or `all`.
    pub mentions: Vec<String>,
    /// Free words for templates.
    pub labels: BTreeMap<String, String>,
    /// How long the message waits for images; `None`: what `images.wait` says for its severity.
    pub wait: Option<Duration>,
    /// Destinations that the message fell back from: it shows no more than each of them would.
    pub fell_from: Vec<DestinationName>,
}

impl MessageSpec {
    /// The order of the message that goes to a fallback of `from`.
    pub fn fallen_from(&self, from: &DestinationName) -> Self {
        let mut spec = self.clone();
        if !spec.fell_from.contains(from) {
            spec.fell_from.push(from.clone());
        }
        spec
    }
}

/// Why the plan is what it is: one entry for each rule, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What each rule said.
    pub rules: Vec<RuleTrace>,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    /// Which rule.
    pub rule: RuleName,
    /// What it said.
    pub finding: Finding,
}

/// What a rule found in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It takes the event; `last` says that no later rule is asked.
    Matched {
        /// Whether the search ends here.
        last: bool,
    },
    /// A key of `match` does not hold: the first that fails.
    Failed(Condition),
    /// A key of `except` holds: the first that does.
    Excepted(Condition),
    /// An earlier rule had taken the event for good.
    NotReached,
}

/// A key of a rule beside the value it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key of `match` or `except`.
    pub key: &'static str,
    /// What the rule wants, as it is written.
    pub wanted: String,
    /// What the event has; empty where it has nothing. May hold what a reporter typed: show it to
    /// the operator who asked, never log it.
    pub found: super::Private,
}
