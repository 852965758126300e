//! Parses values that many keys accept.

use std::time::Duration;

/// Ten years: longer than any retention, short enough for all time arithmetic.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The message for a text that is not a duration.
pub const NOT_A_DURATION: &str = "not a duration";

/// Help: the format of a duration.
pub const DURATION_HELP: &str = "write a whole number and ms, s, m, h or d, like \"800ms\", \"90s\", \"5m\" or \"3d\"; at most \"3650d\"";

/// Parses `"800ms"`, `"90s"`, `"5 m"`, `"24h"`, `"3d"`: a whole number and a unit.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let millis_per_unit: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    let duration = Duration::from_millis(number.checked_mul(millis_per_unit)?);
    (duration <= DURATION_MAX).then_some(duration)
}
