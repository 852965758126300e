//! Why a simulated click fails.

use crate::net::{ClientError, NetError};

/// The relay did not receive the click.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// The message or the button does not exist.
    #[error("there is no such button")]
    NoButton,
    /// No HTTP client could be created.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The relay did not respond.
    #[error(transparent)]
    Net(#[from] NetError),
}
