//! Tests with paused time: every sleep takes exactly its length, and none takes real time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use super::*;
use crate::tasks::Tasks;
use crate::telemetry::Format;

const POLL: Duration = Duration::from_millis(10);
const WORK: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
/// A job that panics.
const PANICS: u32 = 13;

#[derive(Default)]
struct State {
    due: VecDeque<u32>,
    due_in: Option<Duration>,
    failing: bool,
    polls: Vec<Instant>,
    in_progress: usize,
    most_in_progress: usize,
    done: Vec<u32>,
}

/// A worker that runs one of three at once, each for [`WORK`], after polls that take [`POLL`].
#[derive(Clone, Default)]
struct Worker(Arc<Mutex<State>>);

impl Worker {
    fn with_jobs(jobs: impl IntoIterator<Item = u32>) -> Self {
        let worker = Self::default();
        worker.state().due.extend(jobs);
        worker
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the times between the polls.
    fn pauses(&self) -> Vec<Duration> {
        let state = self.state();
        state.polls.windows(2).map(|two| two[1] - two[0]).collect()
    }
}

/// Counts a job as in progress until it ends or is dropped.
struct InProgress(Worker);

impl InProgress {
    fn new(worker: &Worker) -> Self {
        let mut state = worker.state();
        state.in_progress += 1;
        state.most_in_progress = state.most_in_progress.max(state.in_progress);
        Self(worker.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.state().in_progress -= 1;
    }
}

impl Jobs for Worker {
    type Job = u32;
    const NAME: &'static str = "test";
    const CONCURRENCY: usize = 3;

    async fn poll(&self, count: usize) -> Result<Poll<u32>, StoreError> {
        let polled = {
            let mut state = self.state();
            state.polls.push(Instant::now());
            let count = count.min(state.due.len());
            match state.failing {
                true => Err(StoreError::Busy),
                false => Ok(Poll {
                    jobs: state.due.drain(..count).collect(),
                    due_in: state.due_in,
                }),
            }
        };
        sleep(POLL).await;
        polled
    }

    async fn work(&self, job: u32) {
        let _in_progress = InProgress::new(self);
        assert_ne!(job, PANICS, "panics on purpose");
        sleep(WORK).await;
        self.state().done.push(job);
    }
}

/// A running loop.
struct Bench {
    worker: Worker,
    wakeups: watch::Sender<u64>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
}

impl Bench {
    fn start(worker: Worker) -> Self {
        let (wakeups, receiver) = watch::channel(0);
        let (metrics, tasks) = (Arc::new(Metrics::new()), Tasks::new());
        let (jobs, counted) = (Arc::new(worker.clone()), Arc::clone(&metrics));
        let stopping = tasks.stopping();
        tasks.spawn("jobs", async move {
            run(jobs, receiver, &counted, stopping).await;
        });
        Self {
            worker,
            wakeups,
            metrics,
            tasks,
        }
    }

    fn add(&self, job: u32) {
        self.worker.state().due.push_back(job);
        self.wake();
    }

    fn wake(&self) {
        self.wakeups.send_modify(|count| *count += 1);
    }

    /// Stops the worker softly, waits for it, and returns the jobs that were completed.
    async fn stop(self) -> Vec<u32> {
        self.tasks.stop();
        assert!(self.tasks.drain(GRACE).await);
        assert!(!self.tasks.failed());
        let mut done = self.worker.state().done.clone();
        done.sort_unstable();
        done
    }
}

#[tokio::test(start_paused = true)]
async fn wakeup_ends_the_pause() {
    let bench = Bench::start(Worker::default());
    sleep(POLL + PAUSE_MIN * 2).await;
    bench.add(1);
    sleep(POLL).await;
    assert_eq!(bench.worker.state().polls.len(), 2);
    assert_eq!(bench.stop().await, [1]);
}

#[tokio::test(start_paused = true)]
async fn wakeup_during_a_poll_causes_another_poll() {
    let bench = Bench::start(Worker::default());
    sleep(POLL / 2).await;
    assert_eq!(bench.worker.state().polls.len(), 1);
    bench.add(1);
    sleep(POLL + PAUSE_MIN).await;
    assert_eq!(bench.worker.state().polls.len(), 2);
    assert_eq!(bench.stop().await, [1]);
}

#[tokio::test(start_paused = true)]
async fn soft_stop_finishes_jobs_and_starts_none() {
    let bench = Bench::start(Worker::with_jobs(0..9));
    sleep(SECOND).await;
    let worker = bench.worker.clone();
    assert_eq!(bench.stop().await, [0, 1, 2]);
    assert_eq!(worker.state().due.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn soft_stop_during_a_poll_finishes_its_jobs() {
    let bench = Bench::start(Worker::with_jobs(0..9));
    sleep(POLL / 2).await;
    let worker = bench.worker.clone();
    assert_eq!(bench.stop().await, [0, 1, 2], "their leases would last");
    assert_eq!(worker.state().polls.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn hard_stop_drops_jobs() {
    let bench = Bench::start(Worker::with_jobs(0..9));
    sleep(SECOND).await;
    assert_eq!(bench.worker.state().in_progress, 3);
    bench.tasks.stop_now();
    assert!(!bench.tasks.drain(GRACE).await);
    tokio::task::yield_now().await;
    let state = bench.worker.state();
    assert_eq!((state.in_progress, state.done.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn concurrency_is_limited_and_used() {
    let bench = Bench::start(Worker::with_jobs(0..9));
    sleep(WORK * 3 + SECOND).await;
    assert_eq!(bench.worker.state().done.len(), 9);
    assert_eq!(bench.worker.state().most_in_progress, 3);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn panic_is_counted_and_other_jobs_continue() {
    let bench = Bench::start(Worker::with_jobs([1, PANICS, 2, 3]));
    sleep(WORK * 2).await;
    let metrics = Arc::clone(&bench.metrics);
    assert_eq!(bench.stop().await, [1, 2, 3]);
    let text = metrics.encode(Format::Prometheus);
    assert!(text.contains("feedback_relay_panics_total 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn panic_after_the_soft_stop_is_counted() {
    let bench = Bench::start(Worker::with_jobs([PANICS]));
    sleep(POLL / 2).await;
    let metrics = Arc::clone(&bench.metrics);
    assert!(bench.stop().await.is_empty());
    let text = metrics.encode(Format::Prometheus);
    assert!(text.contains("feedback_relay_panics_total 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn pause_follows_the_due_time_within_its_limits() {
    for (due_in, pause) in [
        (None, PAUSE_MAX),
        (Some(Duration::from_secs(3600)), PAUSE_MAX),
        (Some(Duration::from_millis(300)), Duration::from_millis(300)),
        (Some(Duration::ZERO), PAUSE_MIN),
    ] {
        let worker = Worker::default();
        worker.state().due_in = due_in;
        let bench = Bench::start(worker);
        sleep(SECOND * 5).await;
        let pauses = bench.worker.pauses();
        assert!(pauses.len() >= 4, "{due_in:?}: {pauses:?}");
        assert!(
            pauses.iter().all(|one| *one == POLL + pause),
            "{due_in:?}: {pauses:?}"
        );
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn wakeups_cause_at_most_one_poll_per_shortest_pause() {
    let bench = Bench::start(Worker::default());
    for _ in 0..1000 {
        bench.wake();
        sleep(Duration::from_millis(1)).await;
    }
    let pauses = bench.worker.pauses();
    assert!(pauses.len() > 10, "{pauses:?}");
    assert!(
        pauses.iter().all(|pause| *pause >= POLL + PAUSE_MIN),
        "{pauses:?}"
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_poll_pauses_and_the_loop_continues() {
    let worker = Worker::with_jobs([1]);
    worker.state().failing = true;
    worker.state().due_in = Some(Duration::ZERO);
    let bench = Bench::start(worker);
    sleep(SECOND * 5).await;
    let pauses = bench.worker.pauses();
    assert_eq!(pauses, [POLL + PAUSE_MAX; 4]);
    bench.worker.state().failing = false;
    sleep(SECOND * 2).await;
    assert_eq!(bench.stop().await, [1]);
}
