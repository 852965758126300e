//! Implements `deliveries retry` and `deliveries discard`.

use serde_json::{Value, json};

use super::super::context::{self, Context, Exit, Failure};
use crate::config::{Config, Needs};
use crate::model::{DeliveryId, DeliveryState, DestinationName};
use crate::store::{AdminResult, DeliveryFilter, Store, StoreError};

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries retry dlv_1K3Z5V9QW2ABC
  feedback-relay deliveries retry --dead --to oncall-chat
  feedback-relay deliveries retry --dead --from old-name --to oncall-chat   a renamed destination
  feedback-relay deliveries retry dlv_1K3Z5V9QW2ABC --to oncall-chat        a different destination

A retry keeps its key, so that the destination can recognize a repetition.";

pub(super) const DISCARD_EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries discard dlv_1K3Z5V9QW2ABC
  feedback-relay deliveries discard --dead --to oncall-chat";

/// How many deliveries are read at a time.
const PAGE: usize = 500;

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

/// The outcome for one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RetryResult {
    /// The store's result.
    Of(AdminResult),
    /// The delivery would wait forever, because this destination does not exist (any more).
    NoDestination(DestinationName),
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
        dead(&store, args.from.as_ref().or(args.to.as_ref())).await?
    } else {
        args.ids.clone()
    };
    if ids.is_empty() {
        context.out.note("no dead delivery matches");
    }
    let mut good = true;
    for id in ids {
        let came = match act {
            ManualAction::Retry => match instead {
                Some(destination) => RetryResult::Of(store.retry_at(id, destination).await?),
                None => retry(&store, id, &config).await?,
            },
            ManualAction::Discard => RetryResult::Of(store.discard(id).await?),
        };
        good &= came == RetryResult::Of(AdminResult::Done);
        if args.json {
            context.out.json_line(&to_json(id, act, &came));
        } else if came == RetryResult::Of(AdminResult::Done) {
            context.out.line(&to_text(id, act, &came));
        } else {
            context
                .out
                .note(&format!("error: {}", to_text(id, act, &came)));
        }
    }
    Ok(Exit::done_if(good))
}

/// Makes a delivery due, if its destination exists.
async fn retry(store: &Store, id: DeliveryId, config: &Config) -> Result<RetryResult, StoreError> {
    let filter = DeliveryFilter {
        id: Some(id),
        limit: 1,
        ..DeliveryFilter::default()
    };
    let found = store.deliveries(filter).await?;
    let gone = found
        .into_iter()
        .map(|delivery| delivery.destination)
        .find(|destination| !config.destinations.contains_key(destination));
    Ok(match gone {
        Some(destination) => RetryResult::NoDestination(destination),
        None => RetryResult::Of(store.retry(id).await?),
    })
}

/// Returns all dead deliveries. All are read before the first is changed.
async fn dead(
    store: &Store,
    destination: Option<&DestinationName>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let mut ids = Vec::new();
    loop {
        let filter = DeliveryFilter {
            destination: destination.cloned(),
            states: vec![DeliveryState::Dead],
            before: ids.last().copied(),
            limit: PAGE,
            ..DeliveryFilter::default()
        };
        let page = store.deliveries(filter).await?;
        ids.extend(page.iter().map(|delivery| delivery.id));
        if page.len() < PAGE {
            return Ok(ids);
        }
    }
}

fn to_text(id: DeliveryId, act: ManualAction, came: &RetryResult) -> String {
    let result = match came {
        RetryResult::Of(result) => *result,
        RetryResult::NoDestination(name) => {
            return format!(
                "{id} cannot be retried: there is no destination {:?}; --to NAME sends it to another destination",
                name.as_str()
            );
        }
    };
    match (result, act) {
        (AdminResult::Done, ManualAction::Retry) => format!("{id} is due now"),
        (AdminResult::Done, ManualAction::Discard) => format!("{id} is discarded"),
        (AdminResult::NotFound, _) => format!("the store has no delivery {id}"),
        (AdminResult::Refused(state), ManualAction::Retry) => {
            format!("{id} is {state}, and cannot be retried")
        }
        (AdminResult::Refused(state), ManualAction::Discard) => {
            format!("{id} is {state}, and cannot be discarded")
        }
    }
}

fn to_json(id: DeliveryId, act: ManualAction, came: &RetryResult) -> Value {
    json!({
        "id": id.to_string(),
        "done": *came == RetryResult::Of(AdminResult::Done),
        "message": to_text(id, act, came),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_said_in_words() {
        let id = DeliveryId::from_i64(7);
        let sent = AdminResult::Refused(DeliveryState::Delivered);
        for (act, came, said) in [
            (
                ManualAction::Retry,
                RetryResult::Of(AdminResult::Done),
                "is due now",
            ),
            (
                ManualAction::Discard,
                RetryResult::Of(AdminResult::Done),
                "is discarded",
            ),
            (
                ManualAction::Retry,
                RetryResult::Of(AdminResult::NotFound),
                "the store has no",
            ),
            (
                ManualAction::Retry,
                RetryResult::Of(sent),
                "and cannot be retried",
            ),
            (
                ManualAction::Discard,
                RetryResult::Of(sent),
                "and cannot be discarded",
            ),
            (
                ManualAction::Retry,
                RetryResult::NoDestination("gone".into()),
                "cannot be retried: there is no destination \"gone\"",
            ),
        ] {
            let text = to_text(id, act, &came);
            assert!(text.contains("dlv_0000000000007"), "{text}");
            assert!(text.contains(said), "{text}");
            let done = came == RetryResult::Of(AdminResult::Done);
            assert_eq!(to_json(id, act, &came)["done"], done);
        }
    }
}
