//! The only thread that writes.
//!
//! Commands wait in a bounded queue. One transaction runs the waiting ones and those that arrive during
//! the last sync. It has at most [`BATCH_MAX`] commands (see `group_commit`). The thread commits once
//! and passes the batch to `wal_sync`, which answers after the sync. So one `fsync` serves many events,
//! and no answer comes before it. If a commit fails, every command in it fails. The next batch uses a
//! fresh connection, so the store recovers when the disk does.
//!
//! Commands that write nothing leave no dirty page, so they need no `fsync`.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::checkpoint::LogKeeper;
use super::command_queue::{Next, Queue, ended};
use super::connection::{self, data_version, failure};
use super::file_watch::FileWatch;
use super::group_commit::{Batch, Command};
use super::new_ids::{self, NewIds};
use super::tx::{Effects, IdGenerators, Tx};
use super::uptime::UptimeClock;
use super::wal_sync::{Committed, Syncer};
use crate::model::Clock;
use crate::store::StoreError;
use crate::store::wakeups::{Topic, Wakeups};

/// The most commands in one transaction. It is large enough that the `fsync` is a small part of the
/// time. It is small enough that answered callers work while the next batch commits.
pub(in crate::store::sqlite) const BATCH_MAX: usize = 128;

/// How often to check whether another process changed the store.
const POLL: Duration = Duration::from_millis(500);

/// After this many polls without writes, the write-ahead log is emptied and free pages are released.
const IDLE_POLLS: u32 = 2;

/// Whether a command runs although its caller no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum IfAbandoned {
    /// It records a result.
    Run,
    /// It would lease work for a caller that is gone.
    Skip,
}

struct Call<T, F> {
    act: F,
    unawaited: IfAbandoned,
    promises: bool,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Call<T, F>
where
    T: Send,
    F: Fn(&Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn wanted(&self) -> bool {
        self.unawaited == IfAbandoned::Run || !self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.result = Some(Ok((self.act)(tx)?));
        Ok(())
    }

    fn promises(&self) -> bool {
        self.promises
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        let result = match (failed, self.result) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Unavailable("the command was not run".into())),
        };
        // The caller may be gone.
        self.reply.send(result).ok();
    }
}

/// The database that a writer writes to.
pub(in crate::store::sqlite) struct Served {
    pub(in crate::store::sqlite) path: PathBuf,
    pub(in crate::store::sqlite) watch: Arc<FileWatch>,
    pub(in crate::store::sqlite) clock: Arc<dyn Clock>,
    /// `None` in a command beside a running relay.
    pub(in crate::store::sqlite) uptime: Option<UptimeClock>,
}

/// The handle of the writing thread.
pub(in crate::store::sqlite) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    wakeups: Wakeups,
    /// Closed when the thread has ended.
    works: watch::Receiver<()>,
}

impl Writer {
    /// Starts the thread on an open connection.
    pub(in crate::store::sqlite) fn start(
        conn: Connection,
        served: Served,
        generators: IdGenerators,
    ) -> rusqlite::Result<Self> {
        let Served {
            path,
            watch,
            clock,
            uptime,
        } = served;
        let io = |error: std::io::Error| connection::refusal(error.to_string());
        let queue = Arc::new(Queue::default());
        let wakeups = Wakeups::default();
        let (ends, works) = watch::channel(());
        let data_version = data_version(&conn).ok();
        let syncer =
            Syncer::start(Arc::clone(&queue), Arc::clone(&watch), wakeups.clone()).map_err(io)?;
        let thread = Thread {
            queue: Arc::clone(&queue),
            syncer,
            open: Some(OpenFile::new(conn, &path, &watch)?),
            log: LogKeeper::new(path.clone(), Arc::clone(&watch)),
            watch,
            path,
            generators,
            ids: RefCell::new(NewIds::new()),
            clock,
            uptime,
            wakeups: wakeups.clone(),
            // Workers see earlier changes at their first poll.
            data_version,
            polled_at: Instant::now(),
            idle_polls: 0,
            failing: false,
            _ends: ends,
        };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || thread.run())
            .map_err(io)?;
        Ok(Self {
            queue,
            thread: Some(thread),
            wakeups,
            works,
        })
    }

    /// Returns the counters that wake workers.
    pub(in crate::store::sqlite) const fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// Returns a channel that closes when the store stops writing.
    pub(in crate::store::sqlite) fn works(&self) -> watch::Receiver<()> {
        self.works.clone()
    }

    /// Runs a command and returns when it is on disk.
    pub(in crate::store::sqlite) async fn call<T: Send + 'static>(
        &self,
        unawaited: IfAbandoned,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(unawaited, false, act).await
    }

    /// Runs a command whose success is acknowledged to an outside client. It fails unless the files are
    /// in place.
    pub(in crate::store::sqlite) async fn promise<T: Send + 'static>(
        &self,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(IfAbandoned::Run, true, act).await
    }

    async fn queue<T: Send + 'static>(
        &self,
        unawaited: IfAbandoned,
        promises: bool,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            act,
            unawaited,
            promises,
            result: None,
            reply,
        };
        self.queue.push(Box::new(call))?;
        answer.await.unwrap_or_else(|_dropped| Err(ended()))
    }
}

impl Drop for Writer {
    /// Waits until the queue is written, so that the store can be reopened at once.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Every answer since a panic of the thread has reported it.
            thread.join().ok();
        }
    }
}

/// The thread's open database.
struct OpenFile {
    conn: Connection,
    /// The log that this connection writes to.
    log: Arc<File>,
}

impl OpenFile {
    /// Wraps a new connection, unless the path leads to another database than at the start.
    fn new(conn: Connection, path: &Path, watch: &FileWatch) -> rusqlite::Result<Self> {
        let refused = |error: StoreError| connection::refusal(error.to_string());
        let log = Arc::new(connection::sync_apart(&conn, path)?);
        watch
            .set_log(path, &log)
            .map_err(|error| connection::refusal(error.to_string()))?;
        watch.check_database().map_err(refused)?;
        Ok(Self { conn, log })
    }
}

/// The effects to apply after a committed transaction.
struct Done {
    topics: HashSet<Topic>,
    others_wrote: bool,
    /// The log; `None` if there is nothing to sync.
    log: Option<Arc<File>>,
}

struct Thread {
    queue: Arc<Queue>,
    syncer: Syncer,
    /// `None` after a failure, until the next batch.
    open: Option<OpenFile>,
    log: LogKeeper,
    path: PathBuf,
    watch: Arc<FileWatch>,
    generators: IdGenerators,
    ids: new_ids::Shared,
    clock: Arc<dyn Clock>,
    /// `None` in a command beside a running relay.
    uptime: Option<UptimeClock>,
    wakeups: Wakeups,
    /// The last value of `PRAGMA data_version`, which changes when another process commits. `None` after
    /// a failure, because others may have changed anything.
    data_version: Option<i64>,
    polled_at: Instant,
    idle_polls: u32,
    /// Whether the last batch failed to commit.
    failing: bool,
    _ends: watch::Sender<()>,
}

impl Thread {
    fn run(mut self) {
        loop {
            match self.queue.take(POLL) {
                Next::Command(first) => self.serve(vec![first]),
                Next::Nothing => {}
                Next::End => return,
            }
            if self.polled_at.elapsed() >= POLL && !self.poll() {
                return;
            }
        }
    }

    /// Runs periodic work. Returns whether the thread goes on.
    fn poll(&mut self) -> bool {
        self.polled_at = Instant::now();
        // Unsynced data must not be moved into the database.
        if self.queue.synced().is_err() {
            return false;
        }
        self.look_for_others();
        // Commands that only poll for work are frequent, so count polls without writes instead.
        self.idle_polls += 1;
        if self.idle_polls > IDLE_POLLS {
            self.idle_polls = 0;
            if let Some(open) = &self.open {
                self.log.tidy(&open.conn);
            }
        }
        true
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Command>>) {
        match self.transact(&mut batch) {
            Ok(done) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the store works again");
                }
                if let Some(open) = &self.open {
                    self.log.shorten(&open.conn);
                }
                self.syncer.hand_over(Committed {
                    acts: batch,
                    log: done.log,
                    topics: done.topics,
                    others_wrote: done.others_wrote,
                });
            }
            Err(error) => {
                self.drop_connection(&error);
                for act in batch {
                    act.answer(Some(&error));
                }
            }
        }
    }

    /// Drops the connection after a failure; the next batch opens a fresh one. Only the first failure in
    /// a row is logged, because a full disk fails every batch.
    fn drop_connection(&mut self, error: &StoreError) {
        if *error == StoreError::Busy || self.queue.is_lost() {
            return;
        }
        self.close();
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(error = %error, "failed to commit to the store; retrying with every batch");
        }
    }

    /// Runs and commits a batch, or nothing of it. Returns the log if there may be something to sync.
    fn transact(&mut self, batch: &mut Vec<Box<dyn Command>>) -> Result<Done, StoreError> {
        let open = match self.open.take() {
            Some(open) => self.open.insert(open),
            None => {
                self.data_version = None;
                // Check first, because connecting would write to an empty file.
                self.watch.check_database()?;
                let conn = connection::writer(&self.path).map_err(failure)?;
                let open = OpenFile::new(conn, &self.path, &self.watch).map_err(failure)?;
                self.open.insert(open)
            }
        };
        let changes = open.conn.total_changes();
        let Effects { topics, erased } = Batch {
            conn: &open.conn,
            generators: &self.generators,
            ids: &self.ids,
            clock: &*self.clock,
            out_of_place: self.watch.check().err(),
            uptime: self.uptime.as_ref(),
            changes_before: changes,
        }
        .commit(batch, &mut |ran| self.queue.take_more(ran < BATCH_MAX))?;
        let wrote = open.conn.total_changes() != changes;
        if wrote {
            self.log.wrote();
            self.idle_polls = 0;
        }
        if erased {
            self.log.erased(&open.conn);
        }
        // A command may have seen another process's recent write, which may not be synced either.
        let log = Arc::clone(&open.log);
        let others_wrote = self.others_wrote();
        if others_wrote {
            self.log.may_owe();
        }
        Ok(Done {
            topics,
            others_wrote,
            log: (wrote || others_wrote).then_some(log),
        })
    }

    /// Closes the connection. The last connection moves the log into the database when it closes. If a sync
    /// failed or a file was overwritten, that would damage the database, so the connection is abandoned.
    fn close(&mut self) {
        let open = self.open.take();
        if self.queue.is_lost() || self.watch.check_contents().is_err() {
            std::mem::forget(open);
        }
    }

    /// Wakes the workers when another process has changed the store.
    fn look_for_others(&mut self) {
        if let Some(open) = &self.open {
            self.log.pay_erasure(&open.conn);
        }
        if self.others_wrote() {
            self.log.may_owe();
            self.wakeups.notify_all();
        }
    }

    /// Returns whether another process has changed the store since the last call. If the store cannot be
    /// read, the next command reports it.
    fn others_wrote(&mut self) -> bool {
        let Some(open) = &self.open else { return false };
        let seen = data_version(&open.conn).ok();
        let before = std::mem::replace(&mut self.data_version, seen);
        before.is_none() || before != seen
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.syncer.finish();
        self.close();
        // Fail the commands that wait or arrive after a panic.
        self.queue.fail(&ended());
    }
}
