//! An event in a list, in a few words.

use std::fmt::Display;

use serde::Serialize;

use super::{ArrivalView, exposed, object, text, text_or_null, texts};
use crate::model::{
    Content, DeliveryState, Event, EventId, EventKind, FaultKind, Feedback, FeedbackKind,
    FeedbackStatus, Private, RuleName, Severity, StoredEvent, Timestamp,
};
use crate::store::EventRow;

/// The prefix of the platform's type names.
const TYPE_PREFIX: &str = "application.application.";

/// A summary of an event.
#[derive(Clone, Debug, Serialize)]
pub struct EventSummary {
    #[serde(serialize_with = "text")]
    pub id: EventId,
    /// The feedback that the event created; null if it created none.
    pub feedback_id: Option<String>,
    #[serde(flatten)]
    pub arrival: ArrivalView,
    /// The number of deliveries in each state; states without deliveries are absent.
    #[serde(serialize_with = "object")]
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// `created`, `updated`, `notice`, `summary` or `incident`; null if the event cannot be parsed.
    pub event: Option<&'static str>,
    /// A short description of the event, with the names that rules use.
    pub what: String,
    /// The highest severity of its messages; null if it has none.
    #[serde(serialize_with = "text_or_null")]
    pub severity: Option<Severity>,
    /// The name of the app that the event is about.
    pub app: String,
    /// The rules of its messages.
    #[serde(serialize_with = "texts")]
    pub rules: Vec<RuleName>,
    /// The page; null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub path: Option<Private>,
    /// What the reporter typed, or the text of a notice; null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub description: Option<Private>,
}

impl EventSummary {
    /// Summarizes the event of a row. `event` is its content, if it can be parsed, and `app` the name of the app that
    /// it is about.
    pub fn new(row: EventRow, event: Option<&Event>, app: String) -> Self {
        let content = event.map(|event| &event.content);
        let reported = content.and_then(feedback);
        Self {
            event: content.map(kind),
            what: content.map_or_else(|| short_type(&row.event_type), what),
            severity: row.rules.iter().map(|(_, severity)| *severity).max(),
            app,
            path: reported.and_then(|feedback| feedback.path.clone()),
            description: content.and_then(description),
            rules: row.rules.into_iter().map(|(rule, _)| rule).collect(),
            id: row.id,
            feedback_id: row.feedback_id,
            arrival: ArrivalView {
                via: row.via,
                event_type: row.event_type,
                received_at: row.received_at,
                state: row.state,
            },
            deliveries: row.deliveries,
        }
    }
}

/// A report in a few words.
#[derive(Clone, Debug, Serialize)]
pub struct ReportView {
    #[serde(serialize_with = "text")]
    pub id: EventId,
    #[serde(serialize_with = "text")]
    pub received_at: Timestamp,
    /// What was reported, in the words of rules.
    pub what: String,
    /// The page; null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub path: Option<Private>,
    /// What the reporter typed; null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub description: Option<Private>,
}

impl ReportView {
    /// Summarizes a stored report. `event` is its content, if it can be parsed.
    pub fn new(stored: StoredEvent, event: Option<&Event>) -> Self {
        let content = event.map(|event| &event.content);
        let reported = content.and_then(feedback);
        Self {
            what: content.map_or_else(|| short_type(&stored.event_type), what),
            path: reported.and_then(|feedback| feedback.path.clone()),
            description: content.and_then(description),
            id: stored.id,
            received_at: stored.received_at,
        }
    }
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Created(_) => EventKind::Created.key(),
        Content::Updated(_) => EventKind::Updated.key(),
        Content::Notice(_) => "notice",
        Content::Summary(_) => "summary",
        Content::Digest(_) => "digest",
        Content::Incident(_) => "incident",
    }
}

fn short_type(event_type: &str) -> String {
    let short = event_type.strip_prefix(TYPE_PREFIX);
    short.unwrap_or(event_type).to_owned()
}

/// Describes the event in a few words, with the names that rules use.
fn what(content: &Content) -> String {
    match content {
        Content::Created(feedback) => reported(feedback),
        Content::Updated(change) => match (change.status, &change.odd_status) {
            (Some(status), _) => format!("now {}", status_word(status)),
            (None, Some(odd)) => format!("now {odd}"),
            (None, None) => "status".to_owned(),
        },
        Content::Notice(notice) => notice.kind.key().to_owned(),
        Content::Summary(summary) => format!("{} {}", summary.count, summary.held_for),
        Content::Digest(digest) => format!("{} {}", digest.counts.total, digest.name),
        Content::Incident(incident) => incident.id.to_string(),
    }
}

fn status_word(status: FeedbackStatus) -> String {
    let number = || status.0.to_string();
    status.key().map_or_else(number, str::to_owned)
}

/// Returns the report itself, or the first one whose status changed.
fn feedback(content: &Content) -> Option<&Feedback> {
    match content {
        Content::Created(feedback) => Some(feedback),
        Content::Updated(change) => change.reports.first(),
        Content::Notice(_) | Content::Summary(_) | Content::Digest(_) | Content::Incident(_) => {
            None
        }
    }
}

fn description(content: &Content) -> Option<Private> {
    if let Content::Notice(notice) = content {
        return Some(Private::new(notice.text.as_str()));
    }
    feedback(content)?.description.clone()
}

/// Returns the faults of a fault, otherwise the type. A code without a name is shown as `type 7` or `fault 42`.
fn reported(feedback: &Feedback) -> String {
    let named = |word: &str, key: Option<&str>, code: &dyn Display| {
        key.map_or_else(|| format!("{word} {code}"), str::to_owned)
    };
    let faults = feedback.faults.iter();
    let known = faults.map(|fault: &FaultKind| named("fault", fault.key(), &fault.0));
    let odd = feedback.odd.faults.iter();
    let odd = odd.map(|code| named("fault", None, code));
    let faults = known.chain(odd).collect::<Vec<_>>().join(", ");
    let kind = match (feedback.kind, &feedback.odd.kind) {
        (Some(kind), _) => named("type", kind.key(), &kind.0),
        (None, Some(code)) => named("type", None, code),
        (None, None) => return faults,
    };
    match faults.is_empty() {
        true => kind,
        false if feedback.kind == Some(FeedbackKind::FAULT) => faults,
        false => format!("{kind}: {faults}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::OddCodes;

    #[test]
    fn code_without_name_is_shown_with_what_it_codes() {
        let report = |kind: Option<i64>, faults: &[i64]| Feedback {
            kind: kind.map(FeedbackKind),
            faults: faults.iter().copied().map(FaultKind).collect(),
            ..Feedback::default()
        };
        let huge = "18446744073709551615".to_owned();
        let odd = Feedback {
            odd: OddCodes {
                kind: Some(huge.clone()),
                faults: vec![huge],
                source: None,
            },
            ..report(None, &[1])
        };
        for (report, shown) in [
            (report(Some(1), &[1, 42]), "black_screen, fault 42"),
            (report(Some(1), &[]), "fault"),
            (report(Some(7), &[]), "type 7"),
            (report(Some(7), &[2]), "type 7: white_screen"),
            (report(None, &[2]), "white_screen"),
            (report(None, &[]), ""),
            (
                odd,
                "type 18446744073709551615: black_screen, fault 18446744073709551615",
            ),
        ] {
            assert_eq!(reported(&report), shown);
        }
    }
}
