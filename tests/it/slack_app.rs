//! Tests of a Slack app's bot, with the real binary and the fake Slack.

use std::io::Cursor;

use feedback_relay::demo::Fault;
use feedback_relay::demo::slack::{Access, Api, Posted};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::harness::{Feedback, Receiver, Relay, Reply, Slack, slack, wait_until};
use crate::main_path::png;

fn to_slack(slack: &Slack, more: &str) -> String {
    Relay::config(&format!(
        "{}{more}\n[[rules]]\nname = \"all\"\nsend_to = \"product\"\ngroup_by = []\n",
        slack.destination()
    ))
}

fn wait_for_messages(slack: &Slack, count: usize) -> Vec<Posted> {
    wait_until(&format!("{count} messages"), || {
        slack.messages().len() >= count
    });
    slack.messages()
}

fn webp() -> Vec<u8> {
    let red = RgbImage::from_pixel(32, 32, Rgb([220, 20, 30]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(red)
        .write_to(&mut bytes, ImageFormat::WebP)
        .expect("encodes");
    bytes.into_inner()
}

/// Returns an icon, a format that Slack does not show.
fn ico() -> Vec<u8> {
    let image = png();
    let size = u32::try_from(image.len()).expect("small");
    let directory = [0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 32, 0];
    let (size, offset) = (size.to_le_bytes(), 22_u32.to_le_bytes());
    [&directory[..], &size, &offset, &image].concat()
}

fn calls(slack: &Slack, api: Api) -> usize {
    slack.calls().iter().filter(|call| call.api == api).count()
}

/// Returns the files that a message shows.
fn shown(message: &Posted) -> Vec<String> {
    let blocks = message.blocks.as_array().cloned().unwrap_or_default();
    let ids = blocks
        .iter()
        .filter_map(|block| block["slack_file"]["id"].as_str());
    ids.map(str::to_owned).collect()
}

fn attempts(relay: &Relay) -> Vec<Value> {
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    let attempts = shown["deliveries"][0]["attempt_log"].as_array();
    attempts.expect("attempts").clone()
}

#[test]
fn image_is_converted_for_slack_and_uploaded_once() {
    let slack = Slack::started();
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/webp", &webp()));
    let relay = Relay::started(&to_slack(&slack, ""));
    let report = |number| {
        let url = pictures.url(&format!("/{number}.webp"));
        Feedback::fault(number).with("images", json!([url]))
    };
    assert_eq!(relay.push(&report(1)).status, 200);
    wait_until("a message shows the picture", || {
        slack.messages().iter().any(|one| !shown(one).is_empty())
    });
    let message = slack.messages()[0].clone();
    assert!(message.text.contains("blank page number 1"), "{message:?}");
    let id = slack.messages().iter().flat_map(shown).next();
    let bytes = slack.file(&id.expect("just seen")).expect("uploaded");
    let picture = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg);
    assert_eq!(picture.expect("a JPEG").width(), 32);

    // The same image in another report is recognised by its content.
    assert_eq!(relay.push(&report(2)).status, 200);
    wait_until("both show it", || {
        slack.messages().iter().flat_map(shown).count() >= 2
    });
    assert_eq!(calls(&slack, Api::Upload), 1);
    relay.wait_until_idle();
}

#[test]
fn app_without_files_read_still_shows_images() {
    let slack = Slack::with_scopes(&["chat:write", "files:write"]);
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/webp", &webp()));
    let relay = Relay::started(&to_slack(&slack, ""));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.webp")]));
    assert_eq!(relay.push(&event).status, 200);
    relay.wait_until_idle();
    let shows = slack.messages().iter().flat_map(shown).count();
    assert_eq!(shows, 1, "{:?}", slack.messages());
}

#[test]
fn burst_is_sent_at_channel_rate() {
    let slack = Slack::started();
    let relay = Relay::started(&to_slack(&slack, ""));
    for number in 1..=8 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    wait_for_messages(&slack, 8);
    relay.wait_until_idle();
    // Rate-limited messages would have been sent again.
    assert_eq!(calls(&slack, Api::PostMessage), 8);
}

#[test]
fn lost_response_is_ambiguous_and_message_resent() {
    let slack = Slack::started();
    slack.faults().add(Api::PostMessage, Fault::Lost);
    let relay = Relay::started(&to_slack(&slack, ""));
    assert_eq!(relay.push(&Feedback::suggestion(1)).status, 200);
    let messages = wait_for_messages(&slack, 2);
    assert_eq!(messages[0].blocks, messages[1].blocks);
    relay.wait_until_idle();
    let outcomes: Vec<_> = attempts(&relay)
        .iter()
        .map(|attempt| attempt["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["ambiguous", "delivered"]);
}

#[test]
fn refused_blocks_are_resent_plainer_and_place_reported() {
    let slack = Slack::started();
    let refusal = json!({"ok": false, "error": "invalid_blocks",
        "errors": ["words of a reporter [json-pointer:/blocks/2/text]"]});
    for _ in 0..2 {
        let fault = Fault::json(200, &refusal);
        slack.faults().add(Api::PostMessage, fault);
    }
    let relay = Relay::started(&to_slack(&slack, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let messages = wait_for_messages(&slack, 1);
    assert_eq!(messages[0].blocks, Value::Null);
    assert!(messages[0].text.contains("blank page number 1"));
    relay.wait_until_idle();
    let attempts = attempts(&relay);
    assert_eq!(attempts[0]["outcome"], "degrade");
    assert_eq!(attempts[0]["code"], "invalid_blocks");
    let reason = attempts[0]["reason"].as_str().expect("a reason");
    assert!(reason.ends_with("(/blocks/2/text)"), "{reason}");
    assert!(!relay.log().contains("words of a reporter"));
}

#[test]
fn bot_outside_channel_is_stopped_until_invited() {
    let slack = Slack::started();
    slack.set_access(slack::CHANNEL, Access::Outside);
    let relay = Relay::started(&to_slack(&slack, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_for_log("destination stopped");
    let list = relay.run(&["destinations", "list", "--json"]).stdout;
    assert!(list.contains("invite it there"), "{list}");
    assert!(list.contains("slack-app"), "{list}");
    slack.set_access(slack::CHANNEL, Access::Member);
    assert_eq!(relay.run(&["destinations", "resume", "product"]).code(), 0);
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    wait_for_messages(&slack, 2);
    relay.wait_until_idle();
}

#[test]
fn slack_secrets_appear_nowhere() {
    let slack = Slack::started();
    let echo = json!({"ok": false, "error": "service_unavailable", "token": slack::TOKEN});
    slack
        .faults()
        .add(Api::PostMessage, Fault::json(200, &echo));
    let relay = Relay::started(&to_slack(&slack, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    wait_for_messages(&slack, 1);
    relay.wait_until_idle();
    let mut seen = relay.log();
    for arguments in [
        &["events", "show", "ev-1"] as &[&str],
        &["deliveries", "list"],
        &["destinations", "list"],
        &["check"],
    ] {
        let output = relay.run(arguments);
        seen.push_str(&output.stdout);
        seen.push_str(&output.stderr);
    }
    seen.push_str(&relay.get("/metrics").text());
    seen.push_str(&relay.get("/status").text());
    for secret in [slack::TOKEN, slack::SIGNING_SECRET] {
        assert!(!seen.contains(secret), "{secret} in: {seen}");
    }
}

/// An image in a format that the chat does not show is linked or counted there. Programs get it.
#[test]
fn unsupported_image_is_linked_or_counted() {
    let public = "server.public_url = \"https://relay.example.com\"\n";
    for (top, shown) in [
        (public, "https://relay.example.com/images/"),
        ("", "1 picture kept but not shown here"),
    ] {
        let slack = Slack::started();
        let pictures = Receiver::answering("");
        pictures.always(Reply::bytes("image/x-icon", &ico()));
        let archive = "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n";
        let config = to_slack(&slack, archive).replace(
            "= \"product\"",
            "= [\"product\", \"archive\"]\nwait = \"1h\"",
        );
        let relay = Relay::started(&format!("{top}operator.notify = \"archive\"\n{config}"));
        let event = Feedback::fault(1).with("images", json!([pictures.url("/a.ico")]));
        assert_eq!(relay.push(&event).status, 200);
        let message = wait_for_messages(&slack, 1).remove(0);
        let blocks = message.blocks.to_string();
        assert!(blocks.contains(shown), "{blocks}");
        relay.wait_until_idle();
        assert_eq!(calls(&slack, Api::UploadUrl), 0);
        let lines = relay.read("out.jsonl");
        assert_eq!(lines.lines().count(), 1, "no notice: {lines}");
        let line: Value = serde_json::from_str(&lines).expect("JSON");
        let path = line["data"]["feedback"]["images"][0]["path"].clone();
        let kept = std::fs::read(relay.path(path.as_str().expect("a path")));
        assert!(kept.expect("it is kept").starts_with(b"\0\0\x01\0"));
    }
}
