//! The journal in an SQLite file.

mod accept;
mod batch;
mod by_hand;
mod connect;
mod deliveries;
mod edits;
mod erase;
mod failover;
mod file_watch;
mod files;
mod finish;
mod follow_up;
mod gates;
mod history;
mod ids;
mod image_leases;
mod images;
mod late;
mod lease;
mod lists;
mod log;
mod messages;
mod meta;
mod open;
mod orphans;
mod queue;
mod readers;
mod replay;
mod rows;
mod schema;
mod states;
mod stats;
mod status_jobs;
mod sweep;
mod syncer;
mod tx;
mod uptime;
mod values;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

pub(super) use open::{open, open_beside};
pub(super) use tx::Tx;
pub(super) use writer::Unawaited;

pub(super) use accept::{accept, add_deliveries};
pub(super) use by_hand::{discard, make_due, retry};
pub(super) use erase::{erase, events_of_user};
pub(super) use failover::{expire, failover_page, fall_back};
pub(super) use finish::{finish_attempt, put_back};
pub(super) use gates::{gates, put_gate, resume, resumes};
pub(super) use history::{acts_of, clicks_of, forget_clicks};
pub(super) use image_leases::{
    ImageLook, lease_images, look_for_images, make_images_due, mark_image_check, next_image_due_at,
    ready_images,
};
pub(super) use images::{finish_image, forget_image_keys, image_key, kept_image, put_image_key};
pub(super) use late::{accept_late, feedback_events, known_feedback, summaries_of, summarise_late};
pub(super) use lease::{lease_due, lease_probe, leased_work, next_due_at};
pub(super) use lists::{attempts, deliveries, event_by_id, events};
pub(super) use messages::messages_of;
pub(super) use meta::{begin_mark, erasure_owed, mark, probe, put_mark, secret};
pub(super) use orphans::{rename_destination, settle_orphans};
pub(super) use replay::{replay, retry_at};
pub(super) use rows::{event_by_seq, images_of};
pub(super) use states::{act, end_undos, platform_lists, state_of};
pub(super) use stats::stats;
pub(super) use status_jobs::{
    finish_status_job, lease_status_jobs, next_status_due_at, status_job_of,
};
pub(super) use sweep::{kept_bytes, remove_images, sweep};

use super::StoreError;
use super::wakeups::Topic;
use crate::model::{EventSeq, Uptime};
use file_watch::FileWatch;
use readers::Readers;
use uptime::UptimeClock;
use writer::Writer;

/// An open journal.
pub(super) struct Journal {
    writer: Writer,
    readers: Arc<Readers>,
    watch: Arc<FileWatch>,
    /// Picture jobs that were in hand when the relay that had the journal last ended without a word.
    pub(super) interrupted_images: Vec<(EventSeq, u8)>,
    uptime: UptimeClock,
    /// Held while the journal is open; `None` beside a running relay.
    _lock: Option<File>,
}

impl Journal {
    /// Runs an act that may write, and answers when it is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        unawaited: Unawaited,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.call(unawaited, act).await
    }

    /// The same for an act whose answer is a promise: it fails where the files are not in their place any more,
    /// even if it was written.
    pub(super) async fn promise<T: Send + 'static>(
        &self,
        act: impl Fn(&Tx<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.promise(act).await
    }

    /// Fails unless all files are where they were opened.
    pub(super) fn check_place(&self) -> Result<(), StoreError> {
        self.watch.check()
    }

    /// Runs an act that only reads, on one state of the journal.
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
            .with(move |conn| schema::copy_to(conn, &file))
            .await
    }

    /// Closed when nothing is written any more.
    pub(super) fn works(&self) -> watch::Receiver<()> {
        self.writer.works()
    }

    /// Changes when there may be new work of this topic.
    pub(super) fn wakeups(&self, topic: Topic) -> watch::Receiver<u64> {
        self.writer.wakeups().subscribe(topic)
    }

    /// For how long the relay has run.
    pub(super) fn uptime(&self) -> Uptime {
        self.uptime.now()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.readers.close();
    }
}
