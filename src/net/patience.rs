//! Distinguishes a short disturbance in front of a receiver from a wrong address.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long responses that indicate a wrong address are retried. A restart or a deployment behind a
/// proxy takes less; a longer disturbance needs an operator.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time since which every response has indicated a wrong address: a redirect, a page, a wrong
/// method. `None` if the last one did not.
#[derive(Debug, Default)]
pub struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// Resets the time after a response of the receiver itself.
    pub fn restore(&self) {
        *self.since() = None;
    }

    /// Records a response that indicates a wrong address. Returns whether such responses have
    /// lasted too long.
    pub fn is_over(&self) -> bool {
        let now = Instant::now();
        now.duration_since(*self.since().get_or_insert(now)) >= PATIENCE
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_unless_receiver_answers_in_between() {
        let patience = Patience::default();
        assert!(!patience.is_over());
        tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
        assert!(!patience.is_over());
        patience.restore();
        assert!(!patience.is_over());
        tokio::time::advance(PATIENCE).await;
        assert!(patience.is_over());
        assert!(patience.is_over());
    }
}
