//! Where logs go: stderr, as text or as JSON lines.
//!
//! A thread of its own writes them, so that nothing waits for whoever reads the log. Lines wait in a bounded queue;
//! those that find it full are dropped, counted, and reported once lines flow again.

use std::any::Any;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// By which the level of the process's log is changed: there is one log in a process.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Counts the lines that were dropped.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Counts the writes that ended, well or not.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Lines that may wait for the writing thread: some megabytes at most.
const LINES_MAX: usize = 8192;

/// How long the end of the process may wait for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The checked `[log]` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What is less severe is left out.
    pub level: LevelFilter,
    /// How lines look.
    pub format: LogFormat,
}

/// How far the log came since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogProgress {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were dropped because their reader was too slow.
    pub dropped: u64,
}

/// How far the log came by now.
pub fn log_progress() -> LogProgress {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    LogProgress {
        written: WRITTEN.load(Ordering::SeqCst),
        dropped: u64::try_from(dropped).unwrap_or(u64::MAX),
    }
}

/// Writes the last lines of the log when it is dropped.
#[must_use = "lines of the log are lost without it"]
pub struct LogFlush(Option<WorkerGuard>);

impl Drop for LogFlush {
    /// Waits for the last lines, though not for ever: the thread may be stuck in a write.
    fn drop(&mut self) {
        let guard = self.0.take();
        let (flushed, wait) = mpsc::channel();
        let flush = std::thread::Builder::new().name("log-flush".into());
        // The guard itself may print, and so be stuck as well.
        let started = flush.spawn(move || {
            drop(guard);
            flushed.send(()).ok(); // the process may be at its end
        });
        if started.is_ok() {
            wait.recv_timeout(FLUSH_TIMEOUT).ok(); // what is late is lost
        }
    }
}

/// Counts what is written.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(line);
        WRITTEN.fetch_add(1, Ordering::SeqCst);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // stderr keeps nothing back
    }
}

/// Starts logging to stderr for the whole process, panics included. Only the first call has an effect.
pub fn init(settings: LogSettings) -> LogFlush {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(Stderr);
    let dropped = writer.error_counter();
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Else a failed write is reported by another one, which waits.
        .log_internal_errors(false)
        .with_target(false);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    // A second call finds logging already started, which is what it wanted.
    if started.is_ok() && LEVEL.set(handle).is_ok() {
        // Without an effect only if it was set, by the first call.
        DROPPED.set(dropped).ok();
        std::panic::set_hook(Box::new(log_panic));
    }
    LogFlush(Some(guard))
}

/// Changes what is left out of a log that was started.
pub fn set_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // An error can only be that the log is gone, and then there is nothing to leave out.
        handle.reload(filter(level)).ok();
    }
}

fn filter(level: LevelFilter) -> Targets {
    // Libraries below us may log addresses and headers at their finer levels; those can be secrets.
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("feedback_relay", level)
}

/// A panic is a line of the log like any other.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let reason = reason(panic.payload());
    tracing::error!(location, reason, "a fault of the program: panic");
}

/// The panic's own words, if they stand so in the program. Those that were put together at the time
/// may quote what an event says.
fn reason(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_only_words_that_stand_in_the_program() {
        let caught = |panic: fn()| reason(&*std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(caught(|| panic!("fixed words")), Some("fixed words"));
        let quoting = || {
            let typed = std::hint::black_box("what somebody typed");
            panic!("cannot cut {typed:?}");
        };
        assert_eq!(caught(quoting), None);
    }
}
