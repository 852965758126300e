//! Frames of the long connection, whole and in fragments.

use std::time::Duration;

use bytes::Bytes;
use feedback_relay::feishu::frame::{Ack, Frame, FrameReader, Received};

pub fn run(data: &[u8]) {
    if let Some(frame) = Frame::read(Bytes::copy_from_slice(data)) {
        assert_eq!(Frame::read(frame.bytes()), Some(frame));
    }
    // The input: several frames of one connection, each with its length in front.
    let mut reader = FrameReader::default();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let now = tokio::time::Instant::now();
        match reader.read(Bytes::copy_from_slice(frame), now) {
            Received::Event(message) | Received::Unknown(message) => {
                let answer = message.acknowledge(&Ack::Failed, Duration::from_millis(1));
                assert!(Frame::read(answer.bytes()).is_some());
            }
            _ => {}
        }
    }
}
