//! The right to work on something until a time, proved by a token.

use super::Timestamp;

/// Something to work on, and the proof that it is ours. Whoever closes the work shows the token;
/// if it is no longer the one in the store, somebody else has taken the work over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease<T> {
    /// What to work on.
    pub item: T,
    /// The proof.
    pub token: LeaseToken,
    /// Until when nobody else takes it.
    pub until: Timestamp,
}

/// Proves a lease. A new one is made each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(pub i64);

/// What became of an attempt to close leased work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It is in the store.
    Recorded,
    /// The lease had ended and somebody else holds the work, or an operator ended it: nothing was written.
    LeaseLost,
}
