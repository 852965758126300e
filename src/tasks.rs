//! Long-lived named tasks that stop in two stages.
//!
//! A soft stop asks every task to finish its current work. After the grace period, or at a second
//! signal, a hard stop drops the remaining tasks. A task fails if it panics or ends before the soft
//! stop. It then stops the others, and the process exits with a failure status.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one relay. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    soft: CancellationToken,
    hard: CancellationToken,
    failed: Arc<AtomicBool>,
}

impl Tasks {
    /// Creates an empty set of tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that runs until the soft stop. If it ends earlier or panics, the whole relay fails.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        self.spawn_brief(async move {
            let inner = tasks.spawn_brief(task);
            let panicked = inner.await.is_err_and(|error| error.is_panic());
            if panicked || !tasks.soft.is_cancelled() {
                tracing::error!(
                    task = name,
                    panicked,
                    "task ended unexpectedly; the relay is stopping"
                );
                tasks.failed.store(true, Ordering::SeqCst);
                tasks.soft.cancel();
            }
        });
    }

    /// Starts a task that ends when its work is done, e.g. one connection or one send. A hard stop drops
    /// it.
    pub fn spawn_brief(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let hard = self.hard.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = hard.cancelled() => {}
                () = task => {}
            }
        })
    }

    /// Returns a token that is cancelled at the soft stop: tasks then finish current work and start no
    /// more.
    pub fn stopping(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Asks every task to finish (soft stop).
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Drops all running tasks (hard stop).
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Waits at most `grace` until all tasks have ended, then drops the remaining ones. Returns whether
    /// all ended in time.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.tracker.close();
        let in_time = tokio::select! {
            ended = tokio::time::timeout(grace, self.tracker.wait()) => ended.is_ok(),
            () = self.hard.cancelled() => false,
        };
        self.hard.cancel();
        self.tracker.wait().await;
        in_time
    }

    /// Returns whether a task failed: it panicked, or ended before the soft stop.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn task_that_ends_early_stops_and_fails_the_relay() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("waits for stop", async move { stopping.cancelled().await });
        tasks.spawn("ends early", async {});
        tasks.stopping().cancelled().await;
        assert!(tasks.drain(Duration::from_secs(1)).await);
        assert!(tasks.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn panic_fails_the_relay() {
        let tasks = Tasks::new();
        tasks.spawn("panics", async { panic!("on purpose") });
        tasks.stopping().cancelled().await;
        assert!(tasks.drain(Duration::from_secs(1)).await);
        assert!(tasks.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn task_that_outlasts_the_grace_is_dropped() {
        let tasks = Tasks::new();
        tasks.spawn("never ends", std::future::pending());
        tasks.stop();
        assert!(!tasks.drain(Duration::from_secs(5)).await);
        assert!(!tasks.failed());
    }
}
