//! Tests of conditions on stored events.

use super::*;

#[test]
fn a_filter_reads_the_conditions_of_rules_without_a_default() {
    let holds =
        |written: &str, event: &Event| Filter::read(&[written], &known()).unwrap().holds(event);
    let reported = event(feedback());
    let every = Filter::read(&[], &known()).unwrap();
    assert!(every.holds(&reported) && every.holds(&updated()));
    assert!(holds(
        "type = \"fault\"\npath = [\"pages/pay/*\"]",
        &reported
    ));
    assert!(!holds("type = \"suggestion\"", &reported));
    assert!(holds("any = [{ status = 3 }, { fault = 7 }]", &updated()));
    assert!(!holds("any = [{ status = 3 }, { fault = 7 }]", &reported));
    let notice = Notice {
        kind: NoticeKind::DeliveryDead,
        subject: String::new(),
        text: String::new(),
    };
    assert!(!every.holds(&event_of(Content::Notice(notice))));
}

#[test]
fn what_is_wrong_in_a_filter_is_said_in_lines() {
    let wrong = Filter::read(&["fault = \"crsh\"\npage = 1"], &known()).unwrap_err();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    let crash = "match.fault: `fault` has no value \"crsh\" (did you mean \"crash\"?)";
    assert_eq!(wrong[0], crash);
    assert!(wrong[1].starts_with("match.page: "), "{wrong:?}");
    assert!(Filter::read(&["fault ="], &known()).unwrap_err()[0].starts_with("not TOML"));
}

#[test]
fn filter_is_read_in_each_form_of_match() {
    let reported = event(feedback());
    for written in [
        "type = \"fault\"\npath = \"pages/pay/*\"",
        "type = \"fault\", path = \"pages/pay/*\"",
        "{ type = \"fault\", path = \"pages/pay/*\" }",
        "match = { type = \"fault\", path = \"pages/pay/*\" }",
        "match.type = \"fault\"\nmatch.path = \"pages/pay/*\"",
    ] {
        let filter = Filter::read(&[written], &known()).unwrap();
        assert!(filter.holds(&reported), "{written}");
        assert_eq!(filter.conditions.len(), 2, "{written}");
    }
    for empty in ["", " ", "{}", "match = {}"] {
        let wrong = Filter::read(&[empty], &known()).unwrap_err();
        assert_eq!(wrong, ["the conditions are empty"], "{empty:?}");
    }
    let wrong = Filter::read(&["type=fault"], &known()).unwrap_err();
    assert!(
        wrong[0].ends_with("(write it as in a rule: type = \"fault\")"),
        "{wrong:?}"
    );
}

#[test]
fn filter_from_two_texts_needs_different_keys() {
    let read = |one, other| Filter::read(&[one, other], &known());
    let both = read("type = \"fault\"", "{ path = \"pages/pay/*\" }").unwrap();
    assert!(both.holds(&event(feedback())));
    let wrong = read("type = \"fault\"", "type = 1").unwrap_err();
    assert!(wrong[0].starts_with("`type` is given twice: "), "{wrong:?}");
}
