//! The frames of the long connection: protobuf in binary WebSocket messages. Source: `ws/pbbp2.pb.go`
//! and `ws/client_message.go` of the platform's Go SDK; its Python and Node SDKs agree on the wire.
//!
//! Control frames keep the connection alive: we ping, the platform's pongs may carry new [`LinkSettings`].
//! Data frames carry an event, whole or in fragments, and each message is acknowledged by sending its
//! frame back **whole**, with every header and the required fields even where they are zero: clients
//! that left something out had every event recorded as failed, and pushed again for hours.
//!
//! Everything here is pure; the time comes in.

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

/// `method` of a control frame.
const CONTROL: i32 = 0;
/// `method` of a data frame.
const DATA: i32 = 1;

/// A name and a value of a frame. Both are required.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Header {
    /// The name.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, required, tag = "2")]
    pub value: String,
}

/// One frame, proto2. The required fields are written even when they are zero; optional ones come
/// back as they came, empty or absent.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Frame {
    /// The platform's number of it.
    #[prost(uint64, required, tag = "1")]
    pub seq_id: u64,
    /// The platform's id of it, for its logs.
    #[prost(uint64, required, tag = "2")]
    pub log_id: u64,
    /// Which of the platform's services it belongs to.
    #[prost(int32, required, tag = "3")]
    pub service: i32,
    /// 0 control, 1 data.
    #[prost(int32, required, tag = "4")]
    pub method: i32,
    /// Names and values, in order; of several with one name the first counts.
    #[prost(message, repeated, tag = "5")]
    pub headers: Vec<Header>,
    /// Seen, and of no use to us.
    #[prost(string, optional, tag = "6")]
    pub payload_encoding: Option<String>,
    /// Seen, and of no use to us.
    #[prost(string, optional, tag = "7")]
    pub payload_type: Option<String>,
    /// What it carries: people's words.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub payload: Option<Bytes>,
    /// A newer form of the log's id.
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
    /// Reads a frame; `None` if it is none. Fields of tomorrow are skipped.
    pub fn read(bytes: Bytes) -> Option<Self> {
        Self::decode(bytes).ok()
    }

    /// The bytes of it.
    pub fn bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// The sign of life that we give: at once after connecting, then at each interval.
    pub fn ping(service: i32) -> Self {
        Self {
            service,
            method: CONTROL,
            headers: vec![Header::new("type", "ping")],
            ..Self::default()
        }
    }

    /// The first value of a header.
    pub fn header(&self, key: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.key == key)?;
        Some(&header.value)
    }
}

impl Header {
    /// A header.
    pub fn new(key: &str, value: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }
}

/// A message that arrived whole, and the frame that completed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    frame: Frame,
    /// What it carries: people's words.
    pub payload: Bytes,
}

/// Whether what a message carried could be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It is kept, or will never be of use: not to be sent again. Holds what a callback is answered
    /// with; `{}` says nothing.
    Taken(serde_json::Value),
    /// It could not be kept: to be sent again.
    Failed,
}

impl Ack {
    /// The code that says so: 200 and 500, as in HTTP.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Taken(_) => 200,
            Self::Failed => 500,
        }
    }

    fn payload(&self) -> String {
        match self {
            Self::Taken(answer) if answer.as_object().is_none_or(|said| !said.is_empty()) => {
                // As text: an array of numbers, which is what bytes become in JSON, is not understood.
                let data = STANDARD.encode(answer.to_string());
                format!("{{\"code\":200,\"data\":\"{data}\"}}")
            }
            Self::Taken(_) | Self::Failed => format!("{{\"code\":{}}}", self.code()),
        }
    }
}

impl Message {
    /// The frame to send back: the one that came, with how long it took and what came of it.
    pub fn acknowledge(self, ack: &Ack, took: Duration) -> Frame {
        let mut frame = self.frame;
        let took_ms = took.as_millis().to_string();
        frame.headers.push(Header::new("biz_rt", took_ms));
        frame.payload = Some(ack.payload().into());
        frame
    }

    /// The platform's id of this push.
    pub fn id(&self) -> Option<&str> {
        self.frame.header("message_id")
    }
}

/// What a frame from the platform is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The answer to a ping; what it carries may be new [`LinkSettings`].
    Pong(Bytes),
    /// An event or a callback.
    Event(Message),
    /// Of a type that nobody asked for. Acknowledged, or it comes again.
    Unknown(Message),
    /// A click on a card in a form that no client answers: the app's callbacks do not go over the
    /// long connection yet. Source: `oapi-sdk-python#126`.
    Card,
    /// Part of a message that is not whole yet, or was before.
    Fragment,
    /// Nothing that we have use for. Says what, as a fixed word.
    Ignored(&'static str),
    /// Nothing that can be taken or answered. Says why, as a fixed word.
    Refused(&'static str),
}

/// Reads the frames of one connection.
#[derive(Debug, Default)]
pub struct FrameReader {
    assembly: Assembly,
}

impl FrameReader {
    /// What a binary message is.
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

    /// A message that came in fragments could not be kept: if it comes again, it is no repeat.
    pub fn forget(&mut self, message_id: &str) {
        self.assembly.forget(message_id);
    }
}

/// Which fragment of how many; without the headers, the only one. `None` if that cannot be.
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
