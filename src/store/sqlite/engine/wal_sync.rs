//! The thread that syncs commits to disk and then answers the callers.
//!
//! A commit writes to the end of the log, which the kernel first keeps in memory. While the log is
//! synced, the writing thread runs the next commands, so neither thread waits for the other. It commits
//! them after the sync. So all data that a command has seen is on disk before the command is answered.
//!
//! A failed sync may have lost data, and a later sync would not report it. So no more commands run, and
//! the relay must restart. The start reads the intact part of the log and moves it into the database,
//! which is synced again. Source: "Fsync Errors" in the PostgreSQL wiki, and `fsync(2)`.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::command_queue::{Queue, ended};
use super::file_watch::FileWatch;
use super::group_commit::Command;
use crate::store::StoreError;
use crate::store::wakeups::{Topic, Wakeups};

/// The results of one transaction.
pub(in crate::store::sqlite) struct Committed {
    pub(in crate::store::sqlite) acts: Vec<Box<dyn Command>>,
    /// The log; `None` if there is nothing to sync.
    pub(in crate::store::sqlite) log: Option<Arc<File>>,
    /// Topics that may have new work.
    pub(in crate::store::sqlite) topics: HashSet<Topic>,
    /// Whether another process has changed the store.
    pub(in crate::store::sqlite) others_wrote: bool,
}

/// The handle of the syncing thread.
pub(in crate::store::sqlite) struct Syncer {
    queue: Arc<Queue>,
    hand_over: Option<SyncSender<Committed>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(in crate::store::sqlite) fn start(
        queue: Arc<Queue>,
        files: Arc<FileWatch>,
        wakeups: Wakeups,
    ) -> std::io::Result<Self> {
        let (hand_over, committed) = sync_channel(1);
        let syncing = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("store-sync".into())
            .spawn(move || run(&committed, &syncing, &files, &wakeups))?;
        Ok(Self {
            queue,
            hand_over: Some(hand_over),
            thread: Some(thread),
        })
    }

    /// Syncs and answers in the other thread. Call it after the previous sync has ended.
    pub(in crate::store::sqlite) fn hand_over(&self, committed: Committed) {
        self.queue.begin_sync();
        let handed = match &self.hand_over {
            Some(thread) => thread.send(committed),
            None => Err(SendError(committed)),
        };
        if let Err(SendError(Committed { acts, .. })) = handed {
            // The thread has panicked.
            answer(acts, Some(&ended()));
            self.queue.fail(&ended());
        }
    }

    /// Waits until all callers are answered.
    pub(in crate::store::sqlite) fn finish(&mut self) {
        drop(self.hand_over.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already been reported.
            thread.join().ok();
        }
    }
}

/// Fails all waiting commands if the thread panics.
struct FailOnPanic<'a>(&'a Queue);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&ended());
        }
    }
}

fn run(committed: &Receiver<Committed>, queue: &Queue, files: &FileWatch, wakeups: &Wakeups) {
    let _fail_on_panic = FailOnPanic(queue);
    for one in committed {
        let Committed {
            acts,
            log,
            topics,
            others_wrote,
        } = one;
        if let Err(error) = log.map_or(Ok(()), |log| log.sync_data()) {
            let error = StoreError::Unavailable(format!("failed to sync its log: {error}"));
            queue.fail(&error);
            answer(acts, Some(&error));
            tracing::error!(%error, "failed to sync committed data to disk; the relay exits, because only a restart shows what was written");
            return;
        }
        queue.end_sync();
        match others_wrote {
            true => wakeups.notify_all(),
            false => wakeups.notify(&topics),
        }
        // Check after the sync: files in place at that time are found by the next start.
        let promised = acts.iter().any(|act| act.promises());
        let out_of_place = promised.then(|| files.check().err()).flatten();
        for act in acts {
            let failed = out_of_place.as_ref().filter(|_| act.promises());
            act.answer(failed);
        }
    }
}

fn answer(acts: Vec<Box<dyn Command>>, failed: Option<&StoreError>) {
    for act in acts {
        act.answer(failed);
    }
}
