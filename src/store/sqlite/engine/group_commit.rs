//! Many acts in one transaction.
//!
//! They run one after the other, as they come, and are committed once. Where an act fails or panics, all is rolled back
//! and run again, each act in a savepoint of its own, so that it fails alone; for that is rare, and savepoints
//! cost copies of every page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::connection::failure;
use super::event_id_index;
use super::tx::{Makers, Marks, Tx};
use super::uptime::UptimeClock;
use crate::model::Clock;
use crate::store::StoreError;

/// What is said of an act that panicked.
pub(in crate::store::sqlite) const FAULT: &str = "a fault of the program; the log has its place";

/// An act in the queue.
pub(in crate::store::sqlite) trait Command: Send {
    /// Whether it is to be run.
    fn wanted(&self) -> bool;
    /// Runs it and keeps its result until the commit. It is run again after a rollback.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// Whether a success is a promise to somebody outside, which only files in their place can keep.
    fn promises(&self) -> bool;
    /// It alone failed.
    fn fail(&mut self, error: StoreError);
    /// Gives the answer; `failed`: what befell the whole transaction.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

/// What a transaction works with.
pub(in crate::store::sqlite) struct Batch<'a> {
    pub(in crate::store::sqlite) conn: &'a Connection,
    pub(in crate::store::sqlite) makers: &'a Makers,
    pub(in crate::store::sqlite) ids: &'a event_id_index::Shared,
    pub(in crate::store::sqlite) clock: &'a dyn Clock,
    /// The files are not in their place: what promises is not run.
    pub(in crate::store::sqlite) out_of_place: Option<StoreError>,
    /// `None` beside the relay that holds the database.
    pub(in crate::store::sqlite) uptime: Option<&'a UptimeClock>,
    /// What `total_changes` of the connection was before the transaction.
    pub(in crate::store::sqlite) changes_before: u64,
}

/// One act of a batch failed.
enum Failed {
    /// It alone.
    Alone(StoreError),
    /// The whole transaction is gone, by SQLite itself: disk full, I/O error.
    All(rusqlite::Error),
    /// What was committed before is not on the disk.
    Lost(StoreError),
}

impl Failed {
    fn into_error(self) -> StoreError {
        match self {
            Self::Alone(error) | Self::Lost(error) => error,
            Self::All(error) => failure(error),
        }
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::All(error)
    }
}

/// Gives the next act of a transaction of which so many have run, or says that it is time to commit.
pub(in crate::store::sqlite) type Next<'a> =
    dyn FnMut(usize) -> Result<Option<Box<dyn Command>>, StoreError> + 'a;

impl Batch<'_> {
    /// Runs the acts that are there and those that come, and commits them, or nothing of it.
    pub(in crate::store::sqlite) fn commit(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Marks, StoreError> {
        let done = match self.together(acts, next) {
            Err(Failed::Alone(_)) => self.apart(acts, next),
            done => done,
        };
        done.map_err(|failed| {
            self.roll_back();
            failed.into_error()
        })
    }

    /// All in one.
    fn together(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Marks, Failed> {
        self.begin()?;
        let mut marks = Marks::default();
        self.each(acts, next, |act| {
            marks.add(self.run(act)?);
            Ok(())
        })?;
        self.put_ids_away()?;
        self.save_uptime()?;
        self.execute("COMMIT")?;
        Ok(marks)
    }

    /// Each in a savepoint of its own.
    fn apart(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Marks, Failed> {
        self.roll_back();
        self.begin()?;
        let mut marks = Marks::default();
        self.each(acts, next, |act| {
            self.execute("SAVEPOINT act")?;
            match self.run(act) {
                Ok(more) => marks.add(more),
                Err(Failed::Alone(error)) => {
                    self.execute("ROLLBACK TO act")?;
                    self.ids.borrow_mut().forget();
                    act.fail(error);
                }
                Err(failed) => return Err(failed),
            }
            self.execute("RELEASE act")?;
            Ok(())
        })?;
        self.put_ids_away_apart()?;
        self.save_uptime()?;
        self.execute("COMMIT")?;
        Ok(marks)
    }

    /// A damaged page of their table must not hold up all the rest.
    fn put_ids_away(&self) -> Result<(), Failed> {
        match self.ids.borrow_mut().put_away(self.conn) {
            Ok(()) => Ok(()),
            Err(error) if self.conn.is_autocommit() => Err(Failed::All(error)),
            Err(error) => Err(Failed::Alone(failure(error))),
        }
    }

    /// Those that cannot be put away wait on, in memory.
    fn put_ids_away_apart(&self) -> rusqlite::Result<()> {
        self.execute("SAVEPOINT act")?;
        let put_away = self.ids.borrow_mut().put_away(self.conn);
        if let Err(error) = put_away {
            tracing::error!(%error, "ids of events stay out of their table");
            self.execute("ROLLBACK TO act")?;
            self.ids.borrow_mut().forget();
        }
        self.execute("RELEASE act")
    }

    fn run(&self, act: &mut dyn Command) -> Result<Marks, Failed> {
        let tx = Tx {
            conn: self.conn,
            makers: self.makers,
            ids: self.ids,
            now: self.clock.now(),
            uptime: self.uptime.map(UptimeClock::now),
            marks: Default::default(),
        };
        match catch_unwind(AssertUnwindSafe(|| act.run(&tx))) {
            Ok(Ok(())) => Ok(tx.marks.into_inner()),
            Ok(Err(error)) if self.conn.is_autocommit() => Err(Failed::All(error)),
            Ok(Err(error)) => Err(Failed::Alone(failure(error))),
            // The panic's own words are left out: they may quote what an event says.
            Err(_panic) => Err(Failed::Alone(StoreError::Unavailable(FAULT.into()))),
        }
    }

    /// Only where something is written anyway: an idle relay writes nothing.
    fn save_uptime(&self) -> rusqlite::Result<()> {
        match self.uptime {
            Some(uptime) if self.conn.total_changes() != self.changes_before => {
                uptime.save(self.conn)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn begin(&self) -> rusqlite::Result<()> {
        self.ids.borrow_mut().begin();
        self.execute("BEGIN IMMEDIATE")
    }

    fn roll_back(&self) {
        self.ids.borrow_mut().forget();
        if !self.conn.is_autocommit() {
            // The first failure is the one to tell. The connection is given up if this fails too.
            self.conn.execute_batch("ROLLBACK").ok();
        }
    }

    /// Runs the acts that are there and those that come, until it is time to commit.
    fn each(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
        mut run: impl FnMut(&mut dyn Command) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut seen = 0;
        loop {
            while let Some(act) = acts.get_mut(seen) {
                // Asked anew for each: who waited may have gone while the acts before it ran.
                match &self.out_of_place {
                    Some(error) if act.promises() => act.fail(error.clone()),
                    Some(_) | None if act.wanted() => run(act.as_mut())?,
                    Some(_) | None => {}
                }
                seen += 1;
            }
            match next(seen).map_err(Failed::Lost)? {
                Some(act) => acts.push(act),
                None => return Ok(()),
            }
        }
    }
}
