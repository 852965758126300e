//! Implements `deliveries`: lists, retries and discards deliveries.

mod by_hand;
mod list;

use super::context::{Context, Exit, Failure, block_on};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List deliveries, newest first
    List(list::Args),
    /// Make deliveries due now, with their old idempotency keys
    #[command(after_help = by_hand::RETRY_EXAMPLES)]
    Retry(by_hand::Args),
    /// End unfinished deliveries
    #[command(after_help = by_hand::DISCARD_EXAMPLES)]
    Discard(by_hand::Args),
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list::run(context, args).await,
            Command::Retry(args) => by_hand::run(context, args, by_hand::ManualAction::Retry).await,
            Command::Discard(args) => {
                by_hand::run(context, args, by_hand::ManualAction::Discard).await
            }
        }
    })
}
