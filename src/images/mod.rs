//! Images: fetched through the guarded client before their addresses expire, checked, stripped of metadata, and
//! stored.
//!
//! Each image of an event is a job in the store. An [`ImageWorker`] leases due jobs, nearest deadline first. It
//! settles each as kept, retried, or lost. Everything behind an address counts as hostile until it is checked.
//! The bytes alone decide what a file is, only the image in them is kept, and no image is ever decoded.
//!
//! A refused host is no failure of the image: the image waits, and a notice names the line to add. It is
//! fetched after the reload.

mod check;
mod policy;
mod strip;
mod worker;

pub use check::{NotAnImage, Picture, inspect};
pub use worker::{Deps, ImageWorker};

use std::time::Duration;

/// The checked `[images]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long images are kept.
    pub retain: Duration,
    /// How long links to images are valid.
    pub link_ttl: Duration,
    /// The size of the largest image, in bytes.
    pub bytes_max: u64,
    /// The total size of all images, in bytes; the oldest are removed first.
    pub total_bytes_max: u64,
    /// How long a message waits for its images.
    pub wait: Duration,
    /// How long a critical message waits for its images.
    pub wait_critical: Duration,
    /// Allowed image hosts: names, or `*.` and a name for any depth below it.
    pub allow_hosts: Vec<String>,
    /// Whether hosts on private addresses, and plain http, are allowed.
    pub allow_private_addresses: bool,
}
