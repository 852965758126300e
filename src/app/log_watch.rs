//! Counts dropped log lines, and reports them once the log can be written again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::telemetry::events::LogLinesDropped;
use crate::telemetry::{LogProgress, Metrics, log_progress};

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks at regular intervals until the soft stop.
pub(super) async fn watch(metrics: Arc<Metrics>, stopping: CancellationToken) {
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let (dropped, report) = seen.look(log_progress());
        metrics.count_dropped_lines(dropped);
        if let Some(lines) = report {
            metrics.emit(LogLinesDropped { lines });
        }
    }
}

/// The state at the last check.
#[derive(Default)]
struct Seen {
    progress: LogProgress,
    reported: u64,
}

impl Seen {
    /// Returns the lines dropped since the last check, and the number of lines to report now.
    fn look(&mut self, now: LogProgress) -> (u64, Option<u64>) {
        let before = std::mem::replace(&mut self.progress, now);
        // While the log is stuck, the report would be dropped as well.
        let flows = now.written > before.written;
        let due = flows && now.dropped > self.reported;
        let report = due.then(|| now.dropped - std::mem::replace(&mut self.reported, now.dropped));
        (now.dropped.saturating_sub(before.dropped), report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_lines_are_reported_after_the_log_recovers() {
        let mut seen = Seen::default();
        let mut look = |written, dropped| seen.look(LogProgress { written, dropped });
        assert_eq!(look(10, 0), (0, None));
        assert_eq!(look(10, 5), (5, None), "it is stuck");
        assert_eq!(look(10, 7), (2, None));
        assert_eq!(look(11, 8), (1, Some(8)));
        assert_eq!(look(12, 8), (0, None));
        assert_eq!(look(13, 9), (1, Some(1)));
    }
}
