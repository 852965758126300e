//! What goes out.

use std::sync::Arc;
use std::time::Duration;

use super::sqlite::{self, IfAbandoned};
use super::{
    CompletedAttempt, Expired, FailoverPage, FallBack, GateRecord, LeaseRelease, Orphaned,
    Position, Store, StoreError, Work,
};
use crate::model::*;

impl Store {
    /// Leases at most `count` deliveries of `destination` that are due, critical first (the newest
    /// of them first), then by due time. What was leased and never closed is due again, also with
    /// a count of 0.
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
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        // Read beside the writer, whose time is everybody's. Should that fail, the leases end by themselves.
        self.database
            .read(move |conn| sqlite::leased_work(conn, leases))
            .await
    }

    /// Leases the one delivery that finds out whether a failing `destination` works again. It is due whatever
    /// its own due time says. `turn` counts probes: each begins with another severity.
    pub async fn lease_probe(
        &self,
        destination: &DestinationName,
        turn: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        let destination = destination.clone();
        let leases = self
            .database
            .write(IfAbandoned::Skip, move |tx| {
                sqlite::lease_probe(tx, &destination, turn, lease)
            })
            .await?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .read(move |conn| sqlite::leased_work(conn, leases))
            .await
    }

    /// When the next pending delivery of `destination` is due.
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

    /// Records an attempt and the state it leads to, in one transaction. A rendering is kept for as long
    /// as its form is the one that is due; no `payload` leaves an earlier one as it is. Where images were kept
    /// meanwhile that this message did not show, a delivery of them is made.
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

    /// Gives leased work back unattempted. What is no longer held is left as it is.
    pub async fn release_lease(&self, back: Vec<LeaseRelease>) -> Result<(), StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::release_lease(tx, &back))
            .await
    }

    /// Makes the retries of `destination` due now: it works again.
    pub async fn make_due(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::make_due(tx, &destination)
            })
            .await
    }

    /// The deliveries of one severity, tried or not, that wait for `from` behind `after` and were due by
    /// `until`: a page of those that its fallback could send.
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

    /// Hands those of `ids` that still wait to the fallback `to`, unless it has their event. Returns how many
    /// deliveries that made.
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

    /// Ends deliveries that have been tried for `retry_for`, some hundred at most. Untried ones are ended too if
    /// `untried_too`: the destination failed for so long. Their `fallback` gets them.
    pub async fn expire(
        &self,
        destination: &DestinationName,
        retry_for: Duration,
        untried_too: bool,
        fallback: Option<DestinationName>,
    ) -> Result<Vec<Expired>, StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::expire(tx, &destination, retry_for, untried_too, fallback.as_ref())
            })
            .await
    }

    /// Settles deliveries that are not done and whose destination is none of `known`: they wait so long, as uptime,
    /// for it to come back; then they end for this reason.
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

    /// Hands what waits for the destination `old` to `new`, with a fresh `retry_for`. Returns how many deliveries
    /// that were.
    pub async fn rename_destination(
        &self,
        old: &DestinationName,
        new: &DestinationName,
    ) -> Result<u64, StoreError> {
        let (old, new) = (old.clone(), new.clone());
        self.database
            .write(IfAbandoned::Run, move |tx| {
                sqlite::rename_destination(tx, &old, &new)
            })
            .await
    }

    /// What is known of the gate of each destination that ever had one.
    pub async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.database.read(sqlite::gates).await
    }

    /// Frees a destination that is stopped, broken or paused; a running relay does so too when it sees this.
    pub async fn resume(&self, destination: &DestinationName) -> Result<(), StoreError> {
        let destination = destination.clone();
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::resume(tx, &destination))
            .await
    }

    /// How often `destination` was resumed.
    pub async fn resumes(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.database
            .read(move |conn| sqlite::resumes(conn, &destination))
            .await
    }

    /// Keeps what is known of a destination's gate.
    pub async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.database
            .write(IfAbandoned::Run, move |tx| sqlite::put_gate(tx, &gate))
            .await
    }
}
