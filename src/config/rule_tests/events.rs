//! Reads `events` of a test: what happens over time.

use std::time::Duration;

use toml::Spanned;

use super::{EventParts, Given, Reader};
use crate::config::keys::{RawEvents, RawExpect, RawTest};
use crate::config::section::missing;
use crate::simulation::{EVENTS_MAX, LASTS_MAX, Repeated};
use crate::toml_reader::{Diagnostics, Field, Location, Node, codes};

/// The longest time of a test, for people.
const LASTS_MAX_TEXT: &str = "31d";

impl Reader<'_> {
    /// Reads `events` and the keys about them. Returns also how long the clock runs.
    pub(super) fn over_time(
        &self,
        raw: &mut RawTest,
        test: &Location,
        out: &mut Diagnostics,
    ) -> Option<(Given, Duration)> {
        refuse_beside_events(raw, test, out);
        let written = raw.events.take()?;
        let at = test.key("events", written.span());
        let before = out.count();
        let entries = written.into_inner();
        if entries.is_empty() {
            let help =
                "write at least one: events = [{ event = \"…\", times = 300, every = \"200ms\" }]";
            out.add_with_help(codes::MISSING_KEY, &at, "there are no events", help);
        }
        let entries = entries.into_iter().enumerate();
        let events: Vec<Option<Repeated>> = entries
            .map(|(index, entry)| {
                let at = at.index(index, entry.span());
                self.repeated(entry.into_inner(), &at, out)
            })
            .collect();
        let events: Vec<Repeated> = events.into_iter().collect::<Option<_>>()?;
        let total = events
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.times));
        if total > EVENTS_MAX {
            let message = format!("{total} events; a test has at most {EVENTS_MAX}");
            out.add(codes::OUT_OF_RANGE, &at, message);
        }
        let last = events.iter().map(Repeated::last).max()?;
        if last > LASTS_MAX {
            let message = format!("the last event is later than {LASTS_MAX_TEXT} after the start");
            out.add_with_help(
                codes::OUT_OF_RANGE,
                &at,
                message,
                "shorten `every` or `after`",
            );
        }
        let lasts = lasts(&raw.lasts, last, test, out);
        (out.count() == before).then_some((Given::OverTime(events), lasts))
    }

    fn repeated(&self, raw: RawEvents, at: &Location, out: &mut Diagnostics) -> Option<Repeated> {
        let before = out.count();
        if raw.event.is_none() {
            let help = "name a file with an event; `feedback-relay events sample` has some";
            missing(at, "event", help, out);
        }
        let times = match &raw.times.written {
            Some(written) => times(written, at, out),
            None => Some(1),
        };
        let is_repeated = times.is_some_and(|times| times > 1);
        match &raw.every {
            None if is_repeated => {
                let help = "write the time between two events, like every = \"200ms\"";
                missing(at, "every", help, out);
            }
            Some(written) if times == Some(1) => {
                let at = at.key("every", written.span());
                let message = "`every` has no effect on one event";
                out.add_with_help(codes::TEST_KEYS, &at, message, "write `times` too");
            }
            Some(_) | None => {}
        }
        let parts = EventParts {
            event: raw.event,
            with: raw.with,
            feedback: raw.feedback,
        };
        let event = self.modified_event(parts, at, out);
        (out.count() == before).then_some(Repeated {
            event: event?,
            times: times?,
            every: raw.every.map(Spanned::into_inner).unwrap_or_default(),
            after: raw.after.value(),
        })
    }
}

/// Reads how often an event happens.
fn times(written: &Spanned<Node>, parent: &Location, out: &mut Diagnostics) -> Option<u64> {
    let node = written.get_ref();
    let at = parent.key("times", written.span());
    let Some(whole) = node.whole() else {
        out.wrong_type(&at, "a whole number", node);
        return None;
    };
    let times = u64::try_from(whole).ok();
    let times = times.filter(|times| (1..=EVENTS_MAX).contains(times));
    if times.is_none() {
        let message = format!("`times` must be from 1 to {EVENTS_MAX}");
        out.add(codes::OUT_OF_RANGE, &at, message);
    }
    times
}

/// Reads `for`. Without it, the clock runs until the last event.
fn lasts(
    written: &Field<Duration>,
    last: Duration,
    test: &Location,
    out: &mut Diagnostics,
) -> Duration {
    let Some(written) = written else {
        return last;
    };
    let lasts = *written.get_ref();
    let message = if lasts > LASTS_MAX {
        format!("`for` must be at most {LASTS_MAX_TEXT}")
    } else if lasts < last {
        "`for` ends before the last event".to_owned()
    } else {
        return lasts;
    };
    let at = test.key("for", written.span());
    let help = "`for` counts from the start of the test";
    out.add_with_help(codes::OUT_OF_RANGE, &at, message, help);
    lasts
}

/// Reports keys about time in a test of one event.
pub(super) fn refuse_without_events(raw: &RawTest, test: &Location, out: &mut Diagnostics) {
    let written = [
        ("for", raw.lasts.as_ref().map(Spanned::span)),
        ("silences", raw.silences.as_ref().map(Spanned::span)),
    ];
    for (key, span) in written {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect without `events`");
            let help = "write the events over time: events = [{ event = \"…\", times = 300, every = \"200ms\" }]";
            out.add_with_help(codes::TEST_KEYS, &test.key(key, span), message, help);
        }
    }
}

/// Reports keys that describe the one event of a test.
fn refuse_beside_events(raw: &RawTest, test: &Location, out: &mut Diagnostics) {
    let written = [
        ("event", raw.event.as_ref().map(Spanned::span)),
        ("with", raw.with.as_ref().map(Spanned::span)),
        ("feedback", raw.feedback.as_ref().map(Spanned::span)),
    ];
    for (key, span) in written {
        if let Some(span) = span {
            let message = format!("`{key}` has no effect beside `events`");
            let help = format!("write `{key}` into an entry of `events`, or remove `events`");
            out.add_with_help(codes::TEST_KEYS, &test.key(key, span), message, help);
        }
    }
}

/// Reports expectations about one event in a test with `events`.
pub(super) fn refuse_about_one(raw: &RawExpect, at: &Location, out: &mut Diagnostics) {
    let written = [
        ("rule", raw.rule.as_ref().map(Spanned::span)),
        ("sent_to", raw.sent_to.as_ref().map(Spanned::span)),
        ("severity", raw.severity.as_ref().map(Spanned::span)),
        ("template", raw.template.as_ref().map(Spanned::span)),
        ("contains", raw.contains.as_ref().map(Spanned::span)),
        ("lacks", raw.lacks.as_ref().map(Spanned::span)),
        ("unrouted", raw.unrouted.as_ref().map(Spanned::span)),
    ];
    for (key, span) in written {
        if let Some(span) = span {
            let message = format!("`{key}` is about one event, and the test has `events`");
            let help = "expect `messages`, `edits`, `incidents` or `suppressed`, or write a test with `event`";
            out.add_with_help(codes::TEST_KEYS, &at.key(key, span), message, help);
        }
    }
}
