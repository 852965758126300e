//! The platform's protocol, as Feishu and Lark speak it: signatures, encryption, envelopes, events,
//! and calls to the open API. Pure but for [`client`].
//!
//! Bytes from outside are an [`Unverified`]; only [`Unverified::verify`] makes an [`Envelope`] of them,
//! and only that becomes an event. What is wrong with bytes is a [`Refusal`] and an error to the sender;
//! what is odd in an authentic event is read as far as it goes and never refused, for the platform
//! would only send it again. Over a long connection events come in [`frame`]s instead, and the connection
//! is what is authentic.

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
