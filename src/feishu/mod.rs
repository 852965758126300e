//! The Feishu and Lark protocol: signatures, encryption, envelopes, events and calls to the open
//! API. Only [`client`] does I/O.
//!
//! Bytes from outside are an [`Unverified`]. Only [`Unverified::verify`] turns them into an
//! [`Envelope`], and only an envelope becomes an event. Invalid bytes give a [`Refusal`], which the
//! sender receives as an error. Odd values in an authentic event never cause a refusal, because the
//! platform would only resend the event. They are read as far as possible. Over a long connection
//! events arrive in [`frame`]s; there the connection itself is authenticated.

pub mod app;
mod card_action;
mod cipher;
pub mod client;
pub mod codes;
pub mod custom_bot;
mod envelope;
mod event;
pub mod frame;
mod json;
mod masked_body;
mod sample;
mod signature;

pub use app::{App, Receive};
pub use card_action::{CARD_ACTION, CardAction, OLD_CARD_ACTION, is_old_card_callback};
pub use client::messages::{self, To, Urgent};
pub use client::{
    ApiError, Call, ConnectionRefusal, Days, FEEDBACK_SCOPE, FeedbackPage, FeishuClient, ListError,
    ListedFeedback, NoConnection, PageToken, Unanswered, pause,
};
pub use envelope::{Envelope, Refusal, UNSIGNED_BYTES_MAX, Unverified, Verified};
pub use event::{
    CREATED, Found, Reading, SampleError, UPDATED, read_body, read_sample, sample_app_id,
};
pub use frame::LinkSettings;
pub use masked_body::shown_body;
pub use sample::{
    CREATED_FIELDS, SAMPLE_PAGES, UPDATED_FIELDS, USER_FIELDS, sample_at, sample_with,
};
pub use signature::{NONCE_HEADER, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, sign};
