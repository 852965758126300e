//! Logs and metrics. Each thing worth counting is a struct in [`events`]; emitting it logs and counts
//! in one place, so that no log line and no number can disagree.
//!
//! Labels are bounded by the configuration: names of apps, rules and destinations and fixed words,
//! never a tenant, a person, a URL or an id. Logs follow one event by the field `event.id` and one
//! delivery by `delivery.id`; they hold no secret, no signed URL and nothing a reporter typed.

pub mod events;
mod logs;
mod metrics;
mod pacing;

pub use logs::{LogFlush, LogFormat, LogProgress, LogSettings, init, log_progress, set_level};
pub use metrics::{Format, GateStands, InternalEvent, Metrics, Names, words};
pub use pacing::Pacing;
