//! Leasing, completing and rerouting deliveries.

use std::sync::Arc;
use std::time::Duration;

use super::{
    CompletedAttempt, Expired, FailoverPage, FallBack, GateRecord, LeaseRelease, Orphaned,
    Position, Renamed, Store, StoreError, Work,
};
use crate::model::*;

impl Store {
    /// Leases at most `count` due deliveries of `destination`: critical first (newest first among them),
    /// notices last, else by due time. Deliveries with an expired lease become due again, even if `count` is 0.
    pub async fn lease_due(
        &self,
        destination: &DestinationName,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        self.database.lease_due(destination, count, lease).await
    }

    /// Leases the one delivery that probes whether a failing `destination` works again. Its own due time
    /// is ignored unless `due_only`. `turn` counts probes: each one starts with another severity.
    pub async fn lease_probe(
        &self,
        destination: &DestinationName,
        turn: usize,
        due_only: bool,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        self.database
            .lease_probe(destination, turn, due_only, lease)
            .await
    }

    /// Returns when the next pending delivery of `destination` is due.
    pub async fn next_due_at(
        &self,
        destination: &DestinationName,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.database
            .next_due_at(destination, self.clock.now())
            .await
    }

    /// Records an attempt and the resulting state in one transaction. A rendering is kept while its form
    /// is the one that is due. Without a `payload`, an earlier rendering stays. If images arrived that
    /// this message did not show, a delivery for them is created.
    pub async fn finish_attempt(
        &self,
        token: LeaseToken,
        finished: impl Into<Arc<CompletedAttempt>>,
    ) -> Result<Recorded, StoreError> {
        self.database.finish_attempt(token, finished.into()).await
    }

    /// Returns the latest attempts that rate limits count, which started after `since`: each one's
    /// destination and end, latest start first.
    ///
    /// A send in flight at a crash was not recorded, so it is missing. There are at most as many as the
    /// destination's `concurrency`. After the restart, a platform may get that many sends more than its
    /// limit.
    pub async fn paced_sends(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(DestinationName, Timestamp)>, StoreError> {
        self.database.paced_sends(since).await
    }

    /// Releases leased work without an attempt. Items whose lease is lost are left unchanged.
    pub async fn release_lease(&self, back: Vec<LeaseRelease>) -> Result<(), StoreError> {
        self.database.release_lease(back).await
    }

    /// Returns the newest events that a summary counts, newest first; empty for any other event.
    pub async fn summarised(
        &self,
        summary: EventSeq,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        self.database.summarised(summary, limit).await
    }

    /// Merges messages to `destination` that have waited longer than `stale_after`: those of an incident into one
    /// message, others of a rule into a summary. Returns the summaries' ids.
    pub async fn summarise_stale(
        &self,
        destination: &DestinationName,
        stale_after: Duration,
    ) -> Result<Vec<EventId>, StoreError> {
        let now = self.clock.now();
        self.database
            .summarise_stale(destination, stale_after, now)
            .await
    }

    /// Makes the retries of `destination` due now, because it works again.
    pub async fn make_due(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        self.database.make_due(destination).await
    }

    /// Returns a page of deliveries that the fallback of `from` could send. They have one rank, are
    /// tried or untried, wait behind `after`, and were due by `until`.
    pub async fn failover_page(
        &self,
        from: &DestinationName,
        range: (Rank, bool),
        after: Position,
        until: Timestamp,
    ) -> Result<FailoverPage, StoreError> {
        self.database.failover_page(from, range, after, until).await
    }

    /// Reroutes those of `ids` that still wait to the fallback `to`, unless `to` already has their
    /// event. Returns the number of deliveries created.
    pub async fn fall_back(
        &self,
        ids: Vec<DeliveryId>,
        to: &DestinationName,
        which: FallBack,
    ) -> Result<u64, StoreError> {
        self.database.fall_back(ids, to, which).await
    }

    /// Ends deliveries that were tried for `retry_for`, a few hundred at most, and reroutes them to
    /// `fallback`. The destination has failed since `failing_from`. That counts as trying, also for messages that
    /// were never sent.
    pub async fn expire(
        &self,
        destination: &DestinationName,
        retry_for: Duration,
        failing_from: Uptime,
        fallback: Option<DestinationName>,
    ) -> Result<Vec<Expired>, StoreError> {
        self.database
            .expire(destination, retry_for, failing_from, fallback)
            .await
    }

    /// Ends unfinished deliveries whose destination is not in `known`. They first wait for `wait` of
    /// uptime, in case the destination returns; then they end for `reason`.
    pub async fn settle_orphans(
        &self,
        known: &[DestinationName],
        wait: Duration,
        reason: &str,
    ) -> Result<Orphaned, StoreError> {
        self.database.settle_orphans(known, wait, reason).await
    }

    /// Moves deliveries of the destinations `old`, waiting and in flight, to `new`, with a fresh `retry_for`.
    /// If several old names got the same event, one message stays, and the others are discarded.
    pub async fn rename_destination(
        &self,
        old: &[DestinationName],
        new: &DestinationName,
    ) -> Result<Renamed, StoreError> {
        self.database.rename_destination(old, new).await
    }

    /// Renames the destination of recently sent messages, so that edits and late images find them under `new`.
    /// It works in batches.
    pub async fn rename_sent(
        &self,
        old: &[DestinationName],
        new: &DestinationName,
    ) -> Result<(), StoreError> {
        self.database.rename_sent(old, new).await
    }

    /// Returns the stored gate state of every destination that has had one.
    pub async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.database.gates().await
    }

    /// Resumes a destination that is stopped, broken or paused. A running relay resumes it when it sees
    /// the change.
    pub async fn resume(&self, destination: &DestinationName) -> Result<(), StoreError> {
        self.database.resume(destination).await
    }

    /// Returns how often `destination` was resumed.
    pub async fn resumes(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        self.database.resumes(destination).await
    }

    /// Stores the gate state of a destination.
    pub async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.database.put_gate(gate).await
    }
}
