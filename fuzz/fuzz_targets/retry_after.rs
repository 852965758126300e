//! No server silences a destination for longer than an hour.

#![no_main]

use feedback_relay::model::{RETRY_AFTER_MAX, Timestamp, parse_retry_after};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let now = Timestamp::from_millis(1_772_302_200_000);
    let pause = parse_retry_after(data, now);
    assert!(pause.unwrap_or_default() <= RETRY_AFTER_MAX, "{pause:?}");
});
