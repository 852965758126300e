//! Images: fetched through the guarded client before their addresses end, checked, stripped of
//! metadata, kept.
//!
//! Each image of an event is a job in the store. A [`ImageWorker`] leases those that are due,
//! nearest deadline first, and settles each as kept, again later, or lost. Whatever an address leads
//! to is hostile until it was checked: the bytes alone say what they are, only the image in them is
//! kept, and none is ever decoded.
//!
//! A host that is not allowed is no failure of the image: it waits, the operator is told which line
//! to add, and it is fetched after the reload.

mod check;
mod policy;
mod strip;
mod worker;

pub use check::{NotAnImage, Picture, inspect};
pub use worker::{ImageWorker, Parts};

use std::time::Duration;

/// The checked `[images]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long images are kept.
    pub retain: Duration,
    /// How long links to them are good.
    pub link_ttl: Duration,
    /// The largest image, in bytes.
    pub bytes_max: u64,
    /// The most that all images may take; the oldest go first.
    pub total_bytes_max: u64,
    /// How long a message waits for its images.
    pub wait: Duration,
    /// The same for critical ones.
    pub wait_critical: Duration,
    /// Hosts images may be on: names, or `*.` and a name for any depth below it.
    pub allow_hosts: Vec<String>,
    /// Whether hosts on private addresses, and plain http, are allowed.
    pub allow_private_addresses: bool,
}
