//! Tests of what operators see of incidents: commands, `/status`, metrics and the log.

use serde_json::{Value, json};

use crate::harness::{Exposition, Feedback, Receiver, Relay, wait_until};

/// A page that reporters were on. It must not be in logs, metrics or `/status`.
const PAGE: &str = "pages/secret/checkout";

/// Starts a relay that delivers two faults of a kind individually and merges the rest for a chat.
fn relay(bot: &Receiver, hook: &Receiver) -> Relay {
    Relay::started(&Relay::config(&format!(
        r#"
[destinations.chat]
kind = "feishu-bot"
url = "{}"
[destinations.hook]
kind = "webhook"
url = "{}"
[[rules]]
name = "faults"
match = {{ type = "fault" }}
send_to = ["chat", "hook"]
group_by = ["fault", "path"]
group_from = 2
"#,
        bot.url("/"),
        hook.url("/")
    )))
}

fn lines(relay: &Relay, command: &[&str]) -> Vec<Value> {
    let output = relay.run(command);
    assert_eq!(output.code(), 0, "{output:?}");
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect()
}

/// Starts a relay and pushes six reports of one incident.
fn storm() -> (Relay, Receiver, Receiver) {
    let bot = Receiver::answering(r#"{"code":0,"msg":"success","data":{}}"#);
    let hook = Receiver::answering("{}");
    let relay = relay(&bot, &hook);
    for id in 1..=6 {
        let fault = Feedback::fault(id).with("feedback_path", json!(PAGE));
        assert_eq!(relay.push(&fault).status, 200);
    }
    wait_until("the incident has its message", || bot.count() == 3);
    relay.wait_until_idle();
    assert_eq!(hook.count(), 6, "a webhook gets every report");
    (relay, bot, hook)
}

#[test]
fn incident_is_listed_shown_and_closed() {
    let (relay, bot, _hook) = storm();
    let listed = lines(&relay, &["incidents", "list", "--json"]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let summary = (&listed[0]["id"], &listed[0]["state"], &listed[0]["count"]);
    assert_eq!(summary, (&json!("inc_1"), &json!("open"), &json!(6)));
    let text = relay.run(&["incidents", "list"]).stdout;
    assert!(text.contains("inc_1") && text.contains(PAGE), "{text}");

    let shown = relay.run(&["incidents", "show", "inc_1", "--json"]).json();
    assert_eq!(shown["messages"][0]["news"], "opened", "{shown}");
    assert_eq!(shown["messages"][0]["state"], "delivered", "{shown}");
    assert_eq!(shown["newest"][0]["id"], "ev-6", "{shown}");
    let timers = shown["timers"].as_array().expect("a list");
    assert!(
        timers.iter().any(|timer| timer["action"] == "end"),
        "{shown}"
    );
    let text = relay.run(&["incidents", "show", "1"]).stdout;
    assert!(text.contains("ends, unless a report comes"), "{text}");

    let closed = relay.run(&["incidents", "close", "inc_1"]);
    assert_eq!(
        (closed.code(), closed.stdout.as_str()),
        (0, "inc_1 is closed\n")
    );
    wait_until("the chat is notified", || bot.count() == 4);
    let again = relay.run(&["incidents", "close", "inc_1"]);
    assert_eq!(again.code(), 1, "{again:?}");
    assert!(
        again.stderr.contains("inc_1 is closed already"),
        "{again:?}"
    );
    for command in ["show", "close"] {
        let unknown = relay.run(&["incidents", command, "inc_99"]);
        assert_eq!(unknown.code(), 1, "{unknown:?}");
        assert!(unknown.stderr.contains("no incident inc_99"), "{unknown:?}");
    }
    assert_eq!(
        relay.run(&["incidents", "list"]).stdout,
        "no open incidents\n"
    );
    let all = lines(&relay, &["incidents", "list", "--all", "--json"]);
    assert_eq!(all[0]["state"], "closed");
}

#[test]
fn merged_delivery_is_explained_and_sent_individually_on_request() {
    let (relay, bot, _hook) = storm();
    let shown = relay.run(&["events", "show", "ev-6"]).stdout;
    assert!(
        shown.contains("merged into inc_1: report 6 of 6"),
        "{shown}"
    );
    let first = relay.run(&["events", "show", "ev-1", "--json"]).json();
    assert_eq!(first["incidents"][0]["number"], 1, "{first}");
    let listed = relay.run(&["events", "list"]).stdout;
    assert!(listed.contains("1 delivered, 1 merged"), "{listed}");
    assert!(
        listed.contains("inc_1"),
        "the incident's own event: {listed}"
    );

    let merged = lines(
        &relay,
        &["deliveries", "list", "--state", "merged", "--json"],
    );
    assert_eq!(merged.len(), 4, "{merged:?}");
    assert_eq!(merged[0]["merged_into"], "inc_1");
    let id = merged[0]["id"].as_str().expect("an id");
    let discarded = relay.run(&["deliveries", "discard", id]);
    assert_eq!(discarded.code(), 1, "{discarded:?}");
    assert!(
        discarded.stderr.contains("is counted in another message"),
        "{discarded:?}"
    );
    let retried = relay.run(&["deliveries", "retry", id]);
    assert_eq!(retried.code(), 0, "{retried:?}");
    wait_until("it is sent individually", || bot.count() == 4);
}

#[test]
fn incident_is_in_status_metrics_and_log_without_its_key() {
    let (relay, _bot, _hook) = storm();
    let series = |name: &str| format!("feedback_relay_{name}");
    let (open, merged) = (
        series("incidents_open{rule=\"faults\"}"),
        series("reports_merged_total{rule=\"faults\"}"),
    );
    let message = series("incident_messages_total{news=\"opened\"}");
    wait_until("reports and message are counted", || {
        let now = Exposition::of(&relay);
        now.value(&merged) == 4.0 && now.value(&message) == 1.0
    });
    assert_eq!(Exposition::of(&relay).value(&open), 1.0);
    let status = relay.get("/status");
    let incidents = &status.json()["incidents"];
    assert_eq!(
        (&incidents["open"], &incidents["merging"]),
        (&json!(1), &json!(1))
    );
    let largest = &incidents["largest"][0];
    assert_eq!(
        (&largest["id"], &largest["count"]),
        (&json!("inc_1"), &json!(6))
    );
    assert_eq!(largest["rule"], "faults");

    assert_eq!(relay.run(&["incidents", "close", "1"]).code(), 0);
    let ended = series("incidents_ended_total{state=\"closed\"}");
    wait_until("the end is counted", || {
        let now = Exposition::of(&relay);
        now.value(&ended) == 1.0 && now.value(&open) == 0.0
    });
    let log = relay.log();
    for said in [
        "incident has a message of its own",
        "incident ended",
        "inc_1",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    for text in [log, status.text(), relay.get("/metrics").text()] {
        assert!(!text.contains(PAGE), "{text}");
    }
}
