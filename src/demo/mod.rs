//! Fake platforms that behave like the real ones, for tests of the whole relay and for a demo
//! without an account.
//!
//! A fake is an HTTP server on a port of this machine. It records calls, answers as the platform
//! would, and fails on demand ([`Fault`]). A fault applies to the next call of one kind, or to all
//! of them until it is removed.

mod faults;
pub mod feishu;
mod press;
mod receiver;
mod server;
pub mod slack;
mod tour;

pub use faults::{Fault, Faults};
pub use feishu::FakeFeishu;
pub use press::PressError;
pub use receiver::{FakeReceiver, Taken};
pub use server::Server;
pub use slack::FakeSlack;
pub use tour::{PagePort, Tour, TourError};
