//! Every event id is found, wherever it waits, after any rollback, and whichever process wrote it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;

use super::super::accept::accept;
use super::super::engine::connection;
use super::super::engine::event_id_index;
use super::super::engine::migrations::{self, STEPS};
use super::super::engine::new_ids::{self, NewIds};
use super::super::engine::tx::{IdGenerators, Tx};
use super::super::retention::sweep;
use crate::model::{AppName, EventId, EventSeq, EventState, Timestamp};
use crate::store::{Accepted, Arrival, Silenceable};

/// A small number, so that most rounds end within a test.
const WAITING: usize = 6;

/// One of several processes that write to the same store.
struct Process {
    conn: Connection,
    ids: RefCell<NewIds>,
    generators: IdGenerators,
}

impl Process {
    fn open(path: &Path) -> Self {
        Self {
            conn: connection::writer(path).unwrap(),
            ids: RefCell::new(NewIds::at_most(WAITING)),
            generators: IdGenerators::new(1),
        }
    }

    /// Runs one transaction in the way of `group_commit`.
    fn transact<T>(&self, kept: bool, act: impl FnOnce(&Tx<'_>) -> T) -> T {
        self.ids.borrow_mut().begin();
        self.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let done = act(&Tx {
            conn: &self.conn,
            generators: &self.generators,
            ids: &self.ids,
            now: Timestamp::from_millis(0),
            uptime: None,
            effects: RefCell::default(),
        });
        self.ids.borrow_mut().put_away(&self.conn).unwrap();
        if kept {
            self.conn.execute_batch("COMMIT").unwrap();
        } else {
            self.ids.borrow_mut().forget();
            self.conn.execute_batch("ROLLBACK").unwrap();
        }
        done
    }

    fn in_table(&self) -> usize {
        let count = "SELECT count(*) FROM event_ids";
        let rows: i64 = self.conn.query_row(count, [], |row| row.get(0)).unwrap();
        usize::try_from(rows).unwrap()
    }
}

fn arrival(id: &str, via: &str, at: i64) -> Arrival {
    Arrival {
        id: EventId::new(id),
        via: AppName::from(via),
        event_type: String::new(),
        feedback: None,
        users: Vec::new(),
        tenant: None,
        incidents: Vec::new(),
        late_incidents: Vec::new(),
        silenceable: Silenceable::default(),
        change: None,
        received_at: Timestamp::from_millis(at),
        state: EventState::Noted,
        body: None,
        deliveries: Vec::new(),
        images: Vec::new(),
        images_deadline_at: Timestamp::from_millis(at),
    }
}

/// Accepts the events `e0`, `e1` and so on, each in its own transaction.
fn accept_each(process: &Process, numbers: Range<i64>) {
    for number in numbers {
        process.transact(true, |tx| {
            accept(tx, &arrival(&format!("e{number}"), "shop", number)).unwrap();
        });
    }
}

fn database() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::File::create(&path).unwrap();
    let conn = connection::writer(&path).unwrap();
    migrations::migrate(&conn, &path, 0, STEPS).unwrap();
    (folder, path)
}

/// The expected content of the store.
type Known = HashMap<(String, String), EventSeq>;

/// Accepts some events, new ones and repeats, and compares the results with `known`.
fn take(process: &Process, chance: &mut fastrand::Rng, kept: bool, known: &mut Known, at: i64) {
    let names: Vec<(String, String)> = (0..chance.usize(1..8))
        .map(|_| {
            let via = ["shop", "desk"][chance.usize(..2)];
            (format!("e{}", chance.u32(..400)), via.to_owned())
        })
        .collect();
    let mut after = known.clone();
    process.transact(kept, |tx| {
        for (id, via) in &names {
            let accepted = accept(tx, &arrival(id, via, at)).unwrap();
            match (after.get(&(id.clone(), via.clone())), accepted) {
                (Some(first), Accepted::Repeat(event)) => assert_eq!(event, *first),
                (None, Accepted::New(event)) => {
                    after.insert((id.clone(), via.clone()), event);
                }
                (expected, other) => panic!("{id} {via}: {other:?}, and not {expected:?}"),
            }
        }
    });
    if kept {
        *known = after;
    }
}

/// Removes the events that arrived before `before`.
fn remove(process: &Process, known: &mut Known, before: i64, at: &HashMap<EventSeq, i64>) {
    let before_at = Timestamp::from_millis(before);
    let sweep = |tx: &Tx<'_>| sweep(tx, before_at, before_at).unwrap();
    while process.transact(true, sweep).more {}
    known.retain(|_, event| at[event] >= before);
}

fn all_are_found(process: &Process, known: &Known) {
    process.transact(true, |tx| {
        for ((id, via), event) in known {
            let found =
                event_id_index::find(tx, &EventId::new(id.as_str()), &AppName::from(via.as_str()))
                    .unwrap();
            assert_eq!(found, Some(*event), "{id} {via}");
            let newest = known
                .iter()
                .filter(|((other, _), _)| other == id)
                .map(|(_, event)| *event)
                .max();
            assert_eq!(event_id_index::newest_with(tx, id).unwrap(), newest, "{id}");
        }
        let unknown = event_id_index::find(tx, &EventId::new("none"), &AppName::from("shop"));
        assert_eq!(unknown.unwrap(), None);
        assert_eq!(event_id_index::newest_with(tx, "none").unwrap(), None);
    });
}

#[test]
fn ids_are_found_after_rollbacks_removals_and_other_writers() {
    for seed in 0..16 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (_folder, path) = database();
        let mut processes = [Process::open(&path), Process::open(&path)];
        let mut known = Known::new();
        let mut at = HashMap::new();
        for now in 0..150 {
            // In half of the stores, the second process hardly ever writes.
            let which = usize::from(chance.u8(..20) < if seed % 2 == 0 { 10 } else { 1 });
            match chance.u8(..20) {
                0 => processes[which] = Process::open(&path),
                1 => {
                    // Sometimes all events are removed, and the numbers start again.
                    let before = if chance.bool() { now } else { now - 40 };
                    remove(&processes[which], &mut known, before, &at);
                }
                2..5 => take(&processes[which], &mut chance, false, &mut known, now),
                _ => {
                    let before = known.clone();
                    take(&processes[which], &mut chance, true, &mut known, now);
                    let new = known.iter().filter(|(name, _)| !before.contains_key(*name));
                    at.extend(new.map(|(_, event)| (*event, now)));
                }
            }
            if now % 20 == 0 {
                all_are_found(&processes[1 - which], &known);
            }
        }
        all_are_found(&processes[0], &known);
    }
}

/// Accepts fewer events between two starts than can wait. Each start must still read few ids.
#[test]
fn ids_read_at_start_are_bounded() {
    let (_folder, path) = database();
    for start in 0..60 {
        let process = Process::open(&path);
        for number in 0..3 {
            process.transact(true, |tx| {
                let id = format!("e{start}.{number}");
                accept(tx, &arrival(&id, "shop", start)).unwrap();
                let newest = event_id_index::newest_with(tx, &id).unwrap().unwrap();
                let above = newest.0 - new_ids::mark(tx).unwrap().0;
                assert!(above <= 4 * i64::try_from(WAITING).unwrap(), "{above}");
            });
        }
    }
}

#[test]
fn command_without_lookup_reads_and_moves_no_ids() {
    let (_folder, path) = database();
    let process = Process::open(&path);
    accept_each(&process, 0..10);
    let other = Process::open(&path);
    let before = process.conn.total_changes();
    other.transact(true, |tx| tx.execute_batch("DELETE FROM gates").unwrap());
    process.transact(true, |tx| tx.execute_batch("DELETE FROM gates").unwrap());
    assert_eq!(other.conn.total_changes(), 0);
    assert_eq!(process.conn.total_changes(), before);
}

#[test]
fn only_newest_ids_wait_and_removed_events_leave_none() {
    let (_folder, path) = database();
    let process = Process::open(&path);
    accept_each(&process, 0..100);
    assert_eq!(process.in_table(), 100 - WAITING);
    let again = Process::open(&path);
    again.transact(true, |tx| {
        event_id_index::find(tx, &EventId::new("e1"), &AppName::from("shop")).unwrap()
    });
    // Some events above the mark are in the table already.
    assert!(process.in_table() >= 100 - WAITING);
    let all = Timestamp::from_millis(1000);
    again.transact(true, |tx| sweep(tx, all, all).unwrap());
    assert_eq!(again.in_table(), 0);
}

#[test]
fn reused_numbers_belong_to_new_events() {
    let (_folder, path) = database();
    let process = Process::open(&path);
    accept_each(&process, 0..60);
    let all = Timestamp::from_millis(1000);
    process.transact(true, |tx| sweep(tx, all, all).unwrap());
    for number in 100..140 {
        accept_each(&process, number..number + 1);
        // As after a crash; it leaves nothing that the first process would see.
        Process::open(&path).transact(false, |tx| {
            for known in 100..=number {
                let id = EventId::new(format!("e{known}"));
                let found = event_id_index::find(tx, &id, &AppName::from("shop")).unwrap();
                assert_eq!(found, Some(EventSeq(known - 99)));
            }
        });
    }
}

/// Continues in the way of `group_commit` after a command that failed alone.
#[test]
fn rolled_back_command_leaves_ids_correct() {
    let (_folder, path) = database();
    let process = Process::open(&path);
    let (id, via) = (EventId::new("e1"), AppName::from("shop"));
    process.transact(true, |tx| {
        accept(tx, &arrival("e1", "shop", 0)).unwrap();
    });
    process.transact(true, |tx| {
        tx.execute_batch("SAVEPOINT act").unwrap();
        let all = Timestamp::from_millis(1000);
        sweep(tx, all, all).unwrap();
        assert_eq!(event_id_index::find(tx, &id, &via).unwrap(), None);
        tx.execute_batch("ROLLBACK TO act").unwrap();
        tx.ids.borrow_mut().forget();
        assert_eq!(
            event_id_index::find(tx, &id, &via).unwrap(),
            Some(EventSeq(1))
        );
    });
}

#[test]
fn two_ids_with_one_key_are_distinct() {
    let (_folder, path) = database();
    let process = Process::open(&path);
    process.transact(true, |tx| {
        let first = accept(tx, &arrival("e1", "shop", 0)).unwrap();
        let Accepted::New(first) = first else {
            panic!("it is new")
        };
        // Pretend that another id has the same hash.
        event_id_index::add(tx, &EventId::new("e2"), first).unwrap();
        let found = event_id_index::find(tx, &EventId::new("e2"), &AppName::from("shop"));
        assert_eq!(found.unwrap(), None);
        assert!(matches!(
            accept(tx, &arrival("e2", "shop", 0)).unwrap(),
            Accepted::New(_)
        ));
    });
}
