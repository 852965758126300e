//! Parses and explains the times of the week at which a rule counts or holds its messages. Pure.

use jiff::tz::TimeZone;

use crate::model::{Condition, DAY_MINUTES, Hours, Minutes, Moment, Private, Timestamp, Window};
use crate::toml_reader::suggest::nearest;
use crate::toml_reader::{similar_zone, zone};

/// The days as they are written, from Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Shows how to write a value.
const EXAMPLE: &str = "write days, times or both, like \"mon-fri 09:00-18:00\", \"sat,sun\" or \"22:00-08:00 Europe/Berlin\"";
/// Matches a value, ignoring which words are days and zones.
pub(super) const PATTERN: &str = r"^\s*([A-Za-z,-]{3,}(\s+[0-9:]{5}-[0-9:]{5})?|[0-9:]{5}-[0-9:]{5})(\s+[A-Za-z+-][A-Za-z0-9_:/+-]*)?\s*$";
/// Values for the schema.
pub(super) const EXAMPLES: &[&str] = &[
    "mon-fri 09:00-18:00",
    "sat,sun",
    "22:00-08:00",
    "mon-fri 09:00-18:00 Europe/Berlin",
];

/// Matches a time of a digest, ignoring which words are days and zones.
pub(super) const MOMENT_PATTERN: &str =
    r"^\s*([A-Za-z,-]{3,}\s+)?[0-9:]{5}(\s+[A-Za-z+-][A-Za-z0-9_:/+-]*)?\s*$";
/// Values for the schema.
pub(super) const MOMENT_EXAMPLES: &[&str] = &["mon 09:30", "mon-fri 09:30", "09:30 Europe/Berlin"];
/// Shows how to write the time of a digest.
const MOMENT_EXAMPLE: &str = "write a time, with days before it unless it is daily, like \"mon 09:30\" or \"09:30 Europe/Berlin\"";

/// A value that is no window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadWindow {
    /// What is wrong.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: String,
}

/// Returns the windows of `when` and the local time that was compared with them, once for each zone.
pub(super) fn condition(hours: &Hours, at: Timestamp) -> Condition {
    let written: Vec<&str> = hours.0.iter().map(|one| one.written.as_str()).collect();
    let mut found: Vec<String> = Vec::new();
    for window in &hours.0 {
        let local = window.local(at);
        let local = local.map_or_else(
            || at.to_string(),
            |local| local.strftime("%a %H:%M").to_string(),
        );
        let local = format!("{local} in {}", window.zone_name());
        if !found.contains(&local) {
            found.push(local);
        }
    }
    Condition {
        key: "when",
        wanted: written.join(" or "),
        found: Private::new(found.join(", ")),
    }
}

/// Parses days, times and a zone, each separated by white space. Without a zone, `default` applies.
///
/// # Errors
///
/// A part is unknown, in the wrong place or missing, or a window is empty.
pub(super) fn parse(text: &str, default: &TimeZone) -> Result<Window, BadWindow> {
    let mut words = text.split_whitespace().peekable();
    let is_time = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let is_zone = |word: &&str| word.contains('/') || zone(word).is_some();
    let days = words.next_if(|word| !is_time(word) && !is_zone(word));
    let days = days.map(read_days).transpose()?;
    let minutes = words.next_if(is_time).map(read_minutes).transpose()?;
    if days.is_none() && minutes.is_none() {
        return Err(bad(format!("\"{text}\" has neither days nor times")));
    }
    let zone = last_zone(words, default)?;
    Ok(Window {
        written: text.trim().to_owned(),
        days: days.unwrap_or([true; 7]),
        minutes,
        zone,
    })
}

/// Parses days, a time and a zone of a digest. Without days, it is daily; without a zone, `default` applies.
///
/// # Errors
///
/// A part is unknown, in the wrong place or missing.
pub(super) fn parse_moment(text: &str, default: &TimeZone) -> Result<Moment, BadWindow> {
    let mut words = text.split_whitespace().peekable();
    let is_time = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let days = words.next_if(|word| !is_time(word)).map(read_days);
    let days = days.transpose().map_err(for_moment)?;
    let time = words.next().and_then(time_of_day);
    let Some(minute) = time.filter(|minute| *minute < DAY_MINUTES) else {
        let message = format!("\"{text}\" has no time from 00:00 to 23:59");
        return Err(for_moment(bad(message)));
    };
    Ok(Moment {
        written: text.trim().to_owned(),
        days: days.unwrap_or([true; 7]),
        minute,
        zone: last_zone(words, default).map_err(for_moment)?,
    })
}

/// Shows how to write the time of a digest instead of a window.
fn for_moment(bad: BadWindow) -> BadWindow {
    BadWindow {
        help: bad.help.replace(EXAMPLE, MOMENT_EXAMPLE),
        ..bad
    }
}

/// Parses the zone, which is the last word; without one, `default` applies.
fn last_zone<'a>(
    mut words: impl Iterator<Item = &'a str>,
    default: &TimeZone,
) -> Result<TimeZone, BadWindow> {
    let zone = match words.next() {
        Some(name) => read_zone(name)?,
        None => default.clone(),
    };
    match words.next() {
        Some(word) => {
            let message = format!("\"{word}\" is one word too many: the zone comes last");
            Err(bad(message))
        }
        None => Ok(zone),
    }
}

fn bad(message: String) -> BadWindow {
    BadWindow {
        message,
        help: EXAMPLE.to_owned(),
    }
}

fn did_you_mean(name: Option<&str>) -> String {
    let meant = name.map(|name| format!("did you mean \"{name}\"? "));
    format!("{}{EXAMPLE}", meant.unwrap_or_default())
}

/// Reads `mon`, `mon-fri`, `sat,sun` or a mixture.
fn read_days(text: &str) -> Result<[bool; 7], BadWindow> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (read_day(first)?, read_day(last)?);
        loop {
            if let Some(day) = days.get_mut(day) {
                *day = true;
            }
            if day == last {
                break;
            }
            day = (day + 1) % DAYS.len();
        }
    }
    Ok(days)
}

/// Returns the number of the day from Monday.
fn read_day(text: &str) -> Result<usize, BadWindow> {
    let day = DAYS.iter().position(|day| day.eq_ignore_ascii_case(text));
    day.ok_or_else(|| BadWindow {
        message: format!("there is no day \"{text}\""),
        help: did_you_mean(nearest(text, DAYS)),
    })
}

/// Reads `09:00-18:00`.
fn read_minutes(text: &str) -> Result<Minutes, BadWindow> {
    let times = text.split_once('-');
    let times = times.and_then(|(start, end)| Some((time_of_day(start)?, time_of_day(end)?)));
    let Some((start, end)) = times.filter(|(start, _)| *start < DAY_MINUTES) else {
        let message = format!("\"{text}\" is no window of two times from 00:00 to 24:00");
        return Err(bad(message));
    };
    if start == end {
        return Err(BadWindow {
            message: format!("\"{text}\" is empty: it ends when it starts"),
            help: "for the whole day, write only the days, or \"00:00-24:00\"".to_owned(),
        });
    }
    Ok(Minutes { start, end })
}

/// Returns the minutes after midnight of `HH:MM`.
fn time_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY_MINUTES).then_some(all)
}

fn read_zone(text: &str) -> Result<TimeZone, BadWindow> {
    zone(text).ok_or_else(|| {
        if read_days(text).is_ok() {
            return bad(format!("\"{text}\" must be before the times"));
        }
        BadWindow {
            message: format!("there is no time zone \"{text}\""),
            help: did_you_mean(similar_zone(text).as_deref()),
        }
    })
}
