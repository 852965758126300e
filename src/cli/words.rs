//! Describes records in words, for tables and lists of the terminal. Pure.

use std::time::Duration;

use super::text;
use crate::model::{FeedbackStatus, GroupKey, HeldFor, Private, Severity};
use crate::view::{
    AttemptView, FindingKey, ImageView, ReportView, RuleView, SilenceSummary, SpecView,
};

/// The width limit of a reporter's text, in columns.
const WORDS_COLUMNS: usize = 60;

/// Returns `-` for an absent text.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("-")
        .to_owned()
}

/// Returns `1 image`, `2 images`.
pub(super) fn counted(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        more => format!("{more} {one}s"),
    }
}

/// Returns a duration as the configuration writes it: `90s`, `5m`, `4h`, `3d`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// Returns a time from a start, exact to the millisecond: `0.2s`, `5m 1s`, `1h 0m 1s`.
pub(super) fn moment(after: Duration) -> String {
    let (millis, seconds) = (after.subsec_millis(), after.as_secs());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut said = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, minutes) => format!("{minutes}m "),
        (hours, minutes) => format!("{hours}h {minutes}m "),
    };
    let fraction = format!(".{millis:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    said.push_str(&format!("{}{fraction}s", seconds % 60));
    said
}

/// Returns the keys of a group, and its values.
pub(super) fn group(key: &[(GroupKey, Option<Private>)]) -> (String, String) {
    let keys: Vec<&str> = key.iter().map(|(key, _)| key.key()).collect();
    let values = key.iter();
    let values = values.map(|(_, value)| or_dash(value.as_ref().map(Private::expose)));
    (keys.join(", "), values.collect::<Vec<_>>().join(", "))
}

/// Returns the name of a status, otherwise its number.
pub(super) fn status(status: FeedbackStatus) -> String {
    let number = || status.0.to_string();
    status.key().map_or_else(number, str::to_owned)
}

/// Describes why a delivery is held, or was summarised.
pub(super) const fn held_for(held_for: HeldFor) -> &'static str {
    match held_for {
        HeldFor::Late => "because it was late",
        HeldFor::Hold => "because of `hold`",
        HeldFor::Stale => "because it waited longer than `stale_after`",
    }
}

/// Describes the result of a rule in a few words.
pub(super) fn finding(rule: &RuleView) -> String {
    match rule.finding {
        FindingKey::Matched => format!("matched{}", within(rule)),
        FindingKey::Continued => format!("matched, continues{}", within(rule)),
        FindingKey::Failed => format!("no: {}", condition(rule)),
        FindingKey::Excepted => format!("no: excepted, {}", condition(rule)),
        FindingKey::NotNow => format!("not now: {}", time(rule)),
        FindingKey::NotReached => "not reached".into(),
    }
}

/// Describes the times of a matched rule with `when`; empty without it.
fn within(rule: &RuleView) -> String {
    match rule.key {
        Some(_) => format!(": {}", time(rule)),
        None => String::new(),
    }
}

/// Describes the times at which a rule counts, and the time of receipt.
fn time(rule: &RuleView) -> String {
    let found = rule.found.as_ref().map_or("", |found| found.expose());
    let wanted = rule.wanted.as_deref().unwrap_or_default();
    format!("{wanted} (it is {found})")
}

fn condition(rule: &RuleView) -> String {
    let found = rule.found.as_ref().map_or("", |found| found.expose());
    let found = if found.is_empty() { "nothing" } else { found };
    let key = rule.key.unwrap_or_default();
    let wanted = rule.wanted.as_deref().unwrap_or_default();
    format!("{key} wants {wanted}, found {found}")
}

/// Describes a message spec in a few words.
pub(super) fn spec(spec: &SpecView) -> String {
    let mut text = format!("rule {:?}, {}", spec.rule.as_str(), spec.severity);
    text.push_str(&format!(", template {}", spec.template));
    if !spec.mentions.is_empty() {
        text.push_str(&format!(", mentions {}", spec.mentions.join(" ")));
    }
    text
}

/// Describes an attempt in a few words, without the excerpt.
pub(super) fn attempt(attempt: &AttemptView) -> String {
    let result = &attempt.result;
    let mut text = format!(
        "#{} {} {} {} in {} ms",
        attempt.number, attempt.started_at, attempt.form, result.outcome, attempt.duration_ms
    );
    if let Some(status) = result.status {
        text.push_str(&format!(", HTTP {status}"));
    }
    let reason = result.reason.as_deref();
    if let Some(code) = &result.code {
        let named = format!("code {code}");
        if !reason.is_some_and(|reason| reason.starts_with(&named)) {
            text.push_str(&format!(", {named}"));
        }
    }
    if let Some(reason) = reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// Describes an image in a few words.
pub(super) fn image(image: &ImageView) -> String {
    let mut text = format!("#{} {}", image.ordinal, image.state);
    if let (Some(id), Some(format)) = (&image.id, image.format) {
        let size = |pixels: Option<u32>| pixels.unwrap_or_default();
        let (width, height) = (size(image.width), size(image.height));
        let bytes = image.bytes.unwrap_or_default();
        text.push_str(&format!(", {format} {width}×{height}, {bytes} bytes, {id}"));
    }
    if let Some(reason) = &image.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// Describes a report in a few words.
pub(super) fn report(report: &ReportView) -> String {
    let typed = |text: &Option<Private>| {
        let text = text.as_ref().map_or("", Private::expose);
        or_dash(Some(&text::cut(text, WORDS_COLUMNS)))
    };
    format!(
        "{}  {}  {}  {}  {}",
        report.id,
        report.received_at,
        or_dash(Some(&report.what)),
        typed(&report.path),
        typed(&report.description)
    )
}

/// Describes when a silence ends or ended, and its reason.
pub(super) fn silence(silence: &SilenceSummary) -> String {
    let ends = match silence.ended_at {
        Some(ended_at) => format!("ended {ended_at}"),
        None => format!("until {}", silence.ends_at),
    };
    let reason = silence.reason.as_ref().map(Private::expose);
    format!("{ends}, {}", reason.unwrap_or("muted with a button"))
}

/// Returns a severity; `critical` in capitals.
pub(super) fn severity(severity: Severity) -> String {
    match severity {
        Severity::Critical => "CRITICAL".into(),
        Severity::Warning | Severity::Info => severity.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{an_attempt, an_order};
    use crate::model::{Condition, Finding, RuleName, RuleTrace};

    #[test]
    fn a_finding_names_key_wish_and_what_was_there() {
        let condition = |found: &str| Condition {
            key: "tenant",
            wanted: "*internal*".into(),
            found: Private::new(found),
        };
        for (given, shown) in [
            (Finding::Matched { last: true }, "matched"),
            (Finding::Matched { last: false }, "matched, continues"),
            (Finding::NotReached, "not reached"),
            (
                Finding::Failed(condition("Acme")),
                "no: tenant wants *internal*, found Acme",
            ),
            (
                Finding::Excepted(condition("")),
                "no: excepted, tenant wants *internal*, found nothing",
            ),
            (
                Finding::NotNow(Condition {
                    key: "when",
                    wanted: "mon-fri 09:00-18:00".into(),
                    found: Private::new("Sat 10:12 in Asia/Shanghai"),
                }),
                "not now: mon-fri 09:00-18:00 (it is Sat 10:12 in Asia/Shanghai)",
            ),
        ] {
            let trace = RuleTrace {
                rule: RuleName::new("blank screen"),
                finding: given,
                when: None,
            };
            assert_eq!(finding(&RuleView::from(&trace)), shown);
        }
        let by_day = RuleTrace {
            rule: RuleName::new("by day"),
            finding: Finding::Matched { last: true },
            when: Some(Condition {
                key: "when",
                wanted: "09:00-18:00".into(),
                found: Private::new("Mon 10:12 in UTC"),
            }),
        };
        let shown = finding(&RuleView::from(&by_day));
        assert_eq!(shown, "matched: 09:00-18:00 (it is Mon 10:12 in UTC)");
    }

    #[test]
    fn span_is_written_in_its_largest_whole_unit() {
        for (seconds, written) in [
            (0, "0s"),
            (90, "90s"),
            (300, "5m"),
            (5400, "90m"),
            (14_400, "4h"),
            (259_200, "3d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), written);
        }
    }

    #[test]
    fn moment_is_exact() {
        for (millis, written) in [
            (0, "0s"),
            (200, "0.2s"),
            (59_850, "59.85s"),
            (301_000, "5m 1s"),
            (3_600_001, "1h 0m 0.001s"),
        ] {
            assert_eq!(moment(Duration::from_millis(millis)), written);
        }
    }

    #[test]
    fn an_attempt_says_all_that_is_known() {
        assert_eq!(
            attempt(&an_attempt().into()),
            "#2 2024-03-22T12:38:31.000Z full retry in 120 ms, HTTP 502, code 11232: too often"
        );
    }

    #[test]
    fn an_order_names_whom_it_mentions() {
        assert_eq!(
            spec(&an_order().into()),
            "rule \"blank screen\", critical, template alert, mentions sre all"
        );
    }
}
