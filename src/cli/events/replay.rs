//! Implements `events replay`: applies today's rules again, under new keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use super::super::reading;
use super::select;
use crate::config::{Config, Needs};
use crate::intake::{EventImages, ImageWaits, plan_deliveries};
use crate::model::{
    DeliveryId, DestinationName, EventSeq, EventState, ImageState, Plan, StoredEvent, Timestamp,
    Trigger,
};
use crate::store::{DeliveryFilter, NewDelivery, Store, StoreError};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events replay 5e3702a84e847582be8db7fb73283c02
  feedback-relay events replay --state unrouted --since 3d --dry-run
  feedback-relay events replay --state unrouted --since 3d
  feedback-relay events replay --rule 'blank screen' --until 2026-03-01T02:10:00+08:00 --since 12h

Destinations that already have a message get it again. An unrouted event that now matches a rule becomes routed,
so a second run with `--state unrouted` sends nothing. `deliveries retry` repeats a single delivery under
its old key.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Ids of events, or of their feedback
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    select: select::EventOptions,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one event per line; for selected events, the totals at the end
    #[arg(long)]
    json: bool,
}

/// Replays each selected event, oldest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    if args.ids.is_empty() == args.select.is_empty() {
        return Err(Failure::Usage(
            "give event ids, or select events: --state unrouted, --since 3d, …".into(),
        ));
    }
    let config = context.config_for(Needs::NoSecrets)?;
    let store = context.store(&config)?;
    let mut good = true;
    let events: Vec<EventSeq> = if args.ids.is_empty() {
        select_all(&args.select, &store, &config, context.now()).await?
    } else {
        let found = super::find_all(context, &store, &args.ids).await?;
        good = found.all;
        found.events.into_iter().map(|event| event.seq).collect()
    };
    let mut counts = Counts::default();
    for seq in events {
        let Some(event) = store.event_by_seq(seq).await? else {
            continue; // Removed in the meantime.
        };
        match one(&store, &config, &event, context.now(), args.dry_run).await? {
            Ok(Some(made)) => {
                counts.add(&made);
                if args.json {
                    context.out.json_line(&to_json(&event, &made, args.dry_run));
                } else if !args.dry_run {
                    context.out.line(&to_text(&event, &made));
                }
            }
            // Another process has replayed it in the meantime.
            Ok(None) => {}
            Err(reason) => {
                let id = &event.id;
                context
                    .out
                    .note(&format!("error: event {id} cannot be replayed: {reason}"));
                counts.unreadable += 1;
                good = false;
            }
        }
    }
    match args.dry_run || args.ids.is_empty() {
        true if args.json => context.out.json_line(&counts.to_json(args.dry_run)),
        true => context.out.text(&counts.to_text(args.dry_run)),
        false => {}
    }
    Ok(Exit::done_if(good))
}

/// Returns all selected events. All are read before the first is changed.
async fn select_all(
    args: &select::EventOptions,
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<EventSeq>, Failure> {
    let mut selection = args.check(store, config, None, now)?;
    let mut events = Vec::new();
    while let Some(chosen) = selection.next().await? {
        events.push(chosen.row.seq);
    }
    events.reverse();
    Ok(events)
}

/// The messages of a replay: each delivery's id, if it was created, and its destination.
type Made = Vec<(Option<DeliveryId>, DestinationName)>;

/// Replays an event. `Ok(None)`: its state has changed in the meantime, and nothing was done.
async fn one(
    store: &Store,
    config: &Config,
    event: &StoredEvent,
    now: Timestamp,
    dry_run: bool,
) -> Result<Result<Option<Made>, String>, Failure> {
    let read = match reading::read_with_reports(event, config, store).await {
        Ok(read) => read,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut plan = config.rules.plan(&read);
    if event.state == EventState::Unrouted && plan.state == EventState::Unrouted {
        // The event stays unrouted, so a second run finds it again. Destinations that already have a message get
        // no second one.
        let told = told(store, event).await?;
        plan.deliveries
            .retain(|one| !told.contains(&one.destination));
    }
    let deliveries = deliveries(store, config, event, &plan, now).await?;
    let names = deliveries.iter().map(|one| one.destination.clone());
    let names: Vec<DestinationName> = names.collect();
    if dry_run {
        return Ok(Ok(Some(
            names.into_iter().map(|name| (None, name)).collect(),
        )));
    }
    let settled = settled(event.state, &plan);
    let made = store
        .replay(event.seq, event.state, settled, deliveries)
        .await?;
    let with_names = |ids: Vec<DeliveryId>| ids.into_iter().map(Some).zip(names).collect();
    Ok(Ok(made.map(with_names)))
}

/// Returns the new state of the event: routed once a rule without `continue` matches.
fn settled(before: EventState, plan: &Plan) -> EventState {
    match (before, plan.state) {
        (EventState::Unrouted | EventState::Noted, EventState::Routed) => EventState::Routed,
        _ => before,
    }
}

/// Returns the destinations that already have a message of the event.
async fn told(store: &Store, event: &StoredEvent) -> Result<BTreeSet<DestinationName>, StoreError> {
    let filter = DeliveryFilter {
        event: Some(event.seq),
        limit: usize::MAX,
        ..DeliveryFilter::default()
    };
    let deliveries = store.deliveries(filter).await?.into_iter();
    Ok(deliveries.map(|one| one.destination).collect())
}

/// Returns the same deliveries as intake creates: each waits for unfinished images.
async fn deliveries(
    store: &Store,
    config: &Config,
    event: &StoredEvent,
    plan: &Plan,
    now: Timestamp,
) -> Result<Vec<NewDelivery>, StoreError> {
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
    Ok(plan_deliveries(plan, images, waits, Trigger::Replay, now))
}

/// The totals.
#[derive(Debug, Default)]
struct Counts {
    events: u64,
    messages: BTreeMap<DestinationName, u64>,
    /// Events without any delivery.
    silent: u64,
    unreadable: u64,
}

impl Counts {
    fn add(&mut self, made: &Made) {
        self.events += 1;
        self.silent += u64::from(made.is_empty());
        for (_, destination) in made {
            *self.messages.entry(destination.clone()).or_default() += 1;
        }
    }

    fn to_text(&self, dry_run: bool) -> String {
        let would = if dry_run { "would be" } else { "were" };
        let mut text = format!("{} events {would} replayed\n", self.events);
        for (destination, count) in &self.messages {
            text.push_str(&format!("  {count} to {destination}\n"));
        }
        if self.silent > 0 {
            text.push_str(&format!("  {} to nobody\n", self.silent));
        }
        if self.unreadable > 0 {
            text.push_str(&format!("{} cannot be replayed\n", self.unreadable));
        }
        text
    }

    fn to_json(&self, dry_run: bool) -> Value {
        let messages = self.messages.iter();
        let messages =
            messages.map(|(destination, count)| (destination.to_string(), Value::from(*count)));
        json!({
            "dry_run": dry_run,
            "events": self.events,
            "messages": Value::Object(messages.collect()),
            "to_nobody": self.silent,
            "cannot_be_replayed": self.unreadable,
        })
    }
}

fn to_text(event: &StoredEvent, made: &Made) -> String {
    if made.is_empty() {
        return format!("{}: no rule sends it anywhere", event.id);
    }
    let one = |(id, destination): &(Option<DeliveryId>, DestinationName)| match id {
        Some(id) => format!("{id} to {destination}"),
        None => format!("to {destination}"),
    };
    let all: Vec<_> = made.iter().map(one).collect();
    format!("{}: {}", event.id, all.join(", "))
}

fn to_json(event: &StoredEvent, made: &Made, dry_run: bool) -> Value {
    let one = |(id, destination): &(Option<DeliveryId>, DestinationName)| json!({ "id": id.map(|id| id.to_string()), "destination": destination.as_str() });
    json!({
        "event_id": event.id.as_str(),
        "dry_run": dry_run,
        "deliveries": made.iter().map(one).collect::<Vec<_>>(),
    })
}
