//! Many acts in one transaction.
//!
//! They run one after the other and are committed once. Where an act fails or panics, all is rolled back
//! and run again, each act in a savepoint of its own, so that it fails alone; for that is rare, and savepoints
//! cost copies of every page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::connect::failure;
use super::ids;
use super::tx::{Makers, Marks, Tx};
use crate::model::Clock;
use crate::store::StoreError;

/// What is said of an act that panicked.
pub(super) const FAULT: &str = "a fault of the program; the log has its place";

/// An act in the queue.
pub(super) trait Act: Send {
    /// Whether it is to be run.
    fn wanted(&self) -> bool;
    /// Runs it and keeps its result until the commit. It is run again after a rollback.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// It alone failed.
    fn fail(&mut self, error: StoreError);
    /// Gives the answer; `failed`: what befell the whole transaction.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

/// What a transaction works with.
pub(super) struct Batch<'a> {
    pub(super) conn: &'a Connection,
    pub(super) makers: &'a Makers,
    pub(super) ids: &'a ids::Shared,
    pub(super) clock: &'a dyn Clock,
}

/// One act of a batch failed.
enum Failed {
    /// It alone.
    Alone(StoreError),
    /// The whole transaction is gone, by SQLite itself: disk full, I/O error.
    All(rusqlite::Error),
}

impl Batch<'_> {
    /// Runs and commits a batch, or nothing of it.
    pub(super) fn commit(&self, acts: &mut [Box<dyn Act>]) -> rusqlite::Result<Marks> {
        let done = match self.together(acts) {
            Err(Failed::Alone(_)) => self.apart(acts),
            Err(Failed::All(error)) => Err(error),
            Ok(marks) => Ok(marks),
        };
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    /// All in one.
    fn together(&self, acts: &mut [Box<dyn Act>]) -> Result<Marks, Failed> {
        self.begin().map_err(Failed::All)?;
        let mut marks = Marks::default();
        for act in wanted(acts) {
            marks.add(self.run(act)?);
        }
        self.put_ids_away()?;
        self.execute("COMMIT").map_err(Failed::All)?;
        Ok(marks)
    }

    /// Each in a savepoint of its own.
    fn apart(&self, acts: &mut [Box<dyn Act>]) -> rusqlite::Result<Marks> {
        self.roll_back();
        self.begin()?;
        let mut marks = Marks::default();
        for act in wanted(acts) {
            self.execute("SAVEPOINT act")?;
            match self.run(act) {
                Ok(more) => marks.add(more),
                Err(Failed::Alone(error)) => {
                    self.execute("ROLLBACK TO act")?;
                    self.ids.borrow_mut().forget();
                    act.fail(error);
                }
                Err(Failed::All(error)) => return Err(error),
            }
            self.execute("RELEASE act")?;
        }
        self.put_ids_away_apart()?;
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

    fn run(&self, act: &mut dyn Act) -> Result<Marks, Failed> {
        let tx = Tx {
            conn: self.conn,
            makers: self.makers,
            ids: self.ids,
            now: self.clock.now(),
            marks: Default::default(),
        };
        match catch_unwind(AssertUnwindSafe(|| act.run(&tx))) {
            Ok(Ok(())) => Ok(tx.marks.get()),
            Ok(Err(error)) if self.conn.is_autocommit() => Err(Failed::All(error)),
            Ok(Err(error)) => Err(Failed::Alone(failure(error))),
            // The panic's own words are left out: they may quote what an event says.
            Err(_panic) => Err(Failed::Alone(StoreError::Unavailable(FAULT.into()))),
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
}

/// Asked anew for each: who waited may have gone while the acts before it ran.
fn wanted(acts: &mut [Box<dyn Act>]) -> impl Iterator<Item = &mut (dyn Act + 'static)> {
    acts.iter_mut().map(Box::as_mut).filter(|act| act.wanted())
}
