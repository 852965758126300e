//! Parses values of the command line.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::{DeliveryState, EventState, IncidentId, SilenceId, Timestamp};
use crate::toml_reader::duration;

/// A point in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// This long ago.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

impl Since {
    /// Returns the point in time.
    pub(super) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(span) => now - span,
            Self::At(time) => time,
        }
    }
}

/// Parses `3d`, or a time with its zone.
pub(super) fn since(text: &str) -> Result<Since, String> {
    if let Some(span) = span_or_weeks(text) {
        return Ok(Since::Ago(span));
    }
    time(text).map(Since::At).map_err(|_not_a_time| {
        String::from(
            "use a duration such as 90s, 5m, 12h, 3d, or a time such as 2026-03-01T02:10:00+08:00",
        )
    })
}

/// Parses a time with its zone.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_not_a_time| String::from("use a time such as 2026-03-01T02:10:00+08:00"))?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}

/// Parses a duration.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    span_or_weeks(text)
        .ok_or_else(|| String::from("use a duration such as 200ms, 90s, 5m, 12h, 3d"))
}

/// Parses a duration of the configuration, or a number of weeks.
fn span_or_weeks(text: &str) -> Option<Duration> {
    let weeks = text.trim().strip_suffix('w');
    match weeks {
        Some(weeks) => duration(&format!("{weeks}d"))?.checked_mul(7),
        None => duration(text),
    }
}

/// The default number of rows in a table.
const ROWS: usize = 50;

/// Returns the maximum number of records that a list prints: the typed one, otherwise what fits a table, and all with
/// `--json`.
pub(super) fn limit(typed: Option<u64>, json: bool) -> usize {
    match typed {
        Some(typed) => usize::try_from(typed).unwrap_or(usize::MAX),
        None if json => usize::MAX,
        None => ROWS,
    }
}

/// Parses the state of an event.
pub(super) fn event_state() -> impl TypedValueParser<Value = EventState> {
    PossibleValuesParser::new(EventState::ALL.iter().map(|state| state.key()))
        .map(|key| EventState::from_key(&key).expect("only keys of states are let through"))
}

/// Parses the id of an incident: `inc_12` or `12`.
pub(super) fn incident(text: &str) -> Result<IncidentId, String> {
    let id = text.parse().ok().filter(|id: &IncidentId| id.0 > 0);
    id.ok_or_else(|| "expected an id like inc_12, as `incidents list` shows it".to_owned())
}

/// Parses the id of a silence: `sil_3` or `3`.
pub(super) fn silence(text: &str) -> Result<SilenceId, String> {
    let id = text.parse().ok().filter(|id: &SilenceId| id.0 > 0);
    id.ok_or_else(|| "expected an id like sil_3, as `silences list` shows it".to_owned())
}

/// Parses a length of time.
pub(super) fn length(text: &str) -> Result<Duration, String> {
    let length = span_or_weeks(text).filter(|length| !length.is_zero());
    length.ok_or_else(|| "use a duration such as 30m, 2h, 3d, above zero".to_owned())
}

/// Parses the state of a delivery.
pub(super) fn delivery_state() -> impl TypedValueParser<Value = DeliveryState> {
    PossibleValuesParser::new(DeliveryState::ALL.iter().map(|state| state.key()))
        .map(|key| DeliveryState::from_key(&key).expect("only keys of states are let through"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read() {
        let now = Timestamp::from_millis(1_000_000_000);
        for (text, millis) in [
            ("90s", 999_910_000),
            ("5m", 999_700_000),
            ("2h", 992_800_000),
            ("1d", 913_600_000),
            ("1w", 395_200_000),
            ("1970-01-01T08:00:01+08:00", 1000),
        ] {
            let read = since(text).unwrap().from(now);
            assert_eq!(read, Timestamp::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn incident_is_named_with_or_without_prefix() {
        for text in ["inc_12", "12"] {
            assert_eq!(incident(text), Ok(IncidentId(12)));
        }
        for text in ["", "inc_", "inc_0", "-1", "dlv_12", "inc_12x"] {
            assert!(incident(text).unwrap_err().contains("inc_12"), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_an_example() {
        for text in [
            "",
            "3",
            "d",
            "-3d",
            "3y",
            "yesterday",
            "99999999999999999999d",
        ] {
            assert!(since(text).unwrap_err().contains("3d"), "{text}");
        }
        assert!(since("18446744073709551615w").is_err(), "too long to count");
    }
}
