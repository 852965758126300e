//! Why a button that somebody presses does nothing.

use crate::net::{ClientError, NetError};

/// Nobody heard of it.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// No such message, or no such button in it.
    #[error("there is no such button")]
    NoButton,
    /// No HTTP client can be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The relay did not answer.
    #[error(transparent)]
    Net(#[from] NetError),
}
