#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| feedback_relay_fuzz::rules::run(data));
