//! Runs durable jobs. A job is a row of the store. A worker leases it when it is due, works on it, and
//! completes it with the lease.
//!
//! The rows are the only state, and wake-ups are only hints. After a panic, a hard stop or a crash the lease
//! ends, and the job is retried.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::store::StoreError;
use crate::telemetry::Metrics;
use crate::telemetry::events::PanicCaught;

/// The longest pause between two polls. If the wall clock jumps, jobs run at most this much too early or too
/// late.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The shortest pause after a poll that found nothing, so that neither wake-ups nor two clocks that disagree
/// cause a busy loop.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// Jobs of one kind.
pub trait Jobs: Send + Sync + 'static {
    /// A leased job.
    type Job: Send + 'static;
    /// Names the kind where a panic is reported.
    const NAME: &'static str;
    /// The number of jobs in progress at once.
    const CONCURRENCY: usize;

    /// Leases at most `count` due jobs. Logs an error.
    fn poll(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<Poll<Self::Job>, StoreError>> + Send;

    /// Works on a job and completes it with its lease.
    fn work(&self, job: Self::Job) -> impl Future<Output = ()> + Send;
}

/// The result of a poll.
pub struct Poll<T> {
    /// The leased jobs.
    pub jobs: Vec<T>,
    /// The time until the next job is due, if no job was leased. `None`: no job waits.
    pub due_in: Option<Duration>,
}

/// Polls and works until the soft stop, then finishes the jobs that are leased. This includes a job leased by a
/// poll that was running at the stop, because nobody else would release its lease. If the future is dropped,
/// its jobs are dropped too.
pub async fn run<J: Jobs>(
    worker: Arc<J>,
    mut wakeups: watch::Receiver<u64>,
    metrics: &Metrics,
    stopping: CancellationToken,
) {
    let note_panic = |ended: Result<(), JoinError>| {
        if ended.is_err() {
            metrics.emit(PanicCaught { task: J::NAME });
        }
    };
    let mut in_progress = JoinSet::new();
    while !stopping.is_cancelled() {
        // A wake-up from here on causes another poll, even if it comes during this one.
        wakeups.mark_unchanged();
        let pause = start_due(&worker, &mut in_progress).await;
        if !pause.is_zero() {
            tokio::time::sleep(PAUSE_MIN).await;
        }
        let has_room = in_progress.len() < J::CONCURRENCY;
        tokio::select! {
            () = stopping.cancelled() => {}
            Some(ended) = in_progress.join_next() => note_panic(ended),
            Ok(()) = wakeups.changed(), if has_room => {}
            () = tokio::time::sleep(pause.saturating_sub(PAUSE_MIN)), if has_room => {}
        }
    }
    while let Some(ended) = in_progress.join_next().await {
        note_panic(ended);
    }
}

/// Leases as many due jobs as there is room for, and starts them. Returns the pause until the next poll: zero if
/// more may be due already.
async fn start_due<J: Jobs>(worker: &Arc<J>, in_progress: &mut JoinSet<()>) -> Duration {
    let room = J::CONCURRENCY.saturating_sub(in_progress.len());
    if room == 0 {
        return Duration::ZERO;
    }
    let Ok(poll) = worker.poll(room).await else {
        return PAUSE_MAX;
    };
    if poll.jobs.is_empty() {
        let due_in = poll.due_in.unwrap_or(PAUSE_MAX);
        return due_in.clamp(PAUSE_MIN, PAUSE_MAX);
    }
    for job in poll.jobs {
        let worker = Arc::clone(worker);
        in_progress.spawn(async move { worker.work(job).await });
    }
    Duration::ZERO
}

#[cfg(test)]
mod tests;
