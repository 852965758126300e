//! Tests of warnings: examples, and checks against every event.

use super::*;

/// Returns the codes of the diagnostics about these rules, each written as the rest of a rule.
fn codes_of(rests: &[&str]) -> Vec<String> {
    let rule =
        |(n, rest): (usize, &&str)| format!("[[rules]]\nname = \"r{n}\"\nsend_to = []\n{rest}\n");
    let text: String = rests.iter().enumerate().map(rule).collect();
    let short = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    complaints(&text).into_iter().map(short).collect()
}

#[test]
fn rules_that_cannot_be_reached_or_match_are_warned_of() {
    let none: &[&str] = &[];
    assert_eq!(codes_of(&[""]), none);
    assert_eq!(codes_of(&["", "match.type = 1"]), ["W101 rules[1]"]);
    assert_eq!(codes_of(&["continue = true", ""]), none);
    assert_eq!(codes_of(&["except.type = 2", "match.type = 2", ""]), none);
    assert_eq!(
        codes_of(&[
            "match.fault = [1, 2]",
            "match = { fault = 2, app = \"shop\" }",
            "match.fault = [2, 3]",
            ""
        ]),
        ["W101 rules[1]"]
    );
    assert_eq!(
        codes_of(&[
            "match.path = \"a*\"",
            "match = { path = \"a*\", contact = true }",
            ""
        ]),
        ["W101 rules[1]"]
    );
    assert_eq!(
        codes_of(&["match = { type = 2, fault = 1 }", ""]),
        ["W102 rules[0].match"]
    );
    assert_eq!(
        codes_of(&["match.fault = 1\nexcept.fault = [1, 2]", ""]),
        ["W102 rules[0].except"]
    );
    assert_eq!(
        codes_of(&["match.fault = [1, 3]\nexcept.fault = [1, 2]", ""]),
        none
    );
}

#[test]
fn rule_that_counts_at_times_hides_only_rules_of_the_same_times() {
    let none: &[&str] = &[];
    let (night, day) = ("when = \"22:00-08:00\"", "when = \"08:00-22:00\"");
    let (night_faults, grouped) = (
        "when = \"22:00-08:00\"\nmatch.type = 1",
        "continue = true\ngroup_by = [\"app\"]\nsend_to = \"product\"",
    );
    for (rests, wanted) in [
        (vec![night, ""], none),
        (vec!["", night], &["W101 rules[1]"]),
        (vec![night, night_faults, ""], &["W101 rules[1]"]),
        (vec![day, night_faults, ""], none),
        (vec![night], &["W103 rules"]),
        (vec![night, day], &["W103 rules"]),
    ] {
        assert_eq!(codes_of(&rests), wanted, "{rests:?}");
    }
    let rule =
        |name: &str, when: &str| format!("[[rules]]\nname = \"{name}\"\n{grouped}\n{when}\n");
    let rest = "[[rules]]\nname = \"rest\"\nsend_to = []\n";
    for (one, other, warns) in [(night, day, false), (night, night, true), ("", night, true)] {
        let found = complaints(&[rule("one", one), rule("other", other), rest.to_owned()].concat());
        assert_eq!(
            found.iter().any(|one| one.starts_with("W108")),
            warns,
            "{found:?}"
        );
    }
}

#[test]
fn rules_know_what_a_change_of_status_has() {
    let none: &[&str] = &[];
    let updated = "match.event = \"updated\"";
    let both = "match.event = [\"created\", \"updated\"]";
    let and = |first: &str, more: &str| format!("{first}\n{more}");
    // A rule for all new feedback does not match changes of status, nor the other way round.
    assert_eq!(codes_of(&["", updated]), none);
    assert_eq!(codes_of(&[updated, ""]), none);
    assert_eq!(codes_of(&["", both]), none);
    assert_eq!(codes_of(&[both, "match.type = 2"]), ["W101 rules[1]"]);
    assert_eq!(
        codes_of(&["", updated, &and(updated, "match.status = 3")]),
        ["W101 rules[2]"]
    );
    assert_eq!(
        codes_of(&["", &and(updated, "match.status = 3"), updated]),
        none
    );
    assert_eq!(codes_of(&["", &and(both, "match.type = 2")]), none);
    // A change of status has the values of its report.
    for known in [
        "match.type = 2",
        "match.contact = false",
        "match.user = \"ou_1\"",
    ] {
        assert_eq!(codes_of(&["", &and(updated, known)]), none);
        let with_status = and(both, &and("match.status = 3", known));
        assert_eq!(codes_of(&["", &with_status]), none);
    }
    assert_eq!(
        codes_of(&["", "match.type = 2\nexcept.event = \"created\""])[..],
        ["W102 rules[1].except", "W101 rules[1]"]
    );
    assert_eq!(
        codes_of(&["", &and(updated, "except.event = \"created\"")]),
        ["W104 rules[1].except"]
    );
    assert_eq!(codes_of(&["", &and(updated, "except.path = \"x\"")]), none);
    assert_eq!(
        codes_of(&["match.type = 1\nexcept.status = 3", ""]),
        ["W104 rules[0].except"]
    );
    assert_eq!(
        codes_of(&["", &and(both, "except = { status = 3, path = \"x\" }")]),
        none
    );
    // Rules for new feedback also match faults.
    assert_eq!(codes_of(&[both]), none);
    assert_eq!(codes_of(&[updated]), ["W103 rules"]);
}

#[test]
fn sets_of_conditions_are_compared_too() {
    let none: &[&str] = &[];
    let sets = "match.any = [{ type = 1, fault = 1 }, { app = \"shop\", type = 1 }]";
    // Every set requires a fault, so the rule above matches all of them.
    assert_eq!(codes_of(&["match.type = 1", sets, ""]), ["W101 rules[1]"]);
    assert_eq!(codes_of(&["match.fault = 1", sets, ""]), none);
    // One set of the rule above is enough.
    assert_eq!(
        codes_of(&[
            sets,
            "match = { app = \"shop\", type = 1, contact = true }",
            ""
        ]),
        ["W101 rules[1]"]
    );
    assert_eq!(codes_of(&[sets, "match.app = \"shop\"", ""]), none);
    assert_eq!(
        codes_of(&[
            "match = { type = 2, any = [{ fault = 1 }, { images = true }] }",
            ""
        ]),
        none,
        "the second set can hold"
    );
    assert_eq!(
        codes_of(&[
            "match = { type = 2, any = [{ fault = 1 }, { fault = 2 }] }",
            ""
        ]),
        ["W102 rules[0].match"]
    );
    assert_eq!(
        codes_of(&[
            "match = { event = \"created\", any = [{ event = \"updated\" }] }",
            ""
        ]),
        ["W102 rules[0].match"]
    );
    assert_eq!(
        codes_of(&["match.any = [{ type = 1 }, { type = [1, 2] }]"]),
        none,
        "it takes every fault"
    );
}

#[test]
fn path_with_query_or_pages_below_is_a_warning() {
    let none: &[&str] = &[];
    for (path, wanted) in [
        ("pages/pay?*", true),
        ("pages/pay?id=*", true),
        ("*?a=b&*", true),
        ("pages/?", false),
        ("pages/pa?/x", false),
    ] {
        let rule = format!("match.any = [{{ path = \"{path}\" }}]");
        let wanted: &[&str] = if wanted {
            &["W106 rules[0].match.any.path"]
        } else {
            none
        };
        let wanted: Vec<String> = wanted
            .iter()
            .map(|one| one.replace("any", "any[0]"))
            .collect();
        assert_eq!(codes_of(&[&rule, ""]), wanted, "{path}");
    }
    let missed = |paths: &str| {
        let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\nmatch.path = {paths}\n");
        let rules = RawRule::all_of(&text).unwrap();
        let pages = [
            "pages/pay/confirm?id=1",
            "pages/payments",
            "pages/index",
            "pages/index/top",
        ];
        let built = RuleSet::build(&rules, &known());
        let warnings = built.check_paths(&pages.map(str::to_owned));
        let messages = warnings.into_iter().map(|one| one.message);
        messages.collect::<Vec<_>>()
    };
    assert_eq!(
        missed("\"Pages/Pay\""),
        ["the path \"Pages/Pay\" matches only that page, not \"pages/pay/confirm\""]
    );
    assert_eq!(missed("[\"x\", \"pages/pay/\"]").len(), 1);
    for quiet in [
        "[\"pages/pay\", \"pages/pay/*\"]",
        "\"pages/pay*\"",
        "\"pages/pa\"",
        // Such a page exists, so the pattern may be intended.
        "\"pages/index\"",
    ] {
        assert_eq!(missed(quiet), [""; 0], "{quiet}");
    }
}

/// Twice as many rules must not take four times as long, so comparisons are counted.
#[test]
fn few_rules_are_compared_however_many_there_are() {
    let text: String = (0..2000)
        .map(|n| {
            format!(
                "[[rules]]\nname = \"r{n}\"\nsend_to = []\nmatch = {{ type = 1, path = \"p{n}\" }}\n"
            )
        })
        .collect();
    let (set, _) = build(&text);
    let linted: Vec<_> = set.rules.iter().collect();
    let at = Location::of_path("rules");
    assert!(crate::rules::lints::comparisons(&at, &linted) < 2 * linted.len());
}

#[test]
fn faults_that_can_end_unrouted_are_warned_of() {
    let none: &[&str] = &[];
    for unsafe_end in [
        "match.fault = 1",
        "match.type = 2",
        "continue = true",
        "except.app = \"shop\"",
    ] {
        assert_eq!(codes_of(&[unsafe_end]), ["W103 rules"], "{unsafe_end}");
    }
    assert_eq!(
        codes_of(&["match.type = [\"fault\", \"suggestion\"]"]),
        none
    );
}

#[test]
fn rules_that_count_the_same_reports_are_warned_of() {
    let warnings = |rules: &[(&str, &str)]| {
        let rule = |(n, (to, rest)): (usize, &(&str, &str))| {
            format!("[[rules]]\nname = \"r{n}\"\nsend_to = {to}\n{rest}\n")
        };
        let text: String = rules.iter().enumerate().map(rule).collect();
        let found = complaints(&text).into_iter();
        found
            .filter(|one| one.starts_with("W108"))
            .collect::<Vec<_>>()
    };
    let wide = "continue = true\ngroup_by = [\"app\", \"fault\"]";
    let narrow = "match.fault = 1\ngroup_by = [\"fault\", \"app\"]";
    let both = "[\"archive\", \"product\"]";
    assert_eq!(
        warnings(&[(both, wide), ("\"product\"", narrow)]),
        [
            "W108 rules[1] ‹[[rules]]›: \"r0\" and \"r1\" count the same reports for \"product\", by the same keys (write `group_by = []` in one of them, or remove `continue` from \"r0\")"
        ]
    );
    let narrow_first = format!("continue = true\n{narrow}");
    let last = "group_by = [\"app\", \"fault\"]";
    assert_eq!(warnings(&[(both, &narrow_first), (both, last)]).len(), 1);
    for (first, second) in [
        ((both, wide), ("\"oncall-chat\"", narrow)),
        ((both, last), (both, narrow)),
        ((both, wide), (both, "match.fault = 1\ngroup_by = \"app\"")),
        ((both, wide), (both, "match.fault = 1")),
        ((both, "continue = true"), (both, narrow)),
        (
            (both, "continue = true\ngroup_by = []"),
            (both, "group_by = []"),
        ),
        ((both, &format!("match.fault = 2\n{wide}")), (both, narrow)),
        (
            (both, &format!("except.app = \"shop\"\n{wide}")),
            (both, narrow),
        ),
    ] {
        let none: &[String] = &[];
        assert_eq!(warnings(&[first, second]), none, "{first:?}, {second:?}");
    }
}

/// Returns every event that the conditions below can distinguish. Only faults have `fault`, as on the platform.
fn all_events() -> Vec<Event> {
    let apps = [None, Some("cli_shop"), Some("cli_order1")];
    let mut events = Vec::new();
    for app_id in apps.map(|app| app.map(str::to_owned)) {
        for status in [None, Some(1), Some(3)].map(|code| code.map(FeedbackStatus)) {
            let report = |kind, fault: i64| Feedback {
                kind: Some(FeedbackKind(kind)),
                faults: vec![FaultKind(fault)],
                ..Feedback::default()
            };
            for reports in [vec![], vec![report(1, 1)], vec![report(2, 0), report(1, 2)]] {
                events.push(event_of(Content::Updated(StatusChange {
                    app_id: app_id.clone(),
                    status,
                    reports,
                    ..StatusChange::default()
                })));
            }
        }
        let kinds = [
            (None, 0),
            (Some(1), 0),
            (Some(1), 1),
            (Some(1), 2),
            (Some(2), 0),
        ];
        for (kind, fault) in kinds {
            for contact in [None, Some(Private::new("x"))] {
                events.push(event(Feedback {
                    app_id: app_id.clone(),
                    kind: kind.map(FeedbackKind),
                    faults: (fault > 0)
                        .then_some(FaultKind(fault))
                        .into_iter()
                        .collect(),
                    contact,
                    ..Feedback::default()
                }));
            }
        }
    }
    events
}

fn any_conditions(place: &'static str) -> impl Strategy<Value = String> {
    let some = prop::sample::subsequence(
        vec![
            (
                "event",
                vec!["\"created\"", "\"updated\"", "[\"created\", \"updated\"]"],
            ),
            ("status", vec!["1", "3", "[1, 3]"]),
            ("app", vec!["\"shop\"", "[\"shop\", \"cli_order1\"]"]),
            ("type", vec!["1", "2", "[1, 2]"]),
            ("fault", vec!["1", "[1, 2]"]),
            ("contact", vec!["true", "false"]),
            (
                "any",
                vec![
                    "{ type = 1 }",
                    "[{ type = 1, fault = 1 }, { fault = 2 }]",
                    "[{ event = \"updated\", status = 1 }, { type = 2 }]",
                    "[{ type = 2, fault = 1 }]",
                    "[{ app = \"shop\" }, { any = [{ contact = true }, { fault = 1 }] }]",
                ],
            ),
        ],
        0..4,
    );
    (some, prop::collection::vec(any::<prop::sample::Index>(), 7)).prop_map(move |(some, picks)| {
        let line = |((key, values), pick): (&(&str, Vec<&str>), &prop::sample::Index)| {
            format!("{place}.{key} = {}\n", pick.get(values))
        };
        some.iter().zip(&picks).map(line).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_warned_of_is_so(
        rests in prop::collection::vec((any_conditions("match"), any_conditions("except"), any::<bool>()), 1..5)
    ) {
        let text: String = rests.iter().enumerate().map(|(n, (wanted, except, goes_on))| {
            format!("[[rules]]\nname = \"r{n}\"\nsend_to = []\ncontinue = {goes_on}\n{wanted}{except}\n")
        }).collect();
        let (set, diagnostics) = build(&text);
        prop_assume!(diagnostics.iter().all(|one| one.level == Level::Warning));
        let findings: Vec<_> = all_events().iter().map(|event| set.explain(event, AT).1.rules).collect();
        for one in &diagnostics {
            let Some(index) = one.place.path.strip_prefix("rules[").and_then(|rest| rest.split(']').next()) else {
                continue; // about all rules together
            };
            let index: usize = index.parse().unwrap();
            let mut of_rule = findings.iter().map(|rules| &rules[index].finding);
            match one.code {
                "W101" | "W102" => prop_assert!(
                    of_rule.all(|finding| !matches!(finding, Finding::Matched { .. })),
                    "{}: {text}", one.message
                ),
                "W104" => prop_assert!(
                    of_rule.all(|finding| !matches!(
                        finding,
                        Finding::Excepted(condition) if one.message.starts_with(&format!("`{}`", condition.key))
                    )),
                    "{}: {text}", one.message
                ),
                other => prop_assert!(false, "{other}"),
            }
        }
    }
}
