//! Tells a few seconds of something in front of a receiver from a wrong address.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long answers that are about the address are tried again. A restart or a deployment behind a proxy is
/// over by then; whoever waits longer needs a person.
const PATIENCE: Duration = Duration::from_secs(10);

/// Since when every answer of a receiver has been about the address: a redirect, a page, a wrong method.
#[derive(Debug, Default)]
pub struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// An answer of the receiver's own came.
    pub fn restore(&self) {
        *self.since() = None;
    }

    /// An answer about the address came. Tells whether such answers have come for too long.
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
    async fn patience_ends_unless_the_receiver_itself_answers_between() {
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
