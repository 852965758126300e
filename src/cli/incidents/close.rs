//! Implements `incidents close`.

use super::super::context::{Context, Exit, Failure};
use super::super::values;
use crate::admin::incidents;
use crate::config::Needs;
use crate::model::IncidentId;

const EXAMPLES: &str = "\
Examples:
  feedback-relay incidents close inc_12

A later report of the same kind opens a new incident. The status of its feedback in Feishu stays as it is.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id, as `incidents list` shows it: `inc_12` or `12`
    #[arg(value_parser = values::incident)]
    id: IncidentId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Closes an incident. If it has ended already, says how on stderr.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let result = incidents::close(&store, args.id).await?;
    context.out.result(&result, args.json);
    Ok(Exit::done_if(result.done))
}
