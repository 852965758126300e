//! Tests `kill -9` during a storm of equal reports: an incident counts each report once, and has one
//! message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Feedback, Feishu, Relay, wait_until};
use crate::parts::{alone, assert_whole, count, form, free_port, journal, push_to, say};

/// The number of concurrent clients.
const LANES: u64 = 4;
/// The pause of a client between two pushes.
const PACE: Duration = Duration::from_millis(15);

fn config(port: u16, feishu: &Feishu) -> String {
    let config = Relay::config(&format!(
        "{}backfill = \"off\"\n\
         [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"room\"\n",
        feishu.app_keys()
    ));
    config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
}

/// Pushes crash reports until `reports` are accepted. Each is pushed until the answer is 200.
fn push_reports(address: &str, reports: u64, next: &AtomicU64, accepted: &AtomicU64) {
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= reports {
            return;
        }
        let report = Feedback::fault(number).with("fault_type", json!([5]));
        while !push_to(address, &report).is_ok_and(|answer| answer.status == 200) {
            thread::sleep(PACE); // the platform resends later too
        }
        accepted.fetch_add(1, Ordering::SeqCst);
        thread::sleep(PACE); // a moderate load
    }
}

#[test]
fn killed_incident_counts_exactly_in_one_message() {
    let _alone = alone();
    let feishu = Feishu::with_chats(&["oc_room"]);
    let port = free_port();
    let mut relay = Relay::prepared(&config(port, &feishu));
    let kills: u64 = form(4, 40);
    let reports = (kills + 1) * 60;
    let address = format!("127.0.0.1:{port}");
    let (next, accepted) = (AtomicU64::new(0), AtomicU64::new(0));
    relay.start();
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| push_reports(&address, reports, &next, &accepted));
        }
        for kill in 1..=kills {
            wait_until("more reports are accepted", || {
                accepted.load(Ordering::SeqCst) >= kill * 60
            });
            relay.kill();
            relay.start();
        }
    });
    let shown = format!("\"{reports} 份反馈");
    wait_until("the message shows all reports", || {
        let messages = feishu.messages("oc_room");
        messages
            .iter()
            .any(|one| one.content.to_string().contains(&shown))
    });
    relay.wait_until_idle();
    assert_eq!(relay.stop().code(), Some(0));

    // The platform detects repeats by key, so each message is there once.
    assert_eq!(feishu.messages("oc_room").len(), 6);
    let conn = journal(&relay.path("data/relay.db"));
    for (query, expected) in [
        ("SELECT count(*) FROM incidents", 1),
        ("SELECT count FROM incidents", reports),
        ("SELECT people FROM incidents", 1),
        ("SELECT count(*) FROM incident_events", reports),
        (
            "SELECT count(*) FROM deliveries WHERE state = 'merged'",
            reports - 5,
        ),
        (
            "SELECT count(*) FROM deliveries WHERE trigger = 'event' AND state = 'delivered'",
            5,
        ),
        (
            "SELECT count(*) FROM deliveries WHERE trigger = 'incident'",
            1,
        ),
    ] {
        let expected = i64::try_from(expected).expect("few");
        assert_eq!(count(&conn, query), expected, "{query}");
    }
    assert_whole(&relay.path("data/relay.db"));
    say(&format!(
        "incident: kill -9 {kills} times in {reports} equal reports; all counted once, in one message"
    ));
}
