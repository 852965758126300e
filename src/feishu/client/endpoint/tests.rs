//! Tests against a fake platform on a loopback socket.

use std::time::Duration;

use super::super::fake::{Fake, Reply};
use super::super::tests::{client, client_at};
use super::*;

fn answer(url: &str, config: &str) -> Reply {
    let url = serde_json::Value::from(url);
    Reply::of(
        200,
        format!("{{\"code\":0,\"msg\":\"\",\"data\":{{\"URL\":{url}{config}}}}}"),
    )
}

async fn ask(reply: Reply) -> (Result<Endpoint, NoConnection>, LinkSettings) {
    let fake = Fake::start(vec![reply]);
    let mut settings = LinkSettings::default();
    let asked = client(&fake).endpoint(&mut settings).await;
    (asked, settings)
}

#[tokio::test]
async fn endpoint_request_matches_platform_clients_and_needs_no_token() {
    let url = "ws://127.0.0.1:9/ws/v2?device_id=7400&access_key=k-secret&service_id=33554678&ticket=t-secret";
    let config = r#","ClientConfig":{"ReconnectCount":-1,"ReconnectInterval":90,"ReconnectNonce":25,"PingInterval":90}"#;
    let fake = Fake::start(vec![answer(url, config)]);
    let mut settings = LinkSettings::default();
    let endpoint = client(&fake).endpoint(&mut settings).await.unwrap();
    assert_eq!(
        (endpoint.service, endpoint.device.as_str()),
        (33_554_678, "7400")
    );
    assert_eq!(endpoint.url.expose(), url);
    assert_eq!(settings.ping_interval, Duration::from_secs(90));
    assert!(!format!("{endpoint:?}").contains("k-secret"));
    let got = fake.got();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].line, "POST /callback/ws/endpoint HTTP/1.1");
    assert_eq!(
        got[0].text(),
        r#"{"AppID":"cli_9f5343c580712544","AppSecret":"app-secret-of-shop"}"#
    );
    assert_eq!(got[0].header("content-type"), "application/json");
    assert!(!got[0].has("authorization"));
}

#[tokio::test]
async fn settings_and_ids_may_be_absent() {
    let (asked, settings) = ask(answer("ws://127.0.0.1:9/x?service_id=no", "")).await;
    let endpoint = asked.unwrap();
    assert_eq!((endpoint.service, endpoint.device.as_str()), (0, ""));
    assert_eq!(settings, LinkSettings::default());
}

/// Status and body of a response, the refusal, and a part of the reason.
const ANSWERS: &[(u16, &str, Option<Refusal>, &str)] = &[
    (200, r#"{"code":1,"msg":"x"}"#, None, "internal error"),
    (
        200,
        r#"{"code":1000040343,"msg":"come back at noon"}"#,
        None,
        "busy; it says \"come back at noon\"",
    ),
    (
        200,
        r#"{"code":403}"#,
        Some(Refusal::Credentials),
        "app_secret",
    ),
    (
        200,
        r#"{"code":514,"msg":"enable the bot of app-secret-of-shop first"}"#,
        Some(Refusal::Credentials),
        "it says \"enable the bot of ‹secret› first\"",
    ),
    (
        200,
        r#"{"code":1000040344}"#,
        Some(Refusal::Credentials),
        "app_secret",
    ),
    (
        400,
        r#"{"code":10014}"#,
        Some(Refusal::Credentials),
        "app_secret",
    ),
    (
        200,
        r#"{"code":1000040350,"data":null}"#,
        Some(Refusal::TooMany),
        "too many",
    ),
    (
        200,
        r#"{"code":1000040351}"#,
        Some(Refusal::Domain),
        "platform",
    ),
    (200, r#"{"code":77}"#, Some(Refusal::Other), "code 77"),
    (500, "SECRETS9 <html>", None, "HTTP 500"),
    (502, "", None, "HTTP 502"),
    (200, "<html>", None, "HTTP 200"),
    (404, "<html>", Some(Refusal::Other), "base_url"),
    (302, "", Some(Refusal::Other), "base_url"),
    (200, r#"{"code":0}"#, None, "no address"),
    (200, r#"{"code":0,"data":{"URL":""}}"#, None, "no address"),
    (
        200,
        r#"{"code":0,"data":{"URL":"https://x/"}}"#,
        None,
        "no address",
    ),
    (
        503,
        r#"{"code":0,"data":{"URL":"ws://x/"}}"#,
        None,
        "no address",
    ),
];

#[tokio::test]
async fn endpoint_codes_give_expected_refusals() {
    for &(status, body, expected, word) in ANSWERS {
        let (asked, _) = ask(Reply::of(status, body)).await;
        let error = asked.unwrap_err();
        let reason = error.to_string();
        assert!(
            reason.contains(word) && reason.contains("shop"),
            "{body}: {reason}"
        );
        assert!(!reason.contains("SECRET"), "{reason}");
        let refusal = match error {
            NoConnection::Unreachable { .. } => None,
            NoConnection::Refused { refusal, .. } => Some(refusal),
        };
        assert_eq!(refusal, expected, "{body}");
    }
}

#[tokio::test]
async fn wrong_platform_error_names_right_platform() {
    for (base_url, says) in [
        ("https://open.feishu.cn", "set `platform = \"lark\"`"),
        ("https://open.larksuite.com", "set `platform = \"feishu\"`"),
        ("https://open.example.com", "check `platform`"),
    ] {
        let inner = client_at(base_url, Some("s")).0;
        let reason = inner.by_connection_code(1_000_040_351, "", "").to_string();
        assert!(reason.contains(says), "{reason}");
    }
}

#[tokio::test]
async fn unencrypted_address_is_refused_for_https_api() {
    let inner = client_at("https://open.feishu.cn", Some("s")).0;
    assert_eq!(inner.place("ws://msg.example.com/?ticket=t"), None);
    assert!(inner.place("wss://msg.example.com/?ticket=t").is_some());
    let inner = client_at("http://127.0.0.1:9", Some("s")).0;
    assert!(inner.place("ws://127.0.0.1/?ticket=t").is_some());
}

#[tokio::test]
async fn rejected_upgrade_is_judged_by_headers() {
    let inner = client_at("https://open.feishu.cn", Some("s")).0;
    let refusal = |headers: &[(&str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        match inner.refused_upgrade(400, &headers.collect::<Vec<_>>(), "") {
            NoConnection::Unreachable { .. } => None,
            NoConnection::Refused { refusal, .. } => Some(refusal),
        }
    };
    let (status, autherrcode) = ("handshake-status", "handshake-autherrcode");
    assert_eq!(refusal(&[]), None);
    assert_eq!(refusal(&[(status, "403")]), Some(Refusal::Credentials));
    assert_eq!(refusal(&[(status, "514")]), None);
    assert_eq!(refusal(&[(status, "514"), (autherrcode, "1")]), None);
    assert_eq!(
        refusal(&[(status, "514"), (autherrcode, "1000040350")]),
        Some(Refusal::TooMany)
    );
    assert_eq!(
        refusal(&[(status, "500"), ("handshake-msg", "SECRET")]),
        None
    );
}

#[tokio::test]
async fn no_request_is_made_without_secret() {
    let fake = Fake::start(vec![Reply::of(200, "{}")]);
    let client = client_at(&fake.url("/"), None);
    let asked = client.endpoint(&mut LinkSettings::default()).await;
    assert!(matches!(
        asked,
        Err(NoConnection::Refused {
            refusal: Refusal::Credentials,
            ..
        })
    ));
    assert!(fake.got().is_empty());
}
