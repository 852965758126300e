//! Results of rules.

use serde::Serialize;

use super::{exposed, text};
use crate::model::{Finding, Private, RuleName, RuleTrace, Trace};

/// The result of a rule for an event. It may contain what a reporter typed.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    pub finding: FindingKey,
    /// The key that decided: of `match` or `except`, or `when`; null if none did. A match names `when` if the rule
    /// has it.
    pub key: Option<&'static str>,
    /// The rule's value of this key, as written in the configuration.
    pub wanted: Option<String>,
    /// The event's value of this key; empty if it has none. For `when`, the local time of receipt.
    #[serde(serialize_with = "exposed")]
    pub found: Option<Private>,
}

/// The kind of a rule's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKey {
    /// It matched, and ended the search.
    Matched,
    /// It matched, and later rules were evaluated too.
    Continued,
    /// A key of `match` does not hold.
    Failed,
    /// A key of `except` holds.
    Excepted,
    /// It matches only at other times.
    NotNow,
    /// An earlier rule ended the search.
    NotReached,
}

impl From<&RuleTrace> for RuleView {
    fn from(trace: &RuleTrace) -> Self {
        let (finding, condition) = match &trace.finding {
            Finding::Matched { last: true } => (FindingKey::Matched, trace.when.as_ref()),
            Finding::Matched { last: false } => (FindingKey::Continued, trace.when.as_ref()),
            Finding::Failed(condition) => (FindingKey::Failed, Some(condition)),
            Finding::Excepted(condition) => (FindingKey::Excepted, Some(condition)),
            Finding::NotNow(condition) => (FindingKey::NotNow, Some(condition)),
            Finding::NotReached => (FindingKey::NotReached, None),
        };
        Self {
            rule: trace.rule.clone(),
            finding,
            key: condition.map(|condition| condition.key),
            wanted: condition.map(|condition| condition.wanted.clone()),
            found: condition.map(|condition| condition.found.clone()),
        }
    }
}

/// Returns the result of each rule, in the order of the rules.
pub fn rule_views(trace: &Trace) -> Vec<RuleView> {
    trace.rules.iter().map(RuleView::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_is_one_word_and_absent_condition_is_null() {
        let trace = RuleTrace {
            rule: RuleName::new("blank screen"),
            finding: Finding::NotReached,
            when: None,
        };
        let json = serde_json::to_value(RuleView::from(&trace)).unwrap();
        assert_eq!(json["finding"], "not_reached");
        assert_eq!(json["key"], serde_json::Value::Null);
    }
}
