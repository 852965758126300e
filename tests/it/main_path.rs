//! Tests of the main path: an event with an image is delivered to all four kinds of destination.

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Feedback, Received, Receiver, Relay, Reply, wait_until};

const BOT_OK: &str =
    r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#;

/// Returns the smallest PNG: one grey pixel.
pub fn png() -> Vec<u8> {
    let encoded = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .expect("base64")
}

fn hmac(key: &[u8], message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn with_public_url(rest: &str) -> String {
    format!(
        "server.public_url = \"https://relay.example.com\"\n{}",
        Relay::config(rest)
    )
}

/// Starts a fake open API that grants tokens and accepts images.
fn open_api() -> Receiver {
    let feishu = Receiver::answering("{}");
    let token = json!({"code": 0, "msg": "ok", "tenant_access_token": "t-1", "expire": 7200});
    feishu.on("/open-apis/auth/", Reply::ok(&token.to_string()));
    let key = json!({"code": 0, "msg": "success", "data": {"image_key": "img_v3_test"}});
    feishu.on("/open-apis/im/v1/images", Reply::ok(&key.to_string()));
    feishu
}

fn to_all_kinds(feishu: &Receiver, bot: &Receiver, slack: &Receiver, hook: &Receiver) -> String {
    with_public_url(&format!(
        r#"
app_secret = "app-secret"
base_url = "{feishu}"
[destinations.oncall]
kind = "feishu-bot"
url = "{bot}"
secret = "bot-secret"
upload_images_as = "shop"
[destinations.product]
kind = "slack-webhook"
url = "{slack}"
locale = "en"
[destinations.warehouse]
kind = "webhook"
url = "{hook}"
secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
[destinations.archive]
kind = "file"
path = "out.jsonl"
[[rules]]
name = "all"
send_to = ["oncall", "product", "warehouse", "archive"]
severity = "critical"
"#,
        feishu = feishu.url(""),
        bot = bot.url("/open-apis/bot/v2/hook/secret-id"),
        slack = slack.url("/services/T/B/secret"),
        hook = hook.url("/hooks/feedback"),
    ))
}

fn assert_signed_card_with_image(card: &Value) {
    assert_eq!(card["msg_type"], "interactive");
    let timestamp = card["timestamp"].as_str().expect("signed");
    assert_eq!(
        card["sign"],
        hmac(format!("{timestamp}\nbot-secret").as_bytes(), b"")
    );
    let text = card["card"].to_string();
    assert!(
        text.contains("img_v3_test") && text.contains("blank page number 1"),
        "{text}"
    );
}

fn assert_standard_webhooks_signature(hooked: &Received) {
    let id = hooked.header("webhook-id").expect("an id");
    let stamp = hooked.header("webhook-timestamp").expect("a timestamp");
    let signed = [format!("{id}.{stamp}.").as_bytes(), &hooked.body].concat();
    let secret = base64::engine::general_purpose::STANDARD
        .decode("C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        .expect("base64");
    let signature = format!("v1,{}", hmac(&secret, &signed));
    assert_eq!(hooked.header("webhook-signature"), Some(signature.as_str()));
}

#[test]
fn one_event_reaches_all_four_kinds_with_its_image() {
    let (bot, slack) = (Receiver::answering(BOT_OK), Receiver::answering("ok"));
    let (hook, feishu) = (Receiver::answering("{}"), open_api());
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_all_kinds(&feishu, &bot, &slack, &hook));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png?x-signature=s")]));
    assert_eq!(relay.push(&event).text(), "{}");
    relay.wait_until_idle();

    assert_signed_card_with_image(&bot.wait_for(1)[0].json());
    let blocks = slack.wait_for(1)[0].json().to_string();
    assert!(
        blocks.contains("https://relay.example.com/images/"),
        "{blocks}"
    );
    let hooked = hook.wait_for(1)[0].clone();
    assert_standard_webhooks_signature(&hooked);
    let body = hooked.json();
    assert_eq!(body["type"], "feedback.created");
    assert_eq!(body["data"]["feedback"]["faults"][0]["key"], "white_screen");

    let line: Value = serde_json::from_str(relay.read("out.jsonl").trim()).expect("one line");
    let path = line["data"]["feedback"]["images"][0]["path"]
        .as_str()
        .expect("a path")
        .to_owned();
    let kept = std::fs::read(relay.folder().join(&path)).expect("the picture is there");
    assert!(kept.starts_with(b"\x89PNG"), "{path}");

    // The link in the webhook works; one with another signature does not.
    let link = body["data"]["feedback"]["images"][0]["link"]
        .as_str()
        .expect("a link")
        .to_owned();
    let path = link
        .strip_prefix("https://relay.example.com")
        .expect("under public_url");
    let picture = relay.get(path);
    assert_eq!(
        (picture.status, picture.header("content-type")),
        (200, Some("image/png"))
    );
    assert_eq!(relay.get(&format!("{path}x")).status, 404);

    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    assert_eq!(
        shown["deliveries"].as_array().map(Vec::len),
        Some(4),
        "{shown}"
    );
    let metrics = relay.get("/metrics").text();
    let counted = "feedback_relay_events_total{app=\"shop\",state=\"routed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn repeat_is_acknowledged_and_delivered_once() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    let event = Feedback::fault(1);
    assert_eq!(relay.push(&event).status, 200);
    assert_eq!(relay.push(&event).status, 200);
    // The same feedback with another event id is a repeat.
    assert_eq!(
        relay
            .push(&event.with_header("event_id", "another".into()))
            .status,
        200
    );
    relay.wait_until_idle();
    assert_eq!(hook.received().len(), 1);
}

/// Returns a configuration with one webhook that receives every event.
pub fn to_hook(hook: &Receiver, more: &str) -> String {
    Relay::config(&format!(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n{more}\n[[rules]]\nname = \"all\"\nsend_to = \"hook\"\n",
        hook.url("/hook"),
    ))
}

#[test]
fn late_image_follows_in_its_own_message() {
    let hook = Receiver::answering("{}");
    let pictures = Receiver::answering("");
    pictures.next(Reply::status(503));
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&format!("images.wait = \"10ms\"\n{}", to_hook(&hook, "")));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/late.png")]));
    assert_eq!(relay.push(&event).status, 200);
    let received = hook.wait_for(2);
    assert_eq!(received[0].json()["type"], "feedback.created");
    assert_eq!(received[1].json()["type"], "feedback.images");
    assert_ne!(
        received[0].header("webhook-id"),
        received[1].header("webhook-id")
    );
}

#[test]
fn hostile_image_url_is_not_fetched() {
    let hook = Receiver::answering("{}");
    let inside = Receiver::answering("secret of the inside");
    let config = to_hook(&hook, "").replace("images.allow_private_addresses = true\n", "");
    let relay = Relay::started(&format!("images.wait = \"10ms\"\n{config}"));
    let event = Feedback::fault(1).with(
        "images",
        json!([inside.url("/metadata"), "file:///etc/passwd"]),
    );
    assert_eq!(relay.push(&event).status, 200);
    assert_eq!(hook.wait_for(1)[0].json()["type"], "feedback.created");
    wait_until("the images are tried", || {
        relay.log().matches("image download attempted").count() >= 2
    });
    assert!(inside.received().is_empty());
}
