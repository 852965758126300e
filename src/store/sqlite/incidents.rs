//! Incidents: counts reports, and runs timers.

use super::Database;
use crate::model::*;
use crate::store::{IncidentFilter, IncidentRecord, StoreError};

impl Database {
    /// See [`crate::store::Store::advance_incidents`].
    pub(in crate::store) async fn advance_incidents(
        &self,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// See [`crate::store::Store::incidents`].
    pub(in crate::store) async fn incidents(
        &self,
        _filter: IncidentFilter,
    ) -> Result<Vec<Incident>, StoreError> {
        Ok(Vec::new())
    }

    /// See [`crate::store::Store::incident`].
    pub(in crate::store) async fn incident(
        &self,
        _id: IncidentId,
    ) -> Result<Option<IncidentRecord>, StoreError> {
        Ok(None)
    }

    /// See [`crate::store::Store::incidents_of`].
    pub(in crate::store) async fn incidents_of(
        &self,
        _event: EventSeq,
    ) -> Result<Vec<Incident>, StoreError> {
        Ok(Vec::new())
    }

    /// See [`crate::store::Store::close_incident`].
    pub(in crate::store) async fn close_incident(
        &self,
        _id: IncidentId,
    ) -> Result<Option<IncidentState>, StoreError> {
        Ok(None)
    }
}
