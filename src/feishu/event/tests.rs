use proptest::prelude::*;

use super::*;
use crate::feishu::Receive;

fn app() -> App {
    App {
        name: AppName::from("shop"),
        app_id: "cli_subscriber".into(),
        receive: Receive::Webhook,
        encrypt_keys: vec![],
        verification_tokens: vec![],
        app_secret: None,
        base_url: "https://open.feishu.cn".into(),
        feedback_timezone: TimeZone::fixed(jiff::tz::offset(8)),
    }
}

fn read(body: &str) -> Reading {
    Envelope {
        body: Private::new(body),
    }
    .into_event(&app())
}

fn created(event: &str) -> Reading {
    read(&format!(
        "{{\"header\":{{\"event_id\":\"e1\",\"event_type\":\"{CREATED}\",\"create_time\":1711111111000}},\"event\":{event}}}"
    ))
}

fn content(reading: Reading) -> Content {
    match reading.found {
        Found::Event(event) => event.content,
        other => panic!("{other:?}"),
    }
}

fn feedback(event: &str) -> Feedback {
    match content(created(event)) {
        Content::Created(feedback) => *feedback,
        other => panic!("{other:?}"),
    }
}

#[test]
fn odd_member_does_not_affect_others() {
    let odd = feedback(
        r#"{"feedback_id":7057888018203574291,"description":{"a":1},"contact":5550100,"images":"https://x/1",
            "fault_type":[1,{},"99"],"source":"abc","user_id":"ou_1","feedback_time":"soon","app_id":"cli_a"}"#,
    );
    assert_eq!(odd.id.as_deref(), Some("7057888018203574291"));
    assert_eq!(odd.description, None);
    assert_eq!(odd.contact, Some(Private::new("5550100")));
    assert_eq!(odd.images, [Private::new("https://x/1")]);
    assert_eq!(odd.faults, [FaultKind(1), FaultKind(99)]);
    assert_eq!((odd.source, odd.reported_at), (None, None));
    assert_eq!(odd.user, UserIds::default());
}

#[test]
fn absent_null_and_empty_members_are_equal() {
    let bare = feedback(r#"{"feedback_id":"1"}"#);
    let null =
        r#"{"feedback_id":"1","contact":null,"images":null,"fault_type":null,"user_id":null}"#;
    let empty =
        r#"{"feedback_id":"1","contact":"","images":[],"fault_type":[],"user_id":{"open_id":""}}"#;
    assert_eq!(feedback(null), bare);
    assert_eq!(feedback(empty), bare);
}

#[test]
fn time_without_zone_uses_app_zone() {
    let at = |time: &str| {
        feedback(&format!("{{\"feedback_time\":\"{time}\",\"source\":1}}")).reported_at
    };
    let expected = Some(Timestamp::from_millis(1_711_111_111_000));
    assert_eq!(at("2024-03-22 20:38:31"), expected);
    assert_eq!(at("2024-03-22T20:38:31"), expected);
    assert_eq!(at("2024-03-22T12:38:31Z"), expected);
    assert_eq!(at("2024-13-22 20:38:31"), None);
}

#[test]
fn unparsed_time_is_kept_unchanged() {
    let raw = |time: &str| {
        let event = format!("{{\"feedback_time\":\"{time}\",\"fault_time\":\"{time}\"}}");
        let report = feedback(&event);
        assert_eq!(report.reported_raw, report.fault_raw, "{time}");
        assert_eq!(report.reported_raw.is_some(), report.fault_at.is_none());
        report.fault_raw.map(|raw| raw.expose().to_owned())
    };
    for odd in [
        "yesterday",
        "22.03.2024",
        "1711111111.5",
        "2024-13-22 20:38:31",
    ] {
        assert_eq!(raw(odd).as_deref(), Some(odd));
    }
    for read in ["2024-03-22 20:38:31", "2024/03/22 20:38:31", "1711111111"] {
        assert_eq!(raw(read), None, "{read}");
    }
}

#[test]
fn code_beyond_64_bits_is_kept_as_text() {
    let big = "18446744073709551615";
    let odd = feedback(&format!(
        r#"{{"feedback_type":{big},"fault_type":[2,{big}],"source":"{big}"}}"#
    ));
    assert_eq!(odd.faults, [FaultKind(2)]);
    assert_eq!((odd.kind, odd.source), (None, None));
    assert_eq!(odd.odd.kind.as_deref(), Some(big));
    assert_eq!(odd.odd.faults, [big]);
    assert_eq!(odd.odd.source.as_deref(), Some(big));
}

#[test]
fn missing_event_id_is_replaced() {
    let id = |header: &str, event: &str| {
        read(&format!(
            "{{\"header\":{{\"event_type\":\"{CREATED}\"{header}}},\"event\":{event}}}"
        ))
        .id
    };
    let named = r#"{"feedback_id":"70"}"#;
    assert_eq!(id(",\"event_id\":\"e1\"", named), EventId::from("e1"));
    assert_eq!(id("", named), EventId::from("70"));
    let hash = id("", r#"{"source":1}"#);
    assert!(hash.as_str().starts_with("sha256:"), "{hash}");
    assert_eq!(hash, id("", r#"{"source":1}"#));
    assert_ne!(hash, id("", r#"{"source":2}"#));
    let long = format!(",\"event_id\":\"{}\"", "e".repeat(ID_BYTES_MAX + 1));
    assert_eq!(id(&long, named), EventId::from("70"));
}

#[test]
fn id_with_control_characters_is_rejected() {
    let body = |event_id: &str, feedback_id: &str| {
        format!(
            "{{\"header\":{{\"event_type\":\"{CREATED}\",\"event_id\":\"{event_id}\"}},\"event\":{{\"feedback_id\":\"{feedback_id}\",\"source\":1}}}}"
        )
    };
    for evil in [
        "e\\n2026 INFO forged",
        "e\\u001b[2J",
        "e\\u0000",
        "e\\u009b",
    ] {
        assert_eq!(read(&body(evil, "70")).id, EventId::from("70"), "{evil}");
        let both = read(&body(evil, evil));
        assert!(both.id.as_str().starts_with("sha256:"), "{evil}");
        assert_eq!(both.feedback, None, "{evil}");
    }
}

#[test]
fn repeat_is_identified_by_app_and_feedback_id() {
    let about = created(r#"{"feedback_id":"70","app_id":"cli_about"}"#).feedback;
    assert_eq!(about, Some(("cli_about".into(), "70".into())));
    let unnamed = created(r#"{"feedback_id":"70"}"#).feedback;
    assert_eq!(unnamed, Some(("cli_subscriber".into(), "70".into())));
}

#[test]
fn empty_feedback_event_is_unreadable_and_keeps_body() {
    for event in [
        "{}",
        "\"oops\"",
        "null",
        "[]",
        r#"{"description":null,"x":1}"#,
    ] {
        let reading = created(event);
        assert_eq!(reading.found, Found::Unreadable, "{event}");
        assert_eq!(reading.id, EventId::from("e1"));
        assert!(reading.body.expose().contains(event));
    }
}

#[test]
fn other_types_and_the_old_schema_are_ignored() {
    let old =
        read(r#"{"uuid":"u1","token":"t","type":"event_callback","event":{"type":"app_ticket"}}"#);
    assert_eq!(
        (old.found, old.event_type.as_str()),
        (Found::Ignored, "app_ticket")
    );
    assert_eq!(old.id, EventId::from("u1"));
    let disguised = format!("{{\"uuid\":\"u1\",\"event\":{{\"type\":\"{CREATED}\"}}}}");
    assert_eq!(read(&disguised).found, Found::Ignored);
    assert_eq!(read("{}").found, Found::Ignored);
}

#[test]
fn status_change_is_parsed() {
    let body = format!(
        "{{\"header\":{{\"event_id\":\"e2\",\"event_type\":\"{UPDATED}\"}},\"event\":{{\"feedback_ids\":[\"1\",2],\"status\":\"1\",\"operator_id\":{{\"open_id\":\"ou_1\"}}}}}}"
    );
    let Content::Updated(change) = content(read(&body)) else {
        panic!("not read");
    };
    assert_eq!(
        (change.feedback_ids, change.status),
        (
            vec!["1".into(), "2".into()],
            Some(FeedbackStatus::PROCESSED)
        )
    );
    assert_eq!(change.operator.open_id, Some(Private::new("ou_1")));
}

#[test]
fn status_beyond_64_bits_is_kept_as_text() {
    let big = "18446744073709551615";
    let body = format!(
        r#"{{"header":{{"event_id":"e2","event_type":"{UPDATED}"}},"event":{{"feedback_ids":["1"],"status":{big}}}}}"#
    );
    let Content::Updated(change) = content(read(&body)) else {
        panic!("not read");
    };
    assert_eq!(
        (change.status, change.odd_status.as_deref()),
        (None, Some(big))
    );
}

#[test]
fn stored_body_gives_same_event() {
    let reading = created(r#"{"feedback_id":"70","description":"half \ud83d"}"#);
    let app = app();
    let again = read_body(reading.body.expose(), &app.name, &app.feedback_timezone).unwrap();
    assert_eq!(Found::Event(Box::new(again.clone())), reading.found);
    assert_eq!(
        again.created_at,
        Some(Timestamp::from_millis(1_711_111_111_000))
    );
    assert!(
        reading.body.expose().contains("\\ud83d"),
        "the body stays as it came"
    );
}

#[test]
fn try_takes_a_body_or_the_event_alone() {
    let app = app();
    let sample = |text: &str| read_sample(text, &app.name, &app.feedback_timezone);
    let whole = created(r#"{"feedback_id":"70"}"#);
    let bare = sample("\u{feff}{\"feedback_id\":\"70\"}").unwrap();
    assert_eq!(bare.id, EventId::from("70"));
    assert_eq!(
        Found::Event(Box::new(sample(whole.body.expose()).unwrap())),
        whole.found
    );
    assert!(matches!(
        sample("{\"feedback_ids\":[\"1\"]}").unwrap().content,
        Content::Updated(_)
    ));
    let untyped = sample("{\"event\":{\"description\":\"x\"}}").unwrap();
    assert!(matches!(untyped.content, Content::Created(_)));
    assert!(matches!(sample("{"), Err(SampleError::Json(_))));
    assert!(matches!(sample("{}"), Err(SampleError::Empty)));
    assert!(matches!(
        sample("{\"encrypt\":\"x\"}"),
        Err(SampleError::Encrypted)
    ));
    let other = "{\"header\":{\"event_type\":\"im.message\"},\"event\":{}}";
    assert!(matches!(sample(other), Err(SampleError::OtherType(_))));
}

#[test]
fn app_id_is_found_in_odd_envelopes() {
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for rest in ["1", "\"half \\ud83d\"", &deep] {
        let envelope = format!("{{\"header\":{{\"app_id\":\"cli_1\"}},\"event\":{rest}}}");
        assert_eq!(sample_app_id(&envelope).as_deref(), Some("cli_1"), "{rest}");
        let marked = format!("\u{feff}{envelope}");
        assert_eq!(sample_app_id(&marked).as_deref(), Some("cli_1"));
    }
    for other in ["", "[]", "{\"header\":5}", "{\"feedback_id\":\"1\"}"] {
        assert_eq!(sample_app_id(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}", words in "\\PC{0,60}") {
        read(&text);
        let event = serde_json::json!({"description": words, "source": 1}).to_string();
        let expected = Some(words).filter(|words| !words.is_empty()).map(Private::new);
        prop_assert_eq!(feedback(&event).description, expected);
    }
}
