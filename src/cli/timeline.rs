//! Shows what a simulation sent over time. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::incidents::key_text;
use super::silences::target_text;
use super::text::{Table, escape};
use super::words::{counted, moment};
use crate::model::{DestinationName, IncidentNews, Timestamp};
use crate::simulation::{About, Stretch, Timeline};
use crate::view::{HeldView, SimulatedIncident, SimulatedSilence, SimulationView, StretchView};

/// Returns the view of a simulation that began at `started_at`. `only` is the only destination to show; `None`: all.
pub(super) fn view(
    started_at: Timestamp,
    timeline: &Timeline,
    only: Option<&DestinationName>,
) -> SimulationView {
    let is_wanted = |name: &DestinationName| only.is_none_or(|only| only == name);
    let counts = |all: BTreeMap<&DestinationName, u64>| {
        let wanted = all.into_iter().filter(|(name, _)| is_wanted(name));
        wanted.map(|(name, count)| (name.clone(), count)).collect()
    };
    let stretches = timeline.stretches(only).into_iter();
    SimulationView {
        started_at,
        events: timeline.events,
        messages: counts(timeline.messages()),
        edits: counts(timeline.edits()),
        incidents: timeline.incidents.iter().map(Into::into).collect(),
        silences: timeline.silences.iter().map(Into::into).collect(),
        held: timeline
            .held
            .iter()
            .filter(|(name, _)| is_wanted(name))
            .map(|(name, held)| HeldView {
                destination: name.clone(),
                messages: held.messages,
                until: held.until,
            })
            .collect(),
        timeline: stretches.map(stretch_view).collect(),
    }
}

fn stretch_view(stretch: Stretch) -> StretchView {
    let Stretch { first, last, count } = stretch;
    let mut view = StretchView {
        destination: first.destination,
        first_after_ms: millis(first.after),
        last_after_ms: millis(last.after),
        count,
        is_edit: first.is_edit,
        was_held: first.was_held,
        events: None,
        incident: None,
        news: None,
        reports: None,
        summary_of: None,
        mentions: first.mentions,
    };
    match (first.about, last.about) {
        (_, About::Incident { id, news, reports }) => {
            view.incident = Some(id);
            view.news = Some(news);
            view.reports = Some(reports);
        }
        (_, About::Summary { reports, hours }) => {
            view.reports = Some(reports);
            view.summary_of = Some(hours.unwrap_or_default());
        }
        (About::Report(first), About::Report(last)) => view.events = Some([first, last]),
        (About::Incident { .. } | About::Summary { .. }, About::Report(_)) => {}
    }
    view
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the timeline, the numbers of messages and the incidents.
pub(super) fn to_text(simulation: &SimulationView) -> String {
    let mut out = stretches(&simulation.timeline);
    out.push('\n');
    for (name, messages) in names(simulation) {
        out.push_str(&format!("{}: {messages}\n", escape(name.as_str())));
    }
    if simulation.timeline.is_empty() {
        out.push_str("nothing is sent\n");
    }
    out.push_str(&held_back(simulation));
    for incident in &simulation.incidents {
        out.push_str(&format!("{}\n", escape(&incident_text(incident))));
    }
    out
}

/// Returns which messages are still held, and what silences muted.
pub(super) fn held_back(simulation: &SimulationView) -> String {
    let held = simulation.held.iter().map(held_text);
    let muted = simulation.silences.iter().map(silence_text);
    let lines = held.chain(muted);
    lines
        .map(|line| format!("{}\n", escape(&line)))
        .collect::<String>()
}

fn held_text(held: &HeldView) -> String {
    let messages = counted(held.messages, "message");
    format!(
        "{}: {messages} still held, until {}",
        held.destination, held.until
    )
}

/// Describes a silence in one line.
pub(super) fn silence_text(silence: &SimulatedSilence) -> String {
    let target = target_text(&silence.target);
    let messages = counted(silence.messages, "message");
    let reports = counted(silence.reports, "report");
    format!(
        "{} of {target}: {messages} about {reports} muted",
        silence.id
    )
}

/// Returns how many messages and edits each destination gets.
fn names(simulation: &SimulationView) -> impl Iterator<Item = (&DestinationName, String)> {
    simulation.messages.iter().map(|(name, messages)| {
        let mut said = counted(*messages, "message");
        if let Some(edits) = simulation.edits.get(name) {
            said.push_str(&format!(", {}", counted(*edits, "edit")));
        }
        (name, said)
    })
}

/// Returns the timeline as a table.
pub(super) fn stretches(stretches: &[StretchView]) -> String {
    let mut table = Table::new(["AFTER", "TO", "WHAT"]);
    for one in stretches {
        table.push([when(one), one.destination.to_string(), what(one)]);
    }
    table.render()
}

fn when(stretch: &StretchView) -> String {
    let after = |ms| moment(Duration::from_millis(ms));
    match stretch.first_after_ms == stretch.last_after_ms {
        true => after(stretch.first_after_ms),
        false => format!(
            "{} to {}",
            after(stretch.first_after_ms),
            after(stretch.last_after_ms)
        ),
    }
}

/// Describes the messages of an entry.
fn what(stretch: &StretchView) -> String {
    let mut said = match (stretch.incident, stretch.news) {
        (Some(id), Some(news)) => {
            let reports = counted(stretch.reports.unwrap_or(0), "report");
            match (stretch.is_edit, stretch.count) {
                (true, 1) => format!("edit of the message of {id}: {reports}"),
                (true, count) => format!("{count} edits of the message of {id}, up to {reports}"),
                (false, 1) => format!("{id} {}: {reports}", why(news)),
                (false, count) => format!("{id} {}, {count} messages, up to {reports}", why(news)),
            }
        }
        _ => match &stretch.summary_of {
            Some(hours) => {
                let reports = counted(stretch.reports.unwrap_or(0), "report");
                format!("summary of {reports} held {hours}")
            }
            None => events(stretch),
        },
    };
    if stretch.was_held {
        said.push_str("; held until now");
    }
    if !stretch.mentions.is_empty() {
        said.push_str(&format!("; mentions {}", stretch.mentions.join(" ")));
    }
    said
}

fn events(stretch: &StretchView) -> String {
    let [first, last] = stretch.events.unwrap_or_default();
    let said = match stretch.count {
        1 => format!("report {first}"),
        count if last - first + 1 == count => {
            format!("reports {first} to {last}, one message each")
        }
        count => format!("{count} of the reports {first} to {last}, one message each"),
    };
    match stretch.is_edit {
        true => format!("edit of the message about {said}"),
        false => said,
    }
}

/// Says why an incident sends a message.
const fn why(news: IncidentNews) -> &'static str {
    match news {
        IncidentNews::Opened => "gets a message of its own",
        IncidentNews::Digest => "has news (digest)",
        IncidentNews::Threshold => "reached a number of `escalate`",
        IncidentNews::Overdue => "reached a time of `escalate`",
        IncidentNews::Repeat => "is still open (`repeat_after`)",
        IncidentNews::Quiet => "ends, because no report came",
        IncidentNews::Continued => "ends at its maximum age",
        IncidentNews::Done => "is marked as done",
        IncidentNews::Reopened => "is reopened",
        IncidentNews::Closed => "is closed",
        IncidentNews::Unmuted => "is no longer muted",
        IncidentNews::MuteEnding => "is muted for a little longer",
    }
}

/// Describes an incident in one line.
pub(super) fn incident_text(incident: &SimulatedIncident) -> String {
    let SimulatedIncident {
        summary,
        individual,
        muted,
    } = incident;
    let rule = summary.rule.as_str();
    let merged = summary.count.saturating_sub(*individual);
    let how = match muted {
        0 => format!("{individual} delivered individually, {merged} merged"),
        muted => format!("{muted} muted"),
    };
    format!(
        "{} of rule {rule:?} ({}): {}, {how}",
        summary.id,
        key_text(summary),
        counted(summary.count, "report"),
    )
}
