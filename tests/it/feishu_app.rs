//! Tests of an app's own bot, with the real binary and the fake Feishu.

use std::collections::BTreeSet;
use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::feishu::{Api, Posted};
use serde_json::{Value, json};

use crate::harness::{Feedback, Feishu, Receiver, Relay, Reply, wait_until};
use crate::main_path::png;

/// Returns a configuration with one destination per name, in the chat `oc_NAME`; every event goes
/// to all, as a message of its own.
fn to_chats(feishu: &Feishu, names: &[&str], more: &str) -> String {
    let mut rest = feishu.app_keys();
    for name in names {
        rest.push_str(&format!(
            "[destinations.{name}]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_{name}\"\n{more}\n"
        ));
    }
    let list = names.join("\", \"");
    rest.push_str(&format!(
        "[[rules]]\nname = \"all\"\nsend_to = [\"{list}\"]\nmention = [\"sre\"]\ngroup_by = []\n"
    ));
    let sre = "feishu = [\"ou_li\", \"wang@example.com\", \"ou_wang\"]";
    format!("mentions.sre = {{ {sre} }}\n{}", Relay::config(&rest))
}

fn calls(feishu: &Feishu, api: Api) -> Vec<Value> {
    let all = feishu.calls().into_iter();
    all.filter(|call| call.api == api)
        .map(|call| call.body)
        .collect()
}

fn attempts(relay: &Relay, event: &str) -> Vec<Value> {
    let shown = relay.run(&["events", "show", event, "--json"]).json();
    let log = shown["deliveries"][0]["attempt_log"].as_array();
    log.expect("attempts").clone()
}

fn words(attempts: &[Value], key: &str) -> Vec<String> {
    let word = |attempt: &Value| attempt[key].as_str().unwrap_or_default().to_owned();
    attempts.iter().map(word).collect()
}

/// Collects all objects of a card with this tag.
fn tagged<'a>(value: &'a Value, tag: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            if members.get("tag").is_some_and(|t| t == tag) {
                found.push(value);
            }
            members.values().for_each(|one| tagged(one, tag, found));
        }
        Value::Array(items) => items.iter().for_each(|one| tagged(one, tag, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn image_keys(message: &Posted) -> Vec<String> {
    let mut images = Vec::new();
    tagged(&message.content, "img", &mut images);
    let key = |image: &&Value| image["img_key"].as_str().expect("a key").to_owned();
    images.iter().map(key).collect()
}

#[test]
fn report_with_image_becomes_card_with_image() {
    let feishu = Feishu::with_chats(&["oc_room", "oc_other"]);
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_chats(&feishu, &["room", "other"], ""));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    relay.wait_until_idle();

    let mut keys = BTreeSet::new();
    for chat in ["oc_room", "oc_other"] {
        let held = feishu.messages(chat);
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(held[0].msg_type, "interactive");
        assert_eq!(held[0].content["schema"], "2.0");
        let text = held[0].content.to_string();
        assert!(text.contains("blank page number 1"), "{text}");
        assert!(text.contains("<at id=ou_li></at>"), "{text}");
        let [key] = <[String; 1]>::try_from(image_keys(&held[0])).expect("one picture");
        assert_eq!(feishu.image(&key).as_deref(), Some(png().as_slice()));
        keys.insert(key);
    }
    assert_eq!(keys.len(), 1, "one upload for both chats");
    assert_eq!(calls(&feishu, Api::UploadImage).len(), 1);
    assert_eq!(calls(&feishu, Api::Token).len(), 1, "one token for all");

    let ids: Vec<String> = relay
        .deliveries()
        .iter()
        .map(|delivery| delivery["id"].as_str().expect("an id").to_owned())
        .collect();
    for body in calls(&feishu, Api::CreateMessage) {
        let uuid = body["uuid"].as_str().expect("a uuid").to_owned();
        assert!(ids.contains(&uuid), "{uuid} in {ids:?}");
        assert!(body["content"].is_string());
    }
    let excerpt = words(&attempts(&relay, "ev-1"), "excerpt");
    assert!(excerpt[0].contains("om_fake_"), "{excerpt:?}");
    assert!(!excerpt[0].contains("blank page"), "{excerpt:?}");
    let list = relay.run(&["destinations", "list"]).stdout;
    assert!(list.contains("feishu-app"), "{list}");
    assert_eq!(calls(&feishu, Api::Urgent).len(), 0);
}

#[test]
fn token_expiry_under_load_loses_and_repeats_no_message() {
    let names = ["a", "b", "c", "d"];
    let chats = names.map(|name| format!("oc_{name}"));
    let feishu = Feishu::with_chats(&chats.each_ref().map(String::as_str));
    let relay = Relay::started(&to_chats(&feishu, &names, ""));
    for number in 0..12 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        if number % 3 == 0 {
            feishu.revoke_tokens();
        }
    }
    let total = || -> usize { chats.iter().map(|chat| feishu.messages(chat).len()).sum() };
    for sent in [10, 20, 30] {
        wait_until("more messages", || total() >= sent);
        feishu.revoke_tokens();
    }
    relay.wait_until_idle();
    for chat in &chats {
        let held = feishu.messages(chat);
        assert_eq!(held.len(), 12, "{chat}");
        for number in 0..12 {
            let words = format!("blank page number {number}\"");
            let telling = |message: &&Posted| message.content.to_string().contains(&words);
            assert_eq!(held.iter().filter(telling).count(), 1, "{words} in {chat}");
        }
    }
    assert!(calls(&feishu, Api::Token).len() > 3, "tokens were replaced");
    let states: BTreeSet<String> = words(&relay.deliveries(), "state").into_iter().collect();
    assert_eq!(states, ["delivered".to_owned()].into());
}

#[test]
fn refused_card_is_resent_in_plainer_form() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let msg = "Failed to create card content, ext=ErrCode: 200621; ErrMsg: words; ErrorValue: ;";
    let refused = Fault::json(400, &json!({"code": 230_099, "msg": msg}));
    feishu.faults().add(Api::CreateMessage, refused.clone());
    feishu.faults().add(Api::CreateMessage, refused);
    let bad = json!({"code": 230_001, "msg": "x, ext=invalid message content."});
    feishu
        .faults()
        .add(Api::CreateMessage, Fault::json(400, &bad));
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    let bodies = calls(&feishu, Api::CreateMessage);
    assert_eq!(
        words(&bodies, "msg_type"),
        ["interactive", "interactive", "post", "text"]
    );
    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 1);
    let text = held[0].content["text"].as_str().expect("text").to_owned();
    assert!(text.contains("blank page number 1"), "{text}");
    assert!(text.contains("<at user_id=\"ou_li\">"), "{text}");
    let attempts = attempts(&relay, "ev-1");
    assert_eq!(
        words(&attempts, "outcome"),
        ["degrade", "degrade", "degrade", "delivered"]
    );
    assert_eq!(
        attempts[0]["reason"],
        "code 230099, ErrCode 200621: the card is not valid: an unknown property, or not JSON; it says \"Failed to create card content, ext=ErrCode: 200621; ErrMsg: words; ErrorValue: ;\""
    );
}

#[test]
fn post_has_platform_format() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    for _ in 0..2 {
        let refused = Fault::json(400, &json!({"code": 230_099, "msg": "x"}));
        feishu.faults().add(Api::CreateMessage, refused);
    }
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    let held = feishu.messages("oc_room");
    assert_eq!(held[0].msg_type, "post");
    assert!(held[0].content["zh_cn"]["content"].is_array());
}

#[test]
fn rate_limit_pauses_destination_as_long_as_platform_asks() {
    for (code, status) in [(11232, 200), (99_991_400, 429)] {
        let feishu = Feishu::with_chats(&["oc_room"]);
        feishu.faults().add(
            Api::CreateMessage,
            Fault::Answer {
                status,
                headers: vec![("x-ogw-ratelimit-reset", "3".into())],
                body: json!({"code": code, "msg": "limited"}).to_string(),
            },
        );
        let relay = Relay::started(&to_chats(&feishu, &["room"], "concurrency = 1"));
        assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
        wait_until("the pause is known", || {
            let list = relay.run(&["destinations", "list", "--json"]);
            list.stdout.contains("\"paced_until\":\"20")
        });
        assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
        assert_eq!(calls(&feishu, Api::CreateMessage).len(), 1, "{code}");
        relay.wait_until_idle();
        assert_eq!(feishu.messages("oc_room").len(), 2, "{code}");
    }
}

#[test]
fn lost_response_does_not_repeat_message() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    feishu.faults().add(Api::CreateMessage, Fault::Lost);
    let relay = Relay::started(&to_chats(&feishu, &["room"], "urgent = \"app\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    let bodies = calls(&feishu, Api::CreateMessage);
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1], "the same message under the same uuid");
    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 1);
    // The attempt that learns the message's id sends the urgent notification.
    assert_eq!(held[0].rung.len(), 1);
    assert_eq!(
        words(&attempts(&relay, "ev-1"), "outcome"),
        ["ambiguous", "delivered"]
    );
}

#[test]
fn destinations_in_one_chat_share_rate_limit() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let config = to_chats(&feishu, &["room", "twin"], "").replace("oc_twin", "oc_room");
    let relay = Relay::started(&config);
    for number in 0..8 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    relay.wait_until_idle();
    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 16);
    for six in held.windows(6) {
        let span = six[5].posted_at.duration_since(six[0].posted_at);
        // The relay spaces messages by a second; delays on the way can shorten that.
        assert!(span > Duration::from_millis(600), "six in {span:?}");
    }
}

#[test]
fn forgotten_image_key_is_replaced() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    let with_picture =
        |number| Feedback::fault(number).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&with_picture(1)).status, 200);
    relay.wait_until_idle();
    feishu.forget_images();
    assert_eq!(relay.push(&with_picture(2)).status, 200);
    relay.wait_until_idle();
    let held = feishu.messages("oc_room");
    let keys: Vec<_> = held.iter().map(image_keys).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0] != keys[1] && keys[1].len() == 1, "{keys:?}");
    let attempts = attempts(&relay, "ev-2");
    assert_eq!(words(&attempts, "form"), ["full", "full"]);
    assert_eq!(words(&attempts, "outcome"), ["degrade", "delivered"]);
    assert_eq!(calls(&feishu, Api::UploadImage).len(), 2);
}

#[test]
fn card_is_sent_without_images_if_new_key_is_refused() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let msg = "Failed, ext=ErrCode: 200570; ErrMsg: x";
    let refused = Fault::json(400, &json!({"code": 230_099, "msg": msg}));
    feishu.faults().add(Api::CreateMessage, refused);
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    relay.wait_until_idle();
    assert_eq!(
        words(&attempts(&relay, "ev-1"), "form"),
        ["full", "no_images"]
    );
    assert_eq!(feishu.messages("oc_room").len(), 1);
}

#[test]
fn failed_urgent_notification_is_logged_and_harmless() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let quota = Fault::json(400, &json!({"code": 230_024, "msg": "words"}));
    feishu.faults().add(Api::Urgent, quota);
    let relay = Relay::started(&to_chats(&feishu, &["room"], "urgent = \"phone\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    relay.wait_until_idle();
    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 2);
    let people = vec!["ou_li".to_owned(), "ou_wang".to_owned()];
    assert_eq!(held[0].rung, []);
    assert_eq!(held[1].rung, [("urgent_phone".to_owned(), people)]);
    let said = words(&attempts(&relay, "ev-1"), "excerpt");
    assert!(
        said[0].starts_with("some urgent notifications failed: code 230024"),
        "{said:?}"
    );
    let said = words(&attempts(&relay, "ev-2"), "excerpt");
    assert!(said[0].starts_with("rang 2; "), "{said:?}");
    relay.wait_for_log("some urgent notifications failed");
    let metrics = relay.get("/metrics").text();
    for outcome in ["rung", "failed"] {
        let line =
            format!("feedback_relay_rings_total{{destination=\"room\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn bot_outside_chat_is_stopped_with_advice() {
    let feishu = Feishu::with_chats(&[]);
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_for_log("destination stopped");
    let list = relay.run(&["destinations", "list"]).stdout;
    assert!(list.contains("add it in the chat's settings"), "{list}");
    feishu.open_chat("oc_room");
    assert_eq!(relay.run(&["destinations", "resume", "room"]).code(), 0);
    wait_until("it goes on by itself", || {
        feishu.messages("oc_room").len() == 1
    });
}

#[test]
fn long_message_is_shortened_to_encoded_limit() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let relay = Relay::started(&to_chats(&feishu, &["room"], ""));
    for (number, words) in ["\"\\".repeat(20_000), "白屏".repeat(20_000)]
        .iter()
        .enumerate()
    {
        let number = u64::try_from(number).expect("few");
        let event = Feedback::fault(number).with("description", json!(words));
        assert_eq!(relay.push(&event).status, 200);
        relay.wait_until_idle();
        let attempts = attempts(&relay, &format!("ev-{number}"));
        assert_eq!(self::words(&attempts, "form"), ["full"]);
    }
    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 2);
    for message in &held {
        // The content is close to the limit, so no more was cut than necessary.
        let encoded = json!(message.content.to_string()).to_string().len();
        assert!(encoded > 28_000 && encoded <= 30 * 1024, "{encoded}");
    }
}

#[test]
fn person_gets_message_and_try_sends_no_urgent_notification() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let config = to_chats(&feishu, &["room"], "urgent = \"app\"")
        .replace("chat_id = \"oc_room\"", "user = \"ou_li\"");
    let relay = Relay::prepared(&config);
    relay.write("event.json", &Feedback::fault(1).envelope.to_string());
    let tried = relay.run(&["try", "event.json", "--send"]);
    assert_eq!(tried.code(), 0, "{tried:?}");
    let held = feishu.messages("ou_li");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].rung, []);
}
