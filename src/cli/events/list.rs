//! Implements `events list`.

use super::super::context::{Context, Exit, Failure};
use super::super::text::{self, Table};
use super::super::{values, words};
use super::{Opened, options};
use crate::admin;
use crate::config::Needs;
use crate::model::{DeliveryState, Private, RuleName};
use crate::view::EventSummary;

const EXAMPLES: &str = "\
Examples:
  feedback-relay events list --since 3d
  feedback-relay events list --state unrouted --json | jq -r .id
  feedback-relay events list --since 2026-03-01T00:00:00+08:00 --until 1d --fault white_screen --path 'pages/pay/*'
  feedback-relay events list --match 'any = [{ type = \"suggestion\" }, { contact = \"*@big.example\" }]'
  feedback-relay events list --before 5e3702a84e847582be8db7fb73283c02   the next page";

/// The width limits of page and text, in columns.
const PATH_COLUMNS: usize = 36;
const WORDS_COLUMNS: usize = 40;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    select: options::EventOptions,
    /// The maximum number of events; default: 50, with --json all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only events received before this one: the next page
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Print JSON, one event per line, as soon as it is found
    #[arg(long)]
    json: bool,
}

/// Lists events, newest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let before = match &args.before {
        Some(id) => Some(admin::find(&opened.store, id).await?.seq),
        None => None,
    };
    let query = args.select.query(context.now());
    let mut found = opened.events().select(query, before)?;
    let limit = values::limit(args.limit, args.json);
    let mut listed = Vec::new();
    let mut count = 0;
    while count < limit {
        let Some(event) = found.next().await? else {
            break;
        };
        count += 1;
        if args.json {
            context.out.json_line(&event);
        } else {
            listed.push(event);
        }
    }
    if args.json {
        return Ok(Exit::Done);
    }
    context.out.text(&table(&listed));
    if let Some(last) = listed.last().filter(|_| count == limit) {
        let last = &last.id;
        context
            .out
            .note(&format!("there may be more: --before {last}"));
    }
    Ok(Exit::Done)
}

fn table(listed: &[EventSummary]) -> String {
    if listed.is_empty() {
        return "no events\n".into();
    }
    let mut table = Table::new([
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
    ]);
    for event in listed {
        table.push(cells(event));
    }
    table.render()
}

fn cells(event: &EventSummary) -> [String; 10] {
    let dash = |text: String| words::or_dash(Some(&text));
    let typed = |text: &Option<Private>, columns| {
        let text = text.as_ref().map_or("", Private::expose);
        dash(text::cut(text, columns))
    };
    let rules: Vec<&str> = event.rules.iter().map(RuleName::as_str).collect();
    [
        event.arrival.received_at.to_string(),
        event.id.to_string(),
        dash(event.what.clone()),
        dash(event.severity.map_or_else(String::new, words::severity)),
        event.app.clone(),
        event.arrival.state.to_string(),
        dash(counts(&event.deliveries)),
        dash(rules.join(", ")),
        typed(&event.path, PATH_COLUMNS),
        typed(&event.description, WORDS_COLUMNS),
    ]
}

/// Formats the number of deliveries in each state.
fn counts(deliveries: &[(DeliveryState, u64)]) -> String {
    let one = |(state, count): &(DeliveryState, u64)| format!("{count} {state}");
    deliveries.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AppName, Content, Event, EventId, EventSeq, EventState, FaultKind, Feedback, FeedbackKind,
        FeedbackStatus, Severity, StatusChange, Timestamp,
    };
    use crate::store::EventRow;

    fn summary(content: Option<Content>, app: &str) -> EventSummary {
        let row = EventRow {
            seq: EventSeq(7),
            id: EventId::new("5e37\u{1b}"),
            via: AppName::new("shop"),
            event_type: "application.application.feedback.created_v6".into(),
            feedback_id: Some("6837".into()),
            received_at: Timestamp::from_millis(1_711_111_111_000),
            state: EventState::Routed,
            deliveries: vec![(DeliveryState::Delivered, 2), (DeliveryState::Dead, 1)],
            rules: vec![
                (RuleName::new("everything"), Severity::Warning),
                (RuleName::new("pay"), Severity::Critical),
            ],
            body: None,
        };
        let event = content.map(|content| Event {
            id: row.id.clone(),
            via: row.via.clone(),
            created_at: None,
            tenant_key: None,
            content,
        });
        EventSummary::new(row, event.as_ref(), app.to_owned())
    }

    fn report() -> Content {
        Content::Created(Box::new(Feedback {
            app_id: Some("cli_1".into()),
            kind: Some(FeedbackKind::FAULT),
            faults: vec![FaultKind::WHITE_SCREEN, FaultKind(42)],
            path: Some(Private::new("pages/pay/confirm?order=20260301021000")),
            description: Some(Private::new(
                "支付页面白屏，\n点了三次都没有反应 \u{1b}[2J，请尽快处理",
            )),
            ..Feedback::default()
        }))
    }

    #[test]
    fn a_row_says_what_was_reported_and_what_became_of_it() {
        let change = Content::Updated(StatusChange {
            status: Some(FeedbackStatus::CLOSED),
            ..StatusChange::default()
        });
        let all = [
            summary(Some(report()), "order"),
            summary(Some(change), "shop"),
            summary(None, "shop"),
        ];
        insta::assert_snapshot!(table(&all));
        assert_eq!(table(&[]), "no events\n");
    }

    #[test]
    fn programs_see_the_same_with_whole_texts() {
        insta::assert_json_snapshot!(summary(Some(report()), "order"));
    }
}
