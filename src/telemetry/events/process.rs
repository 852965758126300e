//! Of the program itself.

use crate::model::Timestamp;
use crate::telemetry::metrics::{Configuration, InternalEvent, Metrics, Outcome, words};

/// The configuration was loaded anew, or refused.
pub struct Reloaded<'a> {
    /// What changed; `Err` holds how many mistakes it was refused for.
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
                    "new configuration refused; the old one stays in force"
                );
                refused
            }
        };
        metrics.reload_refused.set(i64::from(result == refused));
        metrics.reloads.get_or_create(&Outcome { result }).inc();
    }
}

/// A configuration is in force from now on.
pub struct ConfigurationTaken<'a> {
    /// The beginning of the SHA-256 of its texts.
    pub hash: &'a str,
    /// Since when.
    pub at: Timestamp,
}

impl InternalEvent for ConfigurationTaken<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(configuration.hash = self.hash, "configuration in force");
        let hash = self.hash.to_owned();
        metrics.configuration.clear();
        metrics
            .configuration
            .get_or_create(&Configuration { hash })
            .set(1);
        metrics.configuration_taken.set(self.at.as_secs());
    }
}

/// The relay begins to work.
pub struct RelayStarted {
    /// When.
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
    /// Which file, and what to do.
    pub reason: &'a str,
}

impl InternalEvent for StoreDisplaced<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            reason = self.reason,
            "the store's files are out of place; no event is acknowledged"
        );
        metrics.store_in_place.set(0);
    }
}

/// The files of the store are back where they were opened.
pub struct StoreInPlace;

impl InternalEvent for StoreInPlace {
    fn emit(self, metrics: &Metrics) {
        tracing::info!("the store's files are in place again; events are taken");
        metrics.store_in_place.set(1);
    }
}

/// Lines of the log were dropped, and it flows again.
pub struct LogLinesDropped {
    /// How many since this was said last.
    pub lines: u64,
}

impl InternalEvent for LogLinesDropped {
    fn emit(self, _metrics: &Metrics) {
        tracing::warn!(
            lines = self.lines,
            "lines of the log were dropped: whoever reads it was too slow"
        );
    }
}

/// One item made its handler panic; the relay goes on.
pub struct PanicCaught {
    /// Where.
    pub task: &'static str,
}

impl InternalEvent for PanicCaught {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            task = self.task,
            "panic over one item; it is put aside and the relay goes on"
        );
        metrics.panics.inc();
    }
}
