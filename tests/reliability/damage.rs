//! Tests of a store damaged by a crash, a disk or a person: torn and garbage tails of the log, and
//! pages of the database file.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::parts::{alone, assert_whole, count, event_number, form, journal, say, to_hook};

const CHECKPOINTED: u64 = 20;
const IN_LOG: u64 = 30;

/// The state after a kill: a database with the first events and a log with the others, none of them
/// delivered.
struct Killed {
    relay: Relay,
    config: String,
    hook: Receiver,
}

impl Killed {
    fn new() -> Self {
        let hook = Receiver::answering("{}");
        hook.always(Reply::status(503));
        let config = to_hook(&hook, "");
        let mut relay = Relay::started(&config);
        for number in 0..CHECKPOINTED {
            assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        }
        // A clean stop moves the log into the database.
        assert_eq!(relay.stop().code(), Some(0));
        let tables = journal(&relay.path("data/relay.db"));
        assert_eq!(
            count(&tables, "SELECT count(*) FROM events"),
            20,
            "checkpointed"
        );
        drop(tables);
        relay.start();
        for number in CHECKPOINTED..CHECKPOINTED + IN_LOG {
            assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        }
        relay.kill();
        hook.always(Reply::status(200));
        Self {
            relay,
            config,
            hook,
        }
    }

    fn log(&self) -> Vec<u8> {
        std::fs::read(self.relay.path("data/relay.db-wal")).expect("a log")
    }

    /// Prepares another relay with a copy of the store in which `file` is replaced.
    fn copied(&self, file: &str, bytes: &[u8]) -> Relay {
        let copy = Relay::prepared(&self.config);
        std::fs::create_dir(copy.path("data")).expect("a folder");
        for name in ["relay.db", "relay.db-wal"] {
            let from = self.relay.path("data").join(name);
            std::fs::copy(from, copy.path("data").join(name)).expect("a copy");
        }
        std::fs::write(copy.path("data").join(file), bytes).expect("a file");
        copy
    }
}

/// Returns the events in a store, in the order of acceptance.
fn held(path: &Path) -> Vec<u64> {
    let conn = journal(path);
    let mut query = conn
        .prepare("SELECT id FROM events WHERE id LIKE 'ev-%' ORDER BY seq")
        .expect("a query");
    let ids = query.query_map([], |row| row.get::<_, String>(0));
    ids.expect("rows")
        .map(|id| event_number(&id.expect("an id")))
        .collect()
}

fn damaged(log: &[u8], round: u64, chance: &mut fastrand::Rng) -> Vec<u8> {
    let at = chance.usize(..log.len());
    let mut bytes = log.to_vec();
    match round % 4 {
        // Torn: the last writes never reached the disk.
        0 => bytes.truncate(at),
        // A sector with random content.
        1 => bytes[at..]
            .iter_mut()
            .take(512)
            .for_each(|b| *b = chance.u8(..)),
        // The file system kept the length but lost the content.
        2 => bytes[at..].fill(0),
        // Remains of earlier content.
        _ => bytes.extend((0..chance.usize(1..20_000)).map(|_| chance.u8(..))),
    }
    bytes
}

fn assert_plain_refusal(relay: &Relay, words: &[&str]) {
    let output = relay.run(&["serve"]);
    assert_eq!(output.code(), 1, "{output:?}");
    let said = output.stderr;
    assert!(!said.contains("panicked"), "{said}");
    assert!(words.iter().any(|word| said.contains(word)), "{said}");
}

#[test]
fn damaged_log_tail_loses_only_later_events() {
    let killed = Killed::new();
    let log = killed.log();
    let mut chance = fastrand::Rng::with_seed(7);
    let rounds = form(12, 120);
    let mut kept = BTreeSet::new();
    for round in 0..rounds {
        let bytes = damaged(&log, round, &mut chance);
        let mut copy = killed.copied("relay.db-wal", &bytes);
        // The start always succeeds, because SQLite treats incomplete parts of a log as never
        // committed.
        copy.start();
        assert_eq!(copy.push(&Feedback::fault(900)).status, 200);
        assert_eq!(copy.stop().code(), Some(0));
        assert!(!copy.log().contains("panicked"), "{}", copy.log());
        let mut held = held(&copy.path("data/relay.db"));
        assert_eq!(held.pop(), Some(900), "what came after the damage");
        let whole: Vec<u64> = (0..held.len() as u64).collect();
        assert_eq!(held, whole, "an unbroken beginning of what was taken");
        assert!(
            held.len() as u64 >= CHECKPOINTED,
            "what was in the database stays"
        );
        if round % 4 == 3 {
            assert_eq!(
                held.len() as u64,
                CHECKPOINTED + IN_LOG,
                "garbage behind the end"
            );
        }
        kept.insert(held.len());
    }
    assert!(!killed.hook.received().is_empty(), "and is delivered");
    say(&format!(
        "damaged logs: {rounds} opened, each with an unbroken beginning of {} to {} of the {} events",
        kept.first().expect("some"),
        kept.last().expect("some"),
        CHECKPOINTED + IN_LOG
    ));
}

#[test]
fn damaged_database_is_refused_and_unchanged() {
    let _alone = alone();
    let mut killed = Killed::new();
    killed.relay.start();
    assert_eq!(killed.relay.stop().code(), Some(0));
    let database = std::fs::read(killed.relay.path("data/relay.db")).expect("a database");
    let pages = database.len() / 4096;
    let mut chance = fastrand::Rng::with_seed(8);
    let (rounds, mut refused, mut harmless) = (form(10, 100), 0, 0);
    for _ in 0..rounds {
        let page = chance.usize(1..pages) * 4096;
        let mut bytes = database.clone();
        bytes[page..page + 4096]
            .iter_mut()
            .for_each(|b| *b = chance.u8(..));
        let copy = Relay::prepared(&killed.config);
        copy.write("data/relay.db", "");
        let path: PathBuf = copy.path("data/relay.db");
        std::fs::write(&path, &bytes).expect("a file");
        let output = copy.run(&["events", "list", "--limit", "1"]);
        assert!(!output.stderr.contains("panicked"), "{output:?}");
        if journal_is_whole(&path) {
            harmless += 1; // a free page
            continue;
        }
        assert_plain_refusal(&copy, &["damaged"]);
        let left = std::fs::read(&path).expect("it is there");
        assert!(left == bytes, "a refused store was written to");
        refused += 1;
    }
    assert!(refused > rounds / 2, "{refused} of {rounds}");
    say(&format!(
        "corrupt pages: {refused} of {rounds} refused in plain words and left as they were, {harmless} on free pages"
    ));
}

#[test]
fn damage_while_running_is_reported_and_backup_restores() {
    let _alone = alone();
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    for number in 0..20 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    relay.wait_until_idle();
    let backup = relay.path("backup");
    let said = relay.run(&["backup", backup.to_str().expect("UTF-8")]);
    assert_eq!(said.code(), 0, "{said:?}");

    let database = relay.path("data/relay.db");
    damage_table(&database, "event_ids");
    let asked = Instant::now();
    let answer = relay.push(&Feedback::fault(20));
    let took = asked.elapsed();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("15"));
    relay.wait_for_log("malformed");
    // A probe from before the damage is valid for a second.
    wait_until("readyz says so", || relay.get("/readyz").status == 503);
    let said = relay.get("/readyz").text();
    assert!(said.contains("malformed"), "{said}");
    assert_eq!(relay.get("/healthz").status, 200);
    assert_eq!(relay.stop().code(), Some(0));
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
    assert_plain_refusal(&relay, &["damaged"]);
    assert_eq!(
        held(&database),
        (0..20).collect::<Vec<_>>(),
        "nothing of it"
    );

    std::fs::copy(backup.join("relay.db"), &database).expect("a copy");
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(20)).status, 200);
    relay.wait_until_idle();
    assert_eq!(relay.stop().code(), Some(0));
    assert_whole(&database);
    assert_eq!(held(&database), (0..=20).collect::<Vec<_>>());
    say(&format!(
        "a page damaged while it runs: refused within {took:?}, and readyz says so"
    ));
}

/// Overwrites the first page of a table while others have the store open, and makes them read it
/// again.
fn damage_table(path: &Path, table: &str) {
    let conn = journal(path);
    let page = count(
        &conn,
        &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"),
    );
    // Another connection's commit invalidates caches, and a checkpoint moves the page into the
    // file.
    conn.execute_batch("CREATE TABLE elsewhere (x); DROP TABLE elsewhere")
        .expect("it can be written to");
    wait_until("the log is moved", || {
        let left = "PRAGMA wal_checkpoint(TRUNCATE)";
        count(&conn, left) == 0
    });
    drop(conn);
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let offset = (u64::try_from(page).expect("a page") - 1) * 4096;
    file.expect("a file")
        .write_all_at(&[0xff; 4096], offset)
        .expect("it is written");
}

fn journal_is_whole(path: &Path) -> bool {
    let verdict = journal(path).query_row("PRAGMA integrity_check(1)", [], |row| {
        row.get::<_, String>(0)
    });
    verdict.is_ok_and(|verdict| verdict == "ok")
}
