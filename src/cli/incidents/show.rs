//! Implements `incidents show`: shows everything about one incident.

use super::super::context::{Context, Exit, Failure};
use super::super::events::{Opened, triage};
use super::super::{text, values, words};
use super::key_text;
use crate::config::Needs;
use crate::model::{
    DeliveryState, FeedbackStatus, IncidentId, IncidentState, IncidentTimer, Trigger,
};
use crate::view::{
    FeedbackView, IncidentMessageView, IncidentView, SeenBeforeView, StepView, TermsView,
};

const EXAMPLES: &str = "\
Examples:
  feedback-relay incidents show inc_12
  feedback-relay incidents show 12 --json | jq -r '.timers[0].due_at'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id, as `incidents list` shows it: `inc_12` or `12`
    #[arg(value_parser = values::incident)]
    id: IncidentId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows an incident.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let incident = opened.events().incident(args.id).await?;
    if args.json {
        context.out.json(&incident);
    } else {
        context.out.text(&to_text(&incident));
    }
    Ok(Exit::Done)
}

fn to_text(incident: &IncidentView) -> String {
    let mut out = head_text(incident);
    out.push_str(&terms_text(&incident.terms));
    out.push_str("\nnext\n");
    for timer in &incident.timers {
        let line = format!("{}  {}", timer.due_at, action(timer.timer, &incident.terms));
        out.push_str(&format!("  {}\n", text::escape(&line)));
    }
    if incident.timers.is_empty() {
        out.push_str("  nothing\n");
    }
    out.push_str("\nmessages\n");
    for message in &incident.messages {
        out.push_str(&message_text(message));
    }
    if incident.messages.is_empty() {
        out.push_str("  none: reports are delivered individually\n");
    }
    out.push_str("\nnewest reports\n");
    for report in &incident.newest {
        out.push_str(&format!("  {}\n", text::escape(&words::report(report))));
    }
    out
}

fn head_text(incident: &IncidentView) -> String {
    let line = |name: &str, value: &str| format!("{name:<12}{}\n", text::escape(value));
    let summary = &incident.summary;
    let [now, before] = incident.trend;
    let (rule, severity) = (summary.rule.as_str(), summary.severity);
    let mut out = line("incident", &summary.id.to_string());
    out.push_str(&line("state", &state(incident)));
    out.push_str(&line("rule", &format!("{rule:?}, {severity}")));
    out.push_str(&line("grouped by", &key_text(summary)));
    let reports = format!(
        "{}; {now} in the last minute, {before} in the minute before",
        summary.count
    );
    out.push_str(&line("reports", &reports));
    let people = format!("{}, tenants: {}", summary.people, summary.tenants);
    out.push_str(&line("people", &people));
    out.push_str(&line("since", &summary.since.to_string()));
    out.push_str(&line("last", &summary.last_at.to_string()));
    if let Some(ended_at) = summary.ended_at {
        out.push_str(&line("ended", &ended_at.to_string()));
    }
    if let (Some(silence), Some(until)) = (incident.silence, incident.muted_until) {
        let muted = format!(
            "until {until} by {silence}; {} muted so far",
            words::counted(incident.silenced, "report")
        );
        out.push_str(&line("muted", &muted));
    }
    if let Some(handled) = &incident.handled {
        out.push_str(&line(handled_label(handled), &handled_text(handled)));
    }
    let previous = incident.previous.map(|id| id.to_string());
    out.push_str(&line("previous", &words::or_dash(previous.as_deref())));
    if let Some(seen) = &incident.seen_before {
        out.push_str(&line("seen before", &seen_text(seen)));
    }
    out
}

/// Returns the label of the person who acted last.
fn handled_label(handled: &FeedbackView) -> &'static str {
    match handled.status {
        FeedbackStatus::PROCESSING => "claimed by",
        FeedbackStatus::PROCESSED => "done by",
        _ => "handled by",
    }
}

/// Describes who acted last, and when.
fn handled_text(handled: &FeedbackView) -> String {
    format!("{}, {}", triage::who(&handled.by), handled.changed_at)
}

/// Describes an earlier incident.
fn seen_text(seen: &SeenBeforeView) -> String {
    let ended_at = seen.ended_at.map(|at| at.to_string());
    let mut said = format!(
        "{}, {} {}, {}",
        seen.id,
        seen.state,
        words::or_dash(ended_at.as_deref()),
        words::counted(seen.count, "report")
    );
    if let Some(handled) = &seen.handled {
        let (label, text) = (handled_label(handled), handled_text(handled));
        said.push_str(&format!(", {label} {text}"));
    }
    if seen.similar {
        said.push_str(" (similar reports)");
    }
    said
}

/// Returns the state, and what it means.
fn state(incident: &IncidentView) -> String {
    let meaning = match incident.summary.state {
        IncidentState::Open if incident.claimed => ", claimed",
        IncidentState::Open => "",
        IncidentState::Quiet => ": it ended because no report came",
        IncidentState::Continued => ": it ended at its maximum age",
        IncidentState::Done => ": somebody marked it as done",
        IncidentState::Closed => ": it was closed",
    };
    format!("{}{meaning}", incident.summary.state)
}

fn terms_text(terms: &TermsView) -> String {
    let line = |name: &str, value: String| format!("  {name:<16}{value}\n");
    let mut out = String::from("\nterms\n");
    out.push_str(&line("group_from", terms.group_from.to_string()));
    out.push_str(&line("group_interval", words::span(terms.group_interval)));
    let repeat = terms.repeat_after.map(words::span);
    out.push_str(&line("repeat_after", words::or_dash(repeat.as_deref())));
    out.push_str(&line("resolve_after", words::span(terms.resolve_after)));
    for one in &terms.escalate {
        out.push_str(&line("escalate", text::escape(&step(one)).into_owned()));
    }
    out
}

/// Describes a step of `escalate`.
fn step(step: &StepView) -> String {
    let mut said = Vec::new();
    said.extend(
        step.count
            .map(|count| format!("at {}", words::counted(count, "report"))),
    );
    said.extend(
        step.after
            .map(|after| format!("after {}", words::span(after))),
    );
    if step.unless_claimed {
        said.push("unless claimed".into());
    }
    if !step.mentions.is_empty() {
        said.push(format!("mentions {}", step.mentions.join(" ")));
    }
    if !step.send_to.is_empty() {
        let to: Vec<String> = step.send_to.iter().map(ToString::to_string).collect();
        said.push(format!("sends to {}", to.join(" ")));
    }
    said.join(", ")
}

/// Describes what an incident does when a timer is due.
fn action(timer: IncidentTimer, terms: &TermsView) -> String {
    match timer {
        IncidentTimer::Open => "sends its first message".into(),
        IncidentTimer::Edit => "edits its messages".into(),
        IncidentTimer::Apply => "applies a button action to its reports".into(),
        IncidentTimer::Digest => "sends a digest where its message cannot be edited".into(),
        IncidentTimer::Repeat => "notifies again (repeat_after)".into(),
        IncidentTimer::Unmute => "says what was muted, because the silence ends".into(),
        IncidentTimer::Step(index) => {
            let step = terms.escalate.get(index).map(step);
            format!("escalates: {}", step.unwrap_or_default())
        }
        IncidentTimer::End(IncidentState::Continued) => {
            "ends at its maximum age; a later report opens its successor".into()
        }
        IncidentTimer::End(_) => "ends, unless a report comes".into(),
    }
}

fn message_text(message: &IncidentMessageView) -> String {
    let delivery = &message.delivery;
    let what = match (message.news, delivery.trigger) {
        (_, Trigger::Edit) => "edit".to_owned(),
        (Some(news), _) => news.to_string(),
        (None, trigger) => trigger.to_string(),
    };
    let mut line = format!(
        "{} to {}: {what}, {}, made {}",
        delivery.id, delivery.destination, delivery.state, delivery.created_at
    );
    if delivery.state == DeliveryState::Pending {
        line.push_str(&format!(", due {}", delivery.due_at));
    }
    if let Some(reason) = &delivery.reason {
        line.push_str(&format!(": {reason}"));
    }
    format!("  {}\n", text::escape(&line))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::incidents::an_incident;
    use crate::cli::tests::a_delivery;
    use crate::model::{
        Actor, ChangeSource, EventId, FeedbackState, IncidentNews, Private, Timestamp,
    };
    use crate::view::{IncidentSummary, ReportView, TimerView};

    const AT: Timestamp = Timestamp::from_millis(1_711_111_711_000);

    fn terms() -> TermsView {
        TermsView {
            group_from: 5,
            group_interval: Duration::from_secs(300),
            repeat_after: Some(Duration::from_secs(4 * 3600)),
            resolve_after: Duration::from_secs(1800),
            escalate: vec![
                StepView {
                    count: Some(20),
                    after: None,
                    unless_claimed: false,
                    mentions: vec!["all".into()],
                    send_to: Vec::new(),
                },
                StepView {
                    count: None,
                    after: Some(Duration::from_secs(900)),
                    unless_claimed: true,
                    mentions: vec!["sre".into()],
                    send_to: vec!["product".into(), "ops\u{1b}".into()],
                },
            ],
        }
    }

    fn timers() -> Vec<TimerView> {
        let timers = [
            IncidentTimer::Open,
            IncidentTimer::Edit,
            IncidentTimer::Digest,
            IncidentTimer::Step(1),
            IncidentTimer::Repeat,
            IncidentTimer::Unmute,
            IncidentTimer::End(IncidentState::Quiet),
            IncidentTimer::End(IncidentState::Continued),
        ];
        let timers = timers.into_iter();
        timers
            .map(|timer| TimerView { due_at: AT, timer })
            .collect()
    }

    fn handled(status: FeedbackStatus) -> FeedbackView {
        let state = FeedbackState {
            status,
            changed_at: AT,
            by: Actor {
                name: Some(Private::new("Han\u{1b}")),
                id: Some(Private::new("U1")),
                app: None,
            },
            through: ChangeSource::Slack,
            undo_until: None,
            local_only: false,
        };
        state.into()
    }

    fn incident() -> IncidentView {
        let mut message = a_delivery();
        message.trigger = Trigger::Incident;
        message.spec.news = Some(IncidentNews::Opened);
        let mut edit = message.clone();
        edit.trigger = Trigger::Edit;
        edit.state = DeliveryState::Delivered;
        edit.reason = None;
        IncidentView {
            summary: an_incident(),
            claimed: true,
            handled: Some(handled(FeedbackStatus::PROCESSING)),
            trend: [12, 40],
            silence: None,
            muted_until: None,
            silenced: 0,
            previous: Some(IncidentId(2)),
            seen_before: Some(SeenBeforeView {
                id: IncidentId(1),
                state: IncidentState::Done,
                ended_at: Some(AT),
                count: 40,
                similar: true,
                handled: Some(handled(FeedbackStatus::PROCESSED)),
            }),
            terms: terms(),
            timers: timers(),
            messages: vec![message.into(), edit.into()],
            newest: vec![ReportView {
                id: EventId::new("5e37"),
                received_at: AT,
                what: "white_screen".into(),
                path: None,
                description: Some(Private::new("白屏\u{1b}[2J\n点了三次")),
            }],
        }
    }

    #[test]
    fn everything_about_an_incident_is_shown_and_nothing_unsafe() {
        let shown = to_text(&incident());
        assert!(!shown.contains('\u{1b}'));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn programs_see_the_same() {
        insta::assert_json_snapshot!(incident());
    }

    #[test]
    fn ended_incident_has_no_timers_and_perhaps_no_messages() {
        let ended = IncidentView {
            summary: IncidentSummary {
                state: IncidentState::Quiet,
                ended_at: Some(AT),
                ..an_incident()
            },
            timers: Vec::new(),
            messages: Vec::new(),
            previous: None,
            ..incident()
        };
        let text = to_text(&ended);
        for said in [
            "quiet: it ended because no report came\n",
            "ended       2024-",
            "\nnext\n  nothing\n",
            "\nmessages\n  none: reports are delivered individually\n",
            "previous    -\n",
        ] {
            assert!(text.contains(said), "{said}\n{text}");
        }
    }
}
