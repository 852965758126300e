//! A store in memory, for simulations.
//!
//! It runs the same operations on the same tables as the store of a relay, but at once and at any time that the
//! caller names. Nothing is synced, so thousands of events take a second.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::engine::connection::{failure, remember_statements};
use super::engine::migrations::STEPS;
use super::engine::new_ids::{self, NewIds};
use super::engine::tx::{IdGenerators, Tx};
use super::values::unsigned;
use super::{accept, complete_attempt, incidents, lease, silences};
use crate::model::*;
use crate::store::{
    ALL_SHOWN, Accepted, AddedSilence, Arrival, CompletedAttempt, IncidentFilter, NewSilence,
    SilenceFilter, StoreError, Topic, Work,
};

/// The most deliveries that are leased at a time.
const LEASED: usize = 1000;
/// The duration of a lease. Each is completed at once.
const LEASE: Duration = Duration::from_secs(60);

/// An empty store in memory. All changes belong to one transaction that is never committed.
pub struct MemoryStore {
    conn: Connection,
    generators: IdGenerators,
    ids: new_ids::Shared,
}

/// The result of an operation, and the topics that may have new work.
#[derive(Debug)]
pub struct Ran<T> {
    pub result: T,
    pub topics: HashSet<Topic>,
}

/// A delivery that is held.
#[derive(Clone, Debug)]
pub struct HeldDelivery {
    pub id: DeliveryId,
    pub event: EventSeq,
    pub destination: DestinationName,
    pub until: Timestamp,
}

impl MemoryStore {
    /// Creates an empty store. Its ids are the same each time, so that a simulation can be repeated.
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self {
            conn: connect().map_err(failure)?,
            generators: IdGenerators::new(0),
            ids: NewIds::new().into(),
        })
    }

    /// Accepts an event. See [`Store::accept`](crate::store::Store::accept).
    pub fn accept(&self, arrival: &Arrival, now: Timestamp) -> Result<Ran<Accepted>, StoreError> {
        self.run(now, |tx| accept::accept(tx, arrival))
    }

    /// Runs the due timers of incidents. See
    /// [`Store::advance_incidents`](crate::store::Store::advance_incidents).
    pub fn advance_incidents(&self, now: Timestamp) -> Result<Ran<Option<Timestamp>>, StoreError> {
        self.run(now, incidents::advance_due)
    }

    /// Leases the due deliveries of `destination`, and completes each as delivered. If the destination
    /// `keeps_handles`, its messages can be edited later. Returns what was sent.
    pub fn deliver_due(
        &self,
        destination: &DestinationName,
        keeps_handles: bool,
        now: Timestamp,
    ) -> Result<Ran<Vec<Work>>, StoreError> {
        self.run(now, |tx| {
            let leases = lease::lease_due(tx, destination, LEASED, LEASE)?;
            let leases = lease::leased_work(tx, leases)?;
            let mut works = Vec::with_capacity(leases.len());
            for lease in leases {
                let delivered = delivered(&lease.item, keeps_handles);
                let recorded = complete_attempt::finish_attempt(tx, lease.token, &delivered)?;
                if recorded == Recorded::Recorded {
                    works.push(lease.item);
                }
            }
            Ok(works)
        })
    }

    /// Returns when the next delivery to `destination` is due. See
    /// [`Store::next_due_at`](crate::store::Store::next_due_at).
    pub fn next_due_at(
        &self,
        destination: &DestinationName,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        lease::next_due_at(&self.conn, destination, now).map_err(failure)
    }

    /// Adds a silence. See [`Store::add_silence`](crate::store::Store::add_silence).
    pub fn add_silence(
        &self,
        new: &NewSilence,
        waiting: &[DeliveryId],
        now: Timestamp,
    ) -> Result<Ran<AddedSilence>, StoreError> {
        self.run(now, |tx| silences::add(tx, new, waiting))
    }

    /// Returns all silences, newest first.
    pub fn silences(&self, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
        silences::silences(&self.conn, &SilenceFilter::default(), now).map_err(failure)
    }

    /// Returns the number of reports of which silences muted messages.
    pub fn suppressed_reports(&self) -> Result<u64, StoreError> {
        let count = "SELECT count(DISTINCT event_seq) FROM deliveries WHERE state = 'suppressed'";
        let count = self.conn.query_row(count, params![], |row| row.get(0));
        count.map(unsigned).map_err(failure)
    }

    /// Returns the held deliveries in the order of creation.
    pub fn held(&self) -> Result<Vec<HeldDelivery>, StoreError> {
        self.all_held().map_err(failure)
    }

    fn all_held(&self) -> rusqlite::Result<Vec<HeldDelivery>> {
        self.conn
            .prepare_cached(
                "SELECT id, event_seq, destination, due_at FROM deliveries WHERE state = 'held' ORDER BY id",
            )?
            .query_map([], |row| {
                Ok(HeldDelivery {
                    id: row.get(0)?,
                    event: row.get(1)?,
                    destination: row.get(2)?,
                    until: row.get(3)?,
                })
            })?
            .collect()
    }

    /// Returns all incidents, newest first.
    pub fn incidents(&self) -> Result<Vec<Incident>, StoreError> {
        let all = IncidentFilter {
            limit: usize::MAX,
            ..IncidentFilter::default()
        };
        incidents::list(&self.conn, &all).map_err(failure)
    }

    fn run<T>(
        &self,
        now: Timestamp,
        act: impl FnOnce(&Tx<'_>) -> rusqlite::Result<T>,
    ) -> Result<Ran<T>, StoreError> {
        let tx = Tx {
            conn: &self.conn,
            generators: &self.generators,
            ids: &self.ids,
            now,
            uptime: None,
            effects: Default::default(),
        };
        let result = act(&tx).map_err(failure)?;
        let topics = tx.effects.into_inner().topics;
        Ok(Ran { result, topics })
    }
}

fn connect() -> rusqlite::Result<Connection> {
    let conn = Connection::open_in_memory()?;
    remember_statements(&conn)?;
    for step in STEPS {
        conn.execute_batch(step)?;
    }
    conn.execute_batch("PRAGMA foreign_keys = ON; BEGIN")?;
    Ok(conn)
}

/// Returns a successful attempt that took no time.
fn delivered(work: &Work, keeps_handles: bool) -> CompletedAttempt {
    let id = work.delivery.id;
    CompletedAttempt {
        id,
        attempt: None,
        uncounted: Duration::ZERO,
        paced: false,
        verdict: Verdict::Done,
        payload: None,
        shown: ALL_SHOWN,
        fallback: None,
        handle: keeps_handles.then(|| MessageHandle(id.to_string())),
        is_final: false,
    }
}
