//! The one thread that writes.
//!
//! Acts wait in a bounded queue. The thread runs those that wait, and those that come while the last transaction
//! is being synced (at most [`BATCH_MAX`]), in one transaction (see `batch`), commits once, and hands all to the
//! `syncer`, which answers them when they are on the disk: one `fsync` serves many events, and no answer comes
//! before it. A commit that fails is told to everyone in it, and the next batch starts on a fresh connection, so
//! that the store works again when the disk does.
//!
//! Acts that write nothing leave no page dirty, so they cost no `fsync`.

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
use super::event_id_index::{self, NewIds};
use super::file_watch::{FileId, FileWatch};
use super::group_commit::{Batch, Command};
use super::tx::{Makers, Marks, Tx};
use super::uptime::UptimeClock;
use super::wal_sync::{Committed, Syncer};
use crate::model::Clock;
use crate::store::StoreError;
use crate::store::wakeups::{Topic, Wakeups};

/// Acts in one transaction: enough that the `fsync` is a small part of its time, and so few that whoever is
/// answered works on while the next commits.
pub(in crate::store::sqlite) const BATCH_MAX: usize = 128;

/// How often it is looked whether another process changed the store.
const POLL: Duration = Duration::from_millis(500);

/// After so many polls in which nothing was written the write-ahead log is emptied and free pages are given back.
const IDLE_POLLS: u32 = 2;

/// Whether an act is run although nobody waits for its answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum IfAbandoned {
    /// It records what has happened.
    Run,
    /// It takes something for somebody who is gone.
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
            (None, None) => Err(StoreError::Unavailable("the act was not run".into())),
        };
        // Whoever asked may be gone.
        self.reply.send(result).ok();
    }
}

/// The database that a writer writes to.
pub(in crate::store::sqlite) struct Served {
    pub(in crate::store::sqlite) path: PathBuf,
    pub(in crate::store::sqlite) watch: Arc<FileWatch>,
    pub(in crate::store::sqlite) clock: Arc<dyn Clock>,
    /// `None` beside the relay that holds the database.
    pub(in crate::store::sqlite) uptime: Option<UptimeClock>,
}

/// The way to the writing thread.
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
        makers: Makers,
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
            makers,
            ids: RefCell::new(NewIds::new()),
            clock,
            uptime,
            wakeups: wakeups.clone(),
            // What was changed before this is seen by the workers' first look.
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

    /// Wakes workers.
    pub(in crate::store::sqlite) const fn wakeups(&self) -> &Wakeups {
        &self.wakeups
    }

    /// Closed when nothing is written any more.
    pub(in crate::store::sqlite) fn works(&self) -> watch::Receiver<()> {
        self.works.clone()
    }

    /// Runs an act and answers when it is on the disk.
    pub(in crate::store::sqlite) async fn call<T: Send + 'static>(
        &self,
        unawaited: IfAbandoned,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(unawaited, false, act).await
    }

    /// The same for an act whose success is a promise to somebody outside: the files must be in their place.
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
    /// Waits until what is in the queue is written: who drops the store may open it again at once.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told already, by every answer since.
            thread.join().ok();
        }
    }
}

/// The store as the thread has it open.
struct OpenFile {
    conn: Connection,
    /// While the connection is open this is the log it writes to.
    log: Arc<File>,
}

impl OpenFile {
    /// Takes a new connection, unless the path leads to another database than at the start.
    fn new(conn: Connection, path: &Path, watch: &FileWatch) -> rusqlite::Result<Self> {
        let refused = |error: StoreError| connection::refusal(error.to_string());
        let log = connection::sync_apart(&conn, path)?;
        let opened = log
            .metadata()
            .map_err(|error| connection::refusal(error.to_string()))?;
        watch.set_log(path, FileId::of(&opened));
        watch.check_database().map_err(refused)?;
        Ok(Self {
            conn,
            log: Arc::new(log),
        })
    }
}

/// What a committed transaction leaves to be done.
struct Done {
    topics: HashSet<Topic>,
    others_wrote: bool,
    /// The log, if there may be something in it to sync.
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
    makers: Makers,
    ids: event_id_index::Shared,
    clock: Arc<dyn Clock>,
    /// `None` beside the relay that holds the database.
    uptime: Option<UptimeClock>,
    wakeups: Wakeups,
    /// What `PRAGMA data_version` said last; it changes when another process commits. `None` after a
    /// failure: others may have changed anything.
    data_version: Option<i64>,
    polled_at: Instant,
    idle_polls: u32,
    /// The last batch did not commit.
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

    /// What is to be done now and then. Tells whether it goes on.
    fn poll(&mut self) -> bool {
        self.polled_at = Instant::now();
        // What may be lost must not be moved into the database.
        if self.queue.synced().is_err() {
            return false;
        }
        self.look_for_others();
        // Acts that only look for work come all the time; what counts is what is written.
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
                self.give_up(&error);
                for act in batch {
                    act.answer(Some(&error));
                }
            }
        }
    }

    /// After a failure the next batch starts on a fresh connection. Only the first of a row is logged:
    /// a full disk fails every batch.
    fn give_up(&mut self, error: &StoreError) {
        if *error == StoreError::Busy || self.queue.is_lost() {
            return;
        }
        self.open = None;
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(error = %error, "the store did not commit; trying again with every batch");
        }
    }

    /// Runs and commits a batch, or nothing of it. Returns the log, if there may be something in it to sync.
    fn transact(&mut self, batch: &mut Vec<Box<dyn Command>>) -> Result<Done, StoreError> {
        let open = match self.open.take() {
            Some(open) => self.open.insert(open),
            None => {
                self.data_version = None;
                // Connecting writes to an empty file.
                self.watch.check_database()?;
                let conn = connection::writer(&self.path).map_err(failure)?;
                let open = OpenFile::new(conn, &self.path, &self.watch).map_err(failure)?;
                self.open.insert(open)
            }
        };
        let changes = open.conn.total_changes();
        let Marks { topics, erased } = Batch {
            conn: &open.conn,
            makers: &self.makers,
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
        // What another process has just written, and an act has seen, may not be synced either.
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

    /// Tells the workers when another process has changed the store.
    fn look_for_others(&mut self) {
        if let Some(open) = &self.open {
            self.log.pay_erasure(&open.conn);
        }
        if self.others_wrote() {
            self.log.may_owe();
            self.wakeups.notify_all();
        }
    }

    /// Whether another process has changed the store since this was asked last. A store that cannot be read is
    /// told by the next act.
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
        if self.queue.is_lost() {
            // Closing it would move into the database what may not be in the log.
            std::mem::forget(self.open.take());
        }
        // Whoever still waits, or comes, after a panic.
        self.queue.lose(&ended());
    }
}
