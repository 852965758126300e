//! Tests of signatures against the vectors, and of the meaning of each code.

use jiff::tz::TimeZone;

use super::super::KindSettings;
use super::super::tests::{ask, bot, build, reason, send, settings};
use super::*;
use crate::feishu::client::fake::{self, Fake, Reply};
use crate::feishu::{App, Receive};
use crate::model::OutcomeKind::{
    self, Ambiguous, Degrade, Delivered, Rejected, Retry, SlowDown, Stop, Unknown,
};

#[test]
fn the_vectors_of_the_custom_bot_hold() {
    let text = include_str!("../../../tests/vectors/signatures.json");
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut checked = 0;
    for vector in all["vectors"].as_array().unwrap() {
        if vector["scheme"] != "feishu/custom-bot-sign" {
            continue;
        }
        let secret = Secret::new(vector["secret"].as_str().unwrap());
        let signed = sign(&secret, vector["timestamp"].as_i64().unwrap());
        assert_eq!(vector["expected"], signed, "{}", vector["name"]);
        checked += 1;
    }
    assert_eq!(checked, 3);
}

const OK: &str = r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#;

#[tokio::test]
async fn message_is_signed_at_send_and_otherwise_unchanged() {
    let fake = Fake::start(vec![Reply::of(200, OK)]);
    let body = r#"{"msg_type":"text","content":{"text":"白屏 \u4e00"}}"#;
    for secret in [None, Some("demo")] {
        let kind = bot(&fake.url("/open-apis/bot/v2/hook/abc"), secret);
        let destination = build(&settings(kind), None).unwrap();
        let sent = send(destination.as_ref(), Form::Text, body).await;
        assert_eq!(sent.outcome, Outcome::Delivered);
        assert_eq!(sent.code, None);
    }
    let got = fake.got();
    assert_eq!(got[0].text(), body);
    let sign = sign(&Secret::new("demo"), 784_111_777);
    let wanted = format!(
        r#"{{"timestamp":"784111777","sign":"{sign}","msg_type":"text","content":{{"text":"白屏 \u4e00"}}}}"#
    );
    assert_eq!(got[1].text(), wanted);
    assert_eq!(
        got[1].header("content-type"),
        "application/json; charset=utf-8"
    );
}

/// Code, and its outcome for a rich message and for plain text.
const CODES: &[(i64, OutcomeKind, OutcomeKind)] = &[
    (0, Delivered, Delivered),
    (1, Retry, Retry),
    (2200, Retry, Retry),
    (9499, Unknown, Unknown),
    (99_992_402, Degrade, Rejected),
    (11232, SlowDown, SlowDown),
    (99_991_400, SlowDown, SlowDown),
    (230_020, SlowDown, SlowDown),
    (11246, Degrade, Rejected),
    (11310, Degrade, Rejected),
    (100_290, Degrade, Rejected),
    (200_380, Degrade, Rejected),
    (200_570, Degrade, Rejected),
    (200_621, Degrade, Rejected),
    (200_732, Degrade, Rejected),
    (200_861, Degrade, Rejected),
    (200_914, Degrade, Rejected),
    (300_301, Degrade, Rejected),
    (300_305, Degrade, Rejected),
    (230_001, Degrade, Rejected),
    (230_025, Degrade, Rejected),
    (230_099, Degrade, Rejected),
    (19001, Stop, Stop),
    (19002, Degrade, Rejected),
    (19021, Stop, Stop),
    (19022, Stop, Stop),
    (19024, Stop, Stop),
    (19036, Degrade, Rejected),
    (230_002, Stop, Stop),
    (230_006, Stop, Stop),
    (230_013, Degrade, Rejected),
    (230_022, Rejected, Rejected),
    (230_027, Stop, Stop),
    (230_028, Rejected, Rejected),
    (230_049, Retry, Retry),
    (232_009, Stop, Stop),
    (99_991_401, Stop, Stop),
    (99_991_662, Stop, Stop),
    (99_991_673, Stop, Stop),
    (230_101, Retry, Retry),
    (99_991_403, Stop, Stop),
    (424_242, Unknown, Unknown),
];

#[tokio::test]
async fn what_each_code_means() {
    for (code, rich, plain) in CODES {
        for (form, wanted) in [
            (Form::Full, rich),
            (Form::NoImages, rich),
            (Form::Post, rich),
            (Form::Text, plain),
        ] {
            let body = format!(r#"{{"code":{code},"msg":"a reporter's words"}}"#);
            let sent = ask(signed, form, Reply::of(200, body)).await;
            assert_eq!(sent.outcome.kind(), *wanted, "{code} {form:?}: {sent:?}");
            assert!(!reason(&sent).contains("reporter"), "{sent:?}");
            let shown = (*code != 0).then(|| code.to_string());
            assert_eq!(sent.code, shown);
        }
    }
}

#[tokio::test]
async fn status_and_code_together() {
    for (status, body, wanted) in [
        (
            200,
            r#"{"StatusCode":0,"StatusMessage":"success"}"#,
            Delivered,
        ),
        (200, r#"{"StatusCode":19001}"#, Stop),
        (200, r#"{"code":0,"msg":null}"#, Delivered),
        (200, r#"{"code":11232,"msg":null}"#, SlowDown),
        (400, r#"{"code":11246}"#, Degrade),
        (500, r#"{"code":0}"#, Retry),
        (500, r#"{"code":424242}"#, Retry),
        (429, r#"{"code":424242}"#, SlowDown),
        (200, r#"{"msg":"no code"}"#, Ambiguous),
        (200, "<html>login</html>", Retry),
        (200, "", Ambiguous),
        (200, r#"{"ok":true}"#, Ambiguous),
        (404, "<html>", Retry),
        (400, "<html>", Retry),
    ] {
        let sent = ask(signed, Form::Full, Reply::of(status, body)).await;
        assert_eq!(sent.outcome.kind(), wanted, "{status} {body}: {sent:?}");
    }
    let sent = ask(signed, Form::Full, Reply::of(200, vec![b' '; 200_000])).await;
    assert_eq!(sent.outcome.kind(), Ambiguous);
}

fn signed(url: &str) -> KindSettings {
    bot(url, Some("demo"))
}

fn unsigned(url: &str) -> KindSettings {
    bot(url, None)
}

#[tokio::test]
async fn a_refused_signature_is_explained() {
    let ask = async |kind, date: &str| {
        let reply = Reply::with(
            200,
            "date",
            date,
            r#"{"code":19021,"msg":"sign match fail"}"#,
        );
        let sent = ask(kind, Form::Full, reply).await;
        assert!(matches!(sent.outcome, Outcome::Stop { .. }));
        reason(&sent).to_owned()
    };
    // Now is Sun, 06 Nov 1994 08:49:37 GMT.
    let ahead = ask(signed, "Sun, 06 Nov 1994 06:49:37 GMT").await;
    assert!(ahead.contains("clock is 7200 s off (ahead"), "{ahead}");
    assert!(!ahead.contains("check `secret`"), "{ahead}");
    let behind = ask(signed, "Mon, 07 Nov 1994 08:49:37 GMT").await;
    assert!(behind.contains("clock is 86400 s off (behind"), "{behind}");
    let little = ask(signed, "Sun, 06 Nov 1994 08:59:37 GMT").await;
    assert!(
        little.contains("check `secret`") && little.contains("600 s off"),
        "{little}"
    );
    for date in ["Sun, 06 Nov 1994 08:49:39 GMT", "nonsense"] {
        let same = ask(signed, date).await;
        assert!(
            same.contains("check `secret`") && !same.contains("clock"),
            "{same}"
        );
    }
    let none = ask(unsigned, "Sun, 06 Nov 1994 06:49:37 GMT").await;
    assert!(none.contains("set `secret`"), "{none}");
}

#[tokio::test]
async fn hints_are_read_from_the_answer() {
    let limited = r#"{"code":99991400,"msg":"limited"}"#;
    for (name, value, wanted) in [
        ("x-ogw-ratelimit-reset", "12", Some(12)),
        ("x-ogw-ratelimit-reset", "999999", Some(3600)),
        ("retry-after", "3", Some(3)),
        ("x-ogw-ratelimit-reset", "soon", None),
    ] {
        let sent = ask(signed, Form::Full, Reply::with(429, name, value, limited)).await;
        let wanted = wanted.map(Duration::from_secs);
        assert!(
            matches!(&sent.outcome, Outcome::SlowDown { pause, .. } if *pause == wanted),
            "{value}: {sent:?}"
        );
    }
    let card =
        r#"{"code":230099,"msg":"Failed, ext=ErrCode: 11310; ErrMsg: words; ErrorValue: words;"}"#;
    let sent = ask(signed, Form::Full, Reply::of(400, card)).await;
    assert_eq!(
        reason(&sent),
        "code 230099, ErrCode 11310: the card is not valid: too many tables or elements; it says \"Failed, ext=ErrCode: 11310; ErrMsg: words; ErrorValue: words;\""
    );
    let keyword = ask(signed, Form::Full, Reply::of(200, r#"{"code":19024}"#)).await;
    assert!(reason(&keyword).contains("set `keyword`"));
}

#[tokio::test]
async fn oversized_or_invalid_message_is_not_sent() {
    let fake = Fake::start(vec![Reply::of(200, OK)]);
    let destination = build(&settings(unsigned(&fake.url("/"))), None).unwrap();
    let body = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
    let sent = send(destination.as_ref(), Form::Full, &body(REQUEST_BYTES_MAX)).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let large = body(REQUEST_BYTES_MAX + 1);
    let sent = send(destination.as_ref(), Form::Full, &large).await;
    assert_eq!(sent.outcome.kind(), Degrade);
    let sent = send(destination.as_ref(), Form::Text, &large).await;
    assert_eq!(sent.outcome.kind(), Rejected);
    assert_eq!(fake.got().len(), 1);
    let destination = build(&settings(signed(&fake.url("/"))), None).unwrap();
    let sent = send(destination.as_ref(), Form::Text, "[]").await;
    assert_eq!(sent.outcome.kind(), Rejected);
    assert_eq!(fake.got().len(), 1);
}

#[tokio::test]
async fn images_are_uploaded_by_the_configured_app() {
    let kind = KindSettings::FeishuBot {
        url: Secret::new("http://x/"),
        secret: None,
        upload_images_as: Some("shop".into()),
    };
    let error = build(&settings(kind.clone()), None).err().unwrap();
    assert!(error.to_string().contains("upload_images_as"), "{error}");
    let fake = Fake::start(vec![
        Reply::of(
            200,
            r#"{"code":0,"tenant_access_token":"t-x","expire":7200}"#,
        ),
        Reply::of(200, r#"{"code":0,"data":{"image_key":"img_v3_k"}}"#),
    ]);
    let app = App {
        name: "shop".into(),
        app_id: "cli_9f5343c580712544".into(),
        receive: Receive::Webhook,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: Some(Secret::new("s")),
        base_url: fake.url(""),
        feedback_timezone: TimeZone::UTC,
    };
    let client = FeishuClient::new(&app, fake::http());
    let destination = build(&settings(kind), Some(client)).unwrap();
    assert_eq!(
        destination.shows_images(),
        ShowsImages::ByKey(KeyOwner::App("shop".into()))
    );
    let key = destination
        .upload(ImageFormat::Jpeg, Bytes::from_static(b"jpeg"))
        .await;
    assert_eq!(key, Ok("img_v3_k".into()));
}
