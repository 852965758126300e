//! Limits the work that one file can cause, counted in parts instead of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Malformed;

/// The number of parts: twice the blocks of the largest animation seen so far. Reading them takes well under a
/// second.
const PARTS_MAX: u32 = 1_000_000;
/// The unpacked bytes that count as one part.
const UNPACKED_BYTES: usize = 32;

/// The error of a file that has more parts than any image needs.
pub(in crate::images) const TOO_MANY_PARTS: Malformed = Malformed("it has too many parts");
/// The caller of the check no longer waits for it.
const CANCELLED: Malformed = Malformed("its check took too long");

/// The number of parts of a file that may still be read: boxes, chunks, segments, blocks, directory entries.
pub(in crate::images) struct Budget {
    left: u32,
    cancelled: Arc<AtomicBool>,
}

impl Budget {
    /// Builds a full budget. Setting the flag ends the check at its next part.
    pub(in crate::images) fn new(cancelled: Arc<AtomicBool>) -> Self {
        Self {
            left: PARTS_MAX,
            cancelled,
        }
    }

    /// Takes one part from the budget.
    pub(super) fn part(&mut self) -> Result<(), Malformed> {
        self.parts(1)
    }

    /// Takes unpacked bytes from the budget, because they are more work than the packed ones that were read.
    pub(super) fn unpacked(&mut self, bytes: usize) -> Result<(), Malformed> {
        let parts = u32::try_from(bytes / UNPACKED_BYTES).map_err(|_large| TOO_MANY_PARTS)?;
        self.parts(parts)
    }

    fn parts(&mut self, parts: u32) -> Result<(), Malformed> {
        self.left = self.left.checked_sub(parts).ok_or(TOO_MANY_PARTS)?;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(CANCELLED);
        }
        Ok(())
    }

    /// Returns the number of parts that were read.
    #[cfg(test)]
    pub(in crate::images) fn spent(&self) -> u32 {
        PARTS_MAX - self.left
    }
}
