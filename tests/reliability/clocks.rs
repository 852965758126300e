//! Tests of wall clock jumps by a day, daylight saving changes, and a suspended process.
//!
//! libfaketime (package `faketime`) moves the wall clock. It does not affect the monotonic clock,
//! like a real clock change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::parts::{form, say, to_hook, unavailable};

/// Returns the library's path on this machine's architecture.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut candidates = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    candidates.find(|path| path.exists())
}

/// Starts a relay whose wall clock shows the time in the file `clock`. Returns `None` without
/// libfaketime.
fn with_clock(config: &str, clock: &str) -> Option<Relay> {
    let library = library()?;
    let mut relay = Relay::prepared(config);
    relay.write("clock", clock);
    let file = relay.path("clock");
    relay.set("LD_PRELOAD", library.to_str().expect("UTF-8"));
    relay.set("FAKETIME_TIMESTAMP_FILE", file.to_str().expect("UTF-8"));
    relay.set("FAKETIME_NO_CACHE", "1");
    relay.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    relay.set("DONT_FAKE_MONOTONIC", "1");
    relay.start();
    Some(relay)
}

/// Returns the relay's time to the second: `2026-03-01T02:10:00`.
fn believed(relay: &Relay) -> String {
    let time = relay.get("/status").json()["time"].to_string();
    time.trim_matches('"').chars().take(19).collect()
}

fn jump(relay: &Relay, to: &str) {
    let day: String = believed(relay).chars().take(10).collect();
    relay.write("clock", to);
    wait_until("the clock has jumped", || {
        !believed(relay).starts_with(&day)
    });
}

#[test]
fn wall_clock_jump_of_a_day_blocks_nothing() {
    let hook = Receiver::answering("{}");
    let Some(relay) = with_clock(&to_hook(&hook, ""), "+0") else {
        unavailable("libfaketime is missing (tests/run installs it)");
        return;
    };
    let mut number = 0;
    for to in ["+86400", "+0", "-86400", "+0"] {
        // One delivery waits for its next attempt during the jump, one comes after it.
        hook.always(Reply::status(503));
        let sent = hook.count();
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        hook.wait_for(sent + 1);
        jump(&relay, to);
        hook.always(Reply::status(200));
        assert_eq!(relay.push(&Feedback::fault(number + 1)).status, 200);
        let jumped = Instant::now();
        relay.wait_until_idle();
        say(&format!(
            "clock: at {to} s what waited and what came were delivered within {:.1} s",
            jumped.elapsed().as_secs_f64()
        ));
        number += 2;
    }
    let states = relay.deliveries();
    assert!(
        states.iter().all(|one| one["state"] == "delivered"),
        "{states:?}"
    );
    // Repeats are detected across the jumps too.
    let sent = hook.count();
    assert_eq!(relay.push(&Feedback::fault(0)).status, 200);
    relay.wait_until_idle();
    assert_eq!(hook.count(), sent);
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
}

#[test]
fn daylight_saving_changes_do_not_affect_delivery() {
    let hook = Receiver::answering("{}");
    // In spring New York's clocks change from 01:59:59 to 03:00:00, and in autumn from 01:59:59 to
    // 01:00:00.
    for change in ["@2026-03-08 01:59:57", "@2026-11-01 01:59:57"] {
        let zone = "templates.timezone = \"America/New_York\"\n";
        let config = format!("{zone}{}", to_hook(&hook, ""));
        let Some(relay) = with_zone(&config, change) else {
            unavailable("libfaketime is missing (tests/run installs it)");
            return;
        };
        let sent = hook.count();
        for number in 0..10 {
            assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
            std::thread::sleep(Duration::from_millis(600)); // past the change of the relay's clock
        }
        hook.wait_for(sent + 10);
        relay.wait_until_idle();
        let conn = crate::parts::journal(&relay.path("data/relay.db"));
        let span = "SELECT max(received_at) - min(received_at) FROM events WHERE id LIKE 'ev-%'";
        let span = crate::parts::count(&conn, span);
        assert!((5_000..60_000).contains(&span), "{span} ms");
        let states = relay.deliveries();
        assert!(states.iter().all(|one| one["attempts"] == 1), "{states:?}");
    }
}

fn with_zone(config: &str, clock: &str) -> Option<Relay> {
    let library = library()?;
    let mut relay = Relay::prepared(config);
    relay.set("LD_PRELOAD", library.to_str().expect("UTF-8"));
    relay.set("TZ", "America/New_York");
    relay.set("FAKETIME", clock);
    relay.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    relay.set("DONT_FAKE_MONOTONIC", "1");
    relay.start();
    Some(relay)
}

#[test]
fn suspended_process_repeats_only_with_same_key() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::After(Duration::from_secs(2)));
    let relay = Relay::started(&to_hook(&hook, ""));
    for number in 0..10 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    hook.wait_for(2);
    relay.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(form(8, 130))); // the long form exceeds every lease
    hook.always(Reply::status(200));
    relay.signal(Signal::CONT);
    let asked = Instant::now();
    assert_eq!(relay.push(&Feedback::fault(10)).status, 200);
    let took = asked.elapsed();
    relay.wait_until_idle();
    let received = hook.received();
    let keys: BTreeSet<_> = received
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect();
    assert_eq!(keys.len(), 11, "one key for each event");
    let states = relay.deliveries();
    assert!(
        states.iter().all(|one| one["state"] == "delivered"),
        "{states:?}"
    );
    say(&format!(
        "stopped for a while: the first event after it was taken within {took:?}; {} messages for 11 events",
        received.len()
    ));
}
