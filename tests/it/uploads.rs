//! Tests of platforms that show images by keys, with slow or failing uploads.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::main_path::png;

const BOT_OK: &str = r#"{"code":0,"msg":"success"}"#;
const UPLOADED: &str = r#"{"code":0,"data":{"image_key":"img_v3_test"}}"#;

/// Starts a fake open API that grants tokens; the test sets its response to images.
fn open_api() -> Receiver {
    let api = Receiver::answering(UPLOADED);
    let token = json!({"code": 0, "tenant_access_token": "t-1", "expire": 7200});
    api.on("/open-apis/auth/", Reply::ok(&token.to_string()));
    api
}

/// Returns a configuration with a bot that shows images by keys. `more` extends the bot; `top`
/// comes first.
fn to_bot(api: &Receiver, bot: &Receiver, more: &str, top: &str) -> String {
    let rest = format!(
        r#"
app_secret = "app-secret"
backfill = "off"
base_url = "{}"
[destinations.oncall]
kind = "feishu-bot"
url = "{}"
upload_images_as = "shop"
{more}
[[rules]]
name = "all"
send_to = "oncall"
wait = "500ms"
"#,
        api.url(""),
        bot.url("/open-apis/bot/v2/hook/bot"),
    );
    format!("{top}\n{}", Relay::config(&rest))
}

fn pushed(relay: &Relay) -> Receiver {
    pushed_as(relay, 1)
}

fn pushed_as(relay: &Relay, number: u64) -> Receiver {
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let event = Feedback::fault(number).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    pictures
}

fn card(bot: &Receiver, index: usize) -> Value {
    bot.wait_for(index + 1)[index].json()["card"].clone()
}

#[test]
fn slow_upload_is_announced_and_image_follows() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    api.next(Reply::After(Duration::from_secs(2))); // then answers without a key
    let relay = Relay::started(&to_bot(&api, &bot, "", ""));
    let _pictures = pushed(&relay);
    let first = card(&bot, 0).to_string();
    assert!(first.contains("1 张图片稍后送达"), "{first}");
    assert!(!first.contains("img_v3_test"), "{first}");
    let late = card(&bot, 1).to_string();
    assert!(
        late.contains("补充图片") && late.contains("img_v3_test"),
        "{late}"
    );
}

#[test]
fn reason_of_a_retried_upload_shows_with_the_event() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    api.always(Reply::ok(r#"{"code":777,"msg":"busy, try again"}"#));
    let relay = Relay::started(&to_bot(&api, &bot, "", ""));
    let _pictures = pushed(&relay);
    bot.wait_for(1);
    let quoted = r#"code 777: unknown code; it says "busy, try again""#;
    wait_until("the reason of the upload", || {
        let shown = relay.run(&["events", "show", "ev-1"]);
        shown.stdout.contains(quoted)
    });
    api.always(Reply::ok(UPLOADED));
    let late = card(&bot, 1).to_string();
    assert!(late.contains("img_v3_test"), "{late}");
}

#[test]
fn forbidden_upload_gives_link_and_notice() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    api.always(Reply::ok(r#"{"code":99991672,"msg":"need im:resource"}"#));
    let top = "server.public_url = \"https://relay.example.com\"\noperator.notify = \"oncall\"";
    let relay = Relay::started(&to_bot(&api, &bot, "", top));
    let _pictures = pushed(&relay);
    bot.wait_for(2);
    relay.wait_until_idle();
    let texts: Vec<_> = bot.received().iter().map(|r| r.text()).collect();
    let of = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
    assert_eq!(of("https://relay.example.com/images/"), 1, "{texts:?}");
    assert_eq!(of("grant it im:resource"), 1, "{texts:?}");
    assert_eq!(texts.len(), 2, "{texts:?}");
}

#[test]
fn refused_upload_gives_link_and_one_notice() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    let top = "server.public_url = \"https://relay.example.com\"\noperator.notify = \"oncall\"";
    let relay = Relay::started(&to_bot(&api, &bot, "", top));
    let refused = || {
        let status = relay.get("/status").json();
        let problems = status["problems"].as_array().expect("a list").clone();
        problems
            .into_iter()
            .find(|one| one["kind"] == "upload_refused")
    };
    for (number, code) in [(1, 99_992_402), (2, 234_001)] {
        api.always(Reply::ok(&format!(
            r#"{{"code":{code},"msg":"cannot be read"}}"#
        )));
        let _pictures = pushed_as(&relay, number);
        // Two messages, and the notice between them.
        bot.wait_for(if number == 1 { 2 } else { 3 });
        relay.wait_until_idle();
        let problem = refused().expect("it shows");
        assert_eq!(problem["subject"], "oncall");
        let reason = problem["reason"].as_str().expect("text");
        let quoted = reason.contains(&code.to_string()) && reason.contains("cannot be read");
        assert!(quoted, "{reason}");
    }
    let texts: Vec<_> = bot.received().iter().map(|one| one.text()).collect();
    let of = |word: &str| texts.iter().filter(|text| text.contains(word)).count();
    assert_eq!(of("https://relay.example.com/images/"), 2, "{texts:?}");
    assert_eq!(of("99992402"), 1, "{texts:?}");
    assert_eq!(texts.len(), 3, "{texts:?}");

    api.always(Reply::ok(UPLOADED));
    let _pictures = pushed_as(&relay, 3);
    bot.wait_for(4);
    assert_eq!(refused(), None);
}

#[test]
fn upload_failing_too_long_is_replaced_by_link() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    api.always(Reply::status(500));
    let top = "server.public_url = \"https://relay.example.com\"";
    let relay = Relay::started(&to_bot(&api, &bot, "retry_for = \"1s\"", top));
    let _pictures = pushed(&relay);
    let late = card(&bot, 1).to_string();
    assert!(late.contains("https://relay.example.com/images/"), "{late}");
    relay.wait_until_idle();
    assert_eq!(bot.received().len(), 2);
}

#[test]
fn card_without_images_says_that_they_are_stored() {
    let (api, bot) = (open_api(), Receiver::answering(BOT_OK));
    bot.next(Reply::ok(r#"{"code":11246,"msg":"card refused"}"#));
    let relay = Relay::started(&to_bot(&api, &bot, "", ""));
    let _pictures = pushed(&relay);
    assert!(card(&bot, 0).to_string().contains("img_v3_test"));
    let plainer = card(&bot, 1).to_string();
    assert!(plainer.contains("1 张图片已保存"), "{plainer}");
    wait_until("it is delivered", || {
        relay
            .deliveries()
            .iter()
            .all(|one| one["state"] == "delivered")
    });
}
