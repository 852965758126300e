//! `events list`.

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use super::super::text::Table;
use super::super::values::{self, Since};
use super::super::view;
use crate::config::Needs;
use crate::model::{AppName, DeliveryState, EventState};
use crate::store::{EventFilter, EventRow};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events list --since 3d
  feedback-relay events list --state unrouted --json | jq -r .id
  feedback-relay events list --before 5e3702a84e847582be8db7fb73283c02   the next page";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Only those received by this app of `[apps]`
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    /// Only those in this state
    #[arg(long, value_parser = values::event_state())]
    state: Option<EventState>,
    /// Only those received since: a span (90s, 5m, 12h, 3d) or a time (2026-03-01T02:10:00+08:00)
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Since>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those received before this event: the next page
    #[arg(long, value_name = "ID")]
    before: Option<String>,
    /// Print JSON, one event a line
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
    let limit = usize::from(args.limit);
    let filter = EventFilter {
        via: args.app.clone(),
        state: args.state,
        since: args.since.map(|since| since.from(context.now())),
        before,
        limit,
    };
    let rows = store.events(filter).await?;
    if args.json {
        for row in &rows {
            context.out.json_line(&to_json(row));
        }
        return Ok(Exit::Done);
    }
    context.out.text(&table(&rows));
    if let Some(last) = rows.last().filter(|_| rows.len() == limit) {
        context
            .out
            .note(&format!("there may be more: --before {}", last.id));
    }
    Ok(Exit::Done)
}

fn table(rows: &[EventRow]) -> String {
    if rows.is_empty() {
        return "no events\n".into();
    }
    let mut table = Table::new(["RECEIVED", "ID", "APP", "TYPE", "STATE", "DELIVERIES"]);
    for row in rows {
        table.push([
            row.received_at.to_string(),
            row.id.to_string(),
            row.via.to_string(),
            view::or_dash(Some(&row.event_type)),
            row.state.to_string(),
            view::or_dash(Some(&counts(&row.deliveries))),
        ]);
    }
    table.render()
}

fn counts(deliveries: &[(DeliveryState, u64)]) -> String {
    let one = |(state, count): &(DeliveryState, u64)| format!("{count} {state}");
    deliveries.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn to_json(row: &EventRow) -> Value {
    let counts = row.deliveries.iter();
    let counts = counts.map(|(state, count)| (state.key().to_owned(), Value::from(*count)));
    json!({
        "id": row.id.as_str(),
        "feedback_id": row.feedback_id,
        "via": row.via.as_str(),
        "type": row.event_type,
        "received_at": view::time_json(Some(row.received_at)),
        "state": row.state.key(),
        "deliveries": Value::Object(counts.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventId, EventSeq, Timestamp};

    fn row() -> EventRow {
        EventRow {
            seq: EventSeq(7),
            id: EventId::new("5e37\u{1b}"),
            via: AppName::new("shop"),
            event_type: "application.application.feedback.created_v6".into(),
            feedback_id: Some("6837".into()),
            received_at: Timestamp::from_millis(1_711_111_111_000),
            state: EventState::Routed,
            deliveries: vec![(DeliveryState::Delivered, 2), (DeliveryState::Dead, 1)],
        }
    }

    #[test]
    fn a_row_counts_its_deliveries_and_is_escaped() {
        insta::assert_snapshot!(table(&[row()]));
        assert_eq!(table(&[]), "no events\n");
    }

    #[test]
    fn programs_see_counts_by_state() {
        let shown = to_json(&row());
        assert_eq!(shown["deliveries"], json!({ "delivered": 2, "dead": 1 }));
        assert_eq!(shown["id"], "5e37\u{1b}");
    }
}
