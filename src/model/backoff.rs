//! Computes pauses after failures. Pure functions: the caller passes the random number.

use std::time::Duration;

/// The pause after the first failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// Each pause is this many times the previous one.
const BACKOFF_FACTOR: u32 = 3;
/// The longest pause, before jitter.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// The most that jitter adds to a pause, as a fraction of it.
const JITTER_MAX: f64 = 0.2;
/// The pause between probes of a destination or job that cannot work until an operator acts.
pub const STOPPED_PROBE: Duration = Duration::from_secs(600);

/// Returns the pause after failure number `failures`, counted from 1. The first pause is 2 s; each next
/// one is three times as long, up to 5 min. `jitter`, a random number from 0 to 1, adds up to a fifth.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let factor = BACKOFF_FACTOR.saturating_pow(failures.saturating_sub(1));
    let pause = BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX);
    lengthened(pause, jitter)
}

/// Lengthens a pause by up to a fifth. `jitter` is a random number from 0 to 1; `NaN` counts as 0.
pub fn lengthened(pause: Duration, jitter: f64) -> Duration {
    let jitter = if jitter.is_nan() {
        0.0
    } else {
        jitter.clamp(0.0, 1.0)
    };
    pause.mul_f64(1.0 + JITTER_MAX * jitter)
}
