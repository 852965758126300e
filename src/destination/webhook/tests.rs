//! Tests of signatures against the vectors, and of the meaning of each answer.

use std::time::Duration;

use serde::Deserialize;

use super::super::KindSettings;
use super::super::tests::{KEY, NOW, ask, build, reason, send, settings, webhook};
use super::*;
use crate::feishu::client::fake::{Fake, Reply};

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    op: String,
    #[serde(default)]
    secret: serde_json::Value,
    timestamp: Option<i64>,
    id: Option<String>,
    body: Option<String>,
    expected: serde_json::Value,
    header: Option<String>,
    now: Option<i64>,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../tests/vectors/signatures.json");
    serde_json::from_str::<Vectors>(text).unwrap().vectors
}

fn keys(secret: &serde_json::Value) -> Vec<Key> {
    let one = std::slice::from_ref(secret);
    let list = secret.as_array().map_or(one, Vec::as_slice);
    let key = |secret: &serde_json::Value| Key::decode(&Secret::new(secret.as_str().unwrap()));
    list.iter().map(|secret| key(secret).unwrap()).collect()
}

/// Returns whether a receiver accepts the vector by the specification: any signature of the list, five minutes.
fn accepts(vector: &Vector) -> bool {
    let at = vector.timestamp.unwrap();
    let (id, body) = (
        vector.id.as_deref().unwrap(),
        vector.body.as_deref().unwrap(),
    );
    let right = sign(&keys(&vector.secret), id, at, body);
    let mut given = vector.header.as_deref().unwrap().split(' ');
    (vector.now.unwrap() - at).abs() <= 300 && given.any(|signature| signature == right)
}

/// Tests the vectors of Standard Webhooks. `v1a` (ed25519), `slack/v0`, `dingtalk`, `wecom` and the plain HMAC
/// header are not built. Feishu's own schemes are tested in their modules.
#[test]
fn the_vectors_of_standard_webhooks_hold() {
    let mut checked = 0;
    for vector in vectors() {
        let ours = ["standard-webhooks/v1", "standard-webhooks/rotation"];
        if !ours.contains(&vector.scheme.as_str()) {
            continue;
        }
        checked += 1;
        if vector.op == "verify" {
            let accepted = if accepts(&vector) { "accept" } else { "reject" };
            assert_eq!(vector.expected, accepted, "{}", vector.name);
        } else {
            let (id, body) = (vector.id.unwrap(), vector.body.unwrap());
            let signed = sign(&keys(&vector.secret), &id, vector.timestamp.unwrap(), &body);
            assert_eq!(vector.expected, signed, "{}", vector.name);
        }
    }
    assert_eq!(checked, 19);
}

fn signed(url: &str) -> KindSettings {
    KindSettings::Webhook {
        url: Secret::new(url),
        secrets: vec![
            Secret::new("whsec_FbFQe4OmZ7nvH5w82PQuHVW/YVrTP8aSc0RkXq8BPUc="),
            Secret::new("y6Fx+FIyS4KAuHvP8Bcslqz/KyHs66DZpWlnmLifKUA="),
        ],
        headers: vec![("X-Team".into(), Secret::new("data"))],
        success: None,
    }
}

#[tokio::test]
async fn request_has_id_time_signatures_and_custom_headers() {
    let fake = Fake::start(vec![Reply::of(202, "")]);
    let destination = build(&settings(signed(&fake.url("/hooks"))), None).unwrap();
    let body = r#"{"type":"feedback.created","data":{"description":"白屏"}}"#;
    let sent = send(destination.as_ref(), Form::Full, body).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(
        (sent.status, sent.code, sent.excerpt),
        (Some(202), None, None)
    );
    let got = &fake.got()[0];
    assert_eq!(got.line, "POST /hooks HTTP/1.1");
    assert_eq!(got.text(), body);
    assert_eq!(got.header("webhook-id"), KEY.to_string());
    assert_eq!(got.header("webhook-timestamp"), "784111777");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-team"), "data");
    let signatures: Vec<_> = got.header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2);
    for (signature, key) in signatures.iter().zip([
        "FbFQe4OmZ7nvH5w82PQuHVW/YVrTP8aSc0RkXq8BPUc=",
        "y6Fx+FIyS4KAuHvP8Bcslqz/KyHs66DZpWlnmLifKUA=",
    ]) {
        let key = STANDARD.decode(key).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{KEY}.784111777.{body}").as_bytes());
        let signature = STANDARD
            .decode(signature.strip_prefix("v1,").unwrap())
            .unwrap();
        mac.verify_slice(&signature).unwrap();
    }
}

#[tokio::test]
async fn request_without_secrets_is_unsigned() {
    let fake = Fake::start(vec![Reply::of(204, "")]);
    let kind = KindSettings::Webhook {
        url: Secret::new(fake.url("/")),
        secrets: Vec::new(),
        headers: vec![("Content-Type".into(), Secret::new("application/x-own"))],
        success: None,
    };
    let destination = build(&settings(kind), None).unwrap();
    let sent = send(destination.as_ref(), Form::Full, "{}").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let got = &fake.got()[0];
    assert!(!got.has("webhook-signature"));
    assert_eq!(got.header("content-type"), "application/x-own");
    assert_eq!(got.header("webhook-timestamp"), NOW.as_secs().to_string());
}

#[test]
fn bad_secret_and_reserved_header_are_refused_unshown() {
    for secret in ["whsec_", "whsec_!!!!", "not base64 at all"] {
        let kind = KindSettings::Webhook {
            url: Secret::new("http://x/"),
            secrets: vec![Secret::new("whsec_AAAA"), Secret::new(secret)],
            headers: Vec::new(),
            success: None,
        };
        let error = build(&settings(kind), None).err().unwrap();
        assert!(error.to_string().contains("secret number 2"), "{error}");
        assert!(!error.to_string().contains("!!!!"));
    }
    for header in [
        "Webhook-Id",
        "webhook-signature",
        "WEBHOOK-TIMESTAMP",
        "Host",
    ] {
        let kind = KindSettings::Webhook {
            url: Secret::new("http://x/"),
            secrets: Vec::new(),
            headers: vec![(header.into(), Secret::new("v"))],
            success: None,
        };
        let error = build(&settings(kind), None).err().unwrap();
        assert!(error.to_string().contains(header), "{error}");
    }
}

#[test]
fn headers_that_http_cannot_carry_are_refused() {
    for (header, value) in [
        ("", "v"),
        ("X Team", "v"),
        ("队", "v"),
        ("X-Team", "a\r\nb: c"),
    ] {
        let kind = KindSettings::Webhook {
            url: Secret::new("http://x/"),
            secrets: Vec::new(),
            headers: vec![(header.into(), Secret::new(value))],
            success: None,
        };
        let error = build(&settings(kind), None).err().unwrap();
        assert!(error.to_string().contains("HTTP does not allow"), "{error}");
        assert!(!error.to_string().contains("b: c"), "{error}");
    }
}

#[tokio::test]
async fn webhook_specific_statuses_are_classified() {
    for status in [200, 201, 202, 204, 299, 409] {
        let sent = ask(webhook, Form::Full, Reply::of(status, "<html>")).await;
        assert_eq!(sent.outcome, Outcome::Delivered, "{status}");
    }
    let sent = ask(webhook, Form::Full, Reply::of(200, vec![b'x'; 200_000])).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let sent = ask(webhook, Form::Full, Reply::of(410, "")).await;
    assert!(matches!(sent.outcome, Outcome::Stop { .. }));
    assert!(reason(&sent).contains("accepts no more messages"));
    let sent = ask(webhook, Form::Full, Reply::of(404, "")).await;
    assert!(matches!(sent.outcome, Outcome::Retry { .. }));
    for status in [413, 415, 422] {
        let sent = ask(webhook, Form::Full, Reply::of(status, "")).await;
        assert!(matches!(sent.outcome, Outcome::Rejected { .. }), "{status}");
    }
}

#[tokio::test]
async fn success_status_counts_even_if_the_body_is_lost() {
    for reply in [
        Reply::CutShort,
        Reply::Answer(200, vec![("x-filler", "v".into()); 900], b"ok".to_vec()),
        Reply::Endless,
    ] {
        let sent = ask(webhook, Form::Full, reply.clone()).await;
        assert_eq!(sent.outcome, Outcome::Delivered, "{reply:?}");
    }
}

/// The time limit of the body is shorter than that of the exchange, so a slow body uses no concurrency for long.
#[tokio::test]
async fn success_status_counts_without_waiting_for_a_dripping_body() {
    let fake = Fake::start(vec![Reply::Drips]);
    let mut settings = settings(webhook(&fake.url("/hook")));
    settings.common.timeout = Duration::from_secs(3600);
    let destination = build(&settings, None).unwrap();
    let sending = send(destination.as_ref(), Form::Full, "{}");
    let sent = tokio::time::timeout(Duration::from_secs(60), sending).await;
    assert_eq!(sent.unwrap().outcome, Outcome::Delivered);
}

#[tokio::test]
async fn html_page_is_a_success_that_is_reported() {
    let page = Reply::with(
        200,
        "content-type",
        "text/html; charset=utf-8",
        "<b>Sign in",
    );
    let sent = ask(webhook, Form::Full, page).await;
    assert!(sent.page && sent.outcome == Outcome::Delivered);
    let excerpt = sent.excerpt.unwrap();
    assert!(
        excerpt.starts_with("a page for people") && excerpt.ends_with("Sign in"),
        "{excerpt}"
    );
    assert!(!ask(webhook, Form::Full, Reply::of(200, "ok")).await.page);
}

fn dingtalk(url: &str) -> KindSettings {
    KindSettings::Webhook {
        url: Secret::new(url),
        secrets: Vec::new(),
        headers: Vec::new(),
        success: Some(Success {
            pointer: "/errcode".into(),
            equals: 0.into(),
        }),
    }
}

#[tokio::test]
async fn configured_success_value_decides() {
    use crate::model::OutcomeKind::{Ambiguous, Delivered, Rejected, Retry, SlowDown, Unknown};
    for (status, body, wanted, code) in [
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, Delivered, None),
        (
            200,
            r#"{"errcode":310000,"errmsg":"sign not match"}"#,
            Unknown,
            Some("310000"),
        ),
        (
            200,
            r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#,
            SlowDown,
            Some("130101"),
        ),
        (200, r#"{"errcode":"0"}"#, Unknown, None),
        (200, r#"{"ok":true}"#, Ambiguous, None),
        (200, "ok", Ambiguous, None),
        (200, r#"{"error":"text too long"}"#, Unknown, None),
        (200, "<html>sign in</html>", Retry, None),
        (500, r#"{"errcode":0}"#, Retry, None),
        (422, r#"{"errcode":0}"#, Rejected, None),
    ] {
        let sent = ask(dingtalk, Form::Full, Reply::of(status, body)).await;
        assert_eq!(sent.outcome.kind(), wanted, "{body}: {sent:?}");
        assert_eq!(sent.code.as_deref(), code, "{body}");
    }
    let said = r#"{"errcode":310000,"errmsg":"sign not match"}"#;
    let sent = ask(dingtalk, Form::Full, Reply::of(200, said)).await;
    assert_eq!(
        reason(&sent),
        "/errcode in the answer is 310000, not 0; it says \"sign not match\""
    );
    let sent = ask(dingtalk, Form::Full, Reply::CutShort).await;
    assert_eq!(sent.outcome.kind(), Ambiguous);
}

/// An error without the configured value is about one message, so however long it lasts, others are sent.
#[tokio::test]
async fn lasting_refusal_without_the_success_value_does_not_stop_the_destination() {
    let fake = Fake::start(vec![Reply::of(200, r#"{"error":"text too long"}"#)]);
    let destination = build(&settings(dingtalk(&fake.url("/hook"))), None).unwrap();
    let one = || send(destination.as_ref(), Form::Full, "{}");
    one().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    let sent = one().await;
    assert_eq!(
        reason(&sent),
        "HTTP 200, and the answer mentions an error; it says \"text too long\""
    );
    assert!(matches!(sent.outcome, Outcome::Unknown { .. }), "{sent:?}");
}
