//! Opening, refusing to open, migrating and copying.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rusqlite::Connection;

use super::super::engine::connection;
use super::super::engine::migrations::{self, APPLICATION_ID, Found};
use super::{Bench, LEASE};
use crate::store::{DeliveryFilter, OpenError, Settings, Store, StoreError, StoreLocation, Topic};

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut modes: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            (file.file_name().into_string().unwrap(), mode)
        })
        .collect();
    modes.sort();
    modes
}

#[tokio::test]
async fn all_files_are_the_owners_alone() {
    let bench = Bench::new();
    bench.accept(bench.arrival("e1", &[])).await;
    bench
        .store()
        .backup(&StoreLocation::Sqlite(
            bench.dir.path().join("data/copy.db"),
        ))
        .await
        .unwrap();
    let folder = bench.dir.path().join("data");
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    let names = [
        "copy.db",
        "relay.db",
        "relay.db-shm",
        "relay.db-wal",
        "relay.db.lock",
    ];
    assert_eq!(modes(&folder), names.map(|name| (name.to_owned(), 0o600)));
}

/// So the relay can still write its store after an administrator's command.
#[tokio::test]
async fn command_of_root_leaves_files_to_the_owner() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return; // only root can give files away
    }
    let mut bench = Bench::new();
    bench.accept_info("e1").await;
    bench.close();
    let folder = bench.dir.path().join("data");
    let files = || {
        let files = std::fs::read_dir(&folder).unwrap();
        files.map(|file| file.unwrap().path())
    };
    for path in files().chain([folder.clone()]) {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let command = Store::open_for_command(&bench.settings(), bench.clock()).unwrap();
    command.resume(&"oncall".into()).await.unwrap();
    let names: Vec<_> = files()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"relay.db-wal".into()), "{names:?}");
    assert!(names.contains(&"relay.db-shm".into()), "{names:?}");
    for path in files() {
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), NOBODY, "{path:?}");
    }
}

#[tokio::test]
async fn only_one_relay_serves_a_store_and_commands_work_beside_it() {
    let mut bench = Bench::new();
    let second = Store::open(&bench.settings(), bench.clock());
    assert!(
        matches!(second, Err(OpenError::Held(location)) if location == StoreLocation::Sqlite(bench.path()))
    );

    let beside = Store::open_for_command(&bench.settings(), bench.clock()).unwrap();
    let mut changes = bench.store().wakeups(Topic::Destination("oncall".into()));
    bench.accept_info("e1").await;
    let all = DeliveryFilter {
        limit: 9,
        ..DeliveryFilter::default()
    };
    let id = beside.deliveries(all).await.unwrap()[0].id;
    beside.discard(id).await.unwrap();
    changes.mark_unchanged();
    beside.retry(id).await.unwrap();
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), changes.changed()).await;
    told.unwrap().unwrap();
    drop(beside);
    bench.close();
    Store::open(&bench.settings(), bench.clock()).unwrap();
}

/// The files are left as by a killed process: nothing was closed.
#[tokio::test]
async fn acknowledged_events_survive_a_killed_process() {
    let bench = Bench::new();
    for n in 0..20 {
        bench.accept_info(&format!("e{n}")).await;
    }
    let in_flight = bench.lease("oncall", 1).await.remove(0);
    let dir = tempfile::tempdir().unwrap();
    for name in ["relay.db", "relay.db-wal"] {
        std::fs::copy(
            bench.dir.path().join("data").join(name),
            dir.path().join(name),
        )
        .unwrap();
    }
    let settings = Settings {
        location: StoreLocation::Sqlite(dir.path().join("relay.db")),
        ..bench.settings()
    };
    let store = Store::open(&settings, bench.clock()).unwrap();
    let leases = store.lease_due(&"oncall".into(), 99, LEASE).await.unwrap();
    assert_eq!(leases.len(), 20);
    assert!(leases.iter().any(|lease| lease.item == in_flight.item));
}

#[test]
fn command_creates_no_store() {
    let mut bench = Bench::new();
    bench.close();
    std::fs::remove_file(bench.path()).unwrap();
    let open = || Store::open_for_command(&bench.settings(), bench.clock());
    assert!(matches!(open(), Err(OpenError::Missing(_))));
    assert!(!bench.path().exists());
    std::fs::write(bench.path(), "").unwrap();
    assert!(matches!(open(), Err(OpenError::Missing(_))));
}

/// Asserts that both ways of opening fail, and that the file is unchanged.
fn refused(bench: &Bench, expected: impl Fn(&OpenError) -> bool) {
    let before = std::fs::read(bench.path()).unwrap();
    for open in [Store::open, Store::open_for_command] {
        let error = open(&bench.settings(), bench.clock()).err().unwrap();
        assert!(expected(&error), "{error}");
    }
    assert!(std::fs::read(bench.path()).unwrap() == before);
}

#[test]
fn a_newer_store_is_refused() {
    let mut bench = Bench::new();
    bench.close();
    let conn = Connection::open(bench.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 7; PRAGMA journal_mode = DELETE")
        .unwrap();
    drop(conn);
    refused(&bench, |error| {
        matches!(
            error,
            OpenError::Newer {
                found: 7,
                known: 1,
                ..
            }
        )
    });
}

#[test]
fn store_of_an_unreleased_version_is_refused() {
    let mut bench = Bench::new();
    bench.close();
    let conn = Connection::open(bench.path()).unwrap();
    conn.execute_batch(
        "DROP INDEX attempts_paced; ALTER TABLE attempts DROP COLUMN paced;
         PRAGMA journal_mode = DELETE",
    )
    .unwrap();
    drop(conn);
    refused(
        &bench,
        |error| matches!(error, OpenError::Unreleased { part, .. } if part == "attempts"),
    );
}

#[test]
fn a_command_migrates_no_store() {
    let mut bench = Bench::new();
    bench.close();
    let conn = Connection::open(bench.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 0").unwrap();
    drop(conn);
    let error = Store::open_for_command(&bench.settings(), bench.clock())
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("start `feedback-relay serve` once"),
        "{error}"
    );
}

#[test]
fn file_that_is_not_a_store_is_refused() {
    let mut bench = Bench::new();
    bench.close();
    std::fs::write(bench.path(), "a file that is no database at all").unwrap();
    refused(&bench, |error| matches!(error, OpenError::Damaged { .. }));

    std::fs::remove_file(bench.path()).unwrap();
    let conn = Connection::open(bench.path()).unwrap();
    conn.execute_batch("CREATE TABLE songs (name TEXT)")
        .unwrap();
    drop(conn);
    refused(&bench, |error| matches!(error, OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_damaged_store_is_refused() {
    let mut bench = Bench::new();
    for n in 0..50 {
        bench.accept_info(&format!("e{n}")).await;
    }
    bench.close();
    let conn = Connection::open(bench.path()).unwrap();
    conn.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    drop(conn);
    let mut bytes = std::fs::read(bench.path()).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..100].fill(0xff);
    }
    std::fs::write(bench.path(), bytes).unwrap();
    let error = Store::open(&bench.settings(), bench.clock()).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn older_store_is_copied_and_then_migrated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay.db");
    let steps = [
        "CREATE TABLE one (a TEXT);",
        "ALTER TABLE one ADD COLUMN b TEXT;",
        "NONSENSE;",
    ];
    let conn = Connection::open(&path).unwrap();
    assert_eq!(migrations::inspect(&conn), Ok(Found::Empty));
    assert_eq!(migrations::migrate(&conn, &path, 0, &steps[..1]), Ok(None));
    assert_eq!(migrations::inspect(&conn), Ok(Found::Version(1)));
    assert_eq!(migrations::migrate(&conn, &path, 1, &steps[..1]), Ok(None));
    conn.execute("INSERT INTO one VALUES ('kept')", []).unwrap();

    let copy = migrations::migrate(&conn, &path, 1, &steps[..2])
        .unwrap()
        .unwrap();
    assert_eq!(copy, dir.path().join("relay.db.version-1"));
    assert_eq!(
        std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );
    conn.query_row("SELECT a, b FROM one", [], |row| row.get::<_, String>(0))
        .unwrap();
    let copied = Connection::open(&copy).unwrap();
    assert_eq!(migrations::inspect(&copied), Ok(Found::Version(1)));
    copied
        .query_row("SELECT a FROM one", [], |row| row.get::<_, String>(0))
        .unwrap();

    assert!(migrations::migrate(&conn, &path, 2, &steps).is_err());
    assert_eq!(
        migrations::inspect(&conn),
        Ok(Found::Version(2)),
        "a step is taken whole or not at all"
    );
    assert!(conn.is_autocommit());
}

#[tokio::test]
async fn backup_is_complete_during_intake_and_overwrites_nothing() {
    let bench = Bench::new();
    let copy = bench.dir.path().join("copy.db");
    let producing = async {
        for n in 0..80 {
            bench.accept_info(&format!("e{n}")).await;
        }
    };
    let copying = async {
        while bench.store().event("e10").await.unwrap().is_none() {}
        bench
            .store()
            .backup(&StoreLocation::Sqlite(copy.clone()))
            .await
            .unwrap();
    };
    tokio::join!(producing, copying);

    let conn = Connection::open(&copy).unwrap();
    assert_eq!(migrations::inspect(&conn), Ok(Found::Version(1)));
    let count = |table: &str| -> i64 {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    };
    assert!(count("events") > 10);
    assert_eq!(count("events"), count("deliveries"));
    assert_eq!(count("events"), count("bodies"));
    assert_eq!(
        conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)),
        Ok("ok".to_owned())
    );

    let before = std::fs::read(&copy).unwrap();
    let again = bench
        .store()
        .backup(&StoreLocation::Sqlite(copy.clone()))
        .await;
    assert!(matches!(again, Err(StoreError::Unavailable(reason)) if reason.contains("copy.db")));
    assert!(std::fs::read(&copy).unwrap() == before);
}

#[test]
fn connection_pragmas_have_their_values() {
    let bench = Bench::new();
    let conn = connection::writer(&bench.path()).unwrap();
    let pragma = |name: &str| -> String {
        conn.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .map(|value| format!("{value:?}"))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    for (name, value) in [
        ("synchronous", 2),
        ("auto_vacuum", 2),
        ("secure_delete", 1),
        ("foreign_keys", 1),
        ("application_id", APPLICATION_ID),
        ("user_version", 1),
    ] {
        assert_eq!(pragma(name), format!("Integer({value})"), "{name}");
    }
    // After this, the owner of the log file syncs it.
    let log = connection::sync_apart(&conn, &bench.path()).unwrap();
    assert_eq!(pragma("synchronous"), "Integer(1)");
    let mut path = bench.path().into_os_string();
    path.push("-wal");
    let [ours, theirs] = [log.metadata(), std::fs::metadata(path)].map(Result::unwrap);
    assert_eq!((ours.dev(), ours.ino()), (theirs.dev(), theirs.ino()));
}
