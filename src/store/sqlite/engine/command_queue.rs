//! Acts that wait for the writing thread, and what it waits for itself: the end of a sync.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::group_commit::Command;
use crate::store::StoreError;

/// Acts that wait. At a few thousand a second this is well under the second within which intake answers.
pub(in crate::store::sqlite) const QUEUE_MAX: usize = 1024;

/// The queue. Many put something in, the writing thread alone takes it out.
#[derive(Default)]
pub(in crate::store::sqlite) struct Queue {
    state: Mutex<State>,
    /// Told to the writing thread alone.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Command>>,
    /// What was committed last is being synced.
    syncing: bool,
    /// What the writing thread sleeps for. `None`: it is awake, and to wake it would cost for nothing.
    asleep: Option<WaitReason>,
    end: Option<End>,
}

/// What the writing thread sleeps for, and for what ends it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitReason {
    /// An act.
    Command,
    /// The end of the sync.
    Sync,
    /// Either.
    Both,
}

/// Why nothing more comes in.
#[derive(Clone, Debug)]
enum End {
    /// The store is being closed; what waits is still run.
    Closed,
    /// A sync failed; nothing more is run.
    Lost(StoreError),
}

/// What the writing thread finds.
pub(in crate::store::sqlite) enum Next {
    Command(Box<dyn Command>),
    /// Nothing came for so long.
    Nothing,
    /// Nothing will come.
    End,
}

impl Queue {
    /// Puts an act in. It is answered, or dropped.
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

    /// Waits for an act, at most for `patience`.
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

    /// Waits for one more act while a sync is under way, if there is room for one. `None`: none is under way,
    /// and none waits.
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

    /// What was committed is about to be synced.
    pub(in crate::store::sqlite) fn begin_sync(&self) {
        self.lock().syncing = true;
    }

    /// It is on the disk.
    pub(in crate::store::sqlite) fn end_sync(&self) {
        let mut state = self.lock();
        state.syncing = false;
        if let Some(WaitReason::Sync | WaitReason::Both) = state.asleep {
            self.wake(state);
        }
    }

    /// It is not, or may not be. Nothing more is taken in or run; what waits is told so.
    pub(in crate::store::sqlite) fn lose(&self, error: &StoreError) {
        let mut state = self.lock();
        state.syncing = false;
        state.end = Some(End::Lost(error.clone()));
        let waiting = std::mem::take(&mut state.waiting);
        self.wake(state);
        for act in waiting {
            act.answer(Some(error));
        }
    }

    /// Waits until no sync is under way.
    ///
    /// # Errors
    /// The sync failed.
    pub(in crate::store::sqlite) fn synced(&self) -> Result<(), StoreError> {
        self.take_more(false).map(|_none| ())
    }

    /// Whether a sync failed, or the thread that syncs or writes fell.
    pub(in crate::store::sqlite) fn is_lost(&self) -> bool {
        matches!(self.lock().end, Some(End::Lost(_)))
    }

    /// Takes nothing more in.
    pub(in crate::store::sqlite) fn close(&self) {
        let mut state = self.lock();
        state.end.get_or_insert(End::Closed);
        self.wake(state);
    }

    /// Sleeps until it is woken, or `patience` is over.
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

/// Whoever asks comes too late.
pub(in crate::store::sqlite) fn ended() -> StoreError {
    StoreError::Unavailable("its writer has ended".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::super::tx::Tx;
    use super::*;

    /// Says how it was answered.
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
        StoreError::Unavailable("its log could not be synced".into())
    }

    #[test]
    fn while_a_sync_is_under_way_more_is_taken_and_nothing_is_committed() {
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
    fn a_full_transaction_waits_for_the_sync_alone() {
        let (queue, (told, _)) = (Queue::default(), channel());
        queue.push(Box::new(Told(told))).unwrap();
        assert!(matches!(queue.take_more(false), Ok(None)));
        assert!(matches!(queue.take(Duration::ZERO), Next::Command(_)));
        assert!(matches!(queue.take(Duration::ZERO), Next::Nothing));
    }

    #[test]
    fn the_end_of_a_sync_wakes_nobody_who_waits_for_an_act() {
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
    fn a_sync_that_failed_is_told_to_all_that_wait_and_come() {
        let (queue, (told, answers)) = (Queue::default(), channel());
        queue.begin_sync();
        queue.push(Box::new(Told(told.clone()))).unwrap();
        queue.lose(&lost());
        assert_eq!(answers.try_recv(), Ok(Some(lost())));
        assert_eq!(queue.push(Box::new(Told(told))), Err(lost()));
        assert_eq!(queue.synced(), Err(lost()));
        assert!(matches!(queue.take(Duration::ZERO), Next::End));
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_run() {
        let (queue, (told, _)) = (Queue::default(), channel());
        queue.push(Box::new(Told(told.clone()))).unwrap();
        queue.close();
        assert_eq!(queue.push(Box::new(Told(told))), Err(ended()));
        assert!(matches!(queue.take(Duration::ZERO), Next::Command(_)));
        assert!(matches!(queue.take(Duration::ZERO), Next::End));
    }
}
