//! The clock of the relay's running time. The `meta` table continues it from run to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::meta;
use crate::model::{Clock, Uptime};

/// The name of the value in `meta`.
const NAME: &str = "uptime_ms";

/// A crash loses at most this much running time. Saving more often costs a log page each time.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The running time of the relay that holds the database. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct UptimeClock {
    clock: Arc<dyn Clock>,
    started: Duration,
    before: Uptime,
    saved_ms: Arc<AtomicI64>,
}

impl UptimeClock {
    /// Continues from the value stored in the database.
    pub(in crate::store::sqlite) fn open(
        conn: &Connection,
        clock: Arc<dyn Clock>,
    ) -> rusqlite::Result<Self> {
        let before = meta::get(conn, NAME)?.map_or(0, i64::from_be_bytes);
        Ok(Self {
            started: clock.monotonic(),
            clock,
            before: Uptime::from_millis(before),
            saved_ms: Arc::new(AtomicI64::new(before)),
        })
    }

    /// Returns the current running time.
    pub(in crate::store) fn now(&self) -> Uptime {
        let run = self.clock.monotonic().saturating_sub(self.started);
        self.before.after(run)
    }

    /// Saves the value in a transaction that writes anyway, at most once a second.
    pub(in crate::store::sqlite) fn save(&self, conn: &Connection) -> rusqlite::Result<()> {
        let now = self.now();
        let saved = Uptime::from_millis(self.saved_ms.load(Ordering::SeqCst));
        if now.since(saved) < SAVE_EVERY {
            return Ok(());
        }
        meta::put(conn, NAME, &now.as_millis().to_be_bytes())?;
        self.saved_ms.store(now.as_millis(), Ordering::SeqCst);
        Ok(())
    }
}
