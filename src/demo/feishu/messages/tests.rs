//! Tests through a client.

use super::super::{FakeApp, FakeFeishu};
use super::*;
use crate::demo::Fault;
use crate::feishu::client::fake;
use crate::feishu::codes::Class;
use crate::feishu::messages::{self, Content, Said};
use crate::feishu::{App, Call, FeishuClient, To, Urgent};
use crate::model::{ImageFormat, Secret};

const TIMEOUT: Duration = Duration::from_secs(5);

async fn start() -> (FakeFeishu, FeishuClient) {
    let app = App {
        name: "shop".into(),
        app_id: "cli_1".into(),
        receive: crate::feishu::Receive::Webhook,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: Some(Secret::new("s")),
        base_url: String::new(),
        feedback_timezone: jiff::tz::TimeZone::UTC,
    };
    let known = FakeApp {
        app_id: app.app_id.clone(),
        app_secret: "s".into(),
    };
    let feishu = FakeFeishu::start(vec![known]).await.unwrap();
    feishu.open_chat("oc_1");
    let app = App {
        base_url: feishu.url(),
        ..app
    };
    (feishu, FeishuClient::new(&app, fake::http()))
}

async fn said(client: &FeishuClient, call: Call) -> Said {
    Said::of(&client.call(call).await.unwrap()).unwrap()
}

fn text(text: &str) -> Content {
    Content {
        msg_type: "text".into(),
        content: json!({ "text": text }).to_string(),
    }
}

fn card(elements: &Value) -> Content {
    Content {
        msg_type: "interactive".into(),
        content: json!({"schema": "2.0", "body": {"elements": elements}}).to_string(),
    }
}

fn chat() -> To {
    To::Chat("oc_1".into())
}

fn create(content: &Content, uuid: &str) -> Call {
    messages::create(&chat(), content, uuid, TIMEOUT)
}

#[tokio::test]
async fn repeated_uuid_creates_one_message() {
    let (feishu, client) = start().await;
    let first = said(&client, create(&text("a"), "1")).await;
    let again = said(&client, create(&text("a"), "1")).await;
    assert_eq!((first.code, &first.message_id), (0, &again.message_id));
    let other = said(&client, create(&text("a"), "2")).await;
    assert_ne!(first.message_id, other.message_id);
    assert_eq!(feishu.messages("oc_1").len(), 2);
    let long = said(&client, create(&text("a"), &"x".repeat(51))).await;
    assert_eq!(long.code, 99_992_402);
}

#[tokio::test]
async fn replies_make_thread_and_cards_are_updated() {
    let (feishu, client) = start().await;
    let first = said(&client, create(&card(&json!([])), "1")).await;
    let id = first.message_id.unwrap();
    for uuid in ["2", "3"] {
        let call = messages::reply(&id, &text("more"), uuid, TIMEOUT);
        assert_eq!(said(&client, call).await.code, 0);
    }
    let new = card(&json!([{"tag": "markdown", "content": "new"}]));
    let call = messages::update(&id, &new.content, TIMEOUT);
    assert_eq!(said(&client, call).await.code, 0);
    let people = ["ou_1".to_owned(), "x".to_owned()];
    let rung = said(&client, messages::ring(&id, Urgent::Sms, &people, TIMEOUT)).await;
    assert_eq!((rung.code, rung.not_rung), (0, 1));

    let held = feishu.messages("oc_1");
    assert_eq!(held.len(), 3);
    assert_eq!(held[0].edits, 1);
    assert_eq!(held[0].content["body"]["elements"][0]["content"], "new");
    assert_eq!(held[0].rung, [("urgent_sms".into(), vec!["ou_1".into()])]);
    let thread = held[0].thread.clone().unwrap();
    for answer in &held[1..] {
        assert_eq!(answer.parent.as_ref(), Some(&id));
        assert_eq!(answer.thread.as_ref(), Some(&thread));
    }
    let call = messages::update(&held[1].id, &new.content, TIMEOUT);
    assert_eq!(said(&client, call).await.code, 230_001);
    feishu.recall(&id);
    let call = messages::update(&id, &new.content, TIMEOUT);
    assert_eq!(said(&client, call).await.code, 230_011);
    let call = messages::reply(&id, &text("more"), "4", TIMEOUT);
    assert_eq!(said(&client, call).await.code, 230_011);
    let call = messages::reply("om_none", &text("more"), "5", TIMEOUT);
    assert_eq!(said(&client, call).await.meaning.class, Class::Gone);
}

#[tokio::test]
async fn invalid_calls_are_refused_like_on_platform() {
    let (feishu, client) = start().await;
    let raw = |msg_type: &str, content: &str| Content {
        msg_type: msg_type.into(),
        content: content.into(),
    };
    let large = card(&json!([{"tag": "markdown", "content": "x".repeat(CARD_BYTES_MAX)}]));
    for (content, code) in [
        (raw("text", "no json"), 230_001),
        (raw("post", r#"{"post":{"zh_cn":{"content":[]}}}"#), 230_001),
        (raw("post", r#"{"zh_cn":{"content":[]}}"#), 0),
        (large, 230_025),
        (text(&"x".repeat(CARD_BYTES_MAX)), 0),
        (card(&json!([{"tag": "note"}])), 230_099),
    ] {
        assert_eq!(said(&client, create(&content, "")).await.code, code);
    }
    let image = json!([{"tag": "img", "img_key": "img_v3_none"}]);
    let refused = said(&client, create(&card(&image), "")).await;
    assert_eq!(refused.meaning.inner, Some(200_570));
    let key = client
        .upload_image(ImageFormat::Png, Bytes::from_static(b"png"))
        .await
        .unwrap();
    let image = card(&json!([{"tag": "img", "img_key": key}]));
    assert_eq!(said(&client, create(&image, "")).await.code, 0);
    feishu.forget_images();
    assert_eq!(said(&client, create(&image, "")).await.code, 230_099);

    let elsewhere = To::Chat("oc_2".into());
    let call = messages::create(&elsewhere, &text("x"), "", TIMEOUT);
    assert_eq!(said(&client, call).await.code, 230_002);
    let call = messages::create(&To::Person("x".into()), &text("x"), "", TIMEOUT);
    assert_eq!(said(&client, call).await.meaning.class, Class::Receiver);
    let call = messages::create(&To::Person("ou_1".into()), &text("x"), "", TIMEOUT);
    assert_eq!(said(&client, call).await.code, 0);
    assert_eq!(feishu.messages("ou_1").len(), 1);
    feishu.leave_chat("oc_1");
    assert_eq!(said(&client, create(&text("x"), "")).await.code, 230_002);
}

#[tokio::test]
async fn lost_answer_keeps_message_and_revoked_token_creates_none() {
    let (feishu, client) = start().await;
    feishu.faults().add(Api::CreateMessage, Fault::Lost);
    assert!(client.call(create(&text("a"), "1")).await.is_err());
    assert_eq!(feishu.messages("oc_1").len(), 1);
    feishu.revoke_tokens();
    assert_eq!(said(&client, create(&text("a"), "1")).await.code, 0);
    assert_eq!(feishu.messages("oc_1").len(), 1);
}
