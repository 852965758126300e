//! Commits many commands in one transaction.
//!
//! Commands run one after the other, in order, and are committed once. If one fails or panics,
//! everything is rolled back. Then each runs again in its own savepoint, so that it fails alone.
//! Savepoints are only used then, because they copy every page.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::connection::failure;
use super::new_ids;
use super::tx::{Effects, IdGenerators, Tx};
use super::uptime::UptimeClock;
use crate::model::Clock;
use crate::store::StoreError;

/// The error text for a command that panicked.
pub(in crate::store::sqlite) const FAULT: &str = "internal error; see the log for its location";

/// A command in the queue.
pub(in crate::store::sqlite) trait Command: Send {
    /// Returns whether the command should still run.
    fn wanted(&self) -> bool;
    /// Runs the command and keeps its result until the commit. It runs again after a rollback.
    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()>;
    /// Returns whether a success is acknowledged to an outside client. Then the files must be in place.
    fn promises(&self) -> bool;
    /// Records that this command alone failed.
    fn fail(&mut self, error: StoreError);
    /// Sends the answer. `failed` is the error of the whole transaction, if any.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

/// The dependencies of a transaction.
pub(in crate::store::sqlite) struct Batch<'a> {
    pub(in crate::store::sqlite) conn: &'a Connection,
    pub(in crate::store::sqlite) generators: &'a IdGenerators,
    pub(in crate::store::sqlite) ids: &'a new_ids::Shared,
    pub(in crate::store::sqlite) clock: &'a dyn Clock,
    /// The error if the files are not in place. Commands that promise something are not run then.
    pub(in crate::store::sqlite) out_of_place: Option<StoreError>,
    /// `None` in a command beside a running relay.
    pub(in crate::store::sqlite) uptime: Option<&'a UptimeClock>,
    /// The connection's `total_changes` before the transaction.
    pub(in crate::store::sqlite) changes_before: u64,
}

/// Why a command of a batch failed.
enum Failed {
    /// Only this command failed.
    Alone(StoreError),
    /// SQLite rolled back the whole transaction: disk full, I/O error.
    All(rusqlite::Error),
    /// The previous commit is not on disk.
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

/// Returns the next command of a transaction, given how many have run. `None` means commit now.
pub(in crate::store::sqlite) type Next<'a> =
    dyn FnMut(usize) -> Result<Option<Box<dyn Command>>, StoreError> + 'a;

impl Batch<'_> {
    /// Runs the waiting commands and those that arrive meanwhile. Commits all of them, or nothing.
    pub(in crate::store::sqlite) fn commit(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Effects, StoreError> {
        let done = match self.together(acts, next) {
            Err(Failed::Alone(_)) => self.apart(acts, next),
            done => done,
        };
        done.map_err(|failed| {
            self.roll_back();
            failed.into_error()
        })
    }

    /// Runs all commands without savepoints.
    fn together(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Effects, Failed> {
        self.begin()?;
        let mut effects = Effects::default();
        self.each(acts, next, |act| {
            effects.add(self.run(act)?);
            Ok(())
        })?;
        self.put_ids_away()?;
        self.save_uptime()?;
        self.execute("COMMIT")?;
        Ok(effects)
    }

    /// Runs each command in its own savepoint.
    fn apart(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
    ) -> Result<Effects, Failed> {
        self.roll_back();
        self.begin()?;
        let mut effects = Effects::default();
        self.each(acts, next, |act| {
            self.execute("SAVEPOINT act")?;
            match self.run(act) {
                Ok(more) => effects.add(more),
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
        Ok(effects)
    }

    /// Moves ids to their table. A damaged page of that table must not block everything else.
    fn put_ids_away(&self) -> Result<(), Failed> {
        match self.ids.borrow_mut().put_away(self.conn) {
            Ok(()) => Ok(()),
            Err(error) if self.conn.is_autocommit() => Err(Failed::All(error)),
            Err(error) => Err(Failed::Alone(failure(error))),
        }
    }

    /// Moves ids to their table in a savepoint. If that fails, they stay in memory.
    fn put_ids_away_apart(&self) -> rusqlite::Result<()> {
        self.execute("SAVEPOINT act")?;
        let put_away = self.ids.borrow_mut().put_away(self.conn);
        if let Err(error) = put_away {
            tracing::error!(%error, "failed to move event ids to their table; they stay in memory");
            self.execute("ROLLBACK TO act")?;
            self.ids.borrow_mut().forget();
        }
        self.execute("RELEASE act")
    }

    fn run(&self, act: &mut dyn Command) -> Result<Effects, Failed> {
        let tx = Tx {
            conn: self.conn,
            generators: self.generators,
            ids: self.ids,
            now: self.clock.now(),
            uptime: self.uptime.map(UptimeClock::now),
            effects: Default::default(),
        };
        match catch_unwind(AssertUnwindSafe(|| act.run(&tx))) {
            Ok(Ok(())) => Ok(tx.effects.into_inner()),
            Ok(Err(error)) if self.conn.is_autocommit() => Err(Failed::All(error)),
            Ok(Err(error)) => Err(Failed::Alone(failure(error))),
            // Omit the panic's text, because it may quote an event.
            Err(_panic) => Err(Failed::Alone(StoreError::Unavailable(FAULT.into()))),
        }
    }

    /// Saves the uptime only if the transaction writes anyway, so that an idle relay writes nothing.
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
            // Report the first failure. If the rollback fails too, the connection is dropped.
            self.conn.execute_batch("ROLLBACK").ok();
        }
    }

    /// Runs the waiting commands and those that arrive meanwhile, until it is time to commit.
    fn each(
        &self,
        acts: &mut Vec<Box<dyn Command>>,
        next: &mut Next<'_>,
        mut run: impl FnMut(&mut dyn Command) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let mut seen = 0;
        loop {
            while let Some(act) = acts.get_mut(seen) {
                // Check again for each command, because its caller may have gone meanwhile.
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
