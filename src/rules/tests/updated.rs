//! Tests of changes of status: which rules match them, and which values they lack.

use super::*;

/// The conditions that hold and do not hold for `updated()`, like `CONDITIONS`.
pub(super) const OF_UPDATED: &[(&str, &str, &str)] = &[
    ("event", "\"updated\"", "\"created\""),
    ("event", "[\"created\", \"updated\"]", "[\"created\"]"),
    ("status", "\"closed\"", "[\"processed\", \"processing\"]"),
    ("status", "[0, 3]", "7"),
    ("app", "\"order\"", "\"shop\""),
    ("via", "\"shop\"", "\"desk\""),
    ("tenant_key", "\"tk_1\"", "\"TK_1\""),
];

#[test]
fn the_keys_of_a_change_of_status_work_both_ways() {
    for (key, holds, fails) in OF_UPDATED {
        for (wanted, expected) in [(holds, true), (fails, false)] {
            let taken = |conditions: &str| {
                let rule = "[[rules]]\nname = \"one\"\nsend_to = \"product\"\n";
                let plan = rules(&format!("{rule}{conditions}\n")).plan(&updated(), AT);
                assert_eq!(
                    plan.state == EventState::Routed,
                    !plan.deliveries.is_empty()
                );
                !plan.deliveries.is_empty()
            };
            let both = "match.event = [\"created\", \"updated\"]\n";
            let matches = match *key {
                "event" => format!("match.event = {wanted}"),
                key => format!("{both}match.{key} = {wanted}"),
            };
            assert_eq!(taken(&matches), expected, "{matches}");
            let excepted = format!("{both}except.{key} = {wanted}");
            assert_eq!(taken(&excepted), !expected, "{excepted}");
        }
    }
}

#[test]
fn what_a_change_of_status_does_not_have_never_matches() {
    // `any` is tested with `OF_UPDATED`, because its result depends on its sets.
    let has = |key: &str| key == "any" || OF_UPDATED.iter().any(|(one, ..)| *one == key);
    let lacking = CONDITIONS.iter().filter(|(key, ..)| !has(key));
    let mut tried = 0;
    for wanted in lacking.flat_map(|(key, holds, fails)| [(key, holds), (key, fails)]) {
        let (key, value) = wanted;
        let rule = |place: &str| {
            let text = format!(
                "[[rules]]\nname = \"one\"\nsend_to = []\nmatch.event = [\"created\", \"updated\"]\n{place}.{key} = {value}\n"
            );
            rules(&text).explain(&updated(), AT)
        };
        let (plan, trace) = rule("match");
        assert_eq!(plan.state, EventState::Noted, "{key}");
        let Finding::Failed(failed) = &trace.rules[0].finding else {
            panic!("{trace:?}");
        };
        assert_eq!((failed.key, failed.found.expose()), (*key, ""));
        assert_eq!(rule("except").0.state, EventState::Routed, "{key}");
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn a_rule_takes_changes_of_status_only_where_it_says_so() {
    let rule = |rest: &str| format!("[[rules]]\nname = \"one\"\nsend_to = \"product\"\n{rest}");
    for (rest, wanted) in [
        ("", "\"created\" (the default)"),
        ("match.app = \"order\"", "\"created\" (the default)"),
        (
            "match = { app = \"shop\", event = \"created\" }",
            "\"created\"",
        ),
    ] {
        let (plan, trace) = rules(&rule(rest)).explain(&updated(), AT);
        assert_eq!((plan.state, told(&plan)), (EventState::Noted, vec![]));
        let Finding::Failed(failed) = &trace.rules[0].finding else {
            panic!("{trace:?}");
        };
        assert_eq!(
            (failed.key, &*failed.wanted, failed.found.expose()),
            ("event", wanted, "updated")
        );
    }
    let set = rules(&rule("match.event = \"updated\""));
    assert_eq!(told(&set.plan(&updated(), AT)), [("product", "one")]);
    assert_eq!(set.plan(&event(feedback()), AT).state, EventState::Unrouted);
}

#[test]
fn change_of_status_uses_status_template_or_is_noted() {
    let rule = "[[rules]]\nname = \"one\"\nsend_to = \"product\"\nmatch.event = \"updated\"\n";
    let plan = rules(rule).plan(&updated(), AT);
    assert_eq!(plan.state, EventState::Routed);
    let spec = &plan.deliveries[0].spec;
    assert_eq!((spec.severity, &*spec.template), (Severity::Info, "status"));

    let more =
        "severity = \"critical\"\ntemplate = \"plain\"\nmention = \"sre\"\ncontinue = true\n";
    let plan = rules(&format!("{rule}{more}")).plan(&updated(), AT);
    assert_eq!((plan.state, plan.deliveries.len()), (EventState::Noted, 1));
    let spec = &plan.deliveries[0].spec;
    assert_eq!(
        (spec.severity, &*spec.template, &*spec.mentions),
        (Severity::Critical, "plain", &["sre".to_owned()][..])
    );
}

#[test]
fn status_of_new_feedback_is_an_error_with_help() {
    let help = "new feedback has no `status`, and this rule matches nothing else (also write `event = \"updated\"` to match changes of status)";
    assert_eq!(
        errors_of("match.status = \"closed\""),
        [format!("E114 rules[0].match.status ‹\"closed\"›: {help}")]
    );
    assert_eq!(
        errors_of("match = { event = \"created\", status = [3] }"),
        [format!("E114 rules[0].match.status ‹[3]›: {help}")]
    );
    // If `event` itself is wrong, only that is reported.
    assert_eq!(
        errors_of("match = { event = \"update\", status = 3 }").len(),
        1
    );
    assert_eq!(
        errors_of("match = { event = [\"created\", \"updated\"], status = 3 }"),
        [""; 0]
    );
}

/// Returns a change of status of this report and of one about another page.
fn updated_with_reports() -> Event {
    let other = Feedback {
        path: Some(Private::new("pages/help")),
        ..Feedback::default()
    };
    let mut event = updated();
    if let Content::Updated(change) = &mut event.content {
        change.reports = vec![other, feedback()];
    }
    event
}

#[test]
fn a_change_of_status_is_matched_by_what_its_report_says() {
    let taken = |conditions: &str| {
        let rule = "[[rules]]\nname = \"one\"\nsend_to = []\nmatch.event = \"updated\"\n";
        let plan = rules(&format!("{rule}{conditions}\n")).plan(&updated_with_reports(), AT);
        plan.state == EventState::Routed
    };
    let mut tried = 0;
    for (key, holds, fails) in CONDITIONS {
        if matches!(
            *key,
            "event" | "app" | "via" | "tenant_key" | "images" | "contact"
        ) {
            continue; // a key of the change itself, or one that also has a value if the report lacks it
        }
        assert!(taken(&format!("match.{key} = {holds}")), "{key} = {holds}");
        assert!(!taken(&format!("match.{key} = {fails}")), "{key} = {fails}");
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
    // One report must satisfy all conditions.
    assert!(taken("match.path = \"pages/help\""));
    assert!(!taken(
        "match.path = \"pages/help\"\nmatch.type = \"fault\""
    ));
    // One report that is not excluded is enough.
    assert!(taken("except.path = \"pages/help\""));
    assert!(!taken("except.path = [\"pages/help\", \"pages/pay/*\"]"));
}

#[test]
fn change_of_status_ignores_template_of_its_report() {
    let set =
        rules("[[rules]]\nname = \"one\"\nsend_to = \"product\"\nmatch.event = \"updated\"\n");
    let spec = &set.plan(&updated_with_reports(), AT).deliveries[0].spec;
    assert_eq!((spec.severity, &*spec.template), (Severity::Info, "status"));
}
