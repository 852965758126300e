//! Formats the results of rules as JSON.

use serde_json::{Value, json};

use crate::model::{Finding, RuleTrace, Trace};

/// Returns the result of each rule. It may contain what a reporter typed, so only the operator may see it.
pub fn trace_json(trace: &Trace) -> Value {
    trace.rules.iter().map(rule_json).collect()
}

fn rule_json(rule: &RuleTrace) -> Value {
    let (word, condition) = match &rule.finding {
        Finding::Matched { last: true } => ("matched", None),
        Finding::Matched { last: false } => ("continued", None),
        Finding::Failed(condition) => ("failed", Some(condition)),
        Finding::Excepted(condition) => ("excepted", Some(condition)),
        Finding::NotReached => ("not_reached", None),
    };
    json!({
        "rule": rule.rule.as_str(),
        "finding": word,
        "key": condition.map(|c| c.key),
        "wanted": condition.map(|c| &c.wanted),
        "found": condition.map(|c| c.found.expose()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RuleName;

    #[test]
    fn programs_see_a_finding_as_one_word_and_its_condition() {
        let trace = Trace {
            rules: vec![RuleTrace {
                rule: RuleName::new("blank screen"),
                finding: Finding::NotReached,
            }],
        };
        let shown = trace_json(&trace);
        assert_eq!(shown[0]["finding"], "not_reached");
        assert_eq!(shown[0]["key"], Value::Null);
    }
}
