//! How long to wait after a failure: pure, chance comes in.

use std::time::Duration;

/// The first pause.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// What each pause is multiplied by to get the next.
const BACKOFF_FACTOR: u32 = 3;
/// The longest pause, before jitter.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// How much jitter may lengthen a pause, as a share of it.
const JITTER_MAX: f64 = 0.2;
/// How often is tried what will not work until an operator acts.
pub const STOPPED_PROBE: Duration = Duration::from_secs(600);

/// The pause after failure number `failures`, counted from 1: 2 s, then three times as long each
/// time, up to 5 min. `jitter`, from 0 to 1, only lengthens it, by a fifth at most.
pub fn backoff(failures: u32, jitter: f64) -> Duration {
    let factor = BACKOFF_FACTOR.saturating_pow(failures.saturating_sub(1));
    let pause = BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX);
    lengthened(pause, jitter)
}

/// A pause, lengthened by a fifth at most: by `jitter`, from 0 to 1.
pub fn lengthened(pause: Duration, jitter: f64) -> Duration {
    let jitter = if jitter.is_nan() {
        0.0
    } else {
        jitter.clamp(0.0, 1.0)
    };
    pause.mul_f64(1.0 + JITTER_MAX * jitter)
}
