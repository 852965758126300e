//! Runs the timers of incidents.
//!
//! Timers are columns of the store, and each step is one transaction of it. So this loop only asks at the right
//! time; a restart, a second relay and a lost wake-up need no code of their own.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::model::Clock;
use crate::store::{Store, Topic};

/// The longest pause while a timer runs. If the wall clock jumps, timers are at most this much too early or too
/// late.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest pause. During a storm each commit wakes the loop.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The pause while no incident is open. Wake-ups announce new ones.
const IDLE: Duration = Duration::from_secs(60);

/// Runs due timers until the soft stop.
pub async fn run(store: Store, clock: &dyn Clock, stopping: CancellationToken) {
    let mut wakeups = store.wakeups(Topic::Incidents);
    while !stopping.is_cancelled() {
        // A wake-up from here on causes another round, even if it comes during this one.
        wakeups.mark_unchanged();
        let pause = match store.advance_incidents().await {
            Ok(Some(next_at)) => next_at.since(clock.now()).clamp(PAUSE_MIN, PAUSE_MAX),
            Ok(None) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "failed to run the timers of incidents; retrying");
                PAUSE_MAX
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            Ok(()) = wakeups.changed() => tokio::time::sleep(PAUSE_MIN).await,
        }
    }
}
