//! A storm: a thousand people report the white screen of one page within seconds, and a few others suggest something.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::reports::{self, Made, Report};
use super::world::World;
use crate::tasks::Tasks;

/// The number of white screens.
pub(super) const REPORTS: usize = 1000;
/// The time between two reports.
const EVERY: Duration = Duration::from_millis(18);
/// The largest number of reports that are being pushed at once.
const PUSHING_MAX: usize = 64;
/// A suggestion follows each time after so many white screens.
const SUGGESTION_EVERY: usize = 250;

/// The storms of a demo, one at a time.
pub(super) struct Storm {
    world: Arc<World>,
    tasks: Tasks,
    last: Mutex<Option<Arc<Run>>>,
    count: AtomicUsize,
}

/// One storm.
#[derive(Debug)]
pub(super) struct Run {
    /// Its number, from 0. Each has a page of its own, so each is another incident.
    number: usize,
    is_running: AtomicBool,
    /// The first white screen's event.
    first: Mutex<Option<String>>,
    acknowledged: AtomicUsize,
    /// Acknowledged suggestions.
    suggestions: AtomicUsize,
    /// Pushes beyond the first of their event.
    repeats: AtomicUsize,
}

impl Storm {
    pub(super) fn new(world: Arc<World>, tasks: Tasks) -> Self {
        Self {
            world,
            tasks,
            last: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Starts a storm. Returns `false` if one is running.
    pub(super) fn start(&self) -> bool {
        let mut last = lock(&self.last);
        if last.as_ref().is_some_and(|run| run.is_running()) {
            return false;
        }
        let run = Arc::new(Run::new(self.count.fetch_add(1, Ordering::Relaxed)));
        *last = Some(Arc::clone(&run));
        // It ends by itself.
        drop(self.tasks.spawn_brief(run.push(Arc::clone(&self.world))));
        true
    }

    /// Returns the last storm.
    pub(super) fn last(&self) -> Option<Arc<Run>> {
        lock(&self.last).clone()
    }
}

impl Run {
    fn new(number: usize) -> Self {
        Self {
            number,
            is_running: AtomicBool::new(true),
            first: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            suggestions: AtomicUsize::new(0),
            repeats: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::SeqCst)
    }

    /// Returns the id of the first white screen's event, once it is acknowledged.
    pub(super) fn first(&self) -> Option<String> {
        lock(&self.first).clone()
    }

    /// Returns the numbers of acknowledged white screens, acknowledged suggestions, and repeated pushes.
    pub(super) fn counts(&self) -> [usize; 3] {
        [&self.acknowledged, &self.suggestions, &self.repeats]
            .map(|count| count.load(Ordering::SeqCst))
    }

    async fn push(self: Arc<Self>, world: Arc<World>) {
        let pushes = stream::iter(0..REPORTS).then(|index| async move {
            sleep(EVERY).await;
            index
        });
        let push = |index| self.push_one(&world, index);
        pushes.for_each_concurrent(PUSHING_MAX, push).await;
        self.is_running.store(false, Ordering::SeqCst);
    }

    async fn push_one(&self, world: &World, index: usize) {
        let made = self
            .report(world, &reports::white_screen(self.number, index))
            .await;
        lock(&self.first).get_or_insert(made.id);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        if (index + 1).is_multiple_of(SUGGESTION_EVERY) {
            let suggestion = reports::suggestion(index / SUGGESTION_EVERY);
            self.report(world, &suggestion).await;
            self.suggestions.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn report(&self, world: &World, report: &Report) -> Made {
        let made = world.report(report).await;
        let repeats = world.pushes(&made.id).len().saturating_sub(1);
        self.repeats.fetch_add(repeats, Ordering::SeqCst);
        made
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
