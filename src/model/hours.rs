//! Times of the week in a zone. Pure.
//!
//! A time is compared with the local time of its zone. An instant has exactly one local time, so changes of summer
//! time need no special case: an hour that comes twice counts twice, and a skipped one never comes. The end of a
//! window is a local time that must become an instant: one that comes twice means the earlier, and a skipped one
//! the later.

use std::time::Duration;

use jiff::Zoned;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::Timestamp;

/// The last end of a window, in minutes after midnight: `24:00`.
pub const DAY_MINUTES: u16 = 24 * 60;

/// The longest time that connected windows can include. Windows that include a longer time include the whole week.
pub const HOURS_MAX: Duration = Duration::from_secs(8 * 24 * 3600);

/// At least one window, any of which suffices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(pub Vec<Window>);

/// Times of the week in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The value of the configuration.
    pub written: String,
    /// From Monday.
    pub days: [bool; 7],
    /// `None`: the whole day.
    pub minutes: Option<Minutes>,
    pub zone: TimeZone,
}

/// Times that return each week: one time of day, on some days, in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The value of the configuration.
    pub written: String,
    /// From Monday; at least one.
    pub days: [bool; 7],
    /// Minutes after midnight.
    pub minute: u16,
    pub zone: TimeZone,
}

/// Minutes after midnight. A window whose end is not after its start belongs to the day it starts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minutes {
    pub start: u16,
    /// The first minute that is outside.
    pub end: u16,
}

impl Hours {
    /// Returns whether one of the windows includes this time.
    pub fn include(&self, at: Timestamp) -> bool {
        self.0.iter().any(|window| window.end(at).is_some())
    }

    /// Returns the first time after `at` that no window includes. `None`: no window includes `at`, or the windows
    /// include the whole week.
    pub fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let next = |at| self.0.iter().filter_map(|window| window.end(at)).max();
        let mut end = next(at)?;
        while let Some(later) = next(end) {
            end = later;
            if end.since(at) >= HOURS_MAX {
                return None;
            }
        }
        Some(end)
    }

    /// Returns the windows as they are written.
    pub fn written(&self) -> String {
        let written: Vec<&str> = self.0.iter().map(|one| one.written.as_str()).collect();
        written.join(", ")
    }
}

/// The number of days to search for the nearest time of a [`Moment`]: a week, and the day itself once more.
const MOMENT_DAYS: i64 = 8;

impl Moment {
    /// Returns the last of its times that is not after `at`.
    pub fn last(&self, at: Timestamp) -> Option<Timestamp> {
        let mut times = (0..=MOMENT_DAYS).filter_map(|days| self.on_day(at, -days));
        times.find(|time| *time <= at)
    }

    /// Returns the first of its times after `at`.
    pub fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let mut times = (0..=MOMENT_DAYS).filter_map(|days| self.on_day(at, days));
        times.find(|time| *time > at)
    }

    /// Returns its time so many days after the day of `at`, if it has one.
    fn on_day(&self, at: Timestamp, days: i64) -> Option<Timestamp> {
        let date = at.to_jiff()?.to_zoned(self.zone.clone()).date();
        let date = date.checked_add(jiff::Span::new().days(days)).ok()?;
        if !has(&self.days, date.weekday()) {
            return None;
        }
        let time = day_minute(date, self.minute)?;
        let time = self.zone.to_ambiguous_zoned(time).compatible().ok()?;
        Some(Timestamp::from_millis(time.timestamp().as_millisecond()))
    }
}

impl Window {
    /// Returns the local time of the window's zone; `None` outside the years −9999 to 9999.
    pub fn local(&self, at: Timestamp) -> Option<Zoned> {
        Some(at.to_jiff()?.to_zoned(self.zone.clone()))
    }

    /// Returns the name of the zone, or its offset.
    pub fn zone_name(&self) -> String {
        let offset = || self.zone.to_offset(jiff::Timestamp::UNIX_EPOCH).to_string();
        self.zone.iana_name().map_or_else(offset, str::to_owned)
    }

    /// Returns the end of the window, if it includes this time.
    fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.local(at)?;
        let end = self.local_end(&local)?;
        let ambiguous = self.zone.to_ambiguous_zoned(end);
        let compatible = ambiguous.clone().compatible().ok()?;
        // A local time that comes twice may be over once already.
        let end = match compatible > local {
            true => compatible,
            false => ambiguous.later().ok()?,
        };
        Some(Timestamp::from_millis(end.timestamp().as_millisecond()))
    }

    /// Returns the local end of the window, if it includes this local time.
    fn local_end(&self, local: &Zoned) -> Option<DateTime> {
        let (today, yesterday) = (local.weekday(), local.weekday().previous());
        let date = local.date();
        let Some(Minutes { start, end }) = self.minutes else {
            return has(&self.days, today).then(|| day_minute(date, DAY_MINUTES))?;
        };
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if start < end {
            let is_in = has(&self.days, today) && (start..end).contains(&minute);
            return is_in.then(|| day_minute(date, end))?;
        }
        if has(&self.days, today) && minute >= start {
            return day_minute(date.tomorrow().ok()?, end);
        }
        (has(&self.days, yesterday) && minute < end).then(|| day_minute(date, end))?
    }
}

fn has(days: &[bool; 7], day: Weekday) -> bool {
    let index = usize::from(day.to_monday_zero_offset().unsigned_abs());
    days.get(index).copied().unwrap_or_default()
}

/// Returns the local time this many minutes after the midnight that begins `date`.
fn day_minute(date: jiff::civil::Date, minutes: u16) -> Option<DateTime> {
    if minutes >= DAY_MINUTES {
        return Some(date.tomorrow().ok()?.at(0, 0, 0, 0));
    }
    let [hour, minute] = [minutes / 60, minutes % 60].map(|part| i8::try_from(part).ok());
    Some(date.at(hour?, minute?, 0, 0))
}
