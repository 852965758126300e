//! Leasing, completing and rerouting deliveries.

use std::sync::Arc;
use std::time::Duration;

use super::sqlite::{self, IfAbandoned};
use super::{
    CompletedAttempt, Expired, FailoverPage, FallBack, GateRecord, LeaseRelease, Orphaned,
    Position, Renamed, Store, StoreError, Work,
};
use crate::model::*;

impl Store {
    /// Leases at most `count` due deliveries of `destination`: critical first (newest first among them),
    /// then by due time. Deliveries with an expired lease become due again, even if `count` is 0.
    pub async fn lease_due(
        &self,
        destination: &DestinationName,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        let destination = destination.clone();
        let leases = self
            .database
            .write(IfAbandoned::Skip, move |tx| {
                sqlite::lease_due(tx, &destination, count, lease)
            })
            .await?;
        self.work_of(leases).await
    }

    /// Reads the leased work on a reader, which keeps the writer free. If no reader can, because the file is not at
    /// its path and no further connection can be opened, the writer reads it: otherwise it would wait until the leases
    /// expire.
    async fn work_of(
        &self,
        leases: Vec<Lease<DeliveryId>>,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let again = leases.clone();
        let work = self
            .database
            .read(move |conn| sqlite::leased_work(conn, leases))
            .await;
        match work {
            Ok(work) => Ok(work),
            Err(_) => {
                let read = move |tx: &sqlite::Tx<'_>| sqlite::leased_work(tx, again.clone());
                self.database.write(IfAbandoned::Run, read).await
            }
        }
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
        let destination = destination.clone();
        let leases = self
            .database
            .write(IfAbandoned::Skip, move |tx| {
                sqlite::lease_probe(tx, &destination, turn, due_only, lease)
            })
            .await?;
        self.work_of(leases).await
    }

    /// Returns when the next pending delivery of `destination` is due.
    pub async fn next_due_at(
        &self,
        destination: &DestinationName,
    ) -> Result<Option<Timestamp>, StoreError> {
        let destination = destination.clone();
        let now = self.clock.now();
        self.database
            .read(move |conn| sqlite::next_due_at(conn, &destination, now))
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
        let finished = finished.into();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::finish_attempt(tx, token, &finished)
            })
            .await
    }

    /// Returns the latest attempts that rate limits count, which started after `since`: each one's destination
    /// and end, latest start first.
    ///
    /// A send in flight at a crash was not recorded, so it is missing. There are at most as many as the
    /// destination's `concurrency`, and the built-in limits leave room for them.
    pub async fn paced_sends(
        &self,
        since: Timestamp,
    ) -> Result<Vec<(DestinationName, Timestamp)>, StoreError> {
        self.database
            .read(move |conn| sqlite::paced_sends(conn, since))
            .await
    }

    /// Releases leased work without an attempt. Items whose lease is lost are left unchanged.
    pub async fn release_lease(&self, back: Vec<LeaseRelease>) -> Result<(), StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::release_lease(tx, &back))
            .await
    }

    /// Makes the retries of `destination` due now, because it works again.
    pub async fn make_due(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::make_due(tx, &destination)
            })
            .await
    }

    /// Returns a page of deliveries that the fallback of `from` could send. They have one severity, are
    /// tried or untried, wait behind `after`, and were due by `until`.
    pub async fn failover_page(
        &self,
        from: &DestinationName,
        range: (Severity, bool),
        after: Position,
        until: Timestamp,
    ) -> Result<FailoverPage, StoreError> {
        let from = from.clone();
        self.database
            .read(move |conn| sqlite::failover_page(conn, &from, range, after, until))
            .await
    }

    /// Reroutes those of `ids` that still wait to the fallback `to`, unless `to` already has their
    /// event. Returns the number of deliveries created.
    pub async fn fall_back(
        &self,
        ids: Vec<DeliveryId>,
        to: &DestinationName,
        which: FallBack,
    ) -> Result<u64, StoreError> {
        let to = to.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::fall_back(tx, &ids, &to, which)
            })
            .await
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
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::expire(tx, &destination, retry_for, failing_from, fallback.as_ref())
            })
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
        let (known, reason) = (known.to_vec(), reason.to_owned());
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::settle_orphans(tx, &known, wait, &reason)
            })
            .await
    }

    /// Moves deliveries of the destinations `old`, waiting and in flight, to `new`, with a fresh `retry_for`.
    /// If several old names got the same event, one message stays, and the others are discarded.
    pub async fn rename_destination(
        &self,
        old: &[DestinationName],
        new: &DestinationName,
    ) -> Result<Renamed, StoreError> {
        let (old, new) = (old.to_vec(), new.clone());
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::rename_destination(tx, &old, &new)
            })
            .await
    }

    /// Returns the stored gate state of every destination that has had one.
    pub async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.database.read(sqlite::gates).await
    }

    /// Resumes a destination that is stopped, broken or paused. A running relay resumes it when it sees
    /// the change.
    pub async fn resume(&self, destination: &DestinationName) -> Result<(), StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::resume(tx, &destination))
            .await
    }

    /// Returns how often `destination` was resumed.
    pub async fn resumes(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.database
            .read(move |conn| sqlite::resumes(conn, &destination))
            .await
    }

    /// Stores the gate state of a destination.
    pub async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::put_gate(tx, &gate))
            .await
    }
}
