//! The queue of commands for the writing thread, and its wait for the end of a sync.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group_commit::Command;
use crate::store::StoreError;

/// The longest queue. At a few thousand commands a second, it drains well within the one second in which intake
/// must answer.
pub(in crate::store::sqlite) const QUEUE_MAX: usize = 1024;

/// The queue. Many threads push; only the writing thread takes.
#[derive(Default)]
pub(in crate::store::sqlite) struct Queue {
    state: Mutex<State>,
    /// Notifies the writing thread only.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Command>>,
    /// Whether the last commit is being synced.
    syncing: bool,
    /// The event that ends the writing thread's sleep. `None` if it is awake and needs no notification.
    asleep: Option<WaitReason>,
    end: Option<End>,
}

/// The event that ends the writing thread's sleep. The end of the queue always wakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitReason {
    /// A command.
    Command,
    /// The end of the sync.
    Sync,
    /// Either of them.
    Both,
}

/// Why the queue accepts no more commands.
#[derive(Clone, Debug)]
enum End {
    /// The store is being closed; queued commands still run.
    Closed,
    /// A sync failed; no more commands run.
    Lost(StoreError),
}

/// The result of waiting for a command.
pub(in crate::store::sqlite) enum Next {
    Command(Box<dyn Command>),
    /// No command came in time.
    Nothing,
    /// No more commands will come.
    End,
}

impl Queue {
    /// Queues a command. It is later answered or dropped.
    pub(in crate::store::sqlite) fn push(&self, act: Box<dyn Command>) -> Result<(), StoreError> {
        let mut state = self.lock();
        match &state.end {
            Some(End::Closed) => return Err(ended()),
            Some(End::Lost(error)) => return Err(error.clone()),
            None if state.waiting.len() >= QUEUE_MAX => return Err(StoreError::Busy),
            None => {}
        }
        state.waiting.push_back(act);
        if let Some(WaitReason::Command | WaitReason::Both) = state.asleep {
            self.wake(state);
        }
        Ok(())
    }

    /// Waits for a command, at most for `patience`.
    pub(in crate::store::sqlite) fn take(&self, patience: Duration) -> Next {
        let mut state = self.lock();
        if state.waiting.is_empty() && state.end.is_none() {
            state = self.sleep(state, WaitReason::Command, patience);
        }
        match (state.waiting.pop_front(), &state.end) {
            (Some(act), _) => Next::Command(act),
            (None, Some(_)) => Next::End,
            (None, None) => Next::Nothing,
        }
    }

    /// Waits for one more command during a sync, if the batch has room. Returns `None` if no sync is
    /// running and no command waits.
    ///
    /// # Errors
    /// The sync failed.
    pub(in crate::store::sqlite) fn take_more(
        &self,
        room: bool,
    ) -> Result<Option<Box<dyn Command>>, StoreError> {
        let mut state = self.lock();
        while state.syncing && (!room || state.waiting.is_empty()) {
            let what = if room {
                WaitReason::Both
            } else {
                WaitReason::Sync
            };
            state = self.sleep(state, what, Duration::MAX);
        }
        match &state.end {
            Some(End::Lost(error)) => Err(error.clone()),
            Some(End::Closed) | None if room => Ok(state.waiting.pop_front()),
            Some(End::Closed) | None => Ok(None),
        }
    }

    /// Records that a sync of the last commit starts.
    pub(in crate::store::sqlite) fn begin_sync(&self) {
        self.lock().syncing = true;
    }

    /// Records that the last commit is on disk.
    pub(in crate::store::sqlite) fn end_sync(&self) {
        let mut state = self.lock();
        state.syncing = false;
        if let Some(WaitReason::Sync | WaitReason::Both) = state.asleep {
            self.wake(state);
        }
    }

    /// Records that the last commit may not be on disk. No more commands run; queued ones fail.
    pub(in crate::store::sqlite) fn fail(&self, error: &StoreError) {
        let mut state = self.lock();
        state.syncing = false;
        state.end = Some(End::Lost(error.clone()));
        let waiting = std::mem::take(&mut state.waiting);
        self.wake(state);
        for act in waiting {
            act.answer(Some(error));
        }
    }

    /// Waits until no sync is running.
    ///
    /// # Errors
    /// The sync failed.
    pub(in crate::store::sqlite) fn synced(&self) -> Result<(), StoreError> {
        self.take_more(false).map(|_none| ())
    }

    /// Returns whether a sync failed, or the syncing or writing thread panicked.
    pub(in crate::store::sqlite) fn is_lost(&self) -> bool {
        matches!(self.lock().end, Some(End::Lost(_)))
    }

    /// Accepts no more commands.
    pub(in crate::store::sqlite) fn close(&self) {
        let mut state = self.lock();
        state.end.get_or_insert(End::Closed);
        self.wake(state);
    }

    /// Sleeps until notified, or until `patience` is over.
    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        what: WaitReason,
        patience: Duration,
    ) -> MutexGuard<'a, State> {
        state.asleep = Some(what);
        let asleep = |state: &mut State| state.asleep.is_some();
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, patience, asleep)
            .unwrap_or_else(PoisonError::into_inner);
        state.asleep = None;
        state
    }

    /// Wakes the writing thread if it sleeps.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.asleep.take().is_some() {
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the error for commands that come after the end.
pub(in crate::store::sqlite) fn ended() -> StoreError {
    StoreError::Unavailable("its writer has ended".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::super::tx::Tx;
    use super::*;

    /// A command that sends its answer to a channel.
    struct Told(Sender<Option<StoreError>>);

    impl Command for Told {
        fn wanted(&self) -> bool {
            true
        }

        fn run(&mut self, _: &Tx<'_>) -> rusqlite::Result<()> {
            Ok(())
        }

        fn promises(&self) -> bool {
            false
        }

        fn fail(&mut self, _: StoreError) {}

        fn answer(self: Box<Self>, failed: Option<&StoreError>) {
            self.0.send(failed.cloned()).unwrap();
        }
    }

    fn lost() -> StoreError {
        StoreError::Unavailable("failed to sync its log".into())
    }

    #[test]
    fn commands_are_taken_but_not_committed_during_a_sync() {
        let (queue, (told, _)) = (Queue::default(), channel());
        queue.begin_sync();
        queue.push(Box::new(Told(told))).unwrap();
        assert!(matches!(queue.take_more(true), Ok(Some(_))));
        std::thread::scope(|scope| {
            let commits = scope.spawn(|| queue.take_more(true));
            queue.end_sync();
            assert!(matches!(commits.join().unwrap(), Ok(None)));
        });
    }

    #[test]
    fn full_batch_waits_only_for_the_sync() {
        let (queue, (told, _)) = (Queue::default(), channel());
        queue.push(Box::new(Told(told))).unwrap();
        assert!(matches!(queue.take_more(false), Ok(None)));
        assert!(matches!(queue.take(Duration::ZERO), Next::Command(_)));
        assert!(matches!(queue.take(Duration::ZERO), Next::Nothing));
    }

    #[test]
    fn end_of_sync_does_not_wake_a_wait_for_commands() {
        let queue = Queue::default();
        queue.begin_sync();
        std::thread::scope(|scope| {
            let found = scope.spawn(|| queue.take(Duration::MAX));
            while queue.lock().asleep.is_none() {
                std::thread::yield_now();
            }
            queue.end_sync();
            assert_eq!(queue.lock().asleep, Some(WaitReason::Command));
            queue.close();
            assert!(matches!(found.join().unwrap(), Next::End));
        });
    }

    #[test]
    fn failed_sync_fails_queued_and_later_commands() {
        let (queue, (told, answers)) = (Queue::default(), channel());
        queue.begin_sync();
        queue.push(Box::new(Told(told.clone()))).unwrap();
        queue.fail(&lost());
        assert_eq!(answers.try_recv(), Ok(Some(lost())));
        assert_eq!(queue.push(Box::new(Told(told))), Err(lost()));
        assert_eq!(queue.synced(), Err(lost()));
        assert!(matches!(queue.take(Duration::ZERO), Next::End));
    }

    #[test]
    fn queued_commands_run_after_close() {
        let (queue, (told, _)) = (Queue::default(), channel());
        queue.push(Box::new(Told(told.clone()))).unwrap();
        queue.close();
        assert_eq!(queue.push(Box::new(Told(told))), Err(ended()));
        assert!(matches!(queue.take(Duration::ZERO), Next::Command(_)));
        assert!(matches!(queue.take(Duration::ZERO), Next::End));
    }
}
