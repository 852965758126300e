//! What is warned of: examples, and that it is so.

use super::*;

/// Codes of the complaints about these rules, each `(rest of the rule)`.
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
fn rules_know_what_a_change_of_status_has() {
    let none: &[&str] = &[];
    let updated = "match.event = \"updated\"";
    let both = "match.event = [\"created\", \"updated\"]";
    let and = |first: &str, more: &str| format!("{first}\n{more}");
    // A rule that takes all new feedback does not take changes, nor the other way.
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
    // It takes new feedback alone, whatever it says, so it is never asked.
    assert_eq!(
        codes_of(&["", &and(both, "match.type = 2")]),
        ["W101 rules[1]"]
    );
    for never in [
        "match.type = 2",
        "match.contact = false",
        "match.user = \"ou_1\"",
    ] {
        assert_eq!(
            codes_of(&["", &and(updated, never)]),
            ["W102 rules[1].match"]
        );
        let with_status = and(both, &and("match.status = 3", never));
        assert_eq!(codes_of(&["", &with_status]), ["W102 rules[1].match"]);
    }
    assert_eq!(
        codes_of(&["", "match.type = 2\nexcept.event = \"created\""])[..],
        ["W102 rules[1].except", "W101 rules[1]"]
    );
    for idle in [
        "except.path = \"x\"",
        "except.images = true",
        "except.event = \"created\"",
    ] {
        assert_eq!(
            codes_of(&["", &and(updated, idle)]),
            ["W104 rules[1].except"]
        );
    }
    assert_eq!(
        codes_of(&["match.type = 1\nexcept.status = 3", ""]),
        ["W104 rules[0].except"]
    );
    assert_eq!(
        codes_of(&["", &and(both, "except = { status = 3, path = \"x\" }")]),
        none
    );
    // Faults are taken by what takes new feedback.
    assert_eq!(codes_of(&[both]), none);
    assert_eq!(codes_of(&[updated]), ["W103 rules"]);
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

/// Every event that the conditions below can tell apart. Only faults have `fault`, as on the platform.
fn all_events() -> Vec<Event> {
    let apps = [None, Some("cli_shop"), Some("cli_order1")];
    let mut events = Vec::new();
    for app_id in apps.map(|app| app.map(str::to_owned)) {
        for status in [None, Some(1), Some(3)].map(|code| code.map(FeedbackStatus)) {
            events.push(event_of(Content::Updated(StatusChange {
                app_id: app_id.clone(),
                status,
                ..StatusChange::default()
            })));
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
        ],
        0..4,
    );
    (some, prop::collection::vec(any::<prop::sample::Index>(), 6)).prop_map(move |(some, picks)| {
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
        let findings: Vec<_> = all_events().iter().map(|event| set.explain(event).1.rules).collect();
        for one in &diagnostics {
            let Some(index) = one.place.path.strip_prefix("rules[").and_then(|rest| rest.split(']').next()) else {
                continue; // of all rules together
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
