//! Shares code between all readers of TOML: values with spans, durations, codes and suggestions. So the same
//! mistake gets the same message in a section and in a rule.
//!
//! Reading never stops at the first mistake: a [`Node`] can hold any TOML value, and its reader reports each
//! mistake.

pub mod codes;
mod diagnostics;
mod node;
pub mod suggest;
mod values;

pub use diagnostics::{Diagnostics, Location, from_environment, join};
pub use node::{Entries, Node, Value, entries_of};
pub use values::{DURATION_HELP, NOT_A_DURATION, duration};
