//! Leases: exclusive rights to work on an item until a given time, proved by a token.

use super::Timestamp;

/// A leased item and its token. Completing the work requires the token. If the store has another token,
/// another worker has taken the item over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease<T> {
    pub item: T,
    /// The token that proves the lease.
    pub token: LeaseToken,
    /// When the lease ends; nobody else takes the item earlier.
    pub until: Timestamp,
}

impl<T> Lease<T> {
    /// Returns the same lease with `item` in place of its own.
    pub fn with<U>(&self, item: U) -> Lease<U> {
        Lease {
            item,
            token: self.token,
            until: self.until,
        }
    }
}

/// The proof of a lease. Each lease gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(pub i64);

/// The result of completing leased work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// Stored.
    Recorded,
    /// Nothing was written: the lease had ended and another worker holds the item, or an operator ended
    /// it.
    LeaseLost,
}
