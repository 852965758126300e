//! Long-lived tasks: started under a name, stopped in two stages.
//!
//! A soft stop asks every task to finish what is in hand; after the grace, or at a second signal, a
//! hard stop drops what is left. A task that ends by itself before anyone asked, or panics, is a
//! failure: it stops the others, and the process ends with a failing exit status.

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
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that runs until the soft stop. Ending earlier, or panicking, fails the whole.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        self.spawn_brief(async move {
            let inner = tasks.spawn_brief(task);
            let panicked = inner.await.is_err_and(|error| error.is_panic());
            if panicked || !tasks.soft.is_cancelled() {
                tracing::error!(
                    task = name,
                    panicked,
                    "a part of the relay ended by itself; stopping"
                );
                tasks.failed.store(true, Ordering::SeqCst);
                tasks.soft.cancel();
            }
        });
    }

    /// Starts a task that ends when its work is done: one connection, one send. A hard stop drops it.
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

    /// Resolves when tasks should finish what they have in hand and take nothing more.
    pub fn stopping(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Asks every task to finish.
    pub fn stop(&self) {
        self.soft.cancel();
    }

    /// Drops what is still running.
    pub fn stop_now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Waits until all tasks have ended, at most for `grace`; what has not is dropped then.
    /// Tells whether everything ended by itself.
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

    /// Whether a task ended that should not have.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_stops_the_others_and_fails_the_whole() {
        let tasks = Tasks::new();
        let stopping = tasks.stopping();
        tasks.spawn("patient", async move { stopping.cancelled().await });
        tasks.spawn("fallen", async {});
        tasks.stopping().cancelled().await;
        assert!(tasks.drain(Duration::from_secs(1)).await);
        assert!(tasks.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure() {
        let tasks = Tasks::new();
        tasks.spawn("panics", async { panic!("on purpose") });
        tasks.stopping().cancelled().await;
        assert!(tasks.drain(Duration::from_secs(1)).await);
        assert!(tasks.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlasts_the_grace_is_dropped() {
        let tasks = Tasks::new();
        tasks.spawn("deaf", std::future::pending());
        tasks.stop();
        assert!(!tasks.drain(Duration::from_secs(5)).await);
        assert!(!tasks.failed());
    }
}
