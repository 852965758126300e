//! The Slack protocol: signatures of received requests, button clicks, and calls to the Web API.
//! Only [`client`] and [`files`] do I/O.
//!
//! Bytes from outside are an [`Unverified`]. Only [`Unverified::verify`] turns them into an
//! [`Interaction`], and only that can be read as a [`ButtonClick`]. Invalid bytes give a
//! [`Refusal`], which the sender receives as an error. An authentic request of an unknown type is
//! no click, and is still answered with success.

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
