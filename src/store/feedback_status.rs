//! Feedback statuses, and the outbox that writes them to the platform.

use std::time::Duration;

use super::{ActionOutcome, ApplyAction, StatusVerdict, Store, StoreError};
use crate::model::*;

impl Store {
    /// Applies an action to a feedback. It adds a history entry, an edit of every editable message, and
    /// a status outbox entry. Repeating an action changes nothing.
    pub async fn apply_action(&self, acting: ApplyAction) -> Result<ActionOutcome, StoreError> {
        self.database.apply_action(acting).await
    }

    /// Ends expired undo periods, so that messages no longer offer undo. Returns how many ended.
    pub async fn end_undos(&self) -> Result<u64, StoreError> {
        self.database.end_undos().await
    }

    /// Leases at most `count` due status outbox entries.
    pub async fn lease_status_jobs(
        &self,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<StatusJob>>, StoreError> {
        self.database.lease_status_jobs(count, lease).await
    }

    /// Returns when the next status outbox entry is due.
    pub async fn next_status_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        self.database.next_status_due_at(self.clock.now()).await
    }

    /// Records the result of a status outbox entry. If the status changed again meanwhile, the new one
    /// is due at once. If the platform rejects the status, messages show it as local-only.
    pub async fn finish_status_job(
        &self,
        token: LeaseToken,
        job: StatusJob,
        verdict: StatusVerdict,
    ) -> Result<Recorded, StoreError> {
        self.database.finish_status_job(token, job, verdict).await
    }

    /// Returns the status of the feedback that an event created; `None` if nobody has changed it.
    pub async fn feedback_state(
        &self,
        event: EventSeq,
    ) -> Result<Option<FeedbackState>, StoreError> {
        self.database.feedback_state(event).await
    }

    /// Returns the history of the feedback that an event created, oldest first.
    pub async fn feedback_acts(&self, event: EventSeq) -> Result<Vec<FeedbackAct>, StoreError> {
        self.database.feedback_acts(event).await
    }

    /// Returns the progress of writing the feedback's status to the platform.
    pub async fn status_job(&self, event: EventSeq) -> Result<Option<StatusJobRecord>, StoreError> {
        self.database.status_job(event).await
    }

    /// Returns the messages about an event that can be answered or edited.
    pub async fn messages(&self, event: EventSeq) -> Result<Vec<SentMessage>, StoreError> {
        self.database.messages(event).await
    }
}
