//! The writing thread: many commands per commit, and each failure on its own.

use std::sync::Arc;

use super::super::IfAbandoned;
use super::super::engine::command_queue::QUEUE_MAX;
use super::super::engine::connection::{BUSY_TIMEOUT, LEFT_PAGES};
use super::super::engine::writer::BATCH_MAX;
use super::{Bench, LEASE};
use crate::model::Severity;
use crate::store::{Accepted, EventFilter, Store, StoreError};

fn log(bench: &Bench) -> Vec<u8> {
    let mut log = bench.path().into_os_string();
    log.push("-wal");
    std::fs::read(log).unwrap()
}

/// Returns the number of commits in the write-ahead log. After a header of 32 bytes it has frames of 24
/// bytes and a page. The last frame of a commit holds the database size. Source: SQLite's "WAL-mode File
/// Format".
fn commits(bench: &Bench) -> usize {
    let log = log(bench);
    let frames = log.get(32..).unwrap_or_default().chunks_exact(24 + 4096);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

async fn count_events(store: &Store) -> usize {
    let all = EventFilter {
        limit: 1000,
        ..EventFilter::default()
    };
    store.events(all).await.unwrap().len()
}

/// Keeps the writing thread busy until the returned sender is dropped.
fn hold(
    store: &Store,
) -> (
    std::sync::mpsc::Sender<()>,
    impl Future<Output = Result<(), StoreError>> + use<>,
) {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let database = Arc::clone(&store.database);
    let held = async move {
        database
            .write(IfAbandoned::Run, move |_| {
                wait.recv().ok();
                Ok(())
            })
            .await
    };
    (go, held)
}

#[tokio::test]
async fn sixty_four_producers_share_commits() {
    let bench = Bench::new();
    let mut tasks = tokio::task::JoinSet::new();
    for producer in 0..64 {
        let store = bench.store().clone();
        let arrivals: Vec<_> = (0..8)
            .map(|n| bench.arrival(&format!("e{producer}-{n}"), &[("oncall", Severity::Info)]))
            .collect();
        tasks.spawn(async move {
            for arrival in arrivals {
                let accepted = store.accept(arrival).await;
                assert!(matches!(accepted, Ok(Accepted::New(_))));
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(count_events(bench.store()).await, 512);
    let commits = commits(&bench);
    assert!(
        commits > 0 && commits < 256,
        "{commits} commits for 512 events"
    );
}

#[tokio::test]
async fn a_full_queue_answers_at_once() {
    let bench = Bench::new();
    let (go, held) = hold(bench.store());
    let mut acts = tokio::task::JoinSet::from_iter([held]);
    for _ in 0..2 * QUEUE_MAX {
        let store = bench.store().clone();
        acts.spawn(async move { store.probe().await });
    }
    // While the writer is held, only refusals are answered: all commands except those in its batch and
    // the queue.
    const REFUSED: usize = QUEUE_MAX - BATCH_MAX;
    for _ in 0..REFUSED {
        let answer = acts.join_next().await.unwrap().unwrap();
        assert_eq!(answer, Err(StoreError::Busy));
    }
    drop(go);
    let answers = acts.join_all().await;
    let busy = |answer: &&Result<_, _>| **answer == Err(StoreError::Busy);
    assert!(answers.iter().all(|answer| answer.is_ok() || busy(&answer)));
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(done >= QUEUE_MAX, "{done} done");
    assert_eq!(bench.store().probe().await, Ok(()));
}

#[tokio::test]
async fn failing_or_panicking_command_fails_alone() {
    let bench = Bench::new();
    let database = &bench.store().database;
    let (go, held) = hold(bench.store());
    let arrivals = [bench.arrival("before", &[]), bench.arrival("after", &[])];
    let [before, after] = arrivals.map(|arrival| bench.store().accept(arrival));
    let half = "INSERT INTO meta (name, value) VALUES ('half', x'00')";
    let fails = database.write(IfAbandoned::Run, |tx| {
        tx.execute(half, [])?;
        tx.execute("INSERT INTO meta (name, value) VALUES (NULL, NULL)", [])
    });
    let panics = database.write(IfAbandoned::Run, |tx| -> rusqlite::Result<()> {
        tx.execute(half, [])?;
        panic!("on purpose")
    });
    let release = async { drop(go) };
    let (held, before, fails, panics, after, ()) =
        tokio::join!(held, before, fails, panics, after, release);
    assert_eq!(held, Ok(()));
    assert!(matches!(
        (before, after),
        (Ok(Accepted::New(_)), Ok(Accepted::New(_)))
    ));
    assert!(matches!(fails, Err(StoreError::Unavailable(_))));
    assert!(matches!(panics, Err(StoreError::Unavailable(_))));
    assert_eq!(count_events(bench.store()).await, 2);
    let halves = database.read(|conn| {
        conn.query_row("SELECT count(*) FROM meta WHERE name = 'half'", [], |row| {
            row.get(0)
        })
    });
    assert_eq!(halves.await, Ok(0));
}

#[tokio::test]
async fn failed_commit_fails_its_batch_and_the_next_works() {
    let bench = Bench::new();
    let database = &bench.store().database;
    let (go, held) = hold(bench.store());
    let accepted = bench.store().accept(bench.arrival("e1", &[]));
    // A constraint that fails only at COMMIT.
    let breaks = database.write(IfAbandoned::Run, |tx| {
        tx.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO bodies (event_seq, body) VALUES (999, '')",
        )
    });
    let release = async { drop(go) };
    let (held, accepted, breaks, ()) = tokio::join!(held, accepted, breaks, release);
    // The held command may have its own commit; the two behind it share one.
    drop(held);
    assert!(matches!(accepted, Err(StoreError::Unavailable(_))));
    assert!(matches!(breaks, Err(StoreError::Unavailable(_))));
    assert_eq!(count_events(bench.store()).await, 0);
    bench.accept(bench.arrival("e1", &[])).await;
}

#[tokio::test]
async fn full_disk_is_reported_and_recovers() {
    let bench = Bench::new();
    let limit = async |pages: &'static str| {
        let set = bench.store().database.write(IfAbandoned::Run, move |tx| {
            tx.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        });
        set.await.unwrap();
    };
    // The limit cannot be below the file's size, so fill the file up to it.
    limit("1").await;
    let mut refused = None;
    for n in 0..200 {
        let accepted = bench
            .store()
            .accept(bench.arrival(&format!("e{n}"), &[]))
            .await;
        if let Err(error) = accepted {
            refused = Some((n, error));
            break;
        }
    }
    let (stored, error) = refused.expect("the store is full at some time");
    assert_eq!(
        error,
        StoreError::Unavailable("database or disk is full".into())
    );
    assert_eq!(count_events(bench.store()).await, stored);
    limit("1000000").await;
    bench
        .accept(bench.arrival(&format!("e{stored}"), &[]))
        .await;
}

#[tokio::test]
async fn poll_without_work_writes_nothing() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    bench.lease_one("oncall").await;
    let before = log(&bench).len();
    assert!(before > 0);
    for _ in 0..10 {
        assert_eq!(bench.lease("oncall", 9).await.len(), 0);
        assert_eq!(bench.lease_images(9).await, []);
    }
    // Not equal, because on a slow machine the log may have been emptied meanwhile.
    assert!(log(&bench).len() <= before);
}

#[tokio::test]
async fn nothing_is_leased_for_an_abandoned_call() {
    let bench = Bench::new();
    bench.accept_info("e1").await;
    let (go, held) = hold(bench.store());
    let gone = async {
        let destination = "oncall".into();
        let lease = bench.store().lease_due(&destination, 1, LEASE);
        tokio::select! {
            biased;
            _ = lease => panic!("the writer is held"),
            () = tokio::task::yield_now() => drop(go),
        }
    };
    let (held, ()) = tokio::join!(held, gone);
    assert_eq!(held, Ok(()));
    bench.lease_one("oncall").await;
}
/// A long reader, such as a backup, prevents emptying the log. It is emptied afterwards, whether the
/// writer is idle or busy.
#[tokio::test]
async fn erased_text_leaves_the_log_with_the_last_reader() {
    let bench = Bench::new();
    let seq = bench.accept(bench.arrival("menschenwort", &[])).await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (tell, begun) = tokio::sync::oneshot::channel();
    let database = Arc::clone(&bench.store().database);
    let mut reading = tokio::task::JoinSet::new();
    reading.spawn(async move {
        let reads = move |conn: &rusqlite::Connection| {
            conn.query_row("SELECT count(*) FROM bodies", [], |_| Ok(()))?;
            tell.send(()).unwrap();
            wait.recv().ok();
            Ok(())
        };
        database.read(reads).await
    });
    begun.await.unwrap();
    bench.store().erase(seq).await.unwrap();
    let body = "{\"id\":\"menschenwort\"}";
    assert_ne!(
        bench.files_with(body),
        [""; 0],
        "the reader still sees them"
    );
    drop(go);
    assert_eq!(reading.join_all().await, [Ok(())]);
    let gone = async {
        while !bench.files_with(body).is_empty() {
            bench.store().probe().await.unwrap();
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, gone).await.unwrap();
}

/// A command ends before it can empty the log, so the relay does it even while it is busy.
#[tokio::test]
async fn relay_removes_text_erased_by_a_command_from_the_log() {
    let bench = Bench::new();
    let seq = bench.accept(bench.arrival("menschenwort", &[])).await;
    let reader = rusqlite::Connection::open(bench.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM bodies;")
        .unwrap();
    let beside = Store::open_for_command(&bench.settings(), bench.clock()).unwrap();
    beside.erase(seq).await.unwrap();
    assert_eq!(beside.owes_erasure().await, Ok(true));
    drop(beside);
    assert_eq!(bench.store().owes_erasure().await, Ok(true));
    assert_ne!(bench.files_with("menschenwort\"}"), [""; 0]);
    drop(reader);
    let paid = async {
        while bench.store().owes_erasure().await.unwrap() {
            let looks = bench.store().lease_due(&"nobody".into(), 1, LEASE).await;
            assert!(looks.unwrap().is_empty());
        }
    };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, paid).await.unwrap();
    assert_eq!(bench.files_with("menschenwort\"}"), [""; 0]);
}

/// A long log is emptied by another thread, so an erasure does not delay the events behind it.
#[tokio::test]
async fn writer_does_not_empty_a_long_log_for_an_erasure() {
    let bench = Bench::new();
    let seq = bench.accept(bench.arrival("menschenwort", &[])).await;
    let large = |number: usize| {
        let mut arrival = bench.arrival(&format!("e{number}"), &[]);
        arrival.body = Some(crate::model::Private::new("x".repeat(128 << 10)));
        arrival
    };
    let pages = usize::try_from(LEFT_PAGES).unwrap();
    let (go, held) = hold(bench.store());
    // Nothing here leaves the writer idle, because it empties the log then.
    let filled = futures_util::future::join_all(
        (0..=pages / 32).map(|number| bench.store().accept(large(number))),
    );
    let erased = async {
        bench.store().erase(seq).await.unwrap();
        bench.store().owes_erasure().await
    };
    let release = async { drop(go) };
    let (held, filled, owed, ()) = tokio::join!(held, filled, erased, release);
    assert!(held.is_ok() && filled.iter().all(Result::is_ok));
    assert_eq!(owed, Ok(true), "the writer emptied the log itself");
}

/// The time limit is far below that of so many waits for the reader's lock.
#[tokio::test]
async fn erasures_do_not_wait_for_a_reader() {
    const EVENTS: usize = 40;
    let bench = Bench::new();
    let mut events = Vec::new();
    for number in 0..EVENTS {
        let arrival = bench.arrival(&format!("e{number}"), &[]);
        events.push(bench.accept(arrival).await);
    }
    let reader = rusqlite::Connection::open(bench.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM bodies;")
        .unwrap();
    let erased = async {
        for (number, event) in events.into_iter().enumerate() {
            bench.store().erase(event).await.unwrap();
            let next = bench.arrival(&format!("next{number}"), &[]);
            bench.accept(next).await;
        }
    };
    let limit = BUSY_TIMEOUT * u32::try_from(EVENTS / 4).unwrap();
    tokio::time::timeout(limit, erased).await.unwrap();
    drop(reader);
}

/// Workers poll all the time and write nothing.
#[tokio::test]
async fn log_is_emptied_while_workers_poll() {
    let bench = Bench::new();
    bench.accept(bench.arrival("e1", &[])).await;
    let emptied = async {
        while !log(&bench).is_empty() {
            assert_eq!(bench.lease_images(1).await, []);
        }
    };
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, emptied).await.unwrap();
}

/// SQLite alone restarts the log after 128 MB. The relay does so earlier; how much earlier depends on
/// the disk.
#[tokio::test]
async fn log_is_restarted_during_intake() {
    let bench = Bench::new();
    let mut before = [0; 8];
    for number in 0..700 {
        let mut arrival = bench.arrival(&format!("e{number}"), &[]);
        arrival.body = Some(crate::model::Private::new("x".repeat(128 << 10)));
        bench.accept(arrival).await;
        let (salts, length) = log_start(&bench);
        // An idle writer truncates the log, which also restarts it.
        if salts != before && length > 30 << 20 {
            return;
        }
        before = salts;
    }
    panic!("the log was never begun anew in 90 MB");
}

/// Returns the two salts of the log's header, which change when the log restarts, and the file's length
/// in bytes.
fn log_start(bench: &Bench) -> ([u8; 8], u64) {
    use std::os::unix::fs::FileExt as _;
    let mut path = bench.path().into_os_string();
    path.push("-wal");
    let log = std::fs::File::open(path).unwrap();
    let mut salts = [0; 8];
    log.read_exact_at(&mut salts, 16).unwrap();
    (salts, log.metadata().unwrap().len())
}
