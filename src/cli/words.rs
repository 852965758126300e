//! Describes records in words, for tables and lists of the terminal. Pure.

use std::time::Duration;

use crate::model::{FeedbackStatus, HeldFor, Severity};
use crate::view::{AttemptView, FindingKey, ImageView, RuleView, SpecView};

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
        FindingKey::Matched => "matched".into(),
        FindingKey::Continued => "matched, continues".into(),
        FindingKey::Failed => format!("no: {}", condition(rule)),
        FindingKey::Excepted => format!("no: excepted, {}", condition(rule)),
        FindingKey::NotNow => format!("not now: {}", time(rule)),
        FindingKey::NotReached => "not reached".into(),
    }
}

/// Describes the times at which a rule counts, and the time that is none of them.
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
    use crate::model::{Condition, Finding, Private, RuleName, RuleTrace};

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
            };
            assert_eq!(finding(&RuleView::from(&trace)), shown);
        }
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
