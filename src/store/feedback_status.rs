//! How feedback stands, and what the platform is told of it.

use std::time::Duration;

use super::sqlite::{self, IfAbandoned};
use super::{ActionOutcome, ApplyAction, StatusVerdict, Store, StoreError};
use crate::model::*;

impl Store {
    /// Moves a feedback, with all that follows: its history, an edit of every message that can be changed,
    /// and the wish that the platform be told. Doing again what was done changes nothing.
    pub async fn apply_action(&self, acting: ApplyAction) -> Result<ActionOutcome, StoreError> {
        self.database
            .promise(move |tx| sqlite::apply_action(tx, &acting))
            .await
    }

    /// Ends the time in which a change could be undone, where it is over: messages no longer offer it.
    pub async fn end_undos(&self) -> Result<u64, StoreError> {
        self.database
            .write(IfAbandoned::Skip, sqlite::end_undos)
            .await
    }

    /// Leases at most `count` statuses that the platform is to be told now.
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

    /// When the platform is next to be told of a status.
    pub async fn next_status_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.database
            .read(move |conn| sqlite::next_status_due_at(conn, now))
            .await
    }

    /// Records what became of it. Where somebody moved the feedback again meanwhile, that is due at once;
    /// where the platform will not have it, messages say that it holds here alone.
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

    /// How the feedback stands that an event brought; `None`: nobody has moved it.
    pub async fn feedback_state(
        &self,
        event: EventSeq,
    ) -> Result<Option<FeedbackState>, StoreError> {
        self.database
            .read(move |conn| sqlite::state_of(conn, event))
            .await
    }

    /// What was done about the feedback that an event brought, oldest first.
    pub async fn feedback_acts(&self, event: EventSeq) -> Result<Vec<FeedbackAct>, StoreError> {
        self.database
            .read(move |conn| sqlite::acts_of(conn, event))
            .await
    }

    /// How far the platform has been told of its status.
    pub async fn status_job(&self, event: EventSeq) -> Result<Option<StatusJobRecord>, StoreError> {
        self.database
            .read(move |conn| sqlite::status_job_of(conn, event))
            .await
    }

    /// The messages that told of an event, where they can be answered or changed.
    pub async fn messages(&self, event: EventSeq) -> Result<Vec<SentMessage>, StoreError> {
        self.database
            .read(move |conn| sqlite::messages_of(conn, event))
            .await
    }
}
