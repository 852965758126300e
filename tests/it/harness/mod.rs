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

/// Reports that a test cannot run here. On a machine that promised every tool the test fails; elsewhere it
/// prints that nothing was shown.
#[expect(clippy::print_stderr, reason = "reports a skipped test")]
#[expect(
    clippy::disallowed_methods,
    reason = "there is no configuration in a test binary"
)]
pub fn unavailable(what: &str) {
    assert!(std::env::var("CI").is_err(), "not shown: {what}");
    eprintln!("NOT SHOWN: {what}");
}

pub use exposition::{Exposition, Family};
pub use feishu::Feishu;
pub use http::post;
pub use platform::{APP_ID, Platform};
pub use receiver::{Received, Receiver, Reply};
pub use relay::{NOBODY, Output, Relay, wait_until};
pub use sealed::{Feedback, TOKEN, sealed};
pub use slack::Slack;
