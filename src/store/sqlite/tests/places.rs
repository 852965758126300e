//! Files that are removed, moved or replaced while the store is open; paths that are symbolic links.

use std::path::{Path, PathBuf};

use super::{Bench, LEASE};
use crate::model::Severity;
use crate::store::{Accepted, Settings, Store, StoreError, StoreLocation};

fn beside(bench: &Bench, suffix: &str) -> PathBuf {
    let mut name = bench.path().into_os_string();
    name.push(suffix);
    name.into()
}

async fn accept(bench: &Bench, id: &str) -> Result<Accepted, StoreError> {
    let arrival = bench.arrival(id, &[("oncall", Severity::Info)]);
    bench.store().accept(arrival).await
}

/// Asserts that an event is not acknowledged, and that the error names the file.
async fn assert_refused(bench: &Bench, id: &str, path: &Path) {
    let file = path.file_name().unwrap().to_str().unwrap();
    for refused in [
        accept(bench, id).await.map(|_accepted| ()),
        bench.store().probe().await,
        bench.store().check_place().await,
    ] {
        let reason = refused.unwrap_err().to_string();
        assert!(reason.contains(file), "{reason}");
    }
}

#[tokio::test]
async fn store_with_moved_files_acknowledges_nothing() {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let bench = Bench::new();
        accept(&bench, "e1").await.unwrap();
        let (path, elsewhere) = (beside(&bench, suffix), beside(&bench, ".elsewhere"));
        std::fs::rename(&path, &elsewhere).unwrap();
        assert_refused(&bench, "e2", &path).await;
        std::fs::write(&path, "").unwrap();
        assert_refused(&bench, "e2", &path).await;
        std::fs::rename(&elsewhere, &path).unwrap();
        assert!(accept(&bench, "e2").await.is_ok(), "{suffix}: it is back");
        assert_eq!(bench.store().check_place().await, Ok(()));
    }
}

fn empty(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
}

#[tokio::test]
async fn emptied_database_acknowledges_nothing() {
    let bench = Bench::new();
    accept(&bench, "e1").await.unwrap();
    empty(&bench.path());
    assert_refused(&bench, "e2", &bench.path()).await;
}

/// Reads a snapshot, so that the log is neither emptied nor restarted.
fn snapshot(bench: &Bench) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(bench.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM meta LIMIT 1")
        .unwrap();
    reader
}

#[tokio::test]
async fn emptied_log_acknowledges_nothing() {
    let bench = Bench::new();
    let _reader = snapshot(&bench);
    accept(&bench, "e1").await.unwrap();
    let log = beside(&bench, "-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    empty(&log);
    let refused = accept(&bench, "e2").await.unwrap_err().to_string();
    assert!(refused.contains("-wal"), "{refused}");
    assert!(bench.store().check_place().await.is_err());
}

#[tokio::test]
async fn log_emptied_by_another_command_is_in_place() {
    let bench = Bench::new();
    for number in 0..20 {
        accept(&bench, &format!("e{number}")).await.unwrap();
        let other = rusqlite::Connection::open(bench.path()).unwrap();
        let mode = "PRAGMA wal_checkpoint(TRUNCATE)";
        other.query_row(mode, [], |_| Ok(())).unwrap();
        assert_eq!(bench.store().check_place().await, Ok(()));
    }
}

#[tokio::test]
async fn store_with_moved_folder_still_completes_deliveries() {
    let bench = Bench::new();
    accept(&bench, "e1").await.unwrap();
    // Opens a reader connection, as the relay's workers have.
    bench.store().stats().await.unwrap();
    let folder = bench.path().parent().unwrap().to_owned();
    std::fs::rename(&folder, bench.dir.path().join("moved")).unwrap();
    assert_refused(&bench, "e2", &bench.path()).await;
    let notice = bench.arrival("notice", &[("oncall", Severity::Info)]);
    assert!(bench.store().accept_notice(notice).await.is_ok());
    let leases = bench.store().lease_due(&"oncall".into(), 9, LEASE).await;
    assert!(leases.unwrap().len() >= 2, "the event and the notice");
}

#[tokio::test]
async fn a_symbolic_link_leads_to_the_folder_of_its_target() {
    let mut bench = Bench::new();
    accept(&bench, "e1").await.unwrap();
    bench.close();
    let link = bench.dir.path().join("link.db");
    std::os::unix::fs::symlink("data/relay.db", &link).unwrap();
    let settings = Settings {
        location: StoreLocation::Sqlite(link.clone()),
        ..bench.settings()
    };
    let store = Store::open(&settings, bench.clock()).unwrap();
    let repeat = store.accept(bench.arrival("e1", &[])).await;
    assert!(matches!(repeat, Ok(Accepted::Repeat(_))), "{repeat:?}");
    let names: Vec<_> = std::fs::read_dir(bench.dir.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "nothing is made beside the link");
    // It is also locked under its real name.
    assert!(Store::open(&bench.settings(), bench.clock()).is_err());
    Store::open_for_command(&settings, bench.clock()).unwrap();
    std::fs::remove_file(&link).unwrap();
    assert!(store.check_place().await.is_err(), "the link leads nowhere");
}

/// Overwrites a file in place, like `cp` some seconds later.
fn copy_over(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    written_later(to);
}

/// Makes the latest write to a file some seconds later. File times are coarse.
fn written_later(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let later = std::time::Duration::from_secs(2);
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written + later).unwrap();
}

/// Moves the log into the database and empties it, as a command does.
fn empty_by(other: &rusqlite::Connection, bench: &Bench) {
    let mode = "PRAGMA wal_checkpoint(TRUNCATE)";
    other.query_row(mode, [], |_| Ok(())).unwrap();
    written_later(&bench.path());
}

/// Waits until the log was moved into the database and emptied.
async fn tidied(bench: &Bench) {
    let log = beside(bench, "-wal");
    while std::fs::metadata(&log).unwrap().len() > 0 {
        tokio::task::yield_now().await;
    }
    // The next command runs after that.
    let leases = bench.store().lease_due(&"nobody".into(), 1, LEASE).await;
    assert!(leases.unwrap().is_empty());
}

#[tokio::test]
async fn copy_over_open_database_stops_acknowledging() {
    for raw in [false, true] {
        for is_tidy in [false, true] {
            let mut bench = Bench::new();
            let copy = bench.dir.path().join("copy");
            accept(&bench, "e1").await.unwrap();
            if raw {
                std::fs::copy(bench.path(), &copy).unwrap();
            } else {
                let target = StoreLocation::Sqlite(copy.clone());
                bench.store().backup(&target).await.unwrap();
            }
            accept(&bench, "e2").await.unwrap();
            if is_tidy {
                tidied(&bench).await;
            }
            copy_over(&copy, &bench.path());
            let copied = std::fs::read(bench.path()).unwrap();
            assert_refused(&bench, "e3", &bench.path()).await;
            // It stays refused, and the copy is not mixed with the log.
            assert_refused(&bench, "e4", &bench.path()).await;
            bench.close();
            let left = std::fs::read(bench.path()).unwrap();
            assert!(left == copied, "raw: {raw}, tidy: {is_tidy}");
        }
    }
}

#[tokio::test]
async fn own_and_foreign_checkpoints_are_in_place() {
    let bench = Bench::new();
    let other = rusqlite::Connection::open(bench.path()).unwrap();
    for number in 0..40 {
        accept(&bench, &format!("e{number}")).await.unwrap();
        let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][number % 4];
        let mode = format!("PRAGMA wal_checkpoint({mode})");
        other.query_row(&mode, [], |_| Ok(())).unwrap();
        if number % 10 == 0 {
            tidied(&bench).await;
        }
        let in_place = bench.store().check_place().await;
        assert_eq!(in_place, Ok(()), "{number}");
    }
}

#[tokio::test]
async fn erasures_of_another_command_are_in_place() {
    let bench = Bench::new();
    let other = rusqlite::Connection::open(bench.path()).unwrap();
    accept(&bench, "e1").await.unwrap();
    tidied(&bench).await;
    for number in 0..5 {
        other
            .execute_batch("UPDATE meta SET value = value")
            .unwrap();
        empty_by(&other, &bench);
        // This looks at an empty log.
        assert_eq!(bench.store().check_place().await, Ok(()), "{number}");
    }
    assert!(accept(&bench, "e2").await.is_ok());
}

#[tokio::test]
async fn own_commit_to_an_empty_log_may_be_moved_by_another_command() {
    let bench = Bench::new();
    let other = rusqlite::Connection::open(bench.path()).unwrap();
    for number in 0..5 {
        accept(&bench, &format!("e{number}")).await.unwrap();
        empty_by(&other, &bench);
        assert_eq!(bench.store().check_place().await, Ok(()), "{number}");
    }
}

#[tokio::test]
async fn emptied_log_is_detected_without_commit() {
    let bench = Bench::new();
    let _reader = snapshot(&bench);
    accept(&bench, "e1").await.unwrap();
    empty(&beside(&bench, "-wal"));
    let checked = bench.store().check_place().await;
    let error = checked.unwrap_err().to_string();
    assert!(error.contains("-wal"), "{error}");
}
