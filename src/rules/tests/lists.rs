//! Tests of references to `[lists]`: `"@name"`.

use super::*;

fn takes(conditions: &str, feedback: Feedback) -> bool {
    let text = format!("[[rules]]\nname = \"one\"\nsend_to = []\n{conditions}\n");
    rules(&text).plan(&event(feedback), AT).state == EventState::Routed
}

#[test]
fn a_list_stands_for_its_words_beside_others() {
    let of_tenant = |name: &str| Feedback {
        tenant_name: Some(Private::new(name)),
        faults: vec![FaultKind::BLACK_SCREEN],
        ..Feedback::default()
    };
    for (conditions, tenant, taken) in [
        ("match.tenant = \"@vip\"", "Acme Ltd", true),
        ("match.tenant = \"@vip\"", "Other", false),
        ("match.tenant = [\"x*\", \"@vip\"]", "Xenon", true),
        ("match.tenant = [\"x*\", \"@vip\"]", "Globex", true),
        ("except.tenant = \"@vip\"", "Globex", false),
        ("match.fault = \"@screens\"", "", true),
        (
            "match.any = [{ type = 2 }, { tenant = \"@vip\" }]",
            "Acme",
            true,
        ),
        ("match.tenant = \"@@vip\"", "@vip", true),
        ("match.tenant = \"@@vip\"", "Acme", false),
        ("match.tenant = \"@at\"", "@ops one", true),
    ] {
        assert_eq!(
            takes(conditions, of_tenant(tenant)),
            taken,
            "{conditions} {tenant}"
        );
    }
}

#[test]
fn unknown_list_or_wrong_word_is_reported_at_its_use() {
    assert_eq!(
        errors_of("match.path = \"@vipp\""),
        [
            "E115 rules[0].match.path ‹\"@vipp\"›: `[lists]` has no \"vipp\" (did you mean \"vip\"?; for the text itself, write \"@@vipp\")"
        ]
    );
    assert_eq!(
        errors_of("match.fault = [\"crash\", \"@bad\"]"),
        [
            "E110 rules[0].match.fault[1] ‹\"@bad\"›: `fault` has no value \"balck_screen\", in the list \"bad\" (did you mean \"black_screen\"?)"
        ]
    );
}

#[test]
fn it_is_known_which_lists_are_used() {
    let text = "[[rules]]\nname = \"one\"\nsend_to = []\nmatch.tenant = \"@vip\"\nexcept.any = [{ fault = \"@screens\" }]\n";
    let rules = RawRule::all_of(text).unwrap();
    let used = RuleSet::build(&rules, &known()).lists_used;
    assert_eq!(
        used.iter().map(String::as_str).collect::<Vec<_>>(),
        ["screens", "vip"]
    );
}
