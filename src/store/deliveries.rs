//! What goes out.

use std::sync::Arc;
use std::time::Duration;

use super::sqlite::{self, Unawaited};
use super::{FallBack, Finished, GateRecord, PutBack, Store, StoreError, Work};
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
            .journal
            .write(Unawaited::Skip, move |tx| {
                sqlite::lease_due(tx, &destination, count, lease)
            })
            .await?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        // Read beside the writer, whose time is everybody's. Should that fail, the leases end by themselves.
        self.journal
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
        self.journal
            .read(move |conn| sqlite::next_due_at(conn, &destination, now))
            .await
    }

    /// Records an attempt and the state it leads to, in one transaction. A rendering is kept for as long
    /// as its form is the one that is due; no `payload` leaves an earlier one as it is. Where pictures were kept
    /// meanwhile that this message did not show, a delivery of them is made.
    pub async fn finish_attempt(
        &self,
        token: LeaseToken,
        finished: impl Into<Arc<Finished>>,
    ) -> Result<Recorded, StoreError> {
        let finished = finished.into();
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::finish_attempt(tx, token, &finished)
            })
            .await
    }

    /// Gives leased work back unattempted. What is no longer held is left as it is.
    pub async fn put_back(&self, back: Vec<PutBack>) -> Result<(), StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::put_back(tx, &back))
            .await
    }

    /// Makes all pending deliveries of `destination` due now: it works again. Those that wait for
    /// pictures go on waiting, for that is a matter of seconds.
    pub async fn make_due(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::make_due(tx, &destination))
            .await
    }

    /// Sends what waits for `from` to its fallback `to`, some hundred at most; tells how many went.
    pub async fn fall_back(
        &self,
        from: &DestinationName,
        to: &DestinationName,
        which: FallBack,
    ) -> Result<u64, StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::fall_back(tx, &from, &to, which)
            })
            .await
    }

    /// Ends every delivery that is not done whose destination is none of `known`.
    pub async fn bury_unknown(
        &self,
        known: &[DestinationName],
        reason: &str,
    ) -> Result<Vec<(DeliveryId, DestinationName)>, StoreError> {
        let (known, reason) = (known.to_vec(), reason.to_owned());
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::bury_unknown(tx, &known, &reason)
            })
            .await
    }

    /// What is known of the gate of each destination that ever had one.
    pub async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.journal.read(sqlite::gates).await
    }

    /// Keeps what is known of a destination's gate.
    pub async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::put_gate(tx, &gate))
            .await
    }
}
