//! Summarizes an event in a few words, for lists.

use std::fmt::Display;

use serde_json::{Value, json};

use super::super::{text, view};
use super::select::Chosen;
use crate::deliver::Directory;
use crate::model::{
    Content, DeliveryState, Event, EventKind, FaultKind, Feedback, FeedbackKind, RuleName, Severity,
};

/// The width limits of page and text, in columns.
const PATH_COLUMNS: usize = 36;
const WORDS_COLUMNS: usize = 40;

/// The prefix of the platform's type names.
const TYPE_PREFIX: &str = "application.application.";

/// A summary of an event.
pub(super) struct Summary<'a> {
    chosen: &'a Chosen,
    names: &'a Directory,
}

impl<'a> Summary<'a> {
    pub(super) const fn new(chosen: &'a Chosen, names: &'a Directory) -> Self {
        Self { chosen, names }
    }

    /// The column titles of [`cells`](Self::cells).
    pub(super) const HEADS: [&'static str; 10] = [
        "RECEIVED",
        "ID",
        "WHAT",
        "SEVERITY",
        "APP",
        "STATE",
        "DELIVERIES",
        "RULE",
        "PAGE",
        "WORDS",
    ];

    /// Returns a row of the list.
    pub(super) fn cells(&self) -> [String; 10] {
        let row = &self.chosen.row;
        let dash = |text: String| view::or_dash(Some(&text));
        let rules: Vec<&str> = row.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let words =
            |text: Option<&str>, columns| dash(text::cut(text.unwrap_or_default(), columns));
        [
            row.received_at.to_string(),
            row.id.to_string(),
            dash(self.what()),
            dash(self.severity().map_or_else(String::new, view::severity)),
            self.app().to_owned(),
            row.state.to_string(),
            dash(counts(&row.deliveries)),
            dash(rules.join(", ")),
            words(self.path(), PATH_COLUMNS),
            words(self.description(), WORDS_COLUMNS),
        ]
    }

    /// Returns the summary as JSON, with full texts.
    pub(super) fn to_json(&self) -> Value {
        let row = &self.chosen.row;
        let counts = row.deliveries.iter();
        let counts = counts.map(|(state, count)| (state.key().to_owned(), Value::from(*count)));
        let rules: Vec<&str> = row
            .rules
            .iter()
            .map(|(rule, _): &(RuleName, _)| rule.as_str())
            .collect();
        json!({
            "id": row.id.as_str(),
            "feedback_id": row.feedback_id,
            "via": row.via.as_str(),
            "type": row.event_type,
            "received_at": view::time_json(Some(row.received_at)),
            "state": row.state.key(),
            "deliveries": Value::Object(counts.collect()),
            "event": self.kind(),
            "what": self.what(),
            "severity": self.severity().map(Severity::key),
            "app": self.app(),
            "rules": rules,
            "path": self.path(),
            "description": self.description(),
        })
    }

    fn event(&self) -> Option<&'a Event> {
        self.chosen.event.as_ref()
    }

    fn kind(&self) -> Option<&'static str> {
        Some(match &self.event()?.content {
            Content::Created(_) => EventKind::Created.key(),
            Content::Updated(_) => EventKind::Updated.key(),
            Content::Notice(_) => "notice",
            Content::Summary(_) => "summary",
        })
    }

    /// Describes what was reported or happened, in the words of rules.
    fn what(&self) -> String {
        let Some(event) = self.event() else {
            let kind = &self.chosen.row.event_type;
            return kind.strip_prefix(TYPE_PREFIX).unwrap_or(kind).to_owned();
        };
        match &event.content {
            Content::Created(feedback) => reported(feedback),
            Content::Updated(change) => match view::status(change.status).as_str() {
                "" => "status".to_owned(),
                status => format!("now {status}"),
            },
            Content::Notice(notice) => notice.kind.key().to_owned(),
            Content::Summary(summary) => format!("{} late", summary.count),
        }
    }

    fn severity(&self) -> Option<Severity> {
        let rules = self.chosen.row.rules.iter();
        rules.map(|(_, severity)| *severity).max()
    }

    fn app(&self) -> &'a str {
        match self.event() {
            Some(event) => self.names.app_name(event),
            None => self.chosen.row.via.as_str(),
        }
    }

    /// Returns the report itself, or the first one whose status changed.
    fn feedback(&self) -> Option<&'a Feedback> {
        match &self.event()?.content {
            Content::Created(feedback) => Some(feedback),
            Content::Updated(change) => change.reports.first(),
            Content::Notice(_) | Content::Summary(_) => None,
        }
    }

    fn path(&self) -> Option<&'a str> {
        Some(self.feedback()?.path.as_ref()?.expose())
    }

    fn description(&self) -> Option<&'a str> {
        if let Content::Notice(notice) = &self.event()?.content {
            return Some(&notice.text);
        }
        Some(self.feedback()?.description.as_ref()?.expose())
    }
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

/// Formats the number of deliveries in each state.
fn counts(deliveries: &[(DeliveryState, u64)]) -> String {
    let one = |(state, count): &(DeliveryState, u64)| format!("{count} {state}");
    deliveries.iter().map(one).collect::<Vec<_>>().join(", ")
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
