//! Tests of `hold` and `stale_after` with the real binary. No test waits for hours: it moves the stored times of a
//! stopped relay back instead.

use std::collections::BTreeSet;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};

/// Returns windows that include now and at least the next 24 hours.
fn long_hours() -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let day = |day: &jiff::Zoned| day.strftime("%a").to_string().to_lowercase();
    let tomorrow = today.tomorrow().expect("a day");
    format!("{},{} UTC", day(&today), day(&tomorrow))
}

/// Returns a configuration with one chat, one program and one rule, which have these keys too.
fn config(chat: &Receiver, hook: &Receiver, of_chat: &str, of_rule: &str) -> String {
    Relay::config(&format!(
        "[templates]\nlocale = \"en\"\n\
         [destinations.oncall]\nkind = \"feishu-bot\"\nurl = \"{}\"\n{of_chat}\n\
         [destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\nsecret = \"whsec_{}\"\n\
         [[rules]]\nname = \"all\"\nsend_to = [\"oncall\", \"hook\"]\n{of_rule}\n",
        chat.url("/open-apis/bot/v2/hook/bot-id"),
        hook.url("/hook"),
        "a".repeat(44),
    ))
}

fn with_state(relay: &Relay, state: &str) -> usize {
    let deliveries = relay.deliveries();
    let found = deliveries.iter().filter(|one| one["state"] == state);
    found.count()
}

/// Changes the store of a relay that does not run.
fn change(relay: &Relay, sql: &str) {
    let conn = Connection::open(relay.path("data/relay.db")).expect("a store");
    conn.execute(sql, []).expect(sql);
}

#[test]
fn held_reports_become_one_message_in_spite_of_kill_reload_and_rename() {
    let chat = Receiver::answering(r#"{"code":0,"msg":"success"}"#);
    let hook = Receiver::answering("{}");
    let hold = format!("hold = \"{}\"", long_hours());
    let mut relay = Relay::started(&config(&chat, &hook, "", &hold));
    for number in 0..4 {
        assert_eq!(relay.push(&Feedback::suggestion(number)).status, 200);
    }
    hook.wait_for(4);
    relay.wait_until_idle();
    assert_eq!(with_state(&relay, "held"), 4);
    let listed = relay.run(&["deliveries", "list", "--state", "held"]).stdout;
    assert!(
        listed.contains("held") && listed.contains("oncall"),
        "{listed}"
    );
    let event = relay.deliveries()[0]["event_id"].clone();
    let shown = relay
        .run(&["events", "show", event.as_str().expect("an id")])
        .stdout;
    assert!(shown.contains("held until "), "{shown}");
    let status = relay.get("/status").json();
    assert_eq!(status["destinations"]["oncall"]["held"], 4, "{status}");
    relay.kill();

    // The rule holds nothing now, and its chat has another name. What is held stays so until its time.
    let renamed = config(&chat, &hook, "was = \"oncall\"", "");
    let renamed = renamed
        .replace("[destinations.oncall]", "[destinations.team]")
        .replace("[\"oncall\",", "[\"team\",");
    relay.write("relay.toml", &renamed);
    relay.start();
    assert_eq!(relay.push(&Feedback::suggestion(9)).status, 200);
    let received = chat.wait_for(1);
    assert!(received[0].text().contains("number 9"), "{received:?}");
    relay.wait_until_idle();
    assert_eq!(with_state(&relay, "held"), 4);
    let held = relay
        .deliveries()
        .into_iter()
        .find(|one| one["state"] == "held")
        .expect("a held delivery");
    assert_eq!(held["destination"], "team");
    let retried = relay.run(&["deliveries", "retry", held["id"].as_str().expect("an id")]);
    assert_eq!(retried.code(), 0, "{retried:?}");
    chat.wait_for(2);
    relay.wait_until_idle();
    relay.kill();

    change(
        &relay,
        "UPDATE deliveries SET due_at = created_at, first_due_at = created_at WHERE state = 'held'",
    );
    relay.start();
    let summary = chat.wait_for(3)[2].text();
    assert!(summary.contains("Held reports: 3 · all"), "{summary}");
    assert!(
        summary.contains(&format!("during {}", long_hours())),
        "{summary}"
    );
    relay.wait_until_idle();
    relay.kill();
    relay.start();
    relay.wait_until_idle();
    assert_eq!(chat.count(), 3, "nothing is sent twice");
    assert_eq!(with_state(&relay, "merged"), 3);
    let received = hook.received();
    let keys: BTreeSet<_> = received
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect();
    assert_eq!(keys.len(), 5);
}

#[test]
fn hold_is_explained_before_it_applies() {
    let (chat, hook) = (Receiver::answering("{}"), Receiver::answering("{}"));
    let relay = Relay::prepared(&config(&chat, &hook, "", "hold = \"22:00-08:00 UTC\""));
    let sample = relay.run(&["events", "sample", "suggestion"]).stdout;
    relay.write("event.json", &sample);
    let tried = |at: &str| relay.run(&["try", "event.json", "--at", at]).stdout;
    let night = tried("2026-03-02T23:10:00Z");
    assert!(night.contains("held until 2026-03-03T08:00"), "{night}");
    let day = tried("2026-03-02T12:10:00Z");
    assert!(!day.contains("held until"), "{day}");
}

#[test]
fn outage_longer_than_stale_after_ends_in_one_summary() {
    let chat = Receiver::answering(r#"{"code":0,"msg":"success"}"#);
    let hook = Receiver::answering("{}");
    chat.always(Reply::status(503));
    let mut relay = Relay::started(&config(&chat, &hook, "stale_after = \"6h\"", ""));
    for number in 0..3 {
        assert_eq!(relay.push(&Feedback::suggestion(number)).status, 200);
    }
    wait_until("each was tried", || {
        let deliveries = relay.deliveries();
        let to_chat = deliveries
            .iter()
            .filter(|one| one["destination"] == "oncall");
        to_chat.filter(|one| one["attempts"] != 0).count() == 3
    });
    relay.signal(Signal::TERM);
    relay.wait();
    let seven_hours = 7 * 3_600_000;
    change(
        &relay,
        &format!(
            "UPDATE deliveries SET created_at = created_at - {seven_hours}, \
             first_due_at = first_due_at - {seven_hours}"
        ),
    );
    let before = chat.count();
    chat.always(Reply::ok(r#"{"code":0,"msg":"success"}"#));
    relay.start();
    let summary = chat.wait_for(before + 1)[before].text();
    assert!(
        summary.contains("Reports that waited too long: 3 · all"),
        "{summary}"
    );
    relay.wait_until_idle();
    assert_eq!(chat.count(), before + 1);
    assert_eq!(with_state(&relay, "merged"), 3);
    let found = relay.run(&["events", "list", "--json"]).stdout;
    let id = found
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|event| event["type"] == "feedback_relay.summary")
        .expect("the summary");
    let id = id["id"].as_str().expect("an id");
    let shown = relay.run(&["events", "show", id]).stdout;
    assert!(shown.contains("the newest events in it: ev-"), "{shown}");
}

#[test]
fn stale_after_of_a_program_is_refused_with_its_line() {
    let (chat, hook) = (Receiver::answering("{}"), Receiver::answering("{}"));
    let wrong = config(&chat, &hook, "", "").replace(
        "[destinations.hook]\n",
        "[destinations.hook]\nstale_after = \"6h\"\n",
    );
    let relay = Relay::prepared(&wrong);
    let checked = relay.run(&["check"]);
    assert_ne!(checked.code(), 0);
    let line = wrong
        .lines()
        .position(|line| line.starts_with("stale_after"));
    let place = format!("relay.toml:{}", line.expect("a line") + 1);
    assert!(checked.stdout.contains(&place), "{checked:?}");
    assert!(checked.stdout.contains("does not apply to programs"));
}
