//! Parses values that only sections have: `"50/s"`, `"off"`, addresses and time zones.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::destination::RateLimit;
use crate::toml_reader::{Diagnostics, Form, Location, Node, Read, duration, formed, schema, zone};

/// Defines the form of values that are written as text, and their pattern with examples for the schema.
macro_rules! from_text {
    ($($type:ty, $parse:expr, $form:expr, $pattern:literal, $examples:expr;)*) => {$(
        impl Read for $type {
            fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
                formed(node, at, out, &$form, $parse)
            }

            fn schema() -> Json {
                schema::form($pattern, &$examples)
            }
        }
    )*};
}

from_text! {
    Interval, interval, Form {
        expected: "a duration like \"1h\", or \"off\"",
        complaint: "neither a duration nor \"off\"",
        help: "write a whole number and m, h or d, like \"30m\" or \"1h\", or \"off\"",
    }, r"^\s*([0-9]+\s*(ms|s|m|h|d)|off)\s*$", ["30m", "1h", "off"];
    RateLimit, rate, Form {
        expected: "a rate like \"50/s\"",
        complaint: "not a rate",
        help: "write a number and a unit of time, like \"50/s\", \"100/min\" or \"1000/h\"",
    }, r"^\s*[0-9]+\s*/\s*(s|sec|m|min|h|hour)\s*$", ["50/s", "100/min", "1000/h"];
    SocketAddr, |text| text.parse().ok(), Form {
        expected: "an address like \"127.0.0.1:8787\"",
        complaint: "not an address to listen on",
        help: "write an IP address and a port, like \"127.0.0.1:8787\", \"0.0.0.0:8787\" or \"[::]:8787\"",
    }, r"^.+:[0-9]+$", ["127.0.0.1:8787", "0.0.0.0:8787", "[::]:8787"];
    TimeZone, zone, Form {
        expected: "a time zone like \"Asia/Shanghai\"",
        complaint: "not a time zone",
        help: "write a name of the IANA database, like \"Asia/Shanghai\", or an offset, like \"+08:00\"",
    }, r"^([+-][0-9]{2}(:[0-9]{2})?|[A-Za-z].*)$", ["Asia/Shanghai", "+08:00"];
}

/// The interval of a repeated task: a duration, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(pub(super) Option<Duration>);

fn interval(text: &str) -> Option<Interval> {
    match text.trim() {
        "off" => Some(Interval(None)),
        period => duration(period).map(|period| Interval(Some(period))),
    }
}

/// Parses a rate: `"50/s"`, `"100/min"`, `"1000/h"`.
fn rate(text: &str) -> Option<RateLimit> {
    let (count, per) = text.split_once('/')?;
    let seconds = match per.trim() {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" | "hour" => 3600,
        _ => return None,
    };
    let count = count.trim().parse().ok().filter(|&count| count > 0)?;
    let per = Duration::from_secs(seconds);
    Some(RateLimit { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often() {
        let read = |text| interval(text).map(|often| often.0);
        assert_eq!(read("off"), Some(None));
        assert_eq!(read("1h"), Some(Some(Duration::from_secs(3600))));
        for wrong in ["", "never", "OFF", "1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rates() {
        let read = |text| rate(text).map(|rate| (rate.count, rate.per.as_secs()));
        assert_eq!(read("50/s"), Some((50, 1)));
        assert_eq!(read("100 / min"), Some((100, 60)));
        assert_eq!(read("7/h"), Some((7, 3600)));
        for wrong in ["0/s", "50", "50/d", "-1/s", "/s", "1.5/s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
