//! Tests of several rules that name one destination.

use super::*;

fn rule(name: &str, to: &str, rest: &str) -> String {
    format!("[[rules]]\nname = \"{name}\"\nsend_to = {to}\ncontinue = true\n{rest}\n")
}

fn plan_of(rules_written: &[String]) -> Plan {
    rules(&rules_written.concat()).plan(&event(feedback()), AT)
}

#[test]
fn what_rules_say_of_one_destination_is_merged() {
    let plan = plan_of(&[
        rule(
            "quiet",
            "\"product\"",
            "severity = \"info\"\ntemplate = \"plain\"\nlabels = { team = \"one\", from = \"a\" }",
        ),
        rule(
            "loud",
            "\"product\"",
            "severity = \"critical\"\nmention = [\"all\", \"sre\"]\nwait = \"500ms\"\nlabels.team = \"two\"",
        ),
        rule(
            "last",
            "\"product\"",
            "severity = \"warning\"\nmention = \"sre\"\ntemplate = \"suggestion\"",
        ),
    ]);
    assert_eq!(told(&plan), [("product", "loud")]);
    let planned = &plan.deliveries[0];
    let spec = &planned.spec;
    assert_eq!(spec.severity, Severity::Critical);
    assert_eq!(spec.mentions, ["all", "sre"]);
    assert_eq!(spec.template, "suggestion", "the last that sets one");
    assert_eq!(spec.wait, Some(Duration::from_millis(500)));
    let labels: Vec<_> = spec
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(labels, ["from=a", "team=two"]);
    let names: Vec<_> = planned.rules.iter().map(RuleName::as_str).collect();
    assert_eq!(names, ["quiet", "loud", "last"]);
}

#[test]
fn mentions_of_earlier_rule_are_kept_if_later_has_none() {
    let plan = plan_of(&[
        rule(
            "ring",
            "\"product\"",
            "mention = \"sre\"\nseverity = \"critical\"",
        ),
        rule("rest", "\"product\"", ""),
    ]);
    let spec = &plan.deliveries[0].spec;
    assert_eq!(
        (spec.severity, &*spec.mentions),
        (Severity::Critical, &["sre".to_owned()][..])
    );
    assert_eq!(told(&plan), [("product", "ring")]);
}

#[test]
fn everything_to_a_warehouse_has_the_severity_of_the_event() {
    let everything = || rule("everything", "\"archive\"", "");
    for (later, wanted) in [
        ("severity = \"critical\"", Severity::Critical),
        ("severity = \"info\"", Severity::Warning),
        ("", Severity::Warning),
    ] {
        let plan = plan_of(&[everything(), rule("chat", "\"oncall-chat\"", later)]);
        assert_eq!(plan.deliveries[0].spec.severity, wanted, "{later}");
        let named = [("archive", "everything"), ("oncall-chat", "chat")];
        assert_eq!(told(&plan), named);
    }
    // A value that a rule sets itself stays with its own destinations.
    let plan = plan_of(&[
        rule("log", "\"archive\"", "severity = \"info\""),
        rule("chat", "\"oncall-chat\"", "severity = \"critical\""),
    ]);
    assert_eq!(plan.deliveries[0].spec.severity, Severity::Info);
}
