//! Implements `events show`: shows everything about one event.

use super::super::context::{Context, Exit, Failure};
use super::super::{text, words};
use super::{Opened, triage};
use crate::config::Needs;
use crate::model::{DeliveryState, EventId, HeldFor};
use crate::view::{CountedView, DeliveryRecordView, EventView};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events show 5e3702a84e847582be8db7fb73283c02
  feedback-relay events show 6837492929292929292 --body      by the id of its feedback";

/// How many deliveries of one event are shown.
const DELIVERIES_MAX: usize = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id of the event or of its feedback
    id: String,
    /// Also show the stored body, which contains what the reporter typed; its token is masked
    #[arg(long)]
    body: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows an event.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let events = opened.events();
    let now = context.now();
    let event = events
        .show(&args.id, DELIVERIES_MAX, args.body, now)
        .await?;
    if args.json {
        context.out.json(&event);
    } else {
        context.out.text(&to_text(&event));
    }
    Ok(Exit::Done)
}

fn to_text(event: &EventView) -> String {
    let mut out = head_text(event);
    out.push_str(&rules_text(event));
    if !event.images.is_empty() {
        out.push_str("\nimages\n");
    }
    for image in &event.images {
        out.push_str(&format!("  {}\n", text::escape(&words::image(image))));
    }
    out.push_str(&deliveries_text(event));
    out.push_str(&incidents_text(event));
    out.push_str(&triage::to_text(event));
    if let Some(body) = &event.body {
        let body = format!("{body:#}");
        out.push_str(&format!("\nbody\n{}\n", text::escape_json(&body)));
    }
    out
}

fn head_text(event: &EventView) -> String {
    let line = |name: &str, value: &str| format!("{name:<12}{}\n", text::escape(value));
    let or_dash = |text: &str| words::or_dash(Some(text));
    let arrival = &event.arrival;
    let mut out = line("event", event.id.as_str());
    out.push_str(&line("type", &arrival.event_type));
    match &event.change {
        None => {
            let feedback = words::or_dash(event.feedback_id.as_deref());
            out.push_str(&line("feedback", &feedback));
        }
        Some(change) => {
            let feedback = change.feedback_ids.join(" ");
            let status = change.status.map(words::status);
            let status = status.or_else(|| change.odd_status.clone());
            out.push_str(&line("feedback", &or_dash(&feedback)));
            out.push_str(&line("status", &or_dash(&status.unwrap_or_default())));
        }
    }
    out.push_str(&line("received", &arrival.received_at.to_string()));
    out.push_str(&line("by app", arrival.via.as_str()));
    out.push_str(&line("state", arrival.state.key()));
    out
}

fn rules_text(event: &EventView) -> String {
    if let Some(reason) = &event.rules_error {
        let reason = text::escape(reason);
        return format!("\ntoday's rules cannot be applied: {reason}\n");
    }
    let mut table = text::Table::new(["RULE (today's)", "FINDING"]);
    for rule in event.rules_today.iter().flatten() {
        table.push([rule.rule.to_string(), words::finding(rule)]);
    }
    format!("\n{}", table.render())
}

fn deliveries_text(event: &EventView) -> String {
    let mut out = String::from("\ndeliveries\n");
    if event.deliveries.is_empty() {
        out.push_str("  none\n");
    }
    for record in &event.deliveries {
        out.push_str(&delivery_text(record, event));
    }
    if !event.summarises.is_empty() {
        let ids: Vec<&str> = event.summarises.iter().map(EventId::as_str).collect();
        let line = format!("the newest events in it: {}", ids.join(", "));
        out.push_str(&format!("  {}\n", text::escape(&line)));
    }
    if event.deliveries.len() == DELIVERIES_MAX {
        out.push_str(&format!("  only the newest {DELIVERIES_MAX} are shown\n"));
    }
    out
}

/// Lists the incidents that count the event.
fn incidents_text(event: &EventView) -> String {
    if event.incidents.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nincidents\n");
    for counted in &event.incidents {
        let rule = counted.rule.as_str();
        let line = format!(
            "{}, {}, rule {rule:?}: {}",
            counted.id,
            counted.state,
            position(counted)
        );
        out.push_str(&format!("  {}\n", text::escape(&line)));
        if !counted.key.is_empty() {
            let (keys, values) = words::group(&counted.key);
            let line = format!("grouped by {keys}: {values}");
            out.push_str(&format!("    {}\n", text::escape(&line)));
        }
    }
    out
}

/// Says why an incident merges a report, whose delivery may have been held.
fn reason(counted: &CountedView, held_for: Option<HeldFor>) -> String {
    let position = position(counted);
    if let Some(held_for) = held_for {
        return format!("{position}, merged {}", words::held_for(held_for));
    }
    match counted.individual {
        0 => format!("{position}, in an incident of many keys"),
        individual => {
            format!("{position}, of which only the first {individual} are delivered individually")
        }
    }
}

/// Returns the position of the event among the reports of an incident.
fn position(counted: &CountedView) -> String {
    format!("report {} of {}", counted.number, counted.count)
}

fn delivery_text(record: &DeliveryRecordView, event: &EventView) -> String {
    let delivery = &record.delivery;
    let escaped = |text: &str| text::escape(text).into_owned();
    let mut out = format!(
        "  {} to {}: {}, {}\n",
        delivery.id,
        escaped(delivery.destination.as_str()),
        delivery.state,
        escaped(&words::spec(&delivery.spec)),
    );
    if let Some(incident) = delivery.merged_into {
        let counted = event
            .incidents
            .iter()
            .find(|counted| counted.id == incident);
        let why = |one| format!(": {}", reason(one, delivery.held_for));
        let counted = counted.map_or_else(String::new, why);
        out.push_str(&format!("    merged into {incident}{counted}\n"));
        return out;
    }
    if let Some(silence) = delivery.suppressed_by {
        let known = event.silences.iter().find(|one| one.id == silence);
        let why = known.map_or_else(String::new, |one| format!(" ({})", words::silence(one)));
        out.push_str(&format!("    suppressed by {silence}{}\n", escaped(&why)));
        return out;
    }
    let why = delivery.held_for.map(words::held_for).unwrap_or_default();
    if let Some(summary) = &delivery.summary {
        let summary = escaped(summary.as_str());
        out.push_str(&format!("    in {summary}, {why}\n"));
    }
    if delivery.state == DeliveryState::Held {
        out.push_str(&format!("    held until {}, {why}\n", delivery.due_at));
        return out;
    }
    out.push_str(&format!(
        "    made {} by {}, due {}\n",
        delivery.created_at, delivery.trigger, delivery.due_at
    ));
    for attempt in &record.attempt_log {
        out.push_str(&format!("    {}\n", escaped(&words::attempt(attempt))));
        if let Some(excerpt) = &attempt.result.excerpt {
            out.push_str(&format!("       answer: {}\n", escaped(excerpt)));
        }
    }
    if let Some(reason) = &delivery.reason {
        out.push_str(&format!("    reason: {}\n", escaped(reason)));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::tests::{a_delivery, an_attempt};
    use crate::feishu;
    use crate::model::{
        Actor, ChangeSource, Condition, Delivery, DeliveryState, Effect, EventId, EventState,
        FeedbackAct, FeedbackState, FeedbackStatus, Finding, GroupKey, Image, ImageState,
        IncidentId, IncidentState, Private, RuleName, RuleTrace, StatusChange, StatusJobRecord,
        StatusJobState, Timestamp, TriageAction,
    };
    use crate::view::{ArrivalView, MessageView, RuleView, TriageView};

    const AT: Timestamp = Timestamp::from_millis(1_711_111_222_000);

    /// Returns a triage state: claimed by somebody whose name contains control characters, with an update to
    /// Feishu still waiting.
    fn triage() -> TriageView {
        let by = Actor {
            name: Some(Private::new("Li\u{1b}[2J")),
            id: Some(Private::new("U0LI")),
            app: None,
        };
        let state = FeedbackState {
            status: FeedbackStatus::PROCESSING,
            changed_at: AT,
            by: by.clone(),
            through: ChangeSource::Slack,
            undo_until: Some(AT + std::time::Duration::from_secs(900)),
            local_only: true,
        };
        let act = FeedbackAct {
            at: AT,
            act: Some(TriageAction::Claim),
            status: FeedbackStatus::PROCESSING,
            by,
            through: ChangeSource::Slack,
            effect: Effect::Changed,
        };
        let job = StatusJobRecord {
            status: FeedbackStatus::PROCESSING,
            state: StatusJobState::Pending,
            attempts: 1,
            due_at: AT,
            reason: Some("rate limited".into()),
            lease: None,
        };
        TriageView {
            state: Some(state.into()),
            in_feishu: Some(job.into()),
            acts: vec![act.into()],
        }
    }

    fn event() -> EventView {
        let body =
            "{\"header\":{\"token\":\"v-secret\"},\"event\":{\"description\":\"\\u001b[2J\"}}";
        let rule = RuleTrace {
            rule: RuleName::new("blank screen"),
            finding: Finding::Failed(Condition {
                key: "path",
                wanted: "pages/*".into(),
                found: Private::new("evil\u{1b}\nRULE"),
            }),
            when: None,
        };
        let image = Image {
            refused: false,
            ordinal: 0,
            state: ImageState::Lost,
            kept: None,
            reason: Some("HTTP 403".into()),
        };
        EventView {
            id: EventId::new("5e37"),
            feedback_id: None,
            change: None,
            arrival: ArrivalView {
                via: "shop".into(),
                event_type: "application.application.feedback.created_v6".into(),
                received_at: Timestamp::from_millis(1_711_111_111_000),
                state: EventState::Routed,
            },
            rules_today: Some(vec![RuleView::from(&rule)]),
            rules_error: None,
            images: vec![image.into()],
            deliveries: vec![
                DeliveryRecordView {
                    delivery: a_delivery().into(),
                    attempt_log: vec![an_attempt().into()],
                },
                unsent(Delivery {
                    state: DeliveryState::Merged,
                    held_for: Some(HeldFor::Late),
                    summary: Some(EventId::new("summary:0000000000007")),
                    ..a_delivery()
                }),
                unsent(Delivery {
                    state: DeliveryState::Held,
                    held_for: Some(HeldFor::Hold),
                    ..a_delivery()
                }),
            ],
            incidents: Vec::new(),
            silences: Vec::new(),
            summarises: Vec::new(),
            messages: vec![MessageView {
                delivery: a_delivery().id,
                destination: "oncall-chat".into(),
                handle: "om_1".into(),
                sent_at: AT,
            }],
            feedback: triage(),
            body: Some(feishu::shown_body(body)),
        }
    }

    fn unsent(delivery: Delivery) -> DeliveryRecordView {
        DeliveryRecordView {
            delivery: delivery.into(),
            attempt_log: Vec::new(),
        }
    }

    fn to_json(event: &EventView) -> Value {
        serde_json::to_value(event).unwrap()
    }

    #[test]
    fn everything_about_an_event_is_shown_and_nothing_unsafe() {
        let shown = to_text(&event());
        assert!(!shown.contains('\u{1b}') && !shown.contains("v-secret"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn programs_see_the_same() {
        insta::assert_json_snapshot!(event());
    }

    #[test]
    fn a_change_of_status_names_each_feedback_and_the_status() {
        let change = |status| {
            let change = StatusChange {
                feedback_ids: vec!["70".into(), "71\u{1b}".into()],
                status,
                ..StatusChange::default()
            };
            EventView {
                change: Some((&change).into()),
                ..event()
            }
        };
        let closed = change(Some(FeedbackStatus::CLOSED));
        let text = to_text(&closed);
        assert!(
            text.contains("feedback    70 71\\u{1b}\nstatus      closed\n"),
            "{text}"
        );
        assert_eq!(
            to_json(&closed)["change"],
            json!({ "feedback_ids": ["70", "71\u{1b}"], "status": 3, "odd_status": null, "status_key": "closed" })
        );
        let unnamed = change(Some(FeedbackStatus(9)));
        assert!(to_text(&unnamed).contains("status      9\n"));
        assert!(to_text(&change(None)).contains("status      -\n"));
    }

    #[test]
    fn merged_delivery_names_its_incident_and_its_position() {
        let merged = Delivery {
            state: DeliveryState::Merged,
            incident: Some(IncidentId(3)),
            ..a_delivery()
        };
        let merged = EventView {
            deliveries: vec![DeliveryRecordView {
                delivery: merged.into(),
                attempt_log: Vec::new(),
            }],
            incidents: vec![CountedView {
                id: IncidentId(3),
                state: IncidentState::Open,
                rule: RuleName::new("blank\nscreen"),
                number: 17,
                count: 300,
                key: vec![(GroupKey::Fault, Some(Private::new("crash\u{1b}")))],
                individual: 5,
            }],
            ..event()
        };
        let text = to_text(&merged);
        let said = "    merged into inc_3: report 17 of 300, of which only the first 5 are delivered individually\n";
        assert!(text.contains(said) && !text.contains(", due "), "{text}");
        let said = "\nincidents\n  inc_3, open, rule \"blank\\nscreen\": report 17 of 300\n    grouped by fault: crash\\u{1b}\n";
        assert!(text.contains(said), "{text}");
        let mut held = merged.clone();
        held.deliveries[0].delivery.held_for = Some(HeldFor::Hold);
        let said = "    merged into inc_3: report 17 of 300, merged because of `hold`\n";
        assert!(to_text(&held).contains(said), "{}", to_text(&held));
        let json = to_json(&merged);
        assert_eq!(json["deliveries"][0]["merged_into"], "inc_3");
        assert_eq!(json["incidents"][0]["number"], 17);
    }

    #[test]
    fn retried_delivery_is_no_longer_merged() {
        let retried = Delivery {
            incident: Some(IncidentId(3)),
            ..a_delivery()
        };
        let retried = crate::view::DeliveryView::from(retried);
        assert_eq!(retried.merged_into, None);
    }

    #[test]
    fn feedback_without_a_change_is_null_and_its_history_is_text() {
        let untouched = EventView {
            feedback: TriageView {
                state: None,
                ..triage()
            },
            ..event()
        };
        assert_eq!(to_json(&untouched)["feedback"], Value::Null);
        let text = to_text(&untouched);
        assert!(text.contains("claim: processing by") && !text.contains("\nfeedback\n"));
    }

    #[test]
    fn the_body_is_shown_only_on_demand() {
        let bare = EventView {
            body: None,
            ..event()
        };
        assert!(!to_text(&bare).contains("body"));
        assert_eq!(to_json(&bare).get("body"), None);
        let erased = EventView {
            body: Some(Value::Null),
            ..event()
        };
        assert_eq!(to_json(&erased).get("body"), Some(&Value::Null));
    }

    #[test]
    fn a_list_that_may_be_cut_says_so() {
        let many = EventView {
            deliveries: vec![event().deliveries.remove(0); DELIVERIES_MAX],
            ..event()
        };
        assert!(to_text(&many).contains("only the newest 1000 are shown"));
        assert!(!to_text(&event()).contains("only the newest"));
    }

    #[test]
    fn that_rules_cannot_be_asked_is_said() {
        let erased = EventView {
            rules_today: None,
            rules_error: Some("its body is not stored (any more)".into()),
            ..event()
        };
        let said = "today's rules cannot be applied: its body is not stored (any more)";
        assert!(to_text(&erased).contains(said));
        assert_eq!(to_json(&erased)["rules_today"], Value::Null);
    }
}
