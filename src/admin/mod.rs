//! The operations of an operator on stored events, deliveries, incidents and destinations.
//!
//! The command line calls them, and any other front end can: they take a [`Store`](crate::store::Store), an archive
//! and the parts of the configuration that they need, and return [`view`](crate::view)s. They print nothing.

pub mod backup;
mod compare;
pub mod deliveries;
pub mod destinations;
pub mod digests;
pub mod erase;
mod events;
pub mod incidents;
mod replay;
mod select;
mod show;
pub mod silences;

pub use self::compare::ComparedDestinations;
pub use self::events::{EventConfig, Events, FoundEvents, find, find_all};
pub use self::replay::{Replay, Replayed};
pub use self::select::{EventQuery, Selection};

use crate::model::{IncidentId, SilenceId};
use crate::store::StoreError;

/// Why an operation failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no event with this id.
    #[error("the store has no event {0:?}")]
    NoEvent(String),
    /// There is no incident with this id.
    #[error("the store has no incident {0}")]
    NoIncident(IncidentId),
    /// There is no silence with this id.
    #[error("the store has no silence {0}")]
    NoSilence(SilenceId),
    /// Conditions are wrong; one line for each mistake.
    #[error("{}", .0.join("\n"))]
    Conditions(Vec<String>),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
