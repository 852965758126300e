//! Events about the process.

use crate::model::Timestamp;
use crate::telemetry::metrics::{Configuration, InternalEvent, Metrics, Outcome, words};

/// The configuration was reloaded, or refused.
pub struct Reloaded<'a> {
    /// The changes; `Err` holds the number of errors in the refused configuration.
    pub result: Result<&'a str, usize>,
}

impl InternalEvent for Reloaded<'_> {
    fn emit(self, metrics: &Metrics) {
        let [ok, refused] = words::RELOADS;
        let result = match self.result {
            Ok(changes) => {
                tracing::info!(changes, "configuration reloaded");
                ok
            }
            Err(mistakes) => {
                tracing::error!(
                    mistakes,
                    "failed to reload configuration; the old one stays active"
                );
                refused
            }
        };
        metrics.reload_refused.set(i64::from(result == refused));
        metrics.reloads.get_or_create(&Outcome { result }).inc();
    }
}

/// A configuration was applied.
pub struct ConfigurationTaken<'a> {
    /// The beginning of the SHA-256 of its texts.
    pub hash: &'a str,
    /// When the configuration was applied.
    pub at: Timestamp,
}

impl InternalEvent for ConfigurationTaken<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(configuration.hash = self.hash, "configuration applied");
        let hash = self.hash.to_owned();
        metrics.configuration.clear();
        metrics
            .configuration
            .get_or_create(&Configuration { hash })
            .set(1);
        metrics.configuration_taken.set(self.at.as_secs());
    }
}

/// The relay started.
pub struct RelayStarted {
    /// When the relay started.
    pub at: Timestamp,
}

impl InternalEvent for RelayStarted {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "relay started");
        metrics.started.set(self.at.as_secs());
    }
}

/// A file of the store was removed, moved or replaced while the relay has it open.
pub struct StoreDisplaced<'a> {
    /// The affected file, and what to do.
    pub reason: &'a str,
}

impl InternalEvent for StoreDisplaced<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            reason = self.reason,
            "the store's files were moved, replaced or overwritten; no event is acknowledged"
        );
        metrics.store_in_place.set(0);
    }
}

/// The files of the store are back where they were opened.
pub struct StoreInPlace;

impl InternalEvent for StoreInPlace {
    fn emit(self, metrics: &Metrics) {
        tracing::info!("the store's files are in place again; events are accepted");
        metrics.store_in_place.set(1);
    }
}

/// Log lines were dropped, and logging continues.
pub struct LogLinesDropped {
    /// The number of dropped lines since the last report.
    pub lines: u64,
}

impl InternalEvent for LogLinesDropped {
    fn emit(self, _metrics: &Metrics) {
        tracing::warn!(
            lines = self.lines,
            "log lines dropped: the process that reads the log is too slow"
        );
    }
}

/// A handler panicked over one item; the relay continues.
pub struct PanicCaught {
    /// The task of the handler.
    pub task: &'static str,
}

impl InternalEvent for PanicCaught {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            task = self.task,
            "panic while processing an item; the relay continues with other work"
        );
        metrics.panics.inc();
    }
}
