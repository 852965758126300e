//! Where logs go: stderr, as text or as JSON lines.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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

/// Starts logging to stderr for the whole process. Only the first call has an effect.
pub fn init(settings: LogSettings) {
    // Libraries below us may log addresses and headers at their finer levels; those can be secrets.
    let filter = Targets::new()
        .with_default(settings.level.min(LevelFilter::WARN))
        .with_target("feedback_relay", settings.level);
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match settings.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.ok(); // a second call finds logging already started, which is what it wanted
}
