//! `events replay`: through today's rules again, under new keys.

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use super::super::reading;
use crate::config::{Config, Needs};
use crate::intake::{EventImages, ImageWaits, plan_deliveries};
use crate::model::{
    DeliveryId, DestinationName, ImageState, Plan, StoredEvent, Timestamp, Trigger,
};
use crate::store::Store;

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
        let plan = match reading::read_with_reports(&event, &config, &store).await {
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
        let made = replay(&store, &event, &config, &plan, context.now()).await?;
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
    plan: &Plan,
    now: Timestamp,
) -> Result<Made, Failure> {
    let images = store.images_of(event.seq).await?;
    let images = if images.is_empty() {
        EventImages::None
    } else if images.iter().any(|one| one.state == ImageState::Pending) {
        EventImages::Pending
    } else {
        EventImages::Settled
    };
    let waits = ImageWaits {
        wait: config.images.wait,
        wait_critical: config.images.wait_critical,
    };
    let deliveries = plan_deliveries(plan, images, waits, Trigger::Replay, now);
    let names: Vec<_> = deliveries
        .iter()
        .map(|one| one.destination.clone())
        .collect();
    let ids = store.add_deliveries(event.seq, deliveries).await?;
    Ok(ids.into_iter().zip(names).collect())
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
