//! Parses how long a server asks its clients to wait.

use std::time::Duration;

use super::Timestamp;

/// The longest accepted pause, because a server's number must not block a destination for a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The longest value that is parsed. The longest date of the three formats has 33 characters.
const VALUE_BYTES_MAX: usize = 64;

/// The three date formats that a recipient must accept. Source: RFC 9110 §5.6.7.
const DATE_FORMATS: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// Parses a `Retry-After` header: whole seconds, or a date. Returns at most [`RETRY_AFTER_MAX`], zero
/// for a past date, and `None` for anything else.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || value.len() > VALUE_BYTES_MAX {
        return None;
    }
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits alone fail to parse only on overflow.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let date = DATE_FORMATS
        .iter()
        .find_map(|format| jiff::civil::DateTime::strptime(format, value).ok())?;
    let until = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let until = Timestamp::from_millis(until.as_millisecond());
    Some(until.since(now).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110.
    const EXAMPLE: i64 = 784_111_777_000;

    #[test]
    fn seconds_and_all_three_dates_are_read() {
        let now = Timestamp::from_millis(EXAMPLE - 30_000);
        for value in [
            "30",
            " 30 ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let wanted = Some(Duration::from_secs(30));
            assert_eq!(parse_retry_after(value, now), wanted, "{value}");
        }
    }

    #[test]
    fn past_date_is_zero_and_long_pause_is_capped() {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        let now = Timestamp::from_millis(EXAMPLE + 1);
        assert_eq!(parse_retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("0", now), Some(Duration::ZERO));
        for far in [
            "3601",
            "99999999999999999999999999",
            "Fri, 31 Dec 2123 23:59:59 GMT",
        ] {
            assert_eq!(parse_retry_after(far, now), Some(RETRY_AFTER_MAX), "{far}");
        }
    }

    #[test]
    fn malformed_value_is_none() {
        let long = "9".repeat(VALUE_BYTES_MAX + 1);
        for value in [
            "",
            "-1",
            "+5",
            "1e9",
            "soon",
            "１０",
            "NaN",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            &long,
        ] {
            let now = Timestamp::from_millis(EXAMPLE);
            assert_eq!(parse_retry_after(value, now), None, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_or_waits_longer_than_an_hour(value in ".{0,80}", now: i64) {
            let pause = parse_retry_after(&value, Timestamp::from_millis(now));
            proptest::prop_assert!(pause.is_none_or(|pause| pause <= RETRY_AFTER_MAX));
        }
    }
}
