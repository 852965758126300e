//! Where logs go: stderr, as text or as JSON lines.

use std::any::Any;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// By which the level of the process's log is changed: there is one log in a process.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

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

/// Starts logging to stderr for the whole process, panics included. Only the first call has an effect.
pub fn init(settings: LogSettings) {
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    // A second call finds logging already started, which is what it wanted.
    if started.is_ok() && LEVEL.set(handle).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
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
