//! Parses the values of keys: `"90s"`, `"10MiB"`, `"50/s"`.
//!
//! Errors never repeat the text, because it may be a secret. The text after a line break in an error is the help.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};
use toml::Spanned;

use crate::destination::RateLimit;
use crate::model::Secret;
use crate::toml_reader::duration;

/// Splits a number from its unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

/// A duration: `"800ms"`, `"90s"`, `"5m"`, `"24h"`, `"3d"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period(pub(super) Duration);

impl Period {
    fn parse(text: &str) -> Option<Self> {
        duration(text).map(Self)
    }
}

/// The interval of a repeated task: a duration, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(pub(super) Option<Duration>);

impl Interval {
    fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "off" => Some(Self(None)),
            period => Period::parse(period).map(|period| Self(Some(period.0))),
        }
    }
}

/// A number of bytes: `"10MiB"`, `"512KiB"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split_unit(text)?;
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return None,
        };
        number.checked_mul(1 << shift).map(Self)
    }
}

/// A rate: `"50/s"`, `"100/min"`, `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) RateLimit);

impl Rate {
    fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let seconds = match per.trim() {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        let count = count.trim().parse().ok().filter(|&count| count > 0)?;
        let per = Duration::from_secs(seconds);
        Some(Self(RateLimit { count, per }))
    }
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) SocketAddr);

/// A time zone: a name, or a fixed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone(pub(super) TimeZone);

impl Zone {
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with(['+', '-']) {
            return offset(text).map(|offset| Self(TimeZone::fixed(offset)));
        }
        TimeZone::get(text).ok().map(Self)
    }
}

fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    // The widest offset in use is +14:00; jiff's own limit is wider.
    if hours > 18 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Reads a value from a string, or from a plain number if the type accepts one.
macro_rules! from_text {
    ($name:ident, $parse:expr, $expecting:literal, $complaint:literal $(, $number:expr)?) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).ok_or_else(|| E::custom($complaint))
                    }

                    $(fn visit_i64<E: Error>(self, number: i64) -> Result<$name, E> {
                        $number(number).ok_or_else(|| E::custom($complaint))
                    })?
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

from_text!(
    Period,
    Period::parse,
    "a duration like \"90s\"",
    "not a duration\nwrite a whole number and ms, s, m, h or d, like \"800ms\", \"90s\", \"5m\" or \"3d\"; at most \"3650d\""
);
from_text!(
    Interval,
    Interval::parse,
    "a duration like \"1h\", or \"off\"",
    "neither a duration nor \"off\"\nwrite a whole number and m, h or d, like \"30m\" or \"1h\", or \"off\""
);
from_text!(
    Size,
    Size::parse,
    "a size like \"10MiB\"",
    "not a size\nwrite a whole number and KiB, MiB or GiB, like \"10MiB\", or plain bytes",
    |number| u64::try_from(number).ok().map(Size)
);
from_text!(
    Rate,
    Rate::parse,
    "a rate like \"50/s\"",
    "not a rate\nwrite how many in what, like \"50/s\", \"100/min\" or \"1000/h\""
);
from_text!(
    Address,
    |text: &str| text.parse().ok().map(Address),
    "an address like \"127.0.0.1:8787\"",
    "not an address to listen on\nwrite an IP address and a port, like \"127.0.0.1:8787\", \"0.0.0.0:8787\" or \"[::]:8787\""
);
from_text!(
    Zone,
    Zone::parse,
    "a time zone like \"Asia/Shanghai\"",
    "not a time zone\nwrite a name of the IANA database, like \"Asia/Shanghai\", or an offset, like \"+08:00\""
);

/// A secret as it is written: the value itself, or the file that contains it.
#[derive(Clone, Debug)]
pub(super) enum RawSecret {
    Itself(Secret),
    File(Spanned<String>),
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct InFile {
            file: Spanned<String>,
        }

        struct SecretVisitor;
        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = RawSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or { file = \"…\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawSecret, E> {
                Ok(RawSecret::Itself(Secret::new(text)))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<RawSecret, A::Error> {
                let in_file =
                    InFile::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(RawSecret::File(in_file.file))
            }
        }
        deserializer.deserialize_any(SecretVisitor)
    }
}

/// One value or a list.
#[derive(Clone, Debug)]
pub(super) struct Many<T>(pub(super) Vec<T>);

/// Distinguishes a list from one value: only lists are visited as sequences.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<Spanned<T>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let whole = Spanned::<OneOrMore<T>>::deserialize(deserializer)?;
        let span = whole.span();
        Ok(Self(match whole.into_inner() {
            OneOrMore::One(one) => vec![Spanned::new(span, one)],
            OneOrMore::More(more) => more,
        }))
    }
}

enum OneOrMore<T> {
    One(T),
    More(Vec<Spanned<T>>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(OneOrMore::One)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMore::More)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(OneOrMore::One)
            }
        }
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("800ms", Some(800)),
            ("90s", Some(90_000)),
            ("5 m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("3d", Some(259_200_000)),
            ("0s", Some(0)),
            ("3650d", Some(315_360_000_000)),
            ("3651d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("90", None),
            ("-5s", None),
            ("1.5h", None),
            ("5 min", None),
            ("", None),
            ("一天", None),
        ] {
            let millis = Period::parse(text).map(|period| period.0.as_millis());
            assert_eq!(millis, wanted, "{text}");
        }
    }

    #[test]
    fn how_often() {
        let read = |text| Interval::parse(text).map(|often| often.0);
        assert_eq!(read("off"), Some(None));
        assert_eq!(read("1h"), Some(Some(Duration::from_secs(3600))));
        for wrong in ["", "never", "OFF", "1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("1048576", Some(1 << 20)),
            ("10MiB", Some(10 << 20)),
            ("512 KiB", Some(512 << 10)),
            ("20GiB", Some(20 << 30)),
            ("5B", Some(5)),
            ("10MB", None),
            ("99999999999999TiB", None),
            ("MiB", None),
        ] {
            assert_eq!(Size::parse(text).map(|size| size.0), wanted, "{text}");
        }
    }

    #[test]
    fn rates() {
        let read = |text| Rate::parse(text).map(|rate| (rate.0.count, rate.0.per.as_secs()));
        assert_eq!(read("50/s"), Some((50, 1)));
        assert_eq!(read("100 / min"), Some((100, 60)));
        assert_eq!(read("7/h"), Some((7, 3600)));
        for wrong in ["0/s", "50", "50/d", "-1/s", "/s", "1.5/s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn zones() {
        let seconds = |text| {
            let zone = Zone::parse(text)?.0;
            Some(zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds())
        };
        assert_eq!(seconds("Asia/Shanghai"), Some(28_800));
        assert_eq!(seconds("UTC"), Some(0));
        assert_eq!(seconds("+08:00"), Some(28_800));
        assert_eq!(seconds("-0330".get(..3).unwrap()), Some(-10_800));
        assert_eq!(seconds("-03:30"), Some(-12_600));
        for wrong in ["Mars/Olympus", "+8", "+08:60", "+25:00", "+0x:00", ""] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
