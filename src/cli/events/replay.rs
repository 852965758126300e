//! `events replay`: through today's rules again, under new keys.

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use super::super::reading;
use crate::config::{Config, Needs};
use crate::model::{DeliveryId, DestinationName, Plan, Severity, StoredEvent, Timestamp, Trigger};
use crate::store::{NewDelivery, Store};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events replay 5e3702a84e847582be8db7fb73283c02
  feedback-relay events list --state unrouted --json | jq -r .id | xargs feedback-relay events replay

Who was told already is told again. `deliveries retry` repeats a single delivery under its old key.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Ids of events, or of their feedback
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Print JSON, one event a line
    #[arg(long)]
    json: bool,
}

/// Replays each event that can be.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::NoSecrets)?;
    let store = context.store(&config)?;
    let found = super::find_all(context, &store, &args.ids).await?;
    let mut good = found.all;
    for event in found.events {
        let plan = match reading::read_stored(&event, &config) {
            Ok(read) => config.rules.plan(&read),
            Err(reason) => {
                let id = &event.id;
                context
                    .out
                    .note(&format!("error: event {id} cannot be replayed: {reason}"));
                good = false;
                continue;
            }
        };
        let made = replay(&store, &event, &config, plan, context.now()).await?;
        if args.json {
            context.out.json_line(&to_json(&event, &made));
        } else {
            context.out.line(&to_text(&event, &made));
        }
    }
    Ok(Exit::done_if(good))
}

type Made = Vec<(DeliveryId, DestinationName)>;

async fn replay(
    store: &Store,
    event: &StoredEvent,
    config: &Config,
    plan: Plan,
    now: Timestamp,
) -> Result<Made, Failure> {
    let deliveries = new_deliveries(plan, &config.images, now);
    let names: Vec<_> = deliveries
        .iter()
        .map(|one| one.destination.clone())
        .collect();
    let ids = store.add_deliveries(event.seq, deliveries).await?;
    Ok(ids.into_iter().zip(names).collect())
}

/// Deliveries like those that intake makes: each waits for pictures that are not settled.
fn new_deliveries(
    plan: Plan,
    images: &crate::images::Settings,
    now: Timestamp,
) -> Vec<NewDelivery> {
    let wait = |severity| match severity {
        Severity::Critical => images.wait_critical,
        Severity::Warning | Severity::Info => images.wait,
    };
    let planned = plan.deliveries.into_iter();
    planned
        .map(|planned| NewDelivery {
            due_at: now
                + planned
                    .order
                    .wait
                    .unwrap_or_else(|| wait(planned.order.severity)),
            destination: planned.destination,
            order: planned.order,
            trigger: Trigger::Replay,
        })
        .collect()
}

fn to_text(event: &StoredEvent, made: &Made) -> String {
    if made.is_empty() {
        return format!("{}: no rule tells anybody", event.id);
    }
    let one = |(id, destination): &(DeliveryId, DestinationName)| format!("{id} to {destination}");
    let all: Vec<_> = made.iter().map(one).collect();
    format!("{}: {}", event.id, all.join(", "))
}

fn to_json(event: &StoredEvent, made: &Made) -> Value {
    let one = |(id, destination): &(DeliveryId, DestinationName)| json!({ "id": id.to_string(), "destination": destination.as_str() });
    json!({
        "event_id": event.id.as_str(),
        "deliveries": made.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::an_order;
    use crate::model::{EventState, Order, PlannedDelivery};
    use std::time::Duration;

    #[test]
    fn a_replay_waits_for_pictures_as_an_arrival_does() {
        let images = crate::images::Settings {
            retain: Duration::ZERO,
            link_ttl: Duration::ZERO,
            bytes_max: 0,
            total_bytes_max: 0,
            wait: Duration::from_secs(3),
            wait_critical: Duration::from_millis(800),
            allow_hosts: Vec::new(),
            allow_private_addresses: false,
        };
        let now = Timestamp::from_millis(1000);
        for (severity, wait, due_at) in [
            (Severity::Critical, None, 1800),
            (Severity::Info, None, 4000),
            (Severity::Info, Some(Duration::from_millis(5)), 1005),
        ] {
            let plan = Plan {
                state: EventState::Routed,
                rules: Vec::new(),
                deliveries: vec![PlannedDelivery {
                    destination: DestinationName::new("ops"),
                    order: Order {
                        severity,
                        wait,
                        ..an_order()
                    },
                }],
            };
            let made = new_deliveries(plan, &images, now);
            assert_eq!(made.len(), 1);
            assert_eq!(made[0].due_at, Timestamp::from_millis(due_at));
            assert_eq!(made[0].trigger, Trigger::Replay);
        }
    }
}
