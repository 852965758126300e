#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| feedback_relay_fuzz::slack_click::run(data));
