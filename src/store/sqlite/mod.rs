//! The store in an SQLite file.

mod accept;
mod admin;
mod complete_attempt;
mod deliveries;
mod edits;
mod engine;
mod erase;
mod failover;
mod feedback_status;
mod gates;
mod image_leases;
mod images;
mod late_images;
mod late_summaries;
mod lease;
mod leasing;
mod messages;
mod orphans;
mod queries;
mod replay;
mod retention;
mod rows;
mod stats;
mod status_history;
mod status_outbox;
mod values;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

pub use engine::files::explain_access;
pub(super) use engine::open::{open, open_beside};
pub(super) use engine::tx::Tx;
pub(super) use engine::writer::IfAbandoned;

pub(super) use accept::{accept, add_deliveries};
pub(super) use admin::{discard, make_due, retry};
pub(super) use complete_attempt::{finish_attempt, paced_sends, release_lease};
pub(super) use engine::meta::{begin_mark, erasure_owed, mark, probe, put_mark, secret};
pub(super) use erase::{erase, events_of_user};
pub(super) use failover::{expire, failover_page, fall_back};
pub(super) use feedback_status::{apply_action, end_undos, platform_lists, state_of};
pub(super) use gates::{gates, put_gate, resume, resumes};
pub(super) use image_leases::{
    ImagePoll, lease_images, make_images_due, mark_image_check, next_image_due_at, poll_images,
    ready_images,
};
pub(super) use images::{finish_image, forget_image_keys, image_key, kept_image, put_image_key};
pub(super) use late_summaries::{
    accept_late, feedback_events, known_feedback, summaries_of, summarise_late,
};
pub(super) use lease::{lease_due, lease_probe, leased_work, next_due_at};
pub(super) use messages::messages_of;
pub(super) use orphans::{rename_destination, settle_orphans};
pub(super) use queries::{attempts, deliveries, event_by_id, events};
pub(super) use replay::{replay, retry_at};
pub(super) use retention::{kept_bytes, remove_images, sweep};
pub(super) use rows::{event_by_seq, images_of};
pub(super) use stats::stats;
pub(super) use status_history::{acts_of, clicks_of, forget_clicks};
pub(super) use status_outbox::{
    finish_status_job, lease_status_jobs, next_status_due_at, status_job_of,
};

use super::StoreError;
use super::wakeups::Topic;
use crate::model::{EventSeq, Uptime};
use engine::file_watch::FileWatch;
use engine::readers::Readers;
use engine::uptime::UptimeClock;
use engine::writer::Writer;

/// An open store.
pub(super) struct Database {
    writer: Writer,
    readers: Arc<Readers>,
    watch: Arc<FileWatch>,
    /// Image jobs that were leased when the previous relay process crashed.
    pub(super) interrupted_images: Vec<(EventSeq, u8)>,
    uptime: UptimeClock,
    /// Held while the store is open; `None` beside a running relay.
    _lock: Option<File>,
}

impl Database {
    /// Runs a command that may write, and returns when it is on disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        unawaited: IfAbandoned,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.call(unawaited, act).await
    }

    /// Runs a command whose success is acknowledged. It fails if the files are no longer in place, even
    /// if it was written.
    pub(super) async fn promise<T: Send + 'static>(
        &self,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.promise(act).await
    }

    /// Checks that all files are where they were opened.
    pub(super) fn check_place(&self) -> Result<(), StoreError> {
        self.watch.check()
    }

    /// Runs a query on one snapshot of the store.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(act).await
    }

    /// Writes a copy to `file`, which must not exist.
    pub(super) async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.readers
            .with(move |conn| engine::migrations::copy_to(conn, &file))
            .await
    }

    /// Returns a channel that closes when the store stops writing.
    pub(super) fn works(&self) -> watch::Receiver<()> {
        self.writer.works()
    }

    /// Returns a counter that changes when there may be new work of this topic.
    pub(super) fn wakeups(&self, topic: Topic) -> watch::Receiver<u64> {
        self.writer.wakeups().subscribe(topic)
    }

    /// Returns how long the relay has run.
    pub(super) fn uptime(&self) -> Uptime {
        self.uptime.now()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.readers.close();
    }
}
