//! Writes logs to stderr, as text or as JSON lines.
//!
//! A separate thread writes them, so a slow reader of the log blocks no other work. Lines wait in a
//! bounded queue. If it is full, lines are dropped, counted, and reported when logging continues.

use std::any::Any;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Changes the log level. A process has one log.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Counts dropped lines.
static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// Counts finished writes, successful or not.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// The largest number of lines that wait for the writing thread: some megabytes at most.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text for people.
    #[default]
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// The validated `[log]` section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// The format of the lines.
    pub format: LogFormat,
}

/// The progress of the log since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogProgress {
    /// The number of written lines.
    pub written: u64,
    /// The number of lines that were dropped because the reader was too slow.
    pub dropped: u64,
}

/// Returns the current progress of the log.
pub fn log_progress() -> LogProgress {
    let dropped = DROPPED.get().map_or(0, ErrorCounter::dropped_lines);
    LogProgress {
        written: WRITTEN.load(Ordering::SeqCst),
        dropped: u64::try_from(dropped).unwrap_or(u64::MAX),
    }
}

/// Writes the last lines of the log when dropped.
#[must_use = "lines of the log are lost without it"]
pub struct LogFlush(Option<WorkerGuard>);

impl Drop for LogFlush {
    /// Waits for the last lines for a limited time, because the writing thread may be blocked.
    fn drop(&mut self) {
        let guard = self.0.take();
        let (flushed, wait) = mpsc::channel();
        let flush = std::thread::Builder::new().name("log-flush".into());
        // Dropping the guard may print and so block as well.
        let started = flush.spawn(move || {
            drop(guard);
            flushed.send(()).ok(); // the process may be ending
        });
        if started.is_ok() {
            wait.recv_timeout(FLUSH_TIMEOUT).ok(); // later lines are lost
        }
    }
}

/// Counts finished writes to stderr.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = io::stderr().write(line);
        WRITTEN.fetch_add(1, Ordering::SeqCst);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // stderr is unbuffered
    }
}

/// Starts logging to stderr for the whole process, panics included. Only the first call has an
/// effect.
pub fn init(settings: LogSettings) -> LogFlush {
    let (writer, guard) = queue(Stderr);
    let dropped = writer.error_counter();
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        // Otherwise the library would report a failed write with another write, which blocks.
        .log_internal_errors(false)
        .with_target(false);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    // A second call fails because logging has already started, which is intended.
    if started.is_ok() && LEVEL.set(handle).is_ok() {
        // Setting fails only if the first call has already set it.
        DROPPED.set(dropped).ok();
        std::panic::set_hook(Box::new(log_panic));
    }
    LogFlush(Some(guard))
}

/// Returns a writer whose lines another thread writes to `out`. It never blocks: lines beyond the limit are
/// dropped and counted.
fn queue(out: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(out)
}

/// Changes the log level.
pub fn set_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // Reloading fails only if the log no longer exists.
        handle.reload(filter(level)).ok();
    }
}

fn filter(level: LevelFilter) -> Targets {
    // Libraries may log addresses and headers at finer levels; these can be secrets.
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("feedback_relay", level)
}

/// Logs a panic as one line.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let reason = reason(panic.payload());
    tracing::error!(location, reason, "panic: a bug in the relay");
}

/// Returns the panic's message if it is a fixed text of the program. A formatted message may quote
/// an event, so it is left out.
fn reason(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks each write until the sender is dropped.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().ok(); // only the end is waited for
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn line_to_a_full_queue_is_dropped_and_counted() {
        let (release, stuck) = mpsc::channel();
        let (mut writer, guard) = queue(Stuck(stuck));
        let dropped = writer.error_counter();
        let (ended, wait) = mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..LINES_MAX + 100 {
                writer.write_all(b"a line\n").unwrap();
            }
            ended.send(()).unwrap();
        });
        let ended = wait.recv_timeout(Duration::from_secs(20));
        ended.expect("no line waits for the reader");
        // The writing thread holds one line.
        assert!((99..=100).contains(&dropped.dropped_lines()));
        drop(release);
        drop(guard);
    }

    #[test]
    fn only_fixed_panic_messages_are_logged() {
        let caught = |panic: fn()| reason(&*std::panic::catch_unwind(panic).unwrap_err());
        assert_eq!(caught(|| panic!("fixed words")), Some("fixed words"));
        let quoting = || {
            let typed = std::hint::black_box("what somebody typed");
            panic!("cannot cut {typed:?}");
        };
        assert_eq!(caught(quoting), None);
    }
}
