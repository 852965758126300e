//! Implements `events list`.

use super::super::context::{Context, Exit, Failure};
use super::super::text::Table;
use super::select::{self, Chosen};
use super::summary::Summary;
use crate::app;
use crate::config::Needs;
use crate::deliver::Directory;

const EXAMPLES: &str = "\
Examples:
  feedback-relay events list --since 3d
  feedback-relay events list --state unrouted --json | jq -r .id
  feedback-relay events list --since 2026-03-01T00:00:00+08:00 --until 1d --fault white_screen --path 'pages/pay/*'
  feedback-relay events list --match 'any = [{ type = \"suggestion\" }, { contact = \"*@big.example\" }]'
  feedback-relay events list --before 5e3702a84e847582be8db7fb73283c02   the next page";

/// The default number of events in a table.
const LIMIT: usize = 50;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    select: select::EventOptions,
    /// The maximum number of events; default: 50, with --json all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only events received before this one: the next page
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Print JSON, one event per line, as they are found
    #[arg(long)]
    json: bool,
}

/// Lists events, newest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let before = match &args.before {
        Some(id) => Some(super::find(&store, id).await?.seq),
        None => None,
    };
    let names = app::names(&config);
    let mut found = args.select.check(&store, &config, before, context.now())?;
    let limit = match args.limit {
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
        None if args.json => usize::MAX,
        None => LIMIT,
    };
    let mut listed = Vec::new();
    let mut count = 0;
    while count < limit {
        let Some(chosen) = found.next().await? else {
            break;
        };
        count += 1;
        if args.json {
            let line = Summary::new(&chosen, &names).to_json();
            context.out.json_line(&line);
        } else {
            listed.push(chosen);
        }
    }
    if args.json {
        return Ok(Exit::Done);
    }
    context.out.text(&table(&listed, &names));
    if let Some(last) = listed.last().filter(|_| count == limit) {
        let last = &last.row.id;
        context
            .out
            .note(&format!("there may be more: --before {last}"));
    }
    Ok(Exit::Done)
}

fn table(listed: &[Chosen], names: &Directory) -> String {
    if listed.is_empty() {
        return "no events\n".into();
    }
    let mut table = Table::new(Summary::HEADS);
    for chosen in listed {
        table.push(Summary::new(chosen, names).cells());
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{
        AppName, Content, DeliveryState, Event, EventId, EventSeq, EventState, FaultKind, Feedback,
        FeedbackKind, FeedbackStatus, Private, RuleName, Severity, StatusChange, Timestamp,
    };
    use crate::store::EventRow;

    fn chosen(content: Option<Content>) -> Chosen {
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
        Chosen { row, event }
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

    fn names() -> Directory {
        Directory {
            apps: BTreeMap::from([("cli_1".to_owned(), "order".to_owned())]),
            ..Directory::default()
        }
    }

    #[test]
    fn a_row_says_what_was_reported_and_what_became_of_it() {
        let change = Content::Updated(StatusChange {
            status: Some(FeedbackStatus::CLOSED),
            ..StatusChange::default()
        });
        let all = [Some(report()), Some(change), None].map(chosen);
        insta::assert_snapshot!(table(&all, &names()));
        assert_eq!(table(&[], &names()), "no events\n");
    }

    #[test]
    fn programs_see_the_same_with_whole_texts() {
        let listed = chosen(Some(report()));
        insta::assert_json_snapshot!(Summary::new(&listed, &names()).to_json());
    }
}
