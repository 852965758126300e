//! The promises under the worst that can be arranged, on the real binary, processes and sockets.
//!
//! `cargo test --test reliability` runs a short form of everything; with `RELIABILITY=long` in the
//! environment (or `tests/reliability/run --long`) the long one, whose figures `docs/reliability.md`
//! holds. Seen with `--nocapture`, each prints what it measured.

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
mod kills;
mod neighbours;
mod parts;
mod stages;
