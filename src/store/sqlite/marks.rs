//! Values of the store as a whole: marks, secrets, the probe and pending erasures.

use super::engine::meta::{begin_mark, mark, probe, put_mark, secret};
use super::engine::meta_table::erasure_owed;
use super::{Database, IfAbandoned};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::mark`].
    pub(in crate::store) async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let name = name.to_owned();
        self.read(move |conn| mark(conn, &name)).await
    }

    /// See [`crate::store::Store::begin_mark`].
    pub(in crate::store) async fn begin_mark(&self, name: &str) -> Result<Timestamp, StoreError> {
        let name = name.to_owned();
        self.write(IfAbandoned::Run, move |tx| begin_mark(tx, &name))
            .await
    }

    /// See [`crate::store::Store::put_mark`].
    pub(in crate::store) async fn put_mark(
        &self,
        name: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(IfAbandoned::Run, move |tx| put_mark(tx, &name, at))
            .await
    }

    /// See [`crate::store::Store::probe`].
    pub(in crate::store) async fn probe(&self) -> Result<(), StoreError> {
        self.promise(probe).await
    }

    /// See [`crate::store::Store::owes_erasure`].
    pub(in crate::store) async fn owes_erasure(&self) -> Result<bool, StoreError> {
        let owed = self.read(erasure_owed).await?;
        Ok(owed.is_some())
    }

    /// See [`crate::store::Store::secret`].
    pub(in crate::store) async fn secret(
        &self,
        name: &'static str,
    ) -> Result<[u8; 32], StoreError> {
        self.write(IfAbandoned::Run, move |tx| secret(tx, name))
            .await
    }
}
