//! Reads the keys of a rule that are about incidents.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;

use super::{RawKeys, Reader};
use crate::model::{
    ESCALATION_STEPS_MAX, EscalateAt, EscalationStep, EventKind, GroupKey, GroupTerms, Hours,
};
use crate::rules::Known;
use crate::rules::group::Grouping;
use crate::rules::kinds;
use crate::rules::matcher::Matcher;
use crate::toml_reader::suggest::value as did_you_mean;
use crate::toml_reader::{Field, Many, Node, Read, codes, join, keys, schema};

/// `group_from` in a rule without `group_by`. So few faults are not worth an incident unless the rule asks for it.
const FROM_DEFAULT: u64 = 5;

/// The shortest durations, each with its text.
const TEN_SECONDS: (Duration, &str) = (Duration::from_secs(10), "10s");
const MINUTE: (Duration, &str) = (Duration::from_secs(60), "1m");
/// The longest duration, because an incident ends after this time at the latest.
const DAY: (Duration, &str) = (crate::model::INCIDENT_AGE_MAX, "24h");

/// The only value of `unless`.
const CLAIMED: &str = "claimed";

keys! {
    /// Each step notifies once in an incident: at a number of reports or after a time, with mentions, at other destinations, or both
    pub(in crate::rules) struct RawStep {
        /// Notifies when the incident has this many reports
        count: Node [count_schema()],
        /// Notifies this long after the first report
        after: Duration,
        /// "claimed": the step is skipped if somebody has claimed the incident
        unless: String [schema::word([CLAIMED])],
        /// Names of [mentions]; "all" is everyone in the chat
        mention: Many<String>,
        /// Names of [destinations] to notify beside those of the incident
        send_to: Many<String>,
    }
}

/// Returns the words of `group_by`.
pub(super) fn key_names() -> impl Iterator<Item = &'static str> {
    GroupKey::ALL.iter().map(|key| key.key())
}

/// Returns the schema of a number of reports.
pub(super) fn count_schema() -> Json {
    json!({ "type": "integer", "minimum": 1 })
}

fn span<T>(field: &Field<T>) -> Option<Range<usize>> {
    field.as_ref().map(Spanned::span)
}

fn names_any(list: &Field<Many<String>>) -> bool {
    list.as_ref().is_some_and(|list| !list.get_ref().is_empty())
}

impl Reader<'_> {
    /// Reads how the rule groups the reports that `wanted` accepts.
    pub(super) fn grouping(
        &mut self,
        raw: &RawKeys,
        wanted: &[Matcher],
        hold: Option<Hours>,
        known: &Known,
    ) -> Grouping {
        self.check_effect(raw, wanted);
        let by = raw.group_by.clone().map(|names| {
            let unknown = (codes::UNKNOWN_VALUE, "`group_by` has no value");
            let known: Vec<&str> = key_names().collect();
            let names = self.names("group_by", names, unknown, &known).into_iter();
            names.filter_map(|name| GroupKey::from_key(&name)).collect()
        });
        let from = self.count("group_from", &raw.group_from);
        let from_default = if by.is_none() { FROM_DEFAULT } else { 1 };
        self.time("group_interval", &raw.group_interval.written, TEN_SECONDS);
        self.time("repeat_after", &raw.repeat_after.written, MINUTE);
        self.time("resolve_after", &raw.resolve_after.written, MINUTE);
        let terms = GroupTerms {
            from: from.unwrap_or(from_default),
            interval: raw.group_interval.clone().value(),
            repeat_after: Some(raw.repeat_after.clone().value()),
            resolve_after: raw.resolve_after.clone().value(),
            steps: self.steps(&raw.escalate, known),
            hold,
        };
        Grouping { by, terms }
    }

    /// Reports keys of incidents in a rule that never groups.
    fn check_effect(&mut self, raw: &RawKeys, wanted: &[Matcher]) {
        let by = raw.group_by.as_ref();
        let never = by.is_some_and(|names| names.get_ref().is_empty());
        let reason = if never {
            "`group_by = []` never groups"
        } else if kinds::taken_by(wanted) == [EventKind::Updated] {
            "the rule matches only changes of status, which are never grouped"
        } else {
            return;
        };
        let written = [
            ("group_by", span(&raw.group_by).filter(|_| !never)),
            ("group_from", span(&raw.group_from)),
            ("group_interval", span(&raw.group_interval.written)),
            ("repeat_after", span(&raw.repeat_after.written)),
            ("resolve_after", span(&raw.resolve_after.written)),
            ("escalate", span(&raw.escalate)),
        ];
        for (key, span) in written {
            if let Some(span) = span {
                let at = self.at.key(key, span);
                let message = format!("`{key}` has no effect: {reason}");
                self.out
                    .add_with_help(codes::NEVER_GROUPS, &at, message, "remove the key");
            }
        }
    }

    /// Reads a number of reports.
    fn count(&mut self, key: &str, field: &Field<Node>) -> Option<u64> {
        let node = field.as_ref()?.get_ref();
        let at = self.at.key(key, node.span.clone());
        let Some(whole) = node.whole() else {
            self.out.wrong_type(&at, "a whole number", node);
            return None;
        };
        let count = u64::try_from(whole).ok().filter(|count| *count > 0);
        if count.is_none() {
            let message = format!("`{key}` must be at least 1");
            self.out.add(codes::RULE_OUT_OF_RANGE, &at, message);
        }
        count
    }

    /// Reports a time outside of its range. Returns the time in its range.
    fn time(
        &mut self,
        key: &str,
        written: &Field<Duration>,
        min: (Duration, &str),
    ) -> Option<Duration> {
        let written = written.as_ref()?;
        let is_in_range = (min.0..=DAY.0).contains(written.get_ref());
        if !is_in_range {
            let at = self.at.key(key, written.span());
            let message = format!("`{key}` must be from {} to {}", min.1, DAY.1);
            self.out.add(codes::RULE_OUT_OF_RANGE, &at, message);
        }
        is_in_range.then_some(*written.get_ref())
    }

    /// Reads the steps of `escalate`.
    fn steps(&mut self, field: &Field<Node>, known: &Known) -> Vec<EscalationStep> {
        let Some(field) = field else {
            return Vec::new();
        };
        let list = field.get_ref();
        let at = self.at.key("escalate", list.span.clone());
        let steps = list.elements();
        if steps.len() > ESCALATION_STEPS_MAX {
            let message = format!(
                "{} steps; a rule has at most {ESCALATION_STEPS_MAX}",
                steps.len()
            );
            self.out.add(codes::RULE_OUT_OF_RANGE, &at, message);
        }
        let mut read = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            let at = at.element(list, index, step);
            let raw = RawStep::read(step, &at, self.out);
            let mut reader = Reader {
                out: &mut *self.out,
                at: &at,
            };
            read.extend(raw.and_then(|raw| reader.step(raw, known)));
        }
        read
    }

    fn step(&mut self, raw: RawStep, known: &Known) -> Option<EscalationStep> {
        self.check_step(&raw);
        let count = self.count("count", &raw.count).map(EscalateAt::Count);
        let after = self
            .time("after", &raw.after, TEN_SECONDS)
            .map(EscalateAt::After);
        if let Some(unless) = raw.unless.as_ref().filter(|one| one.get_ref() != CLAIMED) {
            let at = self.at.key("unless", unless.span());
            let message = format!("`unless` has no value \"{}\"", unless.get_ref());
            let help = did_you_mean(unless.get_ref(), [CLAIMED]);
            self.out.report(codes::UNKNOWN_VALUE, &at, message, help);
        }
        let mentions = self.mentions(raw.mention, known);
        let send_to = self.send_to(raw.send_to, known);
        Some(EscalationStep {
            at: count.or(after)?,
            unless_claimed: raw.unless.is_some(),
            mentions,
            send_to,
        })
    }

    /// Reports a step without exactly one time, and one that notifies nobody.
    fn check_step(&mut self, raw: &RawStep) {
        // An unreadable value has been reported.
        let is_written =
            |this: &Self, key, is_read| is_read || this.out.concern(&join(&this.at.path, key));
        let count = is_written(self, "count", raw.count.is_some());
        let after = is_written(self, "after", raw.after.is_some());
        let message = match (count, after) {
            (true, true) => Some("the step has both `count` and `after`"),
            (false, false) => Some("the step has neither `count` nor `after`"),
            _ => None,
        };
        if let Some(message) = message {
            let help = "write exactly one: `count = 20` or `after = \"15m\"`";
            self.out
                .add_with_help(codes::BAD_STEP, self.at, message, help);
        }
        let mention = is_written(self, "mention", names_any(&raw.mention));
        if !mention && !is_written(self, "send_to", names_any(&raw.send_to)) {
            let message = "the step notifies nobody";
            let help = "add `mention`, `send_to` or both";
            self.out
                .add_with_help(codes::BAD_STEP, self.at, message, help);
        }
    }
}
