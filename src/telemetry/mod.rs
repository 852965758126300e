//! Logs and metrics. Each observable event is a struct in [`events`]. Emitting it logs and counts
//! in one place, so logs and metrics always agree.
//!
//! Labels are names of apps, rules and destinations, and fixed words. They never name a tenant, a
//! person, a URL or an id. Logs identify an event by the field `event.id` and a delivery by
//! `delivery.id`. They contain no secret, no signed URL and no text of a reporter.

pub mod events;
mod logs;
mod metrics;
mod pacing;

pub use logs::{LogFlush, LogFormat, LogProgress, LogSettings, init, log_progress, set_level};
pub use metrics::{Format, GateStands, InternalEvent, Metrics, Names, words};
pub use pacing::Pacing;
