//! What is tried with any bytes, one module for each target: `run` panics where a promise is broken.
//!
//! The targets in `fuzz_targets` hand these functions to libFuzzer; `tests/it/fuzz.rs` calls them with the
//! seeds, and with what chance makes of those, in every run of the tests.

pub mod decrypt;
pub mod envelope;
pub mod event;
pub mod frame;
pub mod image;
pub mod retry_after;
pub mod rules;
pub mod slack_click;
pub mod template;
