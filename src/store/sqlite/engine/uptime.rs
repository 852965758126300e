//! The clock of the relay's running time. The `meta` table continues it from run to run.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::meta_table;
use crate::model::{Clock, Uptime};

/// The name of the value in `meta`.
const NAME: &str = "uptime_ms";

/// A crash loses at most this much running time. Saving more often costs a log page each time.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// A longer time between two reads of the clock does not count as running time: the process was stopped, or the
/// machine was suspended. A running relay reads the clock every few seconds.
const STOPPED: Duration = Duration::from_secs(15);

/// The running time of the relay that holds the database. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct UptimeClock {
    clock: Arc<dyn Clock>,
    before: Uptime,
    last: Arc<Mutex<Look>>,
    saved_ms: Arc<AtomicI64>,
}

/// The last read of the clock.
struct Look {
    at: Duration,
    /// The running time of this run.
    run: Duration,
}

impl UptimeClock {
    /// Continues from the value stored in the database.
    pub(in crate::store::sqlite) fn open(
        conn: &Connection,
        clock: Arc<dyn Clock>,
    ) -> rusqlite::Result<Self> {
        let before = meta_table::get(conn, NAME)?.map_or(0, i64::from_be_bytes);
        let look = Look {
            at: clock.monotonic(),
            run: Duration::ZERO,
        };
        Ok(Self {
            clock,
            before: Uptime::from_millis(before),
            last: Arc::new(Mutex::new(look)),
            saved_ms: Arc::new(AtomicI64::new(before)),
        })
    }

    /// Returns the current running time.
    pub(in crate::store) fn now(&self) -> Uptime {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        let passed = now.saturating_sub(last.at);
        last.at = now.max(last.at);
        if passed <= STOPPED {
            last.run += passed;
        }
        self.before.after(last.run)
    }

    /// Saves the value in a transaction that writes anyway, at most once a second.
    pub(in crate::store::sqlite) fn save(&self, conn: &Connection) -> rusqlite::Result<()> {
        let now = self.now();
        let saved = Uptime::from_millis(self.saved_ms.load(Ordering::SeqCst));
        if now.since(saved) < SAVE_EVERY {
            return Ok(());
        }
        meta_table::put(conn, NAME, &now.as_millis().to_be_bytes())?;
        self.saved_ms.store(now.as_millis(), Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ManualClock, Timestamp};

    #[test]
    fn stop_of_the_process_is_no_running_time() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("v1.sql")).unwrap();
        let manual = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let clock: Arc<dyn Clock> = Arc::clone(&manual) as Arc<dyn Clock>;
        let uptime = UptimeClock::open(&conn, clock).unwrap();
        let pass = |span| {
            manual.advance(span);
            uptime.now().as_millis()
        };
        assert_eq!(pass(Duration::from_secs(5)), 5000);
        assert_eq!(pass(STOPPED), 20_000);
        assert_eq!(pass(STOPPED + Duration::from_millis(1)), 20_000);
        assert_eq!(pass(Duration::from_secs(1)), 21_000);
    }

    #[test]
    fn frequent_looks_lose_no_time() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("v1.sql")).unwrap();
        let ticking = Arc::new(Ticking(AtomicI64::new(0)));
        let uptime = UptimeClock::open(&conn, ticking).unwrap();
        for _ in 0..9_999 {
            uptime.now();
        }
        assert_eq!(uptime.now(), Uptime::from_millis(1000));
    }

    /// A clock that advances by 0.1 ms at each read.
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn monotonic(&self) -> Duration {
            let looks = self.0.fetch_add(1, Ordering::SeqCst);
            Duration::from_micros(100) * u32::try_from(looks).unwrap()
        }
    }
}
