//! Compares what a test sends over time with what it expects.

use std::collections::BTreeMap;

use crate::cli::timeline::{self, incident_text};
use crate::cli::words::counted;
use crate::config::{Counts, RuleTest};
use crate::diag::Diagnostic;
use crate::model::DestinationName;
use crate::simulation::Timeline;
use crate::view::SimulationView;

/// The most lines of a timeline that explain a failure.
const LINES_MAX: usize = 12;

/// Returns every expectation that was not met.
pub(super) fn failures(test: &RuleTest, timeline: &Timeline) -> Vec<Diagnostic> {
    let expect = &test.expect;
    let (messages, edits) = (timeline.messages(), timeline.edits());
    let mut failures = differences(test, timeline, ("message", &expect.messages, &messages));
    failures.extend(differences(test, timeline, ("edit", &expect.edits, &edits)));
    failures.extend(incidents(test, timeline));
    failures.extend(suppressed(test, timeline));
    failures
}

/// Compares numbers by destination.
fn differences(
    test: &RuleTest,
    timeline: &Timeline,
    (noun, expected, came): (&str, &Counts, &BTreeMap<&DestinationName, u64>),
) -> Vec<Diagnostic> {
    let mut failures = Vec::new();
    for (destination, expected) in expected {
        let came = came.get(destination).copied().unwrap_or(0);
        if came != expected.value {
            let wanted = counted(expected.value, noun);
            let what = format!(
                "expected {wanted} to {destination}, and there {}",
                are(came)
            );
            let view = timeline::view(test.at, timeline, Some(destination));
            failures.push(test.failed(&expected.place, &what, Some(why(&view))));
        }
    }
    failures
}

fn incidents(test: &RuleTest, timeline: &Timeline) -> Option<Diagnostic> {
    let expected = test.expect.incidents.as_ref()?;
    let came = u64::try_from(timeline.incidents.len()).unwrap_or(u64::MAX);
    if came == expected.value {
        return None;
    }
    let wanted = counted(expected.value, "incident");
    let what = format!("expected {wanted}, and there {}", are(came));
    let view = timeline::view(test.at, timeline, None);
    let why = Some(incident_lines(&view)).filter(|lines| !lines.is_empty());
    let none = || "no rule that matches groups these events".to_owned();
    Some(test.failed(&expected.place, &what, Some(why.unwrap_or_else(none))))
}

fn suppressed(test: &RuleTest, timeline: &Timeline) -> Option<Diagnostic> {
    let expected = test.expect.suppressed.as_ref()?;
    let came = timeline.suppressed;
    if came == expected.value {
        return None;
    }
    let wanted = counted(expected.value, "muted report");
    let what = format!("expected {wanted}, and there {}", are(came));
    let view = timeline::view(test.at, timeline, None);
    let why = match view.silences.is_empty() {
        true => "the test has no `silences`".to_owned(),
        false => timeline::held_back(&view).trim_end().to_owned(),
    };
    Some(test.failed(&expected.place, &what, Some(why)))
}

fn are(count: u64) -> String {
    match count {
        0 => "is none".into(),
        1 => "is 1".into(),
        count => format!("are {count}"),
    }
}

/// Explains the numbers of a destination: its timeline, and the incidents that merged reports.
fn why(view: &SimulationView) -> String {
    let held_back = timeline::held_back(view);
    if view.timeline.is_empty() && held_back.is_empty() {
        return "no rule sends anything there".into();
    }
    let (shown, more) = view.timeline.split_at(view.timeline.len().min(LINES_MAX));
    let mut lines = match shown {
        [] => String::new(),
        shown => timeline::stretches(shown),
    };
    if !more.is_empty() {
        lines.push_str(&format!("and {} more lines\n", more.len()));
    }
    lines.push_str(&held_back);
    lines.push_str(&incident_lines(view));
    lines.trim_end().to_owned()
}

fn incident_lines(view: &SimulationView) -> String {
    let lines = view.incidents.iter().take(LINES_MAX).map(incident_text);
    lines.collect::<Vec<_>>().join("\n")
}
