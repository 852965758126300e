//! Incidents: reports that are counted together.
//!
//! A report is counted in the transaction that accepts it (`join`). Everything else an incident does is a timer
//! (`timers`), also its first message: a timer that is due at once.

mod actions;
mod columns;
mod content;
mod join;
mod read;
mod timers;

use super::engine::tx::Tx;
use super::{Database, IfAbandoned};
use crate::model::*;
use crate::store::{
    ActionOutcome, ApplyIncidentAction, EarlierIncidents, IncidentFilter, IncidentRecord,
    MergingIncident, StoreError,
};

#[cfg(test)]
pub(super) use actions::{LEFT, NEXT_REPORTS, PENDING, WRITTEN};
pub(super) use actions::{forget_actor, forget_actors_of};
#[cfg(test)]
pub(super) use content::{IMAGES, NEWEST, SAME_FAULT, SAME_KEY};
pub(super) use content::{earlier, images, newest_reports, show_image};
pub(super) use join::{Joined, forget_reporter, join, join_late};
#[cfg(test)]
pub(super) use join::{ONE_TOO_MANY, QUIET_BEFORE};
#[cfg(test)]
pub(super) use read::{COUNTED, MERGING};
pub(super) use read::{counted, incidents as list, keys_of, merging, of_event};
pub(super) use timers::{advance_due, find, mute, mute_open, unmute};

impl Database {
    /// See [`crate::store::Store::advance_incidents`].
    pub(in crate::store) async fn advance_incidents(
        &self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let next_at = self.read(move |conn| timers::next_at(conn, now)).await?;
        match next_at {
            Some(at) if at <= now => self.write(IfAbandoned::Run, advance_due).await,
            next_at => Ok(next_at),
        }
    }

    /// See [`crate::store::Store::incidents`].
    pub(in crate::store) async fn incidents(
        &self,
        filter: IncidentFilter,
    ) -> Result<Vec<Incident>, StoreError> {
        self.read(move |conn| read::incidents(conn, &filter)).await
    }

    /// See [`crate::store::Store::incident`].
    pub(in crate::store) async fn incident(
        &self,
        id: IncidentId,
    ) -> Result<Option<IncidentRecord>, StoreError> {
        self.read(move |conn| read::record(conn, id)).await
    }

    /// See [`crate::store::Store::incident_content`].
    pub(in crate::store) async fn incident_content(
        &self,
        id: IncidentId,
    ) -> Result<Option<(Vec<StoredEvent>, EarlierIncidents)>, StoreError> {
        self.read(move |conn| read::content(conn, id)).await
    }

    /// See [`crate::store::Store::incidents_of`].
    pub(in crate::store) async fn incidents_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<Incident>, StoreError> {
        self.read(move |conn| read::counting(conn, event)).await
    }

    /// See [`crate::store::Store::report_number`].
    pub(in crate::store) async fn report_number(
        &self,
        incident: IncidentId,
        event: EventSeq,
    ) -> Result<u64, StoreError> {
        self.read(move |conn| read::report_number(conn, incident, event))
            .await
    }

    /// See [`crate::store::Store::merging_incidents`].
    pub(in crate::store) async fn merging_incidents(
        &self,
    ) -> Result<Vec<MergingIncident>, StoreError> {
        self.read(merging).await
    }

    /// See [`crate::store::Store::apply_incident_action`].
    pub(in crate::store) async fn apply_incident_action(
        &self,
        acting: ApplyIncidentAction,
    ) -> Result<ActionOutcome, StoreError> {
        self.promise(move |tx| actions::apply_action(tx, &acting))
            .await
    }

    /// See [`crate::store::Store::close_incident`].
    pub(in crate::store) async fn close_incident(
        &self,
        id: IncidentId,
    ) -> Result<Option<IncidentState>, StoreError> {
        self.write(IfAbandoned::Run, move |tx| timers::close(tx, id))
            .await
    }
}

/// Deletes incidents that ended before `before`, with their rows.
pub(super) fn sweep(tx: &Tx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM incidents WHERE ended_at < ?1")?
        .execute([before])?;
    Ok(())
}
