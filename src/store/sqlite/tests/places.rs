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

#[tokio::test]
async fn emptied_log_acknowledges_nothing() {
    let bench = Bench::new();
    // A snapshot from before the event, so that the log is not moved into the database and then restarted.
    let reader = rusqlite::Connection::open(bench.path()).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM meta LIMIT 1")
        .unwrap();
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
