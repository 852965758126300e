//! The store's guarantees as tests of its public interface.
//!
//! The tests know no database. [`Bench::new`] chooses the one that is tested; another kind implements
//! [`TestDatabase`]. What is special to SQLite is tested in `sqlite::tests`.

mod admin;
mod bench;
mod digests;
mod failover;
mod feedback_status;
mod held;
mod images;
mod incidents;
mod intake;
mod leasing;
mod messages;
mod notices;
mod retention;
mod silences;

use std::time::Duration;

use super::*;
pub(super) use bench::{Bench, LEASE, TestDatabase};

pub(super) fn kept(bytes: &str) -> KeptImage {
    KeptImage {
        id: ImageId::of(bytes.as_bytes()),
        format: ImageFormat::Png,
        bytes: 1000,
        width: 1170,
        height: 2532,
    }
}

pub(super) fn lost() -> ImageVerdict {
    ImageVerdict::Lost {
        reason: "404".into(),
    }
}
