//! Runs image checks on blocking threads, a few at once, and abandons those that take too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::super::check::{NotAnImage, Picture, inspect_within};
use super::super::policy::Failure;
use super::super::strip::Budget;

/// The number of concurrent checks. Each may need memory for a second copy of the largest image.
const CHECKS_MAX: u32 = 2;
/// The time limit of a check with the wait for its turn: well below the lease.
const CHECK_TIMEOUT: Duration = Duration::from_secs(40);

pub(super) const PANICKED: Failure = Failure::Unchecked("its check panicked");
const TOO_LONG: Failure = Failure::Unchecked("its check took too long");

pub(super) struct Checker {
    turns: Arc<Semaphore>,
}

impl Default for Checker {
    fn default() -> Self {
        let turns = usize::try_from(CHECKS_MAX).unwrap_or(1);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
        }
    }
}

impl Checker {
    /// Checks bytes. If `alone`, no other check runs at the same time. A panic in the check is
    /// caught.
    pub(super) async fn check(&self, bytes: Bytes, alone: bool) -> Result<Picture, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let check = self.check_in_turn(bytes, alone, Arc::clone(&cancelled));
        match tokio::time::timeout(CHECK_TIMEOUT, check).await {
            Ok(checked) => checked,
            Err(_elapsed) => {
                cancelled.store(true, Ordering::Relaxed);
                Err(TOO_LONG)
            }
        }
    }

    async fn check_in_turn(
        &self,
        bytes: Bytes,
        alone: bool,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Picture, Failure> {
        let turns = if alone { CHECKS_MAX } else { 1 };
        let turn = Arc::clone(&self.turns).acquire_many_owned(turns).await;
        let work = move || {
            // The permit moves into the work, because the thread continues even if the caller gives up.
            let _turn = turn;
            inspect_within(&bytes, &mut Budget::new(cancelled))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(picture)) => Ok(picture),
            Ok(Err(error @ NotAnImage::Other(_))) => Err(Failure::NotAnImage(error.to_string())),
            Ok(Err(error @ NotAnImage::Unfit(_))) => Err(Failure::Hopeless(error.to_string())),
            Err(_panicked) => Err(PANICKED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::check::samples;
    use super::super::LEASE;
    use super::*;

    /// Returns whether a check ends within its time limit, while others have `busy` of the turns.
    async fn ends(alone: bool, busy: u32) -> bool {
        let checker = Checker::default();
        let turns = Arc::clone(&checker.turns);
        let _others = turns.acquire_many_owned(busy).await.unwrap();
        let checked = checker.check(samples::png(1, 1).into(), alone).await;
        assert!(checked.is_ok() || checked == Err(TOO_LONG), "{checked:?}");
        checked.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn two_checks_run_at_once_and_a_lone_one_by_itself() {
        assert!(ends(false, 0).await && ends(true, 0).await);
        assert!(ends(false, 1).await);
        assert!(!ends(true, 1).await, "it runs beside another");
        assert!(!ends(false, 2).await, "a third one runs");
    }

    #[test]
    fn check_times_out_before_its_lease_ends() {
        const { assert!(2 * CHECK_TIMEOUT.as_secs() < LEASE.as_secs()) };
    }
}
