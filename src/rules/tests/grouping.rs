//! Tests of grouping: the keys of rules, and the incidents of a plan.

use super::*;
use crate::model::{EscalateAt, EscalationStep, GroupTerms, PlannedIncident, UserIds};

/// Returns one rule for the chat with these further lines.
fn rule(name: &str, rest: &str) -> String {
    format!("[[rules]]\nname = \"{name}\"\nsend_to = \"oncall-chat\"\n{rest}\n")
}

fn incidents(written: &str, feedback: Feedback) -> Vec<PlannedIncident> {
    rules(written).plan(&event(feedback), AT).incidents
}

/// Returns the key of the only incident as `app=cli_1 fault=-`; empty if the report is not grouped.
fn key(rest: &str, feedback: Feedback) -> String {
    let incidents = incidents(&rule("one", rest), feedback);
    assert!(incidents.len() < 2);
    let keys = incidents.iter().flat_map(|incident| &incident.key.0);
    let keys = keys.map(|(key, value)| {
        let value = value.as_ref().map_or("-", Private::expose);
        format!("{key}={value}")
    });
    keys.collect::<Vec<_>>().join(" ")
}

fn terms(rest: &str) -> GroupTerms {
    incidents(&rule("one", rest), feedback()).remove(0).terms
}

fn of_kind(kind: Option<FeedbackKind>, faults: Vec<FaultKind>) -> Feedback {
    Feedback {
        kind,
        faults,
        ..feedback()
    }
}

#[test]
fn rule_without_keys_groups_only_faults_from_the_sixth() {
    let fault = Some(FeedbackKind::FAULT);
    for (kind, faults, wanted) in [
        (fault, vec![FaultKind::CRASH], "app=cli_order2 fault=crash"),
        (fault, vec![], "app=cli_order2 fault=-"),
        (None, vec![FaultKind(42)], "app=cli_order2 fault=42"),
        (None, vec![], ""),
        (Some(FeedbackKind::SUGGESTION), vec![], ""),
        (Some(FeedbackKind(9)), vec![FaultKind::CRASH], ""),
    ] {
        assert_eq!(
            key("", of_kind(kind, faults.clone())),
            wanted,
            "{kind:?}, {faults:?}"
        );
    }
    let wanted = GroupTerms {
        from: 5,
        interval: Duration::from_secs(300),
        repeat_after: Some(Duration::from_secs(4 * 3600)),
        resolve_after: Duration::from_secs(1800),
        steps: Vec::new(),
        hold: None,
    };
    assert_eq!(terms(""), wanted);
    assert_eq!(terms("group_from = 2").from, 2);
}

#[test]
fn written_keys_group_every_type_from_the_second() {
    let suggestion = of_kind(Some(FeedbackKind::SUGGESTION), vec![]);
    let found = incidents(&rule("one", "group_by = \"app\""), suggestion.clone());
    assert_eq!(found[0].kind, Some(FeedbackKind::SUGGESTION));
    assert_eq!(found[0].terms.from, 1);
    assert_eq!(key("group_by = \"app\"", suggestion), "app=cli_order2");
    assert_eq!(
        key("group_by = []", feedback()),
        "",
        "an empty list never groups"
    );
    let found = incidents(&rule("one", "group_by = \"app\""), of_kind(None, vec![]));
    assert_eq!(found[0].kind, None, "an unknown type is a type of its own");
}

#[test]
fn each_key_has_the_value_of_the_report_in_written_order() {
    let rest =
        r#"group_by = ["path", "tenant_key", "tenant", "source", "via", "app", "fault", "app"]"#;
    assert_eq!(
        key(rest, feedback()),
        "path=pages/pay/Index tenant_key=tk_1 tenant=Acme Internal 测试 source=mini_program via=shop app=cli_order2 fault=white_screen"
    );
    let rest = r#"group_by = ["source", "fault"]"#;
    let coded = Feedback {
        source: Some(SourceKind(77)),
        faults: vec![FaultKind(42)],
        ..feedback()
    };
    assert_eq!(key(rest, coded), "source=77 fault=42");
    let odd = Feedback {
        source: None,
        faults: Vec::new(),
        odd: OddCodes {
            source: Some("1e99".into()),
            faults: vec!["1e98".into()],
            ..OddCodes::default()
        },
        ..feedback()
    };
    assert_eq!(key(rest, odd), "source=1e99 fault=1e98");
}

#[test]
fn absent_value_is_none_and_long_value_is_cut() {
    let rest = r#"group_by = ["app", "fault", "source", "tenant", "tenant_key", "path"]"#;
    let plan = rules(&rule("one", rest)).plan(&bare(), AT);
    assert!(
        plan.incidents[0]
            .key
            .0
            .iter()
            .all(|(_, value)| value.is_none())
    );
    let empty = Feedback {
        tenant_name: Some(Private::new("")),
        path: Some(Private::new("?id=1")),
        ..feedback()
    };
    let rest = r#"group_by = ["tenant", "path"]"#;
    assert_eq!(key(rest, empty), "tenant=- path=-");
    let long = Feedback {
        tenant_name: Some(Private::new("商".repeat(100_000))),
        path: Some(Private::new(format!("pages/{}", "页/".repeat(100_000)))),
        ..feedback()
    };
    let pages = "页/".repeat(6) + "页";
    let wanted = format!("tenant={} path=pages/{pages}", "商".repeat(200));
    assert_eq!(key(rest, long), wanted);
}

#[test]
fn fault_is_the_first_listed_that_the_rule_matches() {
    let report = || {
        let faults = vec![
            FaultKind::STUTTER,
            FaultKind::CRASH,
            FaultKind::WHITE_SCREEN,
        ];
        of_kind(Some(FeedbackKind::FAULT), faults)
    };
    for (condition, wanted) in [
        ("", "stutter"),
        ("match.app = \"order\"", "stutter"),
        ("match.fault = [\"white_screen\", \"crash\"]", "crash"),
        ("match.fault = \"white_screen\"", "white_screen"),
        (
            "match.any = [{ fault = \"white_screen\" }, { fault = \"crash\" }]",
            "crash",
        ),
        (
            "match.any = [{ fault = \"white_screen\" }, { fault = \"crash\", app = \"shop\" }]",
            "white_screen",
        ),
        (
            "match.any = [{ any = { fault = \"white_screen\" } }]",
            "white_screen",
        ),
        (
            "match.any = [{ app = \"order\" }, { fault = \"freeze\" }]",
            "stutter",
        ),
        ("except.fault = \"freeze\"", "stutter"),
    ] {
        let rest = format!("{condition}\ngroup_by = \"fault\"");
        assert_eq!(
            key(&rest, report()),
            format!("fault={wanted}"),
            "{condition}"
        );
    }
}

#[test]
fn each_matched_rule_groups_and_has_its_own_deliveries() {
    let written = r#"
        [[rules]]
        name = "everything"
        send_to = ["archive", "product"]
        continue = true
        group_by = "app"
        [[rules]]
        name = "apart"
        send_to = "archive"
        continue = true
        group_by = []
        severity = "info"
        [[rules]]
        name = "other"
        match.app = "shop"
        send_to = "archive"
        continue = true
        [[rules]]
        name = "faults"
        match.type = "fault"
        send_to = ["product", "oncall-chat"]
        severity = "critical"
    "#;
    let found = incidents(written, feedback());
    let found: Vec<_> = found
        .iter()
        .map(|one| {
            let to = one.destinations.iter().map(DestinationName::as_str);
            (one.rule.as_str(), to.collect::<Vec<_>>())
        })
        .collect();
    let wanted = [
        ("everything", vec!["archive"]),
        ("faults", vec!["product", "oncall-chat"]),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn rule_that_notifies_nobody_groups_only_if_it_says_so() {
    let rule = |rest: &str| format!("[[rules]]\nname = \"one\"\nsend_to = []\n{rest}\n");
    for (rest, count) in [
        ("", 0),
        ("group_from = 3", 0),
        ("group_by = \"app\"", 1),
        ("escalate = { count = 9, send_to = \"product\" }", 1),
    ] {
        assert_eq!(incidents(&rule(rest), feedback()).len(), count, "{rest}");
    }
}

#[test]
fn changes_of_status_and_notices_are_never_grouped() {
    let set = rules(&rule(
        "all",
        "match.event = [\"created\", \"updated\"]\ngroup_by = \"app\"",
    ));
    let change = StatusChange {
        feedback_ids: vec!["1".into()],
        reports: vec![feedback()],
        operator: UserIds::default(),
        ..StatusChange::default()
    };
    let plan = set.plan(&event_of(Content::Updated(change)), AT);
    assert_eq!((plan.deliveries.len(), plan.incidents), (1, vec![]));
    assert_eq!(set.plan(&event(feedback()), AT).incidents.len(), 1);
}

#[test]
fn every_key_is_read() {
    let terms = terms(
        r#"
        group_by = ["app", "path"]
        group_from = 3
        group_interval = "10s"
        repeat_after = "24h"
        resolve_after = "1m"
        escalate = [
            { count = 20, mention = "all" },
            { after = "15m", unless = "claimed", send_to = "product", mention = ["sre", "sre"] },
            { count = 1, unless = "claimed", send_to = ["product", "archive"] },
        ]
        "#,
    );
    let step = |at, unless_claimed, mentions: &[&str], send_to: &[&str]| EscalationStep {
        at,
        unless_claimed,
        mentions: mentions.iter().map(|&name| name.to_owned()).collect(),
        send_to: send_to.iter().map(|&name| name.into()).collect(),
    };
    let quarter = EscalateAt::After(Duration::from_secs(900));
    let wanted = GroupTerms {
        from: 3,
        interval: Duration::from_secs(10),
        repeat_after: Some(Duration::from_secs(86_400)),
        resolve_after: Duration::from_secs(60),
        steps: vec![
            step(EscalateAt::Count(20), false, &["all"], &[]),
            step(quarter, true, &["sre"], &["product"]),
            step(EscalateAt::Count(1), true, &[], &["product", "archive"]),
        ],
        hold: None,
    };
    assert_eq!(terms, wanted);
}

#[test]
fn escalate_is_read_from_tables_with_headers() {
    let text = "[[rules.escalate]]\ncount = 9\nmention = \"all\"\n[[rules.escalate]]\nafter = \"1h\"\nsend_to = \"product\"";
    assert_eq!(terms(text).steps.len(), 2);
    assert_eq!(terms("escalate = []").steps, []);
    assert_eq!(
        terms("escalate = { count = 9, mention = \"all\" }")
            .steps
            .len(),
        1
    );
}

#[test]
fn every_mistake_of_grouping_is_named_at_once() {
    let found = complaints(
        r#"
[[rules]]
name = "one"
send_to = "product"
group_by = ["ap", "feedback_path", "user", ""]
group_from = 0
group_interval = "0s"
repeat_after = "off"
resolve_after = "25h"
escalate = [
    { count = 0, mention = "sree", send_to = "prodct" },
    { count = 20, after = "15m", mention = "all" },
    { mention = "all", unless = "claimd" },
    { after = "9s", unless = true },
    { count = "20", mention = [] },
    { after = "1d1h", send_to = 5 },
    { cuont = 20, send_to = "product" },
    "all",
]
[[rules]]
name = "two"
send_to = "product"
match = { app = "shop" }
group_by = []
group_from = 3
group_interval = "1m"
repeat_after = "1h"
resolve_after = "1h"
escalate = []
[[rules]]
name = "three"
match = { event = "updated" }
send_to = "product"
group_by = "app"
group_from = -1
[[rules]]
name = "four"
send_to = "product"
group_by = 5
group_from = 1.5
escalate = 5
"#,
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn limits_of_grouping_are_kept() {
    let steps = |count| {
        format!(
            "escalate = [{}]",
            "{ count = 2, mention = \"all\" },".repeat(count)
        )
    };
    for (line, code) in [
        (steps(17), "E113"),
        ("group_interval = \"9s\"".into(), "E113"),
        ("group_interval = \"1441m\"".into(), "E113"),
        ("repeat_after = \"59s\"".into(), "E113"),
        ("resolve_after = \"59s\"".into(), "E113"),
        ("group_from = 99999999999999999999".into(), "E007"),
    ] {
        let found = errors_of(&line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(code), "{line}: {found:?}");
    }
    for line in [
        steps(16),
        "group_interval = \"10s\"".into(),
        "repeat_after = \"24h\"".into(),
        "group_by = [\"app\", \"via\", \"fault\", \"source\", \"tenant\", \"tenant_key\", \"path\"]".into(),
        "group_from = 9223372036854775807".into(),
    ] {
        assert_eq!(errors_of(&line), [""; 0], "{line}");
    }
}
