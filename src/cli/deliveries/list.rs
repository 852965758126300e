//! Implements `deliveries list`.

use super::super::context::{Context, Exit, Failure};
use super::super::text::Table;
use super::super::values::{self, Since};
use super::super::words;
use crate::admin::{self, deliveries};
use crate::config::Needs;
use crate::model::{DeliveryId, DeliveryState, DestinationName, RuleName, Timestamp};
use crate::store::{DeliveryFilter, Store};
use crate::view::DeliveryView;

const EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries list --state pending,dead
  feedback-relay deliveries list --to oncall-chat --since 1d --json | jq -r .reason
  feedback-relay deliveries list --before dlv_1K3Z5V9QW2ABC   the next page";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Only deliveries in one of these states
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = values::delivery_state())]
    state: Vec<DeliveryState>,
    /// Only deliveries to this destination
    #[arg(long, visible_alias = "destination", value_name = "NAME")]
    to: Option<DestinationName>,
    /// Only deliveries created since: a duration (90s, 5m, 12h, 3d) or a time (2026-03-01T02:10:00+08:00)
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Since>,
    /// Only deliveries created before: a duration or a time
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    until: Option<Since>,
    /// Only deliveries of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only deliveries of this event
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// The maximum number of deliveries; default: 50, with --json all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Only deliveries created before this one: the next page
    #[arg(long, value_name = "ID")]
    before: Option<DeliveryId>,
    /// Print JSON, one delivery per line, as soon as it is found
    #[arg(long)]
    json: bool,
}

/// Lists deliveries, newest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let filter = filter(args, &store, context.now()).await?;
    let limit = filter.limit;
    let mut found = deliveries::list(&store, filter);
    let mut listed = Vec::new();
    while let Some(delivery) = found.next().await? {
        if args.json {
            context.out.json_line(&delivery);
        } else {
            listed.push(delivery);
        }
    }
    if args.json {
        return Ok(Exit::Done);
    }
    context.out.text(&table(&listed));
    if let Some(last) = listed.last().filter(|_| listed.len() == limit) {
        context
            .out
            .note(&format!("there may be more: --before {}", last.id));
    }
    Ok(Exit::Done)
}

async fn filter(args: &Args, store: &Store, now: Timestamp) -> Result<DeliveryFilter, Failure> {
    let event = match &args.event {
        Some(id) => Some(admin::find(store, id).await?.seq),
        None => None,
    };
    Ok(DeliveryFilter {
        destination: args.to.clone(),
        states: args.state.clone(),
        event,
        id: None,
        since: args.since.map(|since| since.from(now)),
        until: args.until.map(|until| until.from(now)),
        rule: args.rule.as_deref().map(RuleName::new),
        silence: None,
        before: args.before,
        limit: values::limit(args.limit, args.json),
    })
}

fn table(deliveries: &[DeliveryView]) -> String {
    if deliveries.is_empty() {
        return "no deliveries\n".into();
    }
    let head = [
        "ID", "TO", "STATE", "SEVERITY", "ATTEMPTS", "DUE", "EVENT", "RULE", "REASON",
    ];
    let mut table = Table::new(head);
    for delivery in deliveries {
        table.push([
            delivery.id.to_string(),
            delivery.destination.to_string(),
            delivery.state.to_string(),
            words::severity(delivery.spec.severity),
            delivery.attempts.to_string(),
            due(delivery),
            delivery.event_id.to_string(),
            delivery.spec.rule.to_string(),
            words::or_dash(delivery.reason.as_deref()),
        ]);
    }
    table.render()
}

/// Formats when the next attempt is due; `-` if there is none.
fn due(delivery: &DeliveryView) -> String {
    match delivery.state {
        DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Held => {
            delivery.due_at.to_string()
        }
        DeliveryState::Delivered
        | DeliveryState::Dead
        | DeliveryState::Discarded
        | DeliveryState::Unconfirmed
        | DeliveryState::Merged
        | DeliveryState::Suppressed => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::a_delivery;

    #[test]
    fn a_delivery_is_one_line() {
        let waiting = DeliveryView::from(a_delivery());
        let dead = DeliveryView {
            state: DeliveryState::Dead,
            reason: Some("two\nlines".into()),
            ..waiting.clone()
        };
        insta::assert_snapshot!(table(&[waiting, dead]));
        assert_eq!(table(&[]), "no deliveries\n");
    }
}
