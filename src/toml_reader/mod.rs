//! What every reader of TOML shares, so that one mistake reads the same in a section and in a rule: values with their
//! places, durations, codes, and the name that was meant.
//!
//! Nothing here stops at the first mistake: a [`Node`] can hold any TOML value, and its reader complains of each.

pub mod codes;
mod node;
pub mod suggest;
mod values;

pub use node::{Node, Value};
pub use values::{DURATION_HELP, NOT_A_DURATION, duration};
