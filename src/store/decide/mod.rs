//! Decisions that do not depend on the database.
//!
//! A function here receives facts: what is stored, what was sent and when, what waits, and the time.
//! It returns what to write. A database reads the facts, asks, and writes the answer in one transaction,
//! so every database behaves the same.

pub(super) mod attempt;
pub(super) mod failover;
pub(super) mod feedback_status;
pub(super) mod held;
pub(super) mod incident;
pub(super) mod late_images;
pub(super) mod silence;

#[cfg(test)]
mod tests;
