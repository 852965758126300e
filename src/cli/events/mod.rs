//! Implements `events`: lists, shows, replays and erases stored events.

mod erase;
mod list;
mod replay;
mod sample;
mod select;
mod show;
mod summary;
mod triage;

use std::collections::BTreeSet;

use super::context::{Context, Exit, Failure, block_on};
use crate::model::StoredEvent;
use crate::store::{Store, StoreError};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, newest first
    List(Box<list::Args>),
    /// Show everything about one event
    Show(show::Args),
    /// Print a sample event, or list the kinds of samples
    Sample(sample::Args),
    /// Run events through today's rules again, under new keys
    Replay(Box<replay::Args>),
    /// Remove a person's words and images but keep the bare record, without confirmation
    Erase(erase::Args),
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list::run(context, args).await,
            Command::Show(args) => show::run(context, args).await,
            Command::Sample(args) => sample::run(context, args),
            Command::Replay(args) => replay::run(context, args).await,
            Command::Erase(args) => erase::run(context, args).await,
        }
    })
}

/// Returns the event with this id, or an error.
pub(super) async fn find(store: &Store, id: &str) -> Result<StoredEvent, Failure> {
    let event = store.event(id).await?;
    event.ok_or_else(|| Failure::Failed(unknown(id)))
}

/// Events, and whether every requested one was found.
struct Found {
    events: Vec<StoredEvent>,
    all: bool,
}

/// Returns the events with these ids. An event that is named twice, e.g. also by its feedback's id, is returned
/// once. Unknown ids are listed on stderr.
async fn find_all(
    context: &mut Context,
    store: &Store,
    ids: &[String],
) -> Result<Found, StoreError> {
    let mut found = Found {
        events: Vec::with_capacity(ids.len()),
        all: true,
    };
    let mut seen = BTreeSet::new();
    for id in ids {
        match store.event(id).await? {
            Some(event) if seen.insert(event.seq) => found.events.push(event),
            Some(_again) => {}
            None => {
                found.all = false;
                context.out.note(&format!("error: {}", unknown(id)));
            }
        }
    }
    Ok(found)
}

fn unknown(id: &str) -> String {
    format!("the store has no event {id:?}")
}
