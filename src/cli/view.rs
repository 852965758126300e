//! Formats records of the store and results of rules, as text and as JSON. Pure.

use serde_json::{Value, json};

use crate::model::{
    Attempt, Condition, Delivery, FeedbackStatus, Finding, Image, MessageSpec, Severity, Timestamp,
};

/// Returns `-` for an absent text.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("-")
        .to_owned()
}

/// Describes the result of a rule in a few words.
pub(super) fn finding(finding: &Finding) -> String {
    match finding {
        Finding::Matched { last: true } => "matched".into(),
        Finding::Matched { last: false } => "matched, continues".into(),
        Finding::Failed(condition) => format!("no: {}", met(condition)),
        Finding::Excepted(condition) => format!("no: excepted, {}", met(condition)),
        Finding::NotReached => "not reached".into(),
    }
}

fn met(condition: &Condition) -> String {
    let found = match condition.found.expose() {
        "" => "nothing",
        found => found,
    };
    format!(
        "{} wants {}, found {found}",
        condition.key, condition.wanted
    )
}

/// Returns the name of a status, otherwise its number; empty if there is none.
pub(super) fn status(status: Option<FeedbackStatus>) -> String {
    let Some(status) = status else {
        return String::new();
    };
    status
        .key()
        .map_or_else(|| status.0.to_string(), str::to_owned)
}

/// Describes a message spec in a few words.
pub(super) fn spec(spec: &MessageSpec) -> String {
    let mut text = format!("rule {:?}, {}", spec.rule.as_str(), spec.severity);
    text.push_str(&format!(", template {}", spec.template));
    if !spec.mentions.is_empty() {
        text.push_str(&format!(", mentions {}", spec.mentions.join(" ")));
    }
    text
}

/// Returns a delivery as JSON.
pub(super) fn delivery_json(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "event_id": delivery.event_id.as_str(),
        "destination": delivery.destination.as_str(),
        "state": delivery.state.key(),
        "trigger": delivery.trigger.key(),
        "rule": delivery.spec.rule.as_str(),
        "severity": delivery.spec.severity.key(),
        "template": delivery.spec.template,
        "mentions": delivery.spec.mentions,
        "labels": delivery.spec.labels,
        "form": delivery.form.key(),
        "attempts": delivery.attempts,
        "created_at": time_json(Some(delivery.created_at)),
        "due_at": time_json(Some(delivery.due_at)),
        "reason": delivery.reason,
    })
}

/// Returns an attempt as JSON.
pub(super) fn attempt_json(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "started_at": time_json(Some(attempt.started_at)),
        "duration_ms": attempt.duration_ms,
        "form": attempt.form.key(),
        "outcome": attempt.outcome.key(),
        "status": attempt.status,
        "code": attempt.code,
        "reason": attempt.reason,
        "excerpt": attempt.excerpt,
    })
}

/// Describes an attempt in a few words, without the excerpt.
pub(super) fn attempt(attempt: &Attempt) -> String {
    let mut text = format!(
        "#{} {} {} {} in {} ms",
        attempt.number, attempt.started_at, attempt.form, attempt.outcome, attempt.duration_ms
    );
    if let Some(status) = attempt.status {
        text.push_str(&format!(", HTTP {status}"));
    }
    let reason = attempt.reason.as_deref();
    if let Some(code) = &attempt.code {
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

/// Returns an image as JSON.
pub(super) fn image_json(image: &Image) -> Value {
    let kept = image.kept.as_ref();
    json!({
        "ordinal": image.ordinal,
        "state": image.state.key(),
        "id": kept.map(|kept| kept.id.as_str()),
        "format": kept.map(|kept| kept.format.key()),
        "bytes": kept.map(|kept| kept.bytes),
        "width": kept.map(|kept| kept.width),
        "height": kept.map(|kept| kept.height),
        "reason": image.reason,
    })
}

/// Describes an image in a few words.
pub(super) fn image(image: &Image) -> String {
    let mut text = format!("#{} {}", image.ordinal, image.state);
    if let Some(kept) = &image.kept {
        let (width, height) = (kept.width, kept.height);
        text.push_str(&format!(
            ", {} {width}×{height}, {} bytes, {}",
            kept.format, kept.bytes, kept.id
        ));
    }
    if let Some(reason) = &image.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// Returns a time as JSON.
pub(super) fn time_json(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| time.to_string().into())
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
    use crate::model::Private;

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
        ] {
            assert_eq!(finding(&given), shown);
        }
    }

    #[test]
    fn an_attempt_says_all_that_is_known() {
        assert_eq!(
            attempt(&an_attempt()),
            "#2 2024-03-22T12:38:31.000Z full retry in 120 ms, HTTP 502, code 11232: too often"
        );
    }

    #[test]
    fn an_order_names_whom_it_mentions() {
        assert_eq!(
            spec(&an_order()),
            "rule \"blank screen\", critical, template alert, mentions sre all"
        );
    }
}
