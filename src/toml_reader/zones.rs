//! Parses time zones.

use jiff::tz::{Offset, TimeZone};

use super::suggest::nearest;

/// Parses a time zone: a name of the IANA database, or an offset such as `+08:00`.
pub fn zone(text: &str) -> Option<TimeZone> {
    if text.starts_with(['+', '-']) {
        return offset(text).map(TimeZone::fixed);
    }
    TimeZone::get(text).ok()
}

/// Returns the name of the IANA database that was probably meant: by its city alone, or a similar name.
pub fn similar_zone(text: &str) -> Option<String> {
    let names = jiff::tz::db().available();
    let names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
    let names = names.iter().map(String::as_str);
    let is_city = |name: &&str| {
        let city = name.rsplit_once('/').map(|(_, city)| city);
        city.is_some_and(|city| city.eq_ignore_ascii_case(text))
    };
    let near = names.clone().find(is_city);
    near.or_else(|| nearest(text, names)).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        let seconds = |text| Some(zone(text)?.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds());
        assert_eq!(seconds("Asia/Shanghai"), Some(28_800));
        assert_eq!(seconds("UTC"), Some(0));
        assert_eq!(seconds("+08:00"), Some(28_800));
        assert_eq!(seconds("-0330".get(..3).unwrap()), Some(-10_800));
        assert_eq!(seconds("-03:30"), Some(-12_600));
        for wrong in ["Mars/Olympus", "+8", "+08:60", "+25:00", "+0x:00", ""] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn similar_zone_is_found_by_city_and_by_likeness() {
        for (text, meant) in [
            ("Berlin", Some("Europe/Berlin")),
            ("shanghai", Some("Asia/Shanghai")),
            ("Europe/Berln", Some("Europe/Berlin")),
            ("x", None),
        ] {
            assert_eq!(similar_zone(text).as_deref(), meant, "{text}");
        }
    }
}
