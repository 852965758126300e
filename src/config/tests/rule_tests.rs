//! Tests of reading `[[tests]]`.

use std::time::Duration;

use super::{Folder, environment};
use crate::config::load;
use crate::model::{Content, FaultKind, FeedbackKind, Severity, Timestamp};

const HEAD: &str = "[apps.shop]\napp_id = \"cli_9f5343c580712544\"\nencrypt_key = \"${KEY:-k}\"\n\
    [[rules]]\nname = \"all\"\nsend_to = []\n[[tests]]\nname = \"one\"\n";

fn folder(test: &str) -> Folder {
    let event = include_str!("../../../tests/events/white-screen.json");
    Folder::new(format!("{HEAD}{test}")).with("events/one.json", event)
}

#[test]
fn everything_written_arrives() {
    let test = r#"
        at = 2026-03-01T02:10:00+08:00
        event = "events/one.json"
        with = { fault_type = "crash", feedback_type = 2, user_id = { open_id = "ou_1" }, fault_time = 2026-03-01T01:00:00 }
        expect = { rule = "all", sent_to = [], severity = "info", template = "alert", contains = ["a", "b"], unrouted = false }
    "#;
    let loaded = folder(test).load(&[]);
    assert_eq!(loaded.report(), "");
    let [test] = loaded.tests.try_into().unwrap();
    assert_eq!(test.at.as_millis(), 1_772_302_200_000);
    let [one] = test.given.events() else {
        panic!("{:?}", test.given)
    };
    let Content::Created(feedback) = &one.event.content else {
        panic!("{:?}", one.event)
    };
    assert_eq!(feedback.faults, [FaultKind::CRASH]);
    assert_eq!(feedback.kind, Some(FeedbackKind::SUGGESTION));
    let text = |field: &Option<crate::model::Private>| field.clone().unwrap().expose().to_owned();
    assert_eq!(text(&feedback.user.open_id), "ou_1");
    assert_eq!(text(&feedback.user.user_id), "e33ggbyz", "the rest stays");
    assert_eq!(text(&feedback.contact), "li@example.com");
    let fault_at = Timestamp::from_millis(1_772_298_000_000);
    assert_eq!(
        feedback.fault_at,
        Some(fault_at),
        "a date of TOML is one of Feishu"
    );
    let expect = &test.expect;
    assert_eq!(expect.rules[0].value.as_str(), "all");
    assert_eq!(expect.sent_to.as_ref().unwrap().value, []);
    assert_eq!(expect.severity.as_ref().unwrap().value, Severity::Info);
    assert_eq!(expect.template.as_ref().unwrap().value, "alert");
    let contains: Vec<_> = expect
        .contains
        .iter()
        .map(|one| one.value.as_str())
        .collect();
    assert_eq!(contains, ["a", "b"]);
    assert!(!expect.unrouted.as_ref().unwrap().value);
    assert_eq!(expect.rules[0].place.path, "tests[0].expect.rule");
}

#[test]
fn test_without_time_uses_time_of_event() {
    let loaded = folder("event = \"events/one.json\"\nexpect = { rule = \"all\" }").load(&[]);
    assert_eq!(loaded.tests[0].at.as_millis(), 1_772_302_211_000);
}

/// A missing file that only tests need must not stop the relay.
#[test]
fn a_relay_does_not_read_them() {
    let folder = folder("event = \"none.json\"\nexpect = \"${NONE}\"\n[[tests]]\nnmae = 5");
    let loaded = load(&folder.path("relay.toml"), &environment(&[]));
    assert_eq!(loaded.report(), "");
    assert!(loaded.config.is_some());
    assert!(!folder.load(&[]).diagnostics.is_empty());
}

#[test]
fn events_over_time_are_read_with_their_own_values() {
    let test = r#"
        events = [
            { event = "events/one.json", times = 300, every = "200ms" },
            { event = "events/one.json", after = "10s", with = { feedback_type = "suggestion" } },
        ]
        expect = { messages = { archive = 6 }, edits = { archive = 0 }, incidents = 1 }
        [destinations.archive]
        kind = "file"
        path = "x"
    "#;
    let loaded = folder(test).load(&[]);
    assert_eq!(loaded.report(), "");
    let [test] = loaded.tests.try_into().unwrap();
    let [storm, suggestion] = test.given.events() else {
        panic!("{:?}", test.given)
    };
    assert_eq!(
        (storm.times, storm.every),
        (300, Duration::from_millis(200))
    );
    assert_eq!(
        (suggestion.times, suggestion.after),
        (1, Duration::from_secs(10))
    );
    let Content::Created(feedback) = &suggestion.event.content else {
        panic!("{:?}", suggestion.event)
    };
    assert_eq!(feedback.kind, Some(FeedbackKind::SUGGESTION));
    assert_eq!(
        test.lasts,
        Duration::from_millis(59_800),
        "until the last event"
    );
    assert_eq!(test.at.as_millis(), 1_772_302_211_000);
    let expect = test.expect;
    let (name, messages) = &expect.messages[0];
    assert_eq!((name.as_str(), messages.value), ("archive", 6));
    assert_eq!(messages.place.path, "tests[0].expect.messages.archive");
    assert_eq!(
        (expect.edits[0].1.value, expect.incidents.unwrap().value),
        (0, 1)
    );
}

#[test]
fn clock_runs_as_long_as_written() {
    let test = "events = { event = \"events/one.json\" }\nfor = \"2h\"\nexpect = { incidents = 0 }";
    let loaded = folder(test).load(&[]);
    assert_eq!(loaded.report(), "");
    assert_eq!(loaded.tests[0].lasts, Duration::from_secs(7200));
}

#[test]
fn silences_are_read_with_their_conditions() {
    let test = r#"
        events = { event = "events/one.json", times = 3, every = "1m" }
        silences = [{ rule = "all", for = "30d" }, { fault = ["crash", "freeze"], path = "pages/*", after = "2m", for = "10m" }]
        expect = { suppressed = 0 }
    "#;
    let loaded = folder(test).load(&[]);
    assert_eq!(loaded.report(), "");
    let [of_rule, of_page] = loaded.tests[0].silences.as_slice() else {
        panic!("{:?}", loaded.tests)
    };
    assert_eq!(of_rule.target.rule, Some("all".into()));
    assert!(of_rule.conditions.is_none() && of_rule.after.is_zero());
    assert_eq!(
        of_page.target.conditions,
        ["fault = [\"crash\", \"freeze\"]", "path = \"pages/*\""]
    );
    let times = (of_page.after.as_secs(), of_page.lasts.as_secs());
    assert_eq!(times, (120, 600));
}
