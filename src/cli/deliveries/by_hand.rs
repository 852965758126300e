//! Implements `deliveries retry` and `deliveries discard`.

use super::super::context::{self, Context, Exit, Failure};
use crate::admin::deliveries;
use crate::config::Needs;
use crate::model::{DeliveryId, DestinationName};

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries retry dlv_1K3Z5V9QW2ABC
  feedback-relay deliveries retry --dead --to oncall-chat
  feedback-relay deliveries retry --dead --from old-name --to oncall-chat   a renamed destination
  feedback-relay deliveries retry dlv_1K3Z5V9QW2ABC --to oncall-chat        a different destination

A retry keeps its key, so that the destination can recognise a repeat.";

pub(super) const DISCARD_EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries discard dlv_1K3Z5V9QW2ABC
  feedback-relay deliveries discard --dead --to oncall-chat";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Ids of deliveries, as `deliveries list` shows them
    #[arg(
        required_unless_present = "dead",
        conflicts_with = "dead",
        value_name = "ID"
    )]
    ids: Vec<DeliveryId>,
    /// All dead deliveries
    #[arg(long)]
    dead: bool,
    /// With --dead: only deliveries to this destination, which need not exist any more
    #[arg(
        long,
        visible_alias = "destination",
        value_name = "NAME",
        requires = "dead"
    )]
    from: Option<DestinationName>,
    /// With IDs or --from: the new destination. With --dead alone: only deliveries to this destination
    #[arg(long, value_name = "NAME")]
    to: Option<DestinationName>,
    /// Print JSON, one delivery per line
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns the destination that replaces the deliveries' own.
    fn instead(&self) -> Option<&DestinationName> {
        let to = self.to.as_ref();
        to.filter(|_| !self.dead || self.from.is_some())
    }
}

/// A manual action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ManualAction {
    /// Sends the delivery again.
    Retry,
    /// Ends the delivery.
    Discard,
}

/// Applies the action to each delivery. Deliveries that do not allow it are listed on stderr.
pub(super) async fn run(
    context: &mut Context,
    args: &Args,
    act: ManualAction,
) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let instead = args.instead();
    if let (Some(_), ManualAction::Discard) = (instead, act) {
        let reason = "--to is for retries only";
        return Err(Failure::Usage(reason.into()));
    }
    if let Some(name) = instead {
        context::destination(&config, name)?;
    }
    let ids = if args.dead {
        deliveries::dead(&store, args.from.as_ref().or(args.to.as_ref())).await?
    } else {
        args.ids.clone()
    };
    if ids.is_empty() {
        context.out.note("no dead delivery matches");
    }
    let mut good = true;
    for id in ids {
        let result = match (act, instead) {
            (ManualAction::Discard, _) => deliveries::discard(&store, id).await?,
            (ManualAction::Retry, Some(to)) => deliveries::retry_at(&store, id, to).await?,
            (ManualAction::Retry, None) => {
                deliveries::retry(&store, &config.destinations, id).await?
            }
        };
        good &= result.done;
        context.out.result(&result, args.json);
    }
    Ok(Exit::done_if(good))
}
