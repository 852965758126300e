//! Tests of a status change: it is sent once, by the rules that ask for it.

use serde_json::{Value, json};

use crate::harness::{Feedback, Receiver, Relay, TOKEN};

const BOT_OK: &str =
    r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#;

/// Returns a configuration with one rule for new feedback and one for handled feedback.
fn config(hook: &Receiver, bot: &Receiver) -> String {
    Relay::config(&format!(
        r#"
[destinations.hook]
kind = "webhook"
url = "{hook}"
[destinations.oncall]
kind = "feishu-bot"
url = "{bot}"
fields = {{ user = "mask" }}
[[rules]]
name = "new"
send_to = "hook"
[[rules]]
name = "dealt with"
match = {{ event = "updated", status = ["processed", "closed"] }}
send_to = ["hook", "oncall"]
"#,
        hook = hook.url("/hook"),
        bot = bot.url("/open-apis/bot/v2/hook/secret-id"),
    ))
}

/// Returns an event with new statuses of two feedbacks; the number makes the event's id.
fn updated(number: u64, status: u64) -> Feedback {
    let mut event = Feedback::fault(number).with_header(
        "event_type",
        "application.application.feedback.updated_v6".into(),
    );
    event.envelope["event"] = json!({
        "feedback_ids": ["7057888018200000001", "7057888018200000002"],
        "status": status,
        "app_id": "cli_9f5343c580712544",
        "update_time": "2026-03-01 03:12:10",
        "operator_id": { "open_id": "ou_colleague" },
    });
    event
}

fn state_of(relay: &Relay, id: &str) -> Value {
    relay.run(&["events", "show", id, "--json"]).json()
}

#[test]
fn status_change_is_sent_once_by_rules() {
    let (hook, bot) = (Receiver::answering("{}"), Receiver::answering(BOT_OK));
    let relay = Relay::started(&config(&hook, &bot));
    let closed = updated(1, 3);
    assert_eq!(relay.push(&closed).text(), "{}");
    assert_eq!(relay.push(&closed).text(), "{}");
    // A status that no rule asks for, and new feedback, which the other rule matches.
    assert_eq!(relay.push(&updated(2, 2)).text(), "{}");
    assert_eq!(relay.push(&Feedback::fault(3)).text(), "{}");
    relay.wait_until_idle();

    let hooked = hook.received();
    assert_eq!(hooked.len(), 2, "{hooked:?}");
    let body = hooked
        .iter()
        .map(|one| one.json())
        .find(|body| body["type"] == "feedback.updated")
        .expect("the change is told");
    let feedback = &body["data"]["feedback"];
    assert_eq!(
        feedback["ids"],
        json!(["7057888018200000001", "7057888018200000002"])
    );
    assert_eq!(feedback["status"]["key"], "closed");
    assert_eq!(body["data"]["change"]["by"]["open_id"], "ou_colleague");
    assert_eq!(body["data"]["change"]["at"], "2026-02-28T19:12:10.000Z");

    let told = bot.received();
    assert_eq!(told.len(), 1, "the change alone, and once");
    let card = told[0].json()["card"].to_string();
    for word in [
        "已关闭",
        "\"grey\"",
        "7057888018200000002",
        "2026-03-01 03:12",
    ] {
        assert!(card.contains(word), "{word} in {card}");
    }
    assert!(!card.contains("colleague"), "{card}");

    let shown = state_of(&relay, "ev-1");
    assert_eq!(
        (&shown["state"], &shown["change"]["status_key"]),
        (&json!("routed"), &json!("closed"))
    );
    let left = state_of(&relay, "ev-2");
    assert_eq!(
        (&left["state"], &left["deliveries"]),
        (&json!("noted"), &json!([]))
    );
    let why = &left["rules_today"][1];
    assert_eq!(
        (&why["key"], &why["found"]),
        (&json!("status"), &json!("processing"))
    );
}

#[test]
fn try_shows_status_change_and_check_reports_unmatchable_rule() {
    let (hook, bot) = (Receiver::answering("{}"), Receiver::answering(BOT_OK));
    let good = config(&hook, &bot);
    let relay = Relay::prepared(&good);
    let sample = include_str!("../events/status-changed.json");
    relay.write(
        "changed.json",
        &sample.replace("sample-verification-token", TOKEN),
    );
    let shown = relay.run(&["try", "changed.json"]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    let row = shown.stdout.lines().find(|line| {
        ["match.event", "\"created\" (the default)", "updated"]
            .iter()
            .all(|cell| line.contains(cell))
    });
    assert!(row.is_some(), "{}", shown.stdout);
    for words in ["template status", "反馈 ×2 → 已处理"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    assert!(hook.received().is_empty() && bot.received().is_empty());

    assert_eq!(relay.run(&["check"]).code(), 0);
    relay.write("relay.toml", &good.replace("event = \"updated\", ", ""));
    let wrong = relay.run(&["check"]);
    assert_eq!(wrong.code(), 2);
    assert!(
        wrong.stdout.contains("E114") && wrong.stdout.contains("event = \"updated\""),
        "{}",
        wrong.stdout
    );
}
