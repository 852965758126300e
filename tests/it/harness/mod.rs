//! Tools to drive the relay: the real binary in its own folder, receivers with scripted responses,
//! and events sealed as the platform does.

pub mod browser;
pub mod demo;
pub mod evil;
mod exposition;
mod feishu;
pub mod http;
mod platform;
mod receiver;
mod relay;
pub mod sealed;
pub mod slack;

pub use exposition::{Exposition, Family};
pub use feishu::Feishu;
pub use http::post;
pub use platform::{APP_ID, Platform};
pub use receiver::{Received, Receiver, Reply};
pub use relay::{NOBODY, Output, Relay, wait_until};
pub use sealed::{Feedback, TOKEN, sealed};
pub use slack::Slack;
