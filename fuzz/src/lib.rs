//! The fuzz targets, one module for each: `run` panics if a guarantee is broken.
//!
//! The targets in `fuzz_targets` pass these functions to libFuzzer. `tests/it/fuzz.rs` calls them
//! in every test run, with the seeds and random mutations of them.

pub mod decrypt;
pub mod envelope;
pub mod event;
pub mod frame;
pub mod image;
pub mod retry_after;
pub mod rules;
pub mod slack_click;
pub mod template;
