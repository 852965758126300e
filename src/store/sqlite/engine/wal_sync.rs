//! The thread that brings what was committed to the disk, and then answers.
//!
//! A commit writes to the log's end, and the kernel keeps that in memory. While it is synced, the writing thread
//! runs the next acts, so that neither waits for the other; it commits them when the sync has ended. So whatever
//! an act has seen is on the disk before the act is answered.
//!
//! A sync that fails may have lost what it was to write, and a later one would not tell: then nothing more is
//! run, and the relay is to be started anew, for the start reads the log up to where it is whole and moves it
//! into the database, where it is synced anew. Source: "Fsync Errors" in the PostgreSQL wiki, and `fsync(2)`.

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

/// What one transaction did.
pub(in crate::store::sqlite) struct Committed {
    pub(in crate::store::sqlite) acts: Vec<Box<dyn Command>>,
    /// The log, if there may be something in it to sync.
    pub(in crate::store::sqlite) log: Option<Arc<File>>,
    /// There may be new work of these topics.
    pub(in crate::store::sqlite) topics: HashSet<Topic>,
    /// Another process has changed something.
    pub(in crate::store::sqlite) others_wrote: bool,
}

/// The way to the thread.
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

    /// Syncs and answers, beside the caller. To be called when the last sync has ended.
    pub(in crate::store::sqlite) fn hand_over(&self, committed: Committed) {
        self.queue.begin_sync();
        let handed = match &self.hand_over {
            Some(thread) => thread.send(committed),
            None => Err(SendError(committed)),
        };
        if let Err(SendError(Committed { acts, .. })) = handed {
            // The thread has fallen.
            answer(acts, Some(&ended()));
            self.queue.lose(&ended());
        }
    }

    /// Waits until all are answered.
    pub(in crate::store::sqlite) fn finish(&mut self) {
        drop(self.hand_over.take());
        if let Some(thread) = self.thread.take() {
            // What it left undone when it fell has been told.
            thread.join().ok();
        }
    }
}

/// Tells whoever waits, should the thread fall.
struct Falls<'a>(&'a Queue);

impl Drop for Falls<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lose(&ended());
        }
    }
}

fn run(committed: &Receiver<Committed>, queue: &Queue, files: &FileWatch, wakeups: &Wakeups) {
    let _falls = Falls(queue);
    for one in committed {
        let Committed {
            acts,
            log,
            topics,
            others_wrote,
        } = one;
        if let Err(error) = log.map_or(Ok(()), |log| log.sync_data()) {
            let error = StoreError::Unavailable(format!("its log could not be synced: {error}"));
            queue.lose(&error);
            answer(acts, Some(&error));
            tracing::error!(%error, "what was committed could not be brought to the disk; the relay ends, for only a new start tells what is there");
            return;
        }
        queue.end_sync();
        match others_wrote {
            true => wakeups.notify_all(),
            false => wakeups.notify(&topics),
        }
        // Asked after the sync: what was in its place then is found by the next start.
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
