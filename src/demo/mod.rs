//! Stand-ins for the platforms, which speak as they do: for tests of the whole relay, and for a look at
//! it without an account.
//!
//! A stand-in is an HTTP server on a port of this machine. It keeps what it was told, answers as the
//! platform would, and misbehaves when it is asked to ([`Fault`]): each fault is laid on the next calls
//! of one kind, and is used up by them; or on all of them, until it is lifted.

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
