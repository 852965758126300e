//! Tests of the guarantees under the worst possible conditions, with the real binary, processes and
//! sockets.
//!
//! `cargo test --test reliability` runs a short form of everything. `RELIABILITY=long` in the
//! environment (or `tests/reliability/run --long`) selects the long form, whose figures are in
//! `docs/reliability.md`. With `--nocapture` each test prints its measurements.

#![expect(clippy::panic, reason = "tests say what went wrong by failing")]
#![expect(unreachable_pub, reason = "there is nobody outside this binary")]

#[path = "../it/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the other test binary uses the rest"
)]
mod harness;

mod answers;
mod certificates;
mod clocks;
mod connections;
mod damage;
mod disk;
mod displaced;
mod erasure;
mod flood;
mod fsync;
mod incidents;
mod kills;
mod neighbours;
mod parts;
mod stages;
