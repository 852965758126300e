//! No server can pause a destination for longer than an hour.

use feedback_relay::model::{RETRY_AFTER_MAX, Timestamp, parse_retry_after};

pub fn run(data: &[u8]) {
    let Ok(data) = std::str::from_utf8(data) else {
        return;
    };
    let now = Timestamp::from_millis(1_772_302_200_000);
    let pause = parse_retry_after(data, now);
    assert!(pause.unwrap_or_default() <= RETRY_AFTER_MAX, "{pause:?}");
}
