//! Feedback statuses, and the outbox that writes them to the platform.

use std::time::Duration;

use super::sqlite::{self, IfAbandoned};
use super::{ActionOutcome, ApplyAction, StatusVerdict, Store, StoreError};
use crate::model::*;

impl Store {
    /// Applies an action to a feedback. It adds a history entry, an edit of every editable message, and
    /// a status outbox entry. Repeating an action changes nothing.
    pub async fn apply_action(&self, acting: ApplyAction) -> Result<ActionOutcome, StoreError> {
        self.database
            .promise(move |tx| sqlite::apply_action(tx, &acting))
            .await
    }

    /// Ends expired undo periods, so that messages no longer offer undo. Returns how many ended.
    pub async fn end_undos(&self) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Skip, sqlite::end_undos)
            .await
    }

    /// Leases at most `count` due status outbox entries.
    pub async fn lease_status_jobs(
        &self,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<StatusJob>>, StoreError> {
        self.database
            .write(IfAbandoned::Skip, move |tx| {
                sqlite::lease_status_jobs(tx, count, lease)
            })
            .await
    }

    /// Returns when the next status outbox entry is due.
    pub async fn next_status_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.database
            .read(move |conn| sqlite::next_status_due_at(conn, now))
            .await
    }

    /// Records the result of a status outbox entry. If the status changed again meanwhile, the new one
    /// is due at once. If the platform rejects the status, messages show it as local-only.
    pub async fn finish_status_job(
        &self,
        token: LeaseToken,
        job: StatusJob,
        verdict: StatusVerdict,
    ) -> Result<Recorded, StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::finish_status_job(tx, token, &job, &verdict)
            })
            .await
    }

    /// Returns the status of the feedback that an event created; `None` if nobody has changed it.
    pub async fn feedback_state(
        &self,
        event: EventSeq,
    ) -> Result<Option<FeedbackState>, StoreError> {
        self.database
            .read(move |conn| sqlite::state_of(conn, event))
            .await
    }

    /// Returns the history of the feedback that an event created, oldest first.
    pub async fn feedback_acts(&self, event: EventSeq) -> Result<Vec<FeedbackAct>, StoreError> {
        self.database
            .read(move |conn| sqlite::acts_of(conn, event))
            .await
    }

    /// Returns the progress of writing the feedback's status to the platform.
    pub async fn status_job(&self, event: EventSeq) -> Result<Option<StatusJobRecord>, StoreError> {
        self.database
            .read(move |conn| sqlite::status_job_of(conn, event))
            .await
    }

    /// Returns the messages about an event that can be answered or edited.
    pub async fn messages(&self, event: EventSeq) -> Result<Vec<SentMessage>, StoreError> {
        self.database
            .read(move |conn| sqlite::messages_of(conn, event))
            .await
    }
}
