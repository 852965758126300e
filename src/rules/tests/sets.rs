//! Tests of `any`: sets of conditions.

use super::*;

fn plan_of(conditions: &str, event: &Event) -> (Plan, Trace) {
    let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\n{conditions}\n");
    rules(&text).explain(event, AT)
}

fn takes(conditions: &str) -> bool {
    let (plan, _) = plan_of(conditions, &event(feedback()));
    plan.state == EventState::Routed
}

#[test]
fn one_set_of_any_must_hold_whole_beside_the_other_keys() {
    let sets = "any = [{ fault = \"crash\" }, { path = \"pages/pay/*\", source = 1 }]";
    assert!(takes(&format!("match = {{ {sets} }}")));
    assert!(takes(&format!("match = {{ type = 1, {sets} }}")));
    assert!(!takes(&format!("match = {{ type = 2, {sets} }}")));
    assert!(!takes(
        "match.any = [{ fault = \"crash\" }, { path = \"pages/pay/*\", source = 2 }]"
    ));
    let nested = "match.any = [{ type = 1, any = [{ fault = 7 }, { source = 1 }] }]";
    assert!(takes(nested));
}

#[test]
fn except_with_a_set_keeps_out_what_meets_all_of_it() {
    assert!(!takes(
        "except.any = [{ type = 1, path = \"pages/pay/*\" }]"
    ));
    assert!(takes(
        "except.any = [{ type = 1, path = \"pages/help/*\" }]"
    ));
    assert!(!takes(
        "except = { any = [{ type = 2 }], path = \"pages/*\" }"
    ));
}

#[test]
fn a_trace_says_what_any_wants_and_what_it_met() {
    let found = |conditions: &str| {
        let (_, trace) = plan_of(conditions, &event(feedback()));
        match trace.rules.into_iter().next().unwrap().finding {
            Finding::Failed(one) | Finding::Excepted(one) => {
                (one.key, one.wanted, one.found.expose().to_owned())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        found("match.any = [{ type = 2 }, { source = [2, 3], fault = 2 }, { type = 3 }]"),
        (
            "any",
            "[{ type = 2 }, { fault = 2, source = [2, 3] }, { type = 3 }]".to_owned(),
            "type fault, source mini_program".to_owned()
        )
    );
    assert_eq!(
        found("except.any = [{ type = 2 }, { source = 1, contact = true }]").2,
        "contact true, source mini_program"
    );
}

#[test]
fn default_event_is_added_to_sets_without_event() {
    let conditions =
        "match.any = [{ event = \"updated\", status = \"closed\" }, { type = \"fault\" }]";
    for (event, taken) in [
        (event(feedback()), true),
        (updated(), true),
        (bare(), false),
    ] {
        let (plan, _) = plan_of(conditions, &event);
        assert_eq!(plan.state == EventState::Routed, taken, "{event:?}");
    }
    // If no set has `event`, the rule has the usual default.
    let (plan, _) = plan_of(
        "match.any = [{ app = \"order\" }, { via = \"desk\" }]",
        &updated(),
    );
    assert_eq!(plan.state, EventState::Noted);
}

#[test]
fn what_is_wrong_in_a_set_stands_at_its_place() {
    for (line, wanted) in [
        ("match.any = []", "E112 rules[0].match.any ‹[]›"),
        ("match.any = 5", "E007 rules[0].match.any ‹5›"),
        ("match.any = [{}]", "E112 rules[0].match.any[0] ‹{}›"),
        (
            "match.any = [{ type = 1 }, { fualt = 1 }]",
            "E005 rules[0].match.any[1].fualt ‹fualt›",
        ),
        (
            "except.any = [{ fault = [1, \"crsh\"] }]",
            "E110 rules[0].except.any[0].fault[1] ‹\"crsh\"›",
        ),
        (
            "match.any = [{ type = 1 }, { status = 3 }]",
            "E114 rules[0].match.any[1].status ‹3›",
        ),
        (
            "match.any = { any = { any = { any = { any = { type = 1 } } } } }",
            "E113 rules[0].match.any.any.any.any.any",
        ),
    ] {
        let found = errors_of(line);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with(wanted), "{line}: {found:?}");
    }
    assert_eq!(
        errors_of("match.any = [{ event = \"updated\", status = 3 }, { type = 1 }]"),
        [""; 0]
    );
}
