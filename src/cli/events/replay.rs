//! Implements `events replay`: applies today's rules again, with new idempotency keys.

use super::super::context::{Context, Exit, Failure};
use super::{Opened, all_known, options};
use crate::admin::{self, Replayed};
use crate::config::Needs;
use crate::view::{ReplayTotals, ReplayedDelivery, ReplayedEvent};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events replay 5e3702a84e847582be8db7fb73283c02
  feedback-relay events replay --state unrouted --since 3d --dry-run
  feedback-relay events replay --state unrouted --since 3d
  feedback-relay events replay --rule 'blank screen' --until 2026-03-01T02:10:00+08:00 --since 12h

Destinations that already have a message get it again. An unrouted event that now matches a rule becomes routed,
so a second run with `--state unrouted` sends nothing. `deliveries retry` sends a single delivery again
with its old key.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Ids of events, or of their feedback
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    select: options::EventOptions,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one event per line; for selected events, the totals at the end
    #[arg(long)]
    json: bool,
}

/// Replays each selected event, oldest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let query = args.select.query(context.now());
    if args.ids.is_empty() == query.is_empty() {
        return Err(Failure::Usage(
            "give event ids, or select events: --state unrouted, --since 3d, …".into(),
        ));
    }
    let opened = Opened::open(context, Needs::NoSecrets)?;
    let mut good = true;
    // All events are selected before the first is changed.
    let events = if args.ids.is_empty() {
        opened.events().select(query, None)?.oldest_first().await?
    } else {
        let found = admin::find_all(&opened.store, &args.ids).await?;
        good = all_known(context, &found);
        found.events.into_iter().map(|event| event.seq).collect()
    };
    let mut replay = opened.events().replay(events, args.dry_run);
    while let Some(replayed) = replay.next(context.now()).await? {
        match replayed {
            Replayed::Done(event) if args.json => context.out.json_line(&event),
            Replayed::Done(event) if !args.dry_run => context.out.line(&to_text(&event)),
            Replayed::Done(_) => {}
            Replayed::Unreadable { event, reason } => {
                let message = format!("error: event {event} cannot be replayed: {reason}");
                context.out.note(&message);
                good = false;
            }
        }
    }
    match args.dry_run || args.ids.is_empty() {
        true if args.json => context.out.json_line(replay.totals()),
        true => context.out.text(&totals_text(replay.totals())),
        false => {}
    }
    Ok(Exit::done_if(good))
}

fn totals_text(totals: &ReplayTotals) -> String {
    let would = if totals.dry_run { "would be" } else { "were" };
    let mut text = format!("{} events {would} replayed\n", totals.events);
    for (destination, count) in &totals.messages {
        text.push_str(&format!("  {count} to {destination}\n"));
    }
    if totals.to_nobody > 0 {
        text.push_str(&format!("  {} to nobody\n", totals.to_nobody));
    }
    if totals.cannot_be_replayed > 0 {
        let count = totals.cannot_be_replayed;
        text.push_str(&format!("{count} cannot be replayed\n"));
    }
    text
}

fn to_text(event: &ReplayedEvent) -> String {
    let id = &event.event_id;
    if event.deliveries.is_empty() {
        return format!("{id}: no rule sends it anywhere");
    }
    let one = |delivery: &ReplayedDelivery| match delivery.id {
        Some(id) => format!("{id} to {}", delivery.destination),
        None => format!("to {}", delivery.destination),
    };
    let all: Vec<_> = event.deliveries.iter().map(one).collect();
    format!("{id}: {}", all.join(", "))
}
