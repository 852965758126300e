//! The frames of the long connection: protobuf in binary WebSocket messages. Source:
//! `ws/pbbp2.pb.go` and `ws/client_message.go` of the platform's Go SDK; its Python and Node SDKs
//! use the same format.
//!
//! Control frames keep the connection alive: the relay pings, and the platform's pongs may carry
//! new [`LinkSettings`]. Data frames carry an event, whole or in fragments. A message is
//! acknowledged by sending its frame back **whole**, with every header and the required fields even
//! if they are zero. With clients that omitted a part, every event counted as failed and was pushed
//! again for hours.
//!
//! This module does no I/O; the caller passes the time in.

mod assembly;
mod settings;

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prost::Message as _;
use tokio::time::Instant;

pub use self::assembly::MESSAGE_BYTES_MAX;
use self::assembly::{Assembly, Joined, Piece};
pub use self::settings::LinkSettings;

/// The `method` of a control frame.
const CONTROL: i32 = 0;
/// The `method` of a data frame.
const DATA: i32 = 1;

/// A name and a value in a frame. Both are required.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Header {
    #[prost(string, required, tag = "1")]
    pub key: String,
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// One frame, proto2. Required fields are written even if they are zero. Optional fields are sent
/// back unchanged, empty or absent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Frame {
    /// The platform's sequence number of the frame.
    #[prost(uint64, required, tag = "1")]
    pub seq_id: u64,
    /// The platform's log id of the frame.
    #[prost(uint64, required, tag = "2")]
    pub log_id: u64,
    /// The platform's service that the frame belongs to.
    #[prost(int32, required, tag = "3")]
    pub service: i32,
    /// 0 control, 1 data.
    #[prost(int32, required, tag = "4")]
    pub method: i32,
    /// Names and values in order. If a name is repeated, its first value counts.
    #[prost(message, repeated, tag = "5")]
    pub headers: Vec<Header>,
    /// Sent by the platform; not used.
    #[prost(string, optional, tag = "6")]
    pub payload_encoding: Option<String>,
    /// Sent by the platform; not used.
    #[prost(string, optional, tag = "7")]
    pub payload_type: Option<String>,
    /// The payload, which contains personal text.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub payload: Option<Bytes>,
    /// The newer form of the log id.
    #[prost(string, optional, tag = "9")]
    pub log_id_new: Option<String>,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("seq_id", &self.seq_id)
            .field("method", &self.method)
            .field("headers", &self.headers)
            .field("payload_bytes", &self.payload.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

impl Frame {
    /// Parses a frame. Returns `None` if the bytes are not a frame. Unknown fields are skipped.
    pub fn read(bytes: Bytes) -> Option<Self> {
        Self::decode(bytes).ok()
    }

    /// Returns the encoded frame.
    pub fn bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Returns a ping frame. The relay sends one directly after connecting, then once per interval.
    pub fn ping(service: i32) -> Self {
        Self {
            service,
            method: CONTROL,
            headers: vec![Header::new("type", "ping")],
            ..Self::default()
        }
    }

    /// Returns the first value of a header.
    pub fn header(&self, key: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.key == key)?;
        Some(&header.value)
    }
}

impl Header {
    /// Creates a header.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }
}

/// A complete message, and the frame that completed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    frame: Frame,
    /// The payload, which contains personal text.
    pub payload: Bytes,
}

/// Whether the payload of a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The message is stored, or will never be of use: the platform must not resend it. Holds the
    /// response to a callback; `{}` is empty.
    Taken(serde_json::Value),
    /// The message could not be stored: the platform must resend it.
    Failed,
}

impl Ack {
    /// Returns the code of the acknowledgement: 200 or 500, as in HTTP.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Taken(_) => 200,
            Self::Failed => 500,
        }
    }

    fn payload(&self) -> String {
        match self {
            Self::Taken(answer) if answer.as_object().is_none_or(|said| !said.is_empty()) => {
                // Encoded as text because the platform does not accept an array of numbers.
                let data = STANDARD.encode(answer.to_string());
                format!("{{\"code\":200,\"data\":\"{data}\"}}")
            }
            Self::Taken(_) | Self::Failed => format!("{{\"code\":{}}}", self.code()),
        }
    }
}

impl Message {
    /// Returns the frame to send back: the received one with the elapsed time and the result.
    pub fn acknowledge(self, ack: &Ack, took: Duration) -> Frame {
        let mut frame = self.frame;
        let took_ms = took.as_millis().to_string();
        frame.headers.push(Header::new("biz_rt", took_ms));
        frame.payload = Some(ack.payload().into());
        frame
    }

    /// Returns the platform's id of this push.
    pub fn id(&self) -> Option<&str> {
        self.frame.header("message_id")
    }
}

/// The meaning of a received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The answer to a ping; its payload may hold new [`LinkSettings`].
    Pong(Bytes),
    /// An event or a callback.
    Event(Message),
    /// A message of another type. It is acknowledged because the platform would resend it.
    Unknown(Message),
    /// A card click in a format that no client can answer: the app's callbacks are not switched to
    /// the long connection yet. Source: `oapi-sdk-python#126`.
    Card,
    /// Part of an incomplete message, or a repeat of a completed one.
    Fragment,
    /// A frame that the relay does not use. Holds the reason as a fixed text.
    Ignored(&'static str),
    /// A frame that can be neither read nor answered. Holds the reason as a fixed text.
    Refused(&'static str),
}

/// Reads the frames of one connection.
#[derive(Debug, Default)]
pub struct FrameReader {
    assembly: Assembly,
}

impl FrameReader {
    /// Parses a binary message.
    pub fn read(&mut self, bytes: Bytes, now: Instant) -> Received {
        let Some(frame) = Frame::read(bytes) else {
            return Received::Refused("not_a_frame");
        };
        let kind = frame.header("type").unwrap_or_default();
        match (frame.method, kind) {
            (CONTROL, "pong") => Received::Pong(frame.payload.unwrap_or_default()),
            (CONTROL, "ping") => Received::Ignored("ping"),
            (CONTROL, _) => Received::Ignored("control"),
            (DATA, "card") => Received::Card,
            (DATA, "") => Received::Refused("no_type"),
            (DATA, kind) => {
                let is_event = kind == "event";
                self.data(frame, is_event, now)
            }
            (_, _) => Received::Refused("method"),
        }
    }

    fn data(&mut self, mut frame: Frame, is_event: bool, now: Instant) -> Received {
        let payload = frame.payload.take().unwrap_or_default();
        let payload = match place(&frame) {
            None => return Received::Refused("place"),
            Some((0, 1)) => payload,
            Some((seq, sum)) => {
                let Some(id) = frame.header("message_id") else {
                    return Received::Refused("no_message_id");
                };
                let piece = Piece { seq, sum, payload };
                match self.assembly.add(id, piece, now) {
                    Joined::Whole(payload) => payload,
                    Joined::Waits | Joined::Repeated => return Received::Fragment,
                    Joined::Refused(why) => return Received::Refused(why),
                }
            }
        };
        let message = Message { frame, payload };
        if is_event {
            Received::Event(message)
        } else {
            Received::Unknown(message)
        }
    }

    /// Forgets a fragmented message that could not be stored, so that a resend does not count as a
    /// repeat.
    pub fn forget(&mut self, message_id: &str) {
        self.assembly.forget(message_id);
    }
}

/// Returns the number of the fragment and the total; without the headers, the only one. `None` if
/// the numbers are impossible.
fn place(frame: &Frame) -> Option<(usize, usize)> {
    let number = |key: &str, absent: usize| match frame.header(key) {
        None => Some(absent),
        Some(text) => text.parse().ok(),
    };
    let (seq, sum) = (number("seq", 0)?, number("sum", 1)?);
    (seq < sum).then_some((seq, sum))
}

#[cfg(test)]
mod tests;
