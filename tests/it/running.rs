//! Tests of signals, reload and monitoring.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::main_path::to_hook;

#[test]
fn sigterm_finishes_current_work_and_exits_cleanly() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::After(Duration::from_millis(500)));
    let mut relay = Relay::started(&to_hook(&hook, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    assert_eq!(relay.stop().code(), Some(0));
    assert_eq!(
        relay.deliveries()[0]["state"],
        "delivered",
        "the send in flight was finished"
    );
}

#[test]
fn second_sigterm_ends_relay_at_once() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::After(Duration::from_secs(40)));
    let mut relay = Relay::started(&to_hook(&hook, "timeout = \"60s\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    relay.signal(Signal::TERM);
    wait_until("it drains", || relay.log().contains("stopping"));
    assert_eq!(relay.stop().code(), Some(0));
    assert_eq!(
        relay.deliveries()[0]["state"],
        "sending",
        "unfinished work is in the store"
    );
}

#[test]
fn sighup_applies_changed_rule_and_refuses_invalid_one() {
    let (first, second) = (Receiver::answering("{}"), Receiver::answering("{}"));
    let config = |send_to: &str| {
        Relay::config(&format!(
            "[destinations.first]\nkind = \"webhook\"\nurl = \"{}\"\n[destinations.second]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]\nname = \"all\"\nsend_to = {send_to}\n",
            first.url("/"),
            second.url("/"),
        ))
    };
    let relay = Relay::started(&config("\"first\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    first.wait_for(1);

    relay.write("relay.toml", &config("\"second\""));
    relay.signal(Signal::HUP);
    relay.wait_for_log("configuration reloaded");
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    second.wait_for(1);

    relay.write("relay.toml", &config("\"secnod\""));
    relay.signal(Signal::HUP);
    relay.wait_for_log("failed to reload configuration");
    assert_eq!(relay.push(&Feedback::fault(3)).status, 200);
    second.wait_for(2);
    assert_eq!(first.received().len(), 1);
    let status = relay.get("/status").json();
    assert_eq!(status["ok"], false);
    assert_eq!(status["problems"][0]["kind"], "reload_refused", "{status}");
}

#[test]
fn orphaned_delivery_follows_renamed_destination() {
    let hook = Receiver::answering("{}");
    let old = to_hook(&hook, "");
    let relay = Relay::started(&old);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    let event = relay.deliveries()[0]["event_id"].clone();
    let event = event.as_str().expect("an id");

    relay.write("old.toml", &old);
    let other = old
        .replace("\"hook\"", "\"other\"")
        .replace("[destinations.hook]", "[destinations.other]");
    relay.write("relay.toml", &other);
    relay.signal(Signal::HUP);
    relay.wait_for_log("configuration reloaded");
    // The replay simulates an event that was in the store's queue during the reload.
    let late = relay.run(&["--config", "old.toml", "events", "replay", event]);
    assert_eq!(late.code(), 0, "{late:?}");
    let told = "feedback_relay_notices_total{kind=\"destination_missing\"} 1";
    wait_until("the operator is notified", || {
        relay.get("/metrics").text().contains(told)
    });
    assert_eq!(relay.deliveries()[0]["state"], "pending");

    let renamed = "[destinations.other]\nwas = \"hook\"";
    relay.write(
        "relay.toml",
        &other.replace("[destinations.other]", renamed),
    );
    relay.signal(Signal::HUP);
    assert_eq!(hook.wait_for(2).len(), 2);
}

#[test]
fn reload_that_would_strand_messages_is_refused() {
    let (hook, ops) = (Receiver::answering("{}"), Receiver::answering("{}"));
    hook.always(Reply::status(503));
    let good = to_hook(&hook, "")
        + &format!(
            "[destinations.ops]\nkind = \"webhook\"\nurl = \"{}\"\n[operator]\nnotify = \"ops\"\n",
            ops.url("/")
        );
    let relay = Relay::started(&good);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let without_hook = good
        .replace("[destinations.hook]", "[destinations.other]")
        .replace("\"hook\"", "\"other\"");
    let (half, _) = good.split_once("send_to").expect("a rule");
    let refused = |count: usize| {
        let line = format!("feedback_relay_reloads_total{{result=\"refused\"}} {count}");
        wait_until(&line, || relay.get("/metrics").text().contains(&line));
    };
    let emptied = ["", half, &without_hook];
    for (count, text) in emptied.iter().enumerate() {
        relay.write("relay.toml", text);
        relay.signal(Signal::HUP);
        refused(count + 1);
        assert_eq!(relay.get("/status").json()["ok"], false);
    }
    std::fs::remove_file(relay.path("relay.toml")).expect("it is there");
    relay.signal(Signal::HUP);
    refused(emptied.len() + 1);
    ops.wait_for(1);
    // The old configuration is active: the app accepts events, and waiting deliveries are sent.
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    relay.write("relay.toml", &good);
    relay.signal(Signal::HUP);
    relay.wait_for_log("configuration reloaded");
    hook.always(Reply::status(200));
    relay.wait_until_idle();
    let of_hook = |one: &&serde_json::Value| one["destination"] == "hook";
    let deliveries = relay.deliveries();
    let states = deliveries.iter().filter(of_hook).map(|one| &one["state"]);
    assert!(states.clone().count() == 2 && states.clone().all(|state| state == "delivered"));
    // The operator can force the change.
    relay.write(
        "relay.toml",
        &format!("server.allow_empty = true\n{without_hook}"),
    );
    relay.signal(Signal::HUP);
    wait_until("it is reloaded", || {
        relay.log().matches("configuration reloaded").count() == 2
    });
}

#[test]
fn monitoring_endpoints_report_problems() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    assert_eq!(relay.get("/healthz").status, 200);
    assert_eq!(relay.get("/readyz").status, 200);
    assert_eq!(relay.get("/status").json()["ok"], true);
    hook.always(Reply::status(410));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    wait_until("the stop is told", || {
        relay.get("/status").json()["ok"] == false
    });
    let status = relay.get("/status").json();
    assert_eq!(
        status["problems"][0]["kind"], "destination_stopped",
        "{status}"
    );
    let metrics = relay.get("/metrics").text();
    assert!(
        metrics.contains("feedback_relay_destination_stopped{destination=\"hook\"} 1"),
        "{metrics}"
    );

    // The receiver works again and the relay is notified, so waiting deliveries are sent at once.
    hook.always(Reply::status(200));
    assert_eq!(relay.run(&["destinations", "resume", "hook"]).code(), 0);
    hook.wait_for(2);
    relay.wait_until_idle();
    assert_eq!(relay.get("/status").json()["ok"], true);
}

#[test]
fn second_serve_on_same_store_is_refused() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    let second = relay.run(&["serve"]);
    assert_eq!(second.code(), 1);
    assert!(
        second
            .stderr
            .contains("another feedback-relay is already serving"),
        "{}",
        second.stderr
    );
}

#[test]
fn log_is_json_from_first_line_and_level_follows_reload() {
    let config = |level: &str| {
        let rest = format!(
            "[log]\nformat = \"json\"\nlevel = \"{level}\"\n\
             [destinations.archive]\nkind = \"file\"\npath = \"data/feedback.jsonl\"\n\
             [[rules]]\nname = \"all\"\nsend_to = \"archive\"\n"
        );
        Relay::config(&rest)
    };
    let mut relay = Relay::started(&config("info"));
    // The file contains secrets, which causes a warning.
    relay.wait_for_log("warning[W003]");
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_for_log("event accepted");

    relay.write("relay.toml", &config("error"));
    relay.signal(Signal::HUP);
    wait_until("the level has changed", || {
        relay
            .get("/metrics")
            .text()
            .contains("reloads_total{result=\"ok\"} 1")
    });
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    relay.wait_until_idle();
    assert_eq!(relay.stop().code(), Some(0));
    let log = relay.log();
    assert_eq!(log.matches("event accepted").count(), 1, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            line["took_ms"].is_null() || line["took_ms"].is_u64(),
            "{line}"
        );
    }
}

#[test]
fn open_file_limit_is_raised_at_start() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    let command = "ulimit -S -n 200; exec \"$0\" \"$@\"";
    relay.launch_through(&["/bin/sh", "-c", command]);
    relay.start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relay.pid()));
    let limits = limits.expect("it runs");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .expect("Linux");
    let mut words = line.split_whitespace().skip(3);
    assert_eq!(words.next(), words.next(), "{line}");
}
