//! Tests of `check --online` with the real binary and the fakes: its findings, and that it sends no
//! message.

use feedback_relay::demo::feishu::Api;
use feedback_relay::demo::slack;
use serde_json::Value;

use crate::harness::{Feishu, Output, Receiver, Relay, Reply, Slack};

/// The answer of a bot that lacks the message, whatever the signature.
const NO_MESSAGE: &str = r#"{"code":19002,"data":{},"msg":"params error, msg_type need"}"#;

/// Returns the findings of one check about one subject.
fn found(output: &Output, name: &str, check: &str) -> Vec<Value> {
    let all = output.json()["online"].as_array().cloned();
    let all = all.unwrap_or_else(|| panic!("{output:?}"));
    let ours = |one: &Value| one["name"] == name && one["check"] == check;
    all.into_iter().filter(ours).collect()
}

fn assert_result(output: &Output, (name, check): (&str, &str), result: &str) {
    let found = found(output, name, check);
    let all = found.iter().all(|one| one["result"] == result);
    assert!(
        !found.is_empty() && all,
        "{name} {check}: {found:?} in {output:?}"
    );
}

fn assert_told_nothing(feishu: &Feishu, slack: &Slack, receivers: &[&Receiver]) {
    for chat in ["oc_room", "oc_gone", "ou_li"] {
        assert!(feishu.messages(chat).is_empty());
    }
    let asked = [
        Api::Token,
        Api::Endpoint,
        Api::Scopes,
        Api::InChat,
        Api::Person,
        Api::FindPeople,
        Api::ListFeedback,
    ];
    for call in feishu.calls() {
        assert!(asked.contains(&call.api), "{call:?}");
    }
    assert!(slack.messages().is_empty());
    let asked = [slack::Api::AuthTest, slack::Api::ConversationInfo];
    for call in slack.calls() {
        assert!(asked.contains(&call.api), "{call:?}");
    }
    for receiver in receivers {
        for request in receiver.received() {
            let text = request.text();
            assert!(
                !text.contains("msg_type") && !text.contains("content"),
                "{text}"
            );
            assert!(
                text.is_empty() || request.path == "/bot/path-of-the-bot",
                "{request:?}"
            );
        }
    }
}

fn config(feishu: &Feishu, slack: &Slack, bot: &Receiver, other: &Receiver) -> String {
    let keys = feishu.app_keys();
    let product = slack.destination();
    let (bot, hook, ops) = (
        bot.url("/bot/path-of-the-bot"),
        other.url("/hook"),
        other.url("/services/T/B/ops"),
    );
    let rest = format!(
        "{keys}
        [destinations.room]
        kind = \"feishu-app\"
        app = \"shop\"
        chat_id = \"oc_room\"
        [destinations.gone]
        kind = \"feishu-app\"
        app = \"shop\"
        chat_id = \"oc_gone\"
        [destinations.bot]
        kind = \"feishu-bot\"
        url = \"{bot}\"
        secret = \"secret-of-the-bot\"
        [destinations.hook]
        kind = \"webhook\"
        url = \"{hook}\"
        [destinations.ops]
        kind = \"slack-webhook\"
        url = \"{ops}\"
        [destinations.lines]
        kind = \"file\"
        path = \"data/out.jsonl\"
        {product}
        [[rules]]
        name = \"all\"
        send_to = \"room\"
        mention = \"sre\"\n"
    );
    let sre =
        "mentions.sre = { feishu = [\"ou_li\", \"ghost@example.com\"], slack = [\"U0123ABCD\"] }";
    format!("{sre}\n{}", Relay::config(&rest))
}

#[test]
fn online_check_asks_everything_and_sends_nothing() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    feishu.add_person("ou_li");
    let slack = Slack::with_scopes(&["chat:write", "files:write", "files:read", "channels:read"]);
    let bot = Receiver::answering(NO_MESSAGE);
    let other = Receiver::answering("ok");
    let relay = Relay::prepared(&config(&feishu, &slack, &bot, &other));

    let output = relay.run(&["check", "--online", "--json"]);
    assert_eq!(output.code(), 1, "{output:?}");
    assert_result(&output, ("", "clock"), "good");
    assert_result(&output, ("shop", "token"), "good");
    assert_result(&output, ("shop", "feedback"), "good");
    assert_result(&output, ("shop", "scopes"), "good");
    assert_result(&output, ("room", "chat"), "good");
    assert_result(&output, ("gone", "chat"), "failed");
    assert_result(&output, ("bot", "bot"), "good");
    assert_result(&output, ("bot", "signature"), "not_checked");
    assert_result(&output, ("hook", "reach"), "good");
    assert_result(&output, ("ops", "reach"), "good");
    assert_result(&output, ("lines", "file"), "good");
    assert_result(&output, ("product", "token"), "good");
    assert_result(&output, ("product", "scopes"), "good");
    assert_result(&output, ("product", "channel"), "good");
    assert_eq!(found(&output, "sre", "feishu").len(), 2);
    assert_result(&output, ("sre", "slack"), "not_checked");
    assert!(!relay.path("data/out.jsonl").exists());

    let told = relay.run(&["check", "--online"]);
    assert_eq!(told.code(), 1, "{told:?}");
    assert!(
        told.stdout
            .contains("destination gone, chat (FAILED): add the bot"),
        "{told:?}"
    );
    assert!(told.stdout.contains("nothing was posted"), "{told:?}");
    for output in [output, told] {
        for secret in [
            "app-secret",
            "xoxb-",
            "secret-of-the-bot",
            "path-of-the-bot",
            "ghost@",
            "http://",
        ] {
            assert!(!output.stdout.contains(secret), "{secret}: {output:?}");
            assert!(!output.stderr.contains(secret), "{secret}: {output:?}");
        }
    }
    assert_told_nothing(&feishu, &slack, &[&bot, &other]);
}

#[test]
fn online_check_names_missing_parts_until_fixed() {
    let feishu = Feishu::with_chats(&["oc_room", "oc_gone"]);
    feishu.take_scope("im:resource");
    feishu.take_scope("contact:contact.base:readonly");
    let slack = Slack::started();
    let bot = Receiver::answering(r#"{"code":19021,"msg":"sign match fail"}"#);
    let other = Receiver::answering("ok");
    let relay = Relay::prepared(&config(&feishu, &slack, &bot, &other));
    let output = relay.run(&["check", "--online", "--json"]);
    assert_eq!(output.code(), 1, "{output:?}");
    assert_result(&output, ("gone", "chat"), "good");
    assert_result(&output, ("bot", "signature"), "failed");
    assert_result(&output, ("product", "channel"), "not_checked");
    let scopes = found(&output, "shop", "scopes");
    let failed = scopes.iter().find(|one| one["result"] == "failed");
    let advice = failed
        .and_then(|one| one["advice"].as_str())
        .unwrap_or_default();
    assert!(
        advice.contains("grant im:resource or im:resource:upload at"),
        "{scopes:?}"
    );

    // The scopes are granted and the bot accepts the signature. Skipped checks and warnings are no
    // failure.
    let feishu = Feishu::with_chats(&["oc_room", "oc_gone"]);
    feishu.take_scope("contact:contact.base:readonly");
    bot.always(Reply::ok(NO_MESSAGE));
    relay.write("relay.toml", &config(&feishu, &slack, &bot, &other));
    let output = relay.run(&["check", "--online"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let strict = relay.run(&["check", "--online", "--deny-warnings"]);
    assert_eq!(strict.code(), 1, "{strict:?}");
    assert_told_nothing(&feishu, &slack, &[&bot, &other]);
}

#[test]
fn long_connection_is_requested_but_not_opened() {
    let feishu = Feishu::with_chats(&[]);
    let config = Relay::config(&feishu.app_keys()).replace("\"webhook\"", "\"websocket\"");
    let relay = Relay::prepared(&config);
    let output = relay.run(&["check", "--online", "--json"]);
    assert_result(&output, ("shop", "connection"), "good");
    let calls = feishu.calls();
    assert!(calls.iter().any(|call| call.api == Api::Endpoint));
    assert!(
        calls.iter().all(|call| call.api != Api::Connect),
        "{calls:?}"
    );
}

#[test]
fn wrong_secret_is_reported_and_stops_further_checks() {
    let feishu = Feishu::with_chats(&[]);
    let keys = feishu.app_keys().replace("app-secret", "other-secret");
    let relay = Relay::prepared(&Relay::config(&keys));
    let output = relay.run(&["check", "--online"]);
    assert_eq!(output.code(), 1, "{output:?}");
    assert!(
        output
            .stdout
            .contains("Credentials & Basic Info / 凭证与基础信息"),
        "{output:?}"
    );
    assert!(!output.stdout.contains("other-secret"), "{output:?}");
    assert!(feishu.calls().iter().all(|call| call.api == Api::Token));
}

#[test]
fn invalid_configuration_is_not_checked_online() {
    let feishu = Feishu::with_chats(&[]);
    let config = format!("{}nonsense = 1\n", Relay::config(&feishu.app_keys()));
    let relay = Relay::prepared(&config);
    let output = relay.run(&["check", "--online", "--json"]);
    assert_eq!(output.code(), 2, "{output:?}");
    assert_eq!(output.json()["online"], Value::Null);
    assert!(feishu.calls().is_empty());
}
