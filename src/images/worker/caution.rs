//! Works on images one at a time after a crash, because one of the images in progress may have caused it.
//! Before each check a lost lease is recorded in advance. So an image that crashes the process repeatedly is
//! lost after the third time.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::EventSeq;

/// The time after which suspects are dropped: an image not tried by then was erased, or waits for its host.
const CAUTION_MAX: Duration = Duration::from_secs(15 * 60);

/// Images that were in progress at the crash and have not been tried since.
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

    /// Returns whether images have to be processed one at a time.
    pub(super) fn is_on(&self) -> bool {
        let suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        !suspects.is_empty() && Instant::now() < self.until
    }

    /// Records that an image was processed without a crash.
    pub(super) fn tried(&self, event: EventSeq, ordinal: u8) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.remove(&(event, ordinal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUSPECTS: [(EventSeq, u8); 2] = [(EventSeq(1), 0), (EventSeq(1), 7)];

    #[tokio::test(start_paused = true)]
    async fn caution_lasts_until_every_suspect_was_tried() {
        assert!(!Caution::after(&[]).is_on(), "there was no crash");
        let caution = Caution::after(&SUSPECTS);
        caution.tried(EventSeq(2), 0);
        caution.tried(EventSeq(1), 7);
        assert!(caution.is_on());
        caution.tried(EventSeq(1), 0);
        assert!(!caution.is_on());
    }

    #[tokio::test(start_paused = true)]
    async fn caution_ends_after_a_quarter_of_an_hour() {
        let caution = Caution::after(&SUSPECTS);
        tokio::time::advance(CAUTION_MAX - Duration::from_millis(1)).await;
        assert!(caution.is_on());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!caution.is_on());
    }
}
