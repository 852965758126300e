//! Tests of conditions on stored events.

use super::*;

#[test]
fn a_filter_reads_the_conditions_of_rules_without_a_default() {
    let holds =
        |written: &str, event: &Event| Filter::read(written, &known()).unwrap().holds(event);
    let reported = event(feedback());
    assert!(holds("", &reported) && holds("", &updated()));
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
    assert!(!holds("", &event_of(Content::Notice(notice))));
}

#[test]
fn what_is_wrong_in_a_filter_is_said_in_lines() {
    let wrong = Filter::read("fault = \"crsh\"\npage = 1", &known()).unwrap_err();
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    let crash = "match.fault: `fault` has no value \"crsh\" (did you mean \"crash\"?)";
    assert_eq!(wrong[0], crash);
    assert!(wrong[1].starts_with("match.page: "), "{wrong:?}");
    assert!(Filter::read("fault =", &known()).unwrap_err()[0].starts_with("not TOML"));
}
