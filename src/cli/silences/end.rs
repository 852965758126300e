//! Implements `silences end`.

use super::super::context::{Context, Exit, Failure};
use super::super::values;
use crate::admin::silences;
use crate::config::Needs;
use crate::model::SilenceId;

const EXAMPLES: &str = "\
Examples:
  feedback-relay silences end sil_3

Messages that it muted are not sent. To send them: `events replay`, or `deliveries retry` for one of them.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id, as `silences list` shows it: `sil_3` or `3`
    #[arg(value_parser = values::silence)]
    id: SilenceId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Ends a silence. If it has ended already, says when on stderr.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let ended = silences::end(&store, args.id).await?;
    context.out.result(&ended, args.json);
    Ok(Exit::done_if(ended.done))
}
