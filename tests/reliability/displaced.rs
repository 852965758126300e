//! Tests of store files that are removed, moved or replaced under a running relay. Later events
//! would be lost, so the relay acknowledges none.

use std::path::Path;

use rusqlite::Connection;

use crate::harness::{Feedback, Receiver, Relay, wait_until};
use crate::parts::to_hook;

/// Applies `harm` to the files of a relay, and checks that nothing is acknowledged and everybody is
/// notified. The relay keeps running; whether it still sends current deliveries depends on the
/// harm.
fn refuses_after(harm: impl Fn(&Path)) -> (Relay, Receiver) {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&format!(
        "operator.notify = \"hook\"\n{}",
        to_hook(&hook, "")
    ));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    relay.wait_until_idle();
    harm(relay.folder());
    let refused = relay.push(&Feedback::fault(2));
    assert_eq!(refused.status, 503, "{}", refused.text());
    wait_until("readyz says so", || relay.get("/readyz").status == 503);
    assert_eq!(relay.get("/healthz").status, 200);
    relay.wait_for_log("moved, replaced or overwritten");
    wait_until("the metric says so", || {
        let metrics = relay.get("/metrics").text();
        metrics.contains("\nfeedback_relay_store_in_place 0\n")
    });
    let status = relay.get("/status").text();
    assert!(status.contains("relay.db"), "{status}");
    (relay, hook)
}

#[test]
fn removed_store_acknowledges_nothing() {
    let (mut relay, _hook) = refuses_after(|folder| {
        std::fs::remove_dir_all(folder.join("data")).expect("a folder");
    });
    assert_eq!(relay.stop().code(), Some(0));
    // The next start creates a new store and accepts the refused events.
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn moved_database_is_used_again_when_back() {
    let (mut relay, hook) = refuses_after(|folder| {
        std::fs::rename(folder.join("data/relay.db"), folder.join("moved")).expect("a file");
    });
    // The notice is sent from the file that is still open.
    let notice = hook.wait_for(2);
    assert!(notice[1].text().contains("store_displaced"));
    std::fs::rename(relay.path("moved"), relay.path("data/relay.db")).expect("it is there");
    wait_until("it takes events again", || {
        relay.push(&Feedback::fault(2)).status == 200
    });
    relay.wait_for_log("in place again");
    wait_until("readyz says so", || relay.get("/readyz").status == 200);
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn replaced_database_is_not_used() {
    let (mut relay, _hook) = refuses_after(|folder| {
        let database = folder.join("data/relay.db");
        std::fs::copy(&database, folder.join("copy")).expect("a file");
        std::fs::rename(folder.join("copy"), &database).expect("a file");
    });
    let replaced = std::fs::read(relay.path("data/relay.db")).expect("a file");
    assert_eq!(relay.push(&Feedback::fault(3)).status, 503);
    assert_eq!(relay.stop().code(), Some(0));
    let after = std::fs::read(relay.path("data/relay.db")).expect("a file");
    assert_eq!(replaced, after);
}

#[test]
fn emptied_database_is_detected() {
    refuses_after(|folder| {
        std::fs::File::create(folder.join("data/relay.db")).expect("a file");
    });
}

#[test]
fn renamed_folder_is_detected() {
    let (mut relay, _hook) = refuses_after(|folder| {
        std::fs::rename(folder.join("data"), folder.join("old")).expect("a folder");
    });
    std::fs::rename(relay.path("old"), relay.path("data")).expect("a folder");
    wait_until("it takes events again", || {
        relay.push(&Feedback::fault(2)).status == 200
    });
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn backup_copied_over_database_acknowledges_nothing() {
    let (mut relay, _hook) = refuses_after(|folder| {
        // A copy without the latest events, as an old backup is.
        let database = folder.join("data/relay.db");
        let connection = Connection::open(&database).expect("a database");
        let backup = folder.join("backup.db");
        let name = backup.to_str().expect("UTF-8");
        connection
            .execute("VACUUM INTO ?1", [name])
            .expect("a backup");
        std::fs::copy(&backup, &database).expect("a file");
    });
    let copied = std::fs::read(relay.path("data/relay.db")).expect("a file");
    for number in 3..6 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 503);
    }
    relay.wait_for_log("restore a backup");
    assert_eq!(relay.stop().code(), Some(0));
    let left = std::fs::read(relay.path("data/relay.db")).expect("a file");
    assert!(left == copied, "the log was moved into the copy");
    // As the message says.
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(relay.path(&format!("data/relay.db{suffix}"))).ok();
    }
    relay.start();
    for number in 1..6 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
}

#[test]
fn emptied_log_is_reported_before_next_event() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    // A snapshot keeps the log from being emptied by the relay.
    let reader = Connection::open(relay.path("data/relay.db")).expect("a database");
    reader
        .execute_batch("BEGIN; SELECT * FROM meta LIMIT 1")
        .expect("a snapshot");
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    relay.wait_until_idle();
    std::fs::File::create(relay.path("data/relay.db-wal")).expect("a file");
    relay.wait_for_log("moved, replaced or overwritten");
    assert_eq!(relay.push(&Feedback::fault(2)).status, 503);
}
