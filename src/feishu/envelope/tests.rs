use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::feishu::{Found, Reading, Receive, sign};
use crate::model::{AppName, Content, Event, FaultKind};

const KEY: &str = "relay-test-key";
const TOKEN: &str = "relay-test-token";

fn app(keys: &[&str], tokens: &[&str]) -> App {
    let secrets = |texts: &[&str]| {
        let given = texts.iter().filter(|text| !text.is_empty());
        given.map(|text| Secret::new(*text)).collect()
    };
    App {
        name: AppName::from("shop"),
        app_id: "cli_9f5343c580712544".into(),
        receive: Receive::Webhook,
        encrypt_keys: secrets(keys),
        verification_tokens: secrets(tokens),
        app_secret: None,
        base_url: "https://open.feishu.cn".into(),
        feedback_timezone: jiff::tz::TimeZone::fixed(jiff::tz::offset(8)),
    }
}

fn envelope(plain: &str, key: &str) -> String {
    let sealed = cipher::seal(&Secret::new(key), [7; 16], plain.as_bytes());
    format!("{{\"encrypt\":\"{sealed}\"}}")
}

/// Verifies a body signed with `key`, or unsigned.
fn verify(body: &str, key: Option<&str>, app: &App) -> Result<Verified, Refusal> {
    let signature = key.map(|key| sign(b"1711111111", b"n", &Secret::new(key), body.as_bytes()));
    let headers = SignatureHeaders {
        timestamp: Some(b"1711111111"),
        nonce: Some(b"n"),
        signature: signature.as_ref().map(|signature| signature.as_bytes()),
    };
    Unverified {
        headers,
        body: body.as_bytes(),
    }
    .verify(app)
}

fn challenge(token: &str) -> String {
    format!("{{\"type\":\"url_verification\",\"challenge\":\"c\",\"token\":\"{token}\"}}")
}

fn strings(of: &Value) -> Vec<String> {
    match of {
        Value::Array(all) => all.iter().flat_map(strings).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null => vec![],
        other => vec![other.to_string()],
    }
}

/// Verifies and reads one request of the vectors.
fn run(vector: &Value) -> Result<Result<String, Reading>, Refusal> {
    let text = |key: &str| vector[key].as_str().unwrap_or_default();
    let mut app = app(&[text("encrypt_key")], &[text("verification_token")]);
    app.name = AppName::from("vectors");
    let headers: HashMap<String, &[u8]> = vector["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().as_bytes()))
        .collect();
    let header = |name: &str| headers.get(name).copied();
    let headers = SignatureHeaders {
        timestamp: header(crate::feishu::TIMESTAMP_HEADER),
        nonce: header(crate::feishu::NONCE_HEADER),
        signature: header(crate::feishu::SIGNATURE_HEADER),
    };
    let body = match vector["body_b64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => text("body").as_bytes().to_vec(),
    };
    match (Unverified {
        headers,
        body: &body,
    })
    .verify(&app)?
    {
        Verified::Challenge(challenge) => Ok(Ok(challenge)),
        Verified::Envelope(envelope) => Ok(Err(envelope.into_event(&app))),
    }
}

/// Compares the parsed event with the result of the platform's own SDK for the same bytes.
fn compare(name: &str, event: &Event, said: &Value) {
    let exact = |key: &str, ours: Option<&str>| {
        let theirs = said[key].as_str().filter(|text| !text.is_empty());
        // No Rust string can hold the SDK's result for half a surrogate pair.
        if name != "plain_created_lone_surrogate" {
            assert_eq!(ours, theirs, "{name}: {key}");
        }
    };
    let Content::Created(feedback) = &event.content else {
        return;
    };
    exact(
        "description",
        feedback.description.as_ref().map(Private::expose),
    );
    exact("contact", feedback.contact.as_ref().map(Private::expose));
    exact("feedback_path", feedback.path.as_ref().map(Private::expose));
    exact(
        "tenant_name",
        feedback.tenant_name.as_ref().map(Private::expose),
    );
    exact("app_id", feedback.app_id.as_deref());
    let images: Vec<_> = feedback
        .images
        .iter()
        .map(|image| image.expose().to_owned())
        .collect();
    assert_eq!(images, strings(&said["images"]), "{name}: images");
    if said["fault_type"].is_array() {
        let faults: Vec<_> = feedback
            .faults
            .iter()
            .map(|fault| fault.0.to_string())
            .collect();
        assert_eq!(faults, strings(&said["fault_type"]), "{name}: fault_type");
    }
    assert_eq!(
        feedback.kind.map(|kind| kind.0),
        said["feedback_type"].as_i64(),
        "{name}"
    );
    assert_eq!(
        feedback.source.map(|source| source.0),
        said["source"].as_i64(),
        "{name}"
    );
}

fn allowed(recommended: &Value, exact: &str, either: &str) -> Vec<String> {
    [strings(&recommended[exact]), strings(&recommended[either])].concat()
}

#[test]
fn every_vector_has_expected_outcome() {
    let text = include_str!("../../../tests/vectors/feishu-webhook.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 111);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let recommended = &vector["recommended"];
        let (outcome, status, kind) = match run(vector) {
            Err(refusal) => ("reject", refusal.status(), Some(refusal.kind())),
            Ok(Ok(challenge)) => {
                assert_eq!(recommended["challenge"], challenge.as_str(), "{name}");
                ("challenge", 200, None)
            }
            Ok(Err(reading)) => match &reading.found {
                Found::Ignored => ("ignore", 200, None),
                Found::Unreadable => ("dead_letter", 200, None),
                Found::Event(event) => {
                    let normal = &recommended["normalized"]["feedback_id"];
                    if let (Content::Created(feedback), Some(id)) =
                        (&event.content, normal.as_str())
                    {
                        assert_eq!(feedback.id.as_deref(), Some(id), "{name}");
                    }
                    if vector["expect"]["event"].is_object() {
                        compare(name, event, &vector["expect"]["event"]);
                    }
                    ("accept", 200, None)
                }
            },
        };
        let outcomes = allowed(recommended, "outcome", "either");
        // Only the store knows whether an event is a repeat.
        let repeat = outcomes == ["duplicate"] && outcome == "accept";
        assert!(
            repeat || outcomes.iter().any(|one| one == outcome),
            "{name}: {outcome} {kind:?}"
        );
        let statuses = allowed(recommended, "http_status", "either_status");
        assert!(statuses.contains(&status.to_string()), "{name}: {status}");
        if let Some(kind) = kind {
            let kinds = allowed(recommended, "error_kind", "either_kind");
            assert!(
                kinds.iter().any(|one| one == kind),
                "{name}: {kind}, not one of {kinds:?}"
            );
        }
    }
}

#[test]
fn repeated_push_has_same_id_and_faults_are_normalised() {
    let text = include_str!("../../../tests/vectors/feishu-webhook.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let read = |name: &str| {
        let vectors = file["vectors"].as_array().unwrap();
        let vector = vectors
            .iter()
            .find(|vector| vector["name"] == name)
            .unwrap();
        run(vector).unwrap().unwrap_err()
    };
    let faults = |name: &str| match read(name).found {
        Found::Event(event) => match event.content {
            Content::Created(feedback) => feedback.faults,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(
        read("enc_redelivery_first").id,
        read("enc_redelivery_second").id
    );
    assert_eq!(faults("plain_created_fault_type_scalar"), [FaultKind(3)]);
    assert_eq!(
        faults("plain_created_fault_type_strings"),
        [FaultKind(1), FaultKind(2)]
    );
}

#[test]
fn the_platforms_own_examples_of_signature_and_cipher_hold() {
    let text = include_str!("../../../tests/vectors/signatures.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let part = |key: &str| vector[key].as_str().unwrap_or_default();
        let (key, body) = (Secret::new(part("secret")), part("body"));
        let expected = vector["expected"].as_str();
        let ours = match part("scheme") {
            "feishu/event-signature" => {
                let timestamp = vector["timestamp"].to_string();
                Some(sign(
                    timestamp.as_bytes(),
                    part("id").as_bytes(),
                    &key,
                    body.as_bytes(),
                ))
            }
            "feishu/event-decrypt" => cipher::open(&key, body),
            _ => continue,
        };
        assert_eq!(ours.as_deref(), expected, "{}", part("name"));
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn both_keys_and_tokens_work_during_rotation() {
    let app = app(&["new", "old"], &["t-new", "t-old"]);
    for (key, token) in [("new", "t-old"), ("old", "t-new")] {
        let body = envelope(&format!("{{\"header\":{{\"token\":\"{token}\"}}}}"), key);
        assert!(
            matches!(verify(&body, Some(key), &app), Ok(Verified::Envelope(_))),
            "{key}"
        );
        let asked = verify(&envelope(&challenge(token), key), None, &app);
        assert_eq!(asked, Ok(Verified::Challenge("c".into())));
    }
}

#[test]
fn unsigned_request_passes_only_as_short_challenge() {
    let app = app(&[KEY], &[TOKEN]);
    let missing = Err(Refusal::MissingSignature { swapped: false });
    assert_eq!(
        verify(&envelope("{\"header\":{}}", KEY), None, &app),
        missing
    );
    assert_eq!(
        verify(&envelope("{\"header\":{\"token\":\"x\"}}", KEY), None, &app),
        missing
    );
    assert_eq!(verify(&envelope("no JSON", KEY), None, &app), missing);
    assert_eq!(verify("{\"encrypt\":\"!\"}", None, &app), missing);
    let padded = format!("{}{}", challenge(TOKEN), " ".repeat(240));
    let just = envelope(&padded, KEY);
    assert!(just.len() <= UNSIGNED_BYTES_MAX, "{}", just.len());
    assert!(verify(&just, None, &app).is_ok());
    let long = envelope(&format!("{padded}{}", " ".repeat(100)), KEY);
    assert!(long.len() > UNSIGNED_BYTES_MAX);
    assert_eq!(verify(&long, None, &app), missing);
    assert!(verify(&long, Some(KEY), &app).is_ok());
}

#[test]
fn swapped_key_and_token_are_reported() {
    let swapped = app(&[TOKEN], &[KEY]);
    let body = envelope(&format!("{{\"header\":{{\"token\":\"{TOKEN}\"}}}}"), KEY);
    let bad = verify(&body, Some(KEY), &swapped).unwrap_err();
    assert_eq!(bad, Refusal::BadSignature { swapped: true });
    assert!(bad.hint().unwrap().contains("swapped"));
    let asked = verify(&envelope(&challenge(TOKEN), KEY), None, &swapped);
    assert_eq!(asked, Err(Refusal::MissingSignature { swapped: true }));

    let token_only = app(&[], &[KEY]);
    let sealed = verify(&envelope(&challenge(TOKEN), KEY), None, &token_only);
    assert_eq!(sealed, Err(Refusal::EncryptKeyMissing { swapped: true }));

    let plain = verify(&challenge(TOKEN), None, &swapped);
    assert_eq!(plain, Err(Refusal::NotEncrypted { swapped: true }));
    let plain = verify(&challenge(TOKEN), None, &app(&[KEY], &[TOKEN]));
    assert_eq!(plain, Err(Refusal::NotEncrypted { swapped: false }));

    let shared = app(&[KEY], &["another"]);
    let body = envelope(&format!("{{\"header\":{{\"token\":\"{KEY}\"}}}}"), KEY);
    assert_eq!(
        verify(&body, Some(KEY), &shared),
        Err(Refusal::BadToken { swapped: true })
    );
}

#[test]
fn every_token_in_a_body_must_be_right() {
    let app = app(&[], &[TOKEN]);
    for (body, right) in [
        (
            format!("{{\"token\":\"{TOKEN}\",\"header\":{{\"token\":\"{TOKEN}\"}}}}"),
            true,
        ),
        (
            format!("{{\"token\":\"x\",\"header\":{{\"token\":\"{TOKEN}\"}}}}"),
            false,
        ),
        (
            format!("{{\"token\":\"{TOKEN}\",\"header\":{{\"token\":7}}}}"),
            false,
        ),
        (format!("{{\"token\":[\"{TOKEN}\"]}}"), false),
        ("{\"header\":{\"token\":null}}".to_owned(), false),
    ] {
        assert_eq!(verify(&body, None, &app).is_ok(), right, "{body}");
    }
}

#[test]
fn debug_output_contains_no_body() {
    let body = format!("{{\"token\":\"{TOKEN}\",\"event\":\"secret words\"}}");
    let verified = verify(&body, None, &app(&[], &[TOKEN])).unwrap();
    assert!(!format!("{verified:?}").contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn encrypted_body_decrypts_to_original(words in "\\PC{0,60}") {
        let app = app(&[KEY], &[TOKEN]);
        let plain = serde_json::json!({"header": {"token": TOKEN}, "event": {"description": words}});
        let plain = plain.to_string();
        let Verified::Envelope(envelope) = verify(&envelope(&plain, KEY), Some(KEY), &app).unwrap() else {
            panic!("not an envelope");
        };
        prop_assert_eq!(envelope.body.expose(), plain);
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,100}") {
        for app in [app(&[KEY], &[TOKEN]), app(&[], &[TOKEN])] {
            let headers = SignatureHeaders::default();
            let raw = Unverified { headers, body: &body };
            prop_assert!(raw.verify(&app).is_err());
            prop_assert!(verify(&text, Some(KEY), &app).is_err());
        }
    }
}
