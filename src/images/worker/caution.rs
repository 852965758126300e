//! Works on images one at a time after the relay ended without a word while some were in hand: one of
//! them may have ended it. Before each check a lost lease is written down ahead, so that an image which
//! ends the process again and again is given up after the third time.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::EventSeq;

/// Whoever is not tried within this time was erased, or waits for its host.
const CAUTION_MAX: Duration = Duration::from_secs(15 * 60);

/// Images that were in hand then and have not been tried since.
pub(super) struct Caution {
    suspects: Mutex<HashSet<(EventSeq, u8)>>,
    until: Instant,
}

impl Caution {
    pub(super) fn after(interrupted: &[(EventSeq, u8)]) -> Self {
        Self {
            suspects: Mutex::new(interrupted.iter().copied().collect()),
            until: Instant::now() + CAUTION_MAX,
        }
    }

    /// Whether images are to be worked on one at a time.
    pub(super) fn is_on(&self) -> bool {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        !suspects.is_empty() && Instant::now() < self.until
    }

    /// Notes that an image was worked on and the process is still there.
    pub(super) fn tried(&self, event: EventSeq, ordinal: u8) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.remove(&(event, ordinal));
    }
}
