//! The platforms' rate limits, which destinations share. A limit counts everything that is sent to one bot or
//! one chat, or by one app. The limits outlive lanes and reloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sliding_window::Window;
use crate::destination::{PaceKey, SharedPace};

/// The windows of all shared rate limits by key. Clones share them.
///
/// A key without destinations keeps its window. There are at most as many keys as bots and chats were configured
/// during the life of the process.
#[derive(Clone, Debug, Default)]
pub(in crate::deliver) struct SharedLimits(Arc<Mutex<Windows>>);

#[derive(Debug, Default)]
struct Windows(HashMap<PaceKey, Vec<Window>>);

impl SharedLimits {
    /// Begins one send within all of `paces`, or returns when to ask again.
    pub(super) fn begin(&self, paces: Vec<SharedPace>, now: Instant) -> Result<Slot, Instant> {
        self.with(|windows| {
            let next_at = paces
                .iter()
                .filter_map(|pace| windows.of(pace).next_at(now));
            if let Some(next_at) = next_at.max() {
                return Err(next_at);
            }
            for pace in &paces {
                windows.of(pace).begin();
            }
            Ok(())
        })?;
        Ok(Slot {
            limits: self.clone(),
            paces,
        })
    }

    /// Counts a send that ended this long ago, in an earlier run of the relay.
    pub(in crate::deliver) fn recall(&self, paces: &[SharedPace], age: Duration, now: Instant) {
        self.with(|windows| {
            for pace in paces {
                windows.of(pace).recall(age, now);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Windows) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Windows {
    fn of(&mut self, shared: &SharedPace) -> &mut Window {
        let of_key = self.0.entry(shared.key.clone()).or_default();
        let known = of_key.iter().position(|window| window.is_of(shared.pace));
        let index = known.unwrap_or_else(|| {
            of_key.push(Window::new(shared.pace, 0));
            of_key.len() - 1
        });
        &mut of_key[index]
    }
}

/// A send's place in each of several windows. If it is dropped before [`end`](Self::end), nothing was sent.
#[derive(Debug)]
pub(in crate::deliver) struct Slot {
    limits: SharedLimits,
    paces: Vec<SharedPace>,
}

impl Slot {
    /// Ends the send.
    pub(super) fn end(mut self, now: Instant) {
        let paces = std::mem::take(&mut self.paces);
        self.limits.with(|windows| {
            for pace in &paces {
                windows.of(pace).end(now);
            }
        });
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.limits.with(|windows| {
            for pace in &self.paces {
                windows.of(pace).abandon();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::RateLimit;

    fn pace(key: &str, count: u32, secs: u64) -> SharedPace {
        let per = Duration::from_secs(secs);
        SharedPace {
            key: PaceKey::of(&[key]),
            pace: RateLimit { count, per },
        }
    }

    /// Sends at once, or returns when to ask again.
    fn send(shared: &SharedLimits, paces: &[SharedPace], now: Instant) -> Result<(), Instant> {
        shared.begin(paces.to_vec(), now).map(|slot| slot.end(now))
    }

    #[test]
    fn rate_limit_is_shared_by_destinations_on_one_chat_only() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let (one, other) = ([pace("chat oc_1", 2, 1)], [pace("chat oc_2", 2, 1)]);
        assert_eq!(send(&shared, &one, start), Ok(()));
        assert_eq!(send(&shared, &one, start), Ok(()));
        let full = start + Duration::from_secs(1);
        assert_eq!(send(&shared, &one, start), Err(full));
        assert_eq!(send(&shared, &other, start), Ok(()));
        assert_eq!(send(&shared, &one, full), Ok(()));
    }

    #[test]
    fn all_shared_limits_apply_and_a_refusal_takes_none() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let both = [
            pace("chat oc_1", 1, 1),
            pace("app cli_1", 2, 1),
            pace("app cli_1", 3, 60),
        ];
        let after = |secs| start + Duration::from_secs(secs);
        assert_eq!(send(&shared, &both, start), Ok(()));
        assert_eq!(send(&shared, &both, start), Err(after(1)));
        // The app has room for one more in this second.
        let elsewhere = [pace("chat oc_2", 5, 1), both[1].clone(), both[2].clone()];
        assert_eq!(send(&shared, &elsewhere, start), Ok(()));
        assert_eq!(send(&shared, &elsewhere, start), Err(after(1)));
        assert_eq!(send(&shared, &both, after(1)), Ok(()));
        assert_eq!(send(&shared, &both, after(2)), Err(after(60)));
    }

    #[test]
    fn slot_is_taken_from_the_start_until_a_window_after_the_end() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let one = [pace("chat oc_1", 1, 1)];
        let after = |secs| start + Duration::from_secs(secs);
        let slot = shared.begin(one.to_vec(), start).unwrap();
        assert_eq!(send(&shared, &one, after(5)), Err(after(6)), "in flight");
        slot.end(after(7));
        assert_eq!(send(&shared, &one, after(7)), Err(after(8)));
        assert_eq!(send(&shared, &one, after(8)), Ok(()));
    }

    #[test]
    fn sends_of_an_earlier_run_count() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let one = [pace("bot", 2, 60)];
        for age in [90, 59, 20] {
            shared.recall(&one, Duration::from_secs(age), start);
        }
        let after = |secs| start + Duration::from_secs(secs);
        assert_eq!(send(&shared, &one, start), Err(after(1)));
        assert_eq!(send(&shared, &one, after(1)), Ok(()));
        assert_eq!(send(&shared, &one, after(1)), Err(after(40)));
        assert_eq!(send(&shared, &[pace("other", 2, 60)], start), Ok(()));
    }

    #[test]
    fn dropped_slot_may_be_taken_again() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let one = [pace("chat oc_1", 1, 1)];
        drop(shared.begin(one.to_vec(), start));
        assert_eq!(send(&shared, &one, start), Ok(()));
    }
}
