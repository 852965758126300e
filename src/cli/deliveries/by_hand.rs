//! `deliveries retry` and `deliveries discard`.

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use crate::model::{DeliveryId, DeliveryState, DestinationName};
use crate::store::{ByHand, DeliveryFilter, Store, StoreError};

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  feedback-relay deliveries retry dlv_1K3Z5V9QW2ABC
  feedback-relay deliveries retry --dead --to oncall-chat

A retry keeps its key, so that a destination that can recognise a repeat does.";

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
    /// All that are dead
    #[arg(long)]
    dead: bool,
    /// With --dead: only those to this destination
    #[arg(long, value_name = "NAME", requires = "dead", conflicts_with = "ids")]
    to: Option<DestinationName>,
    /// Print JSON, one delivery a line
    #[arg(long)]
    json: bool,
}

/// What is done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Once more.
    Retry,
    /// No more.
    Discard,
}

/// Does it to each delivery; those that do not allow it are named on stderr.
pub(super) async fn run(context: &mut Context, args: &Args, act: Act) -> Result<Exit, Failure> {
    let config = context.config()?;
    let store = context.store(&config)?;
    let ids = if args.dead {
        dead(&store, args.to.as_ref()).await?
    } else {
        args.ids.clone()
    };
    if ids.is_empty() {
        context.out.note("no such delivery is dead");
    }
    let mut good = true;
    for id in ids {
        let result = match act {
            Act::Retry => store.retry(id).await?,
            Act::Discard => store.discard(id).await?,
        };
        good &= result == ByHand::Done;
        if args.json {
            context.out.json_line(&to_json(id, act, result));
        } else if result == ByHand::Done {
            context.out.line(&to_text(id, act, result));
        } else {
            context
                .out
                .note(&format!("error: {}", to_text(id, act, result)));
        }
    }
    Ok(Exit::done_if(good))
}

/// All that are dead, read whole before the first is changed.
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

fn to_text(id: DeliveryId, act: Act, result: ByHand) -> String {
    match (result, act) {
        (ByHand::Done, Act::Retry) => format!("{id} is due now"),
        (ByHand::Done, Act::Discard) => format!("{id} is discarded"),
        (ByHand::NotFound, _) => format!("the journal has no delivery {id}"),
        (ByHand::Refused(state), Act::Retry) => {
            format!("{id} is {state}, and cannot be retried")
        }
        (ByHand::Refused(state), Act::Discard) => {
            format!("{id} is {state}, and cannot be discarded")
        }
    }
}

fn to_json(id: DeliveryId, act: Act, result: ByHand) -> Value {
    json!({
        "id": id.to_string(),
        "done": result == ByHand::Done,
        "message": to_text(id, act, result),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_said_in_words() {
        let id = DeliveryId::from_i64(7);
        let sent = ByHand::Refused(DeliveryState::Delivered);
        for (act, result, said) in [
            (Act::Retry, ByHand::Done, "dlv_0000000000007 is due now"),
            (Act::Discard, ByHand::Done, "dlv_0000000000007 is discarded"),
            (
                Act::Retry,
                ByHand::NotFound,
                "the journal has no delivery dlv_0000000000007",
            ),
            (
                Act::Retry,
                sent,
                "dlv_0000000000007 is delivered, and cannot be retried",
            ),
            (
                Act::Discard,
                sent,
                "dlv_0000000000007 is delivered, and cannot be discarded",
            ),
        ] {
            assert_eq!(to_text(id, act, result), said);
            assert_eq!(to_json(id, act, result)["done"], result == ByHand::Done);
        }
    }
}
