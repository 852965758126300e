//! Rate limits that several destinations share, because the platform counts their sends together: everything
//! sent to one chat, everything that one app sends. They outlive lanes and reloads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use super::sliding_window::Window;
use crate::destination::SharedPace;

/// The windows of all shared rate limits by key. Clones share them.
///
/// A key without destinations keeps its window. There are at most as many keys as chats were configured during
/// the life of the process.
#[derive(Clone, Debug, Default)]
pub(in crate::deliver) struct SharedLimits(Arc<Mutex<HashMap<String, Vec<Window>>>>);

impl SharedLimits {
    /// Begins one send within all of `paces`, or returns when to ask again.
    pub(super) fn begin(&self, paces: &[SharedPace], now: Instant) -> Result<(), Instant> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next_at = None;
        for pace in paces {
            next_at = next_at.max(window(&mut windows, pace).next_at(now));
        }
        if let Some(next_at) = next_at {
            return Err(next_at);
        }
        for pace in paces {
            window(&mut windows, pace).add(1, now);
        }
        Ok(())
    }

    /// Returns the permits of a send that was not made.
    pub(super) fn give_back(&self, paces: &[SharedPace], began: Instant) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for pace in paces {
            window(&mut windows, pace).give_back(began);
        }
    }
}

fn window<'a>(
    windows: &'a mut HashMap<String, Vec<Window>>,
    shared: &SharedPace,
) -> &'a mut Window {
    let of_key = windows.entry(shared.key.clone()).or_default();
    let fresh = Window::new(shared.pace);
    let known = of_key
        .iter()
        .position(|window| window.pace() == fresh.pace());
    let index = known.unwrap_or_else(|| {
        of_key.push(fresh);
        of_key.len() - 1
    });
    &mut of_key[index]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::destination::RateLimit;

    fn pace(key: &str, count: u32, secs: u64) -> SharedPace {
        SharedPace {
            key: key.into(),
            pace: RateLimit {
                count,
                per: Duration::from_secs(secs),
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limit_is_shared_by_destinations_on_one_chat_only() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let (one, other) = ([pace("chat oc_1", 2, 1)], [pace("chat oc_2", 2, 1)]);
        assert_eq!(shared.begin(&one, start), Ok(()));
        assert_eq!(shared.begin(&one, start), Ok(()));
        let full = start + Duration::from_secs(1);
        assert_eq!(shared.begin(&one, start), Err(full));
        assert_eq!(shared.begin(&other, start), Ok(()));
        assert_eq!(shared.begin(&one, full), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn all_shared_limits_apply_and_a_refusal_takes_none() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let both = [
            pace("chat oc_1", 1, 1),
            pace("app cli_1", 2, 1),
            pace("app cli_1", 3, 60),
        ];
        let after = |secs| start + Duration::from_secs(secs);
        assert_eq!(shared.begin(&both, start), Ok(()));
        assert_eq!(shared.begin(&both, start), Err(after(1)));
        // The app has room for one more in this second.
        let elsewhere = [pace("chat oc_2", 5, 1), both[1].clone(), both[2].clone()];
        assert_eq!(shared.begin(&elsewhere, start), Ok(()));
        assert_eq!(shared.begin(&elsewhere, start), Err(after(1)));
        assert_eq!(shared.begin(&both, after(1)), Ok(()));
        assert_eq!(shared.begin(&both, after(2)), Err(after(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn returned_permit_may_be_taken_again() {
        let (shared, start) = (SharedLimits::default(), Instant::now());
        let one = [pace("chat oc_1", 1, 1)];
        assert_eq!(shared.begin(&one, start), Ok(()));
        shared.give_back(&one, start);
        assert_eq!(shared.begin(&one, start), Ok(()));
    }
}
