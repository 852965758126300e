//! The one thread that writes.
//!
//! Acts wait in a bounded queue. The thread takes all that wait (at most [`BATCH_MAX`]), runs them in
//! one transaction (see `batch`), commits once, and then answers all: one `fsync` serves many events,
//! and no answer comes before its commit. A commit that fails is told to everyone in it, and the next
//! batch starts on a fresh connection, so that the journal works again when the disk does.
//!
//! Acts that write nothing leave no page dirty, so their commit costs no `fsync`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::batch::{Act, Batch};
use super::connect::{self, data_version, failure};
use super::ids::{self, NewIds};
use super::tx::{Makers, Marks, Tx};
use crate::model::Clock;
use crate::store::StoreError;

/// Acts in one transaction: enough that the `fsync` is a small part of its time, and so few that whoever is
/// answered works on while the next commits.
pub(super) const BATCH_MAX: usize = 128;

/// Acts that wait. At a few thousand a second this is well under the second within which intake answers.
pub(super) const QUEUE_MAX: usize = 1024;

/// How often it is looked whether another process changed the journal.
const POLL: Duration = Duration::from_millis(500);

/// After so many polls without work the write-ahead log is emptied and free pages are given back.
const IDLE_POLLS: u32 = 2;

/// A log of so many pages is moved into the database: so many that a page which is written again and again is
/// moved once.
const LOG_PAGES: i64 = 8000;

/// After so many batches it is looked how long the log is.
const LOG_LOOK: u32 = 8;

/// Pages given back in one go, so that an act that comes meanwhile waits for milliseconds only.
const VACUUM_PAGES: u32 = 500;

/// How long it is tried to empty the log after an erasure, though a reader needs it; then it is tried
/// with every poll.
const ERASE_PATIENCE: Duration = Duration::from_secs(1);

/// Whether an act is run although nobody waits for its answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Unawaited {
    /// It records what has happened.
    Run,
    /// It takes something for somebody who is gone.
    Skip,
}

struct Call<T, F> {
    act: F,
    unawaited: Unawaited,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Act for Call<T, F>
where
    T: Send,
    F: Fn(&Tx<'_>) -> rusqlite::Result<T> + Send,
{
    fn wanted(&self) -> bool {
        self.unawaited == Unawaited::Run || !self.reply.is_closed()
    }

    fn run(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.result = Some(Ok((self.act)(tx)?));
        Ok(())
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

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Option<SyncSender<Box<dyn Act>>>,
    thread: Option<JoinHandle<()>>,
    news: watch::Receiver<u64>,
}

impl Writer {
    /// Starts the thread on an open connection to `path`.
    pub(super) fn start(
        conn: Connection,
        path: PathBuf,
        makers: Makers,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE_MAX);
        let (tell, news) = watch::channel(0);
        // What was changed before this is seen by the workers' first look.
        let data_version = data_version(&conn).ok();
        let thread = Thread {
            conn: Some(conn),
            path,
            makers,
            ids: RefCell::new(NewIds::new()),
            clock,
            tell,
            data_version,
            polled_at: Instant::now(),
            idle_polls: 0,
            batches: 0,
            mover: None,
            untidy: true,
            owes_erasure: false,
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || thread.run(&waiting))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            news,
        })
    }

    /// Changes when there may be new work.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }

    /// Runs an act and answers when it is on the disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        unawaited: Unawaited,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            act,
            unawaited,
            result: None,
            reply,
        };
        let ended = || StoreError::Unavailable("its writer has ended".into());
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        match queue.try_send(Box::new(call)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(ended())),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(ended()),
        }
    }
}

impl Drop for Writer {
    /// Waits until what is in the queue is written: who drops the journal may open it again at once.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been told already, by every answer since.
            thread.join().ok();
        }
    }
}

struct Thread {
    /// `None` after a failure, until the next batch.
    conn: Option<Connection>,
    path: PathBuf,
    makers: Makers,
    ids: ids::Shared,
    clock: Arc<dyn Clock>,
    tell: watch::Sender<u64>,
    /// What `PRAGMA data_version` said last; it changes when another process commits. `None` after a
    /// failure: others may have changed anything.
    data_version: Option<i64>,
    polled_at: Instant,
    idle_polls: u32,
    /// Since the start.
    batches: u32,
    /// Moves the log into the database.
    mover: Option<JoinHandle<rusqlite::Result<()>>>,
    /// Something was written since the log was last emptied.
    untidy: bool,
    /// A reader kept erased words in the log.
    owes_erasure: bool,
    /// The last batch did not commit.
    failing: bool,
}

impl Thread {
    fn run(mut self, waiting: &Receiver<Box<dyn Act>>) {
        loop {
            match waiting.recv_timeout(POLL) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
                    self.serve(batch);
                    self.batches = self.batches.wrapping_add(1);
                    if self.mover.is_some() || self.batches.is_multiple_of(LOG_LOOK) {
                        self.shorten_log();
                    }
                    self.idle_polls = 0;
                }
                Err(RecvTimeoutError::Timeout) => self.idle_polls += 1,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.polled_at.elapsed() >= POLL {
                self.polled_at = Instant::now();
                self.look_for_others();
                // A relay that is never idle must not owe it for ever.
                self.owes_erasure = self.owes_erasure && !self.empty_log(Duration::ZERO);
            }
            if self.idle_polls >= IDLE_POLLS {
                self.tidy();
            }
        }
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Act>>) {
        batch.retain(|act| act.wanted());
        if batch.is_empty() {
            return;
        }
        let done = self.transact(&mut batch);
        let failed = match done {
            Ok(marks) => {
                if marks.erased {
                    self.owes_erasure = !self.empty_log(ERASE_PATIENCE);
                }
                if marks.news {
                    self.tell
                        .send_modify(|count| *count = count.wrapping_add(1));
                }
                None
            }
            Err(error) => Some(self.give_up(failure(error))),
        };
        if failed.is_none() && std::mem::take(&mut self.failing) {
            tracing::info!("the journal works again");
        }
        for act in batch {
            act.answer(failed.as_ref());
        }
    }

    /// After a failure the next batch starts on a fresh connection. Only the first of a row is logged:
    /// a full disk fails every batch.
    fn give_up(&mut self, error: StoreError) -> StoreError {
        if error != StoreError::Busy {
            self.conn = None;
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!(error = %error, "the journal did not commit; trying again with every batch");
            }
        }
        error
    }

    /// Runs and commits a batch, or nothing of it.
    fn transact(&mut self, batch: &mut [Box<dyn Act>]) -> rusqlite::Result<Marks> {
        let conn = match self.conn.take() {
            Some(conn) => self.conn.insert(conn),
            None => {
                self.data_version = None;
                self.conn.insert(connect::writer(&self.path)?)
            }
        };
        let changes = conn.total_changes();
        let done = Batch {
            conn,
            makers: &self.makers,
            ids: &self.ids,
            clock: &*self.clock,
        }
        .commit(batch);
        self.untidy |= conn.total_changes() != changes;
        done
    }

    /// Tells the workers when another process has changed the journal.
    fn look_for_others(&mut self) {
        let Some(conn) = &self.conn else { return };
        // A journal that cannot be read is told by the next act.
        let Ok(seen) = data_version(conn) else { return };
        if self.data_version.replace(seen) != Some(seen) {
            self.tell
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Moves a long log into the database beside the writer, then what came meanwhile, which is little: so
    /// the next transaction begins the log anew, and none waits for the whole.
    fn shorten_log(&mut self) {
        let Some(conn) = &self.conn else { return };
        match &self.mover {
            Some(mover) if !mover.is_finished() => {}
            Some(_) => {
                self.mover = None;
                // What stays in the log is in no danger; SQLite's own limit shortens it.
                connect::checkpoint(conn, "PASSIVE").ok();
            }
            None if connect::checkpoint(conn, "NOOP").is_ok_and(|log| log.pages >= LOG_PAGES) => {
                let path = self.path.clone();
                let mover = std::thread::Builder::new().name("journal-log".into());
                self.mover = mover.spawn(move || connect::move_log(&path)).ok();
            }
            None => {}
        }
    }

    /// Empties the log and gives free pages back, while nobody waits.
    fn tidy(&mut self) {
        self.idle_polls = 0;
        let (true, Some(conn)) = (self.untidy, &self.conn) else {
            return;
        };
        let left = conn
            .execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))
            .and_then(|()| {
                conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))
            });
        // A long reader, such as a backup, must not hold the writer up.
        let emptied = self.empty_log(Duration::ZERO);
        self.untidy = !(emptied && left.is_ok_and(|pages| pages == 0));
    }

    /// Moves the log into the database and cuts it to nothing, unless a reader needs it. Tells whether it did.
    fn empty_log(&mut self, patience: Duration) -> bool {
        let Some(conn) = &self.conn else { return false };
        self.untidy = true;
        let emptied = conn
            .busy_timeout(patience)
            .and_then(|()| connect::checkpoint(conn, "TRUNCATE"));
        let restored = connect::wait_for_locks(conn);
        restored.is_ok() && emptied.is_ok_and(|log| !log.busy)
    }
}
