//! Slack's protocol: the signature of what Slack sends us, clicks on buttons, and calls to the Web API.
//! Pure but for [`client`] and [`files`].
//!
//! Bytes from outside are an [`Unverified`]; only [`Unverified::verify`] makes an [`Interaction`] of them,
//! and only that can be read as a [`ButtonClick`]. What is wrong with bytes is a [`Refusal`] and an error to the
//! sender; what an authentic request holds that nobody here knows is no click, and is answered like one.

mod api_error;
pub mod client;
pub mod files;
mod interaction;
mod response;
mod signature;

pub use api_error::{Class, SlackError};
pub use client::{Arguments, BASE_URL, ForeignAddress, SlackClient};
pub use files::UploadError;
pub use interaction::{ButtonClick, Interaction};
pub use response::{ApiResponse, Members};
pub use signature::{
    AGE_SECS_MAX, Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified, sign,
};
