//! Slack's protocol: the signature of what Slack sends us, clicks on buttons, and calls to the Web API.
//! Pure but for [`client`] and [`files`].
//!
//! Bytes from outside are an [`Unverified`]; only [`Unverified::verify`] makes an [`Interaction`] of them,
//! and only that can be read as a [`Click`]. What is wrong with bytes is a [`Refusal`] and an error to the
//! sender; what an authentic request holds that nobody here knows is no click, and is answered like one.

mod click;
pub mod client;
pub mod files;
mod problem;
mod said;
mod signature;

pub use click::{Click, Interaction};
pub use client::{Arguments, BASE_URL, ForeignAddress, SlackClient};
pub use files::UploadError;
pub use problem::{Class, Problem};
pub use said::{Members, Said};
pub use signature::{
    AGE_SECS_MAX, Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified, sign,
};
