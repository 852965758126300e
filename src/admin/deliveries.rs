//! Lists, retries and discards deliveries.

use std::collections::{BTreeMap, VecDeque};

use crate::destination::Settings;
use crate::model::{Delivery, DeliveryId, DeliveryState, DestinationName};
use crate::store::{AdminResult, DeliveryFilter, Store, StoreError};
use crate::view::{DeliveryView, ManualResult};

/// The number of deliveries that are read at a time.
const PAGE: usize = 500;

/// The deliveries of a list, newest first.
pub struct DeliveryList<'a> {
    store: &'a Store,
    /// The filter of the next page. Its limit is how many deliveries are still wanted.
    filter: DeliveryFilter,
    /// Deliveries that were read but not returned yet.
    page: VecDeque<Delivery>,
    ended: bool,
}

/// Lists the deliveries that `filter` selects.
pub fn list(store: &Store, filter: DeliveryFilter) -> DeliveryList<'_> {
    DeliveryList {
        store,
        filter,
        page: VecDeque::new(),
        ended: false,
    }
}

impl DeliveryList<'_> {
    /// Returns the next delivery.
    pub async fn next(&mut self) -> Result<Option<DeliveryView>, StoreError> {
        let next = self.next_record().await?;
        Ok(next.map(DeliveryView::from))
    }

    /// Returns the next delivery as stored.
    pub(super) async fn next_record(&mut self) -> Result<Option<Delivery>, StoreError> {
        if self.page.is_empty() && !self.ended {
            let limit = PAGE.min(self.filter.limit);
            let filter = DeliveryFilter {
                limit,
                ..self.filter.clone()
            };
            self.page = self.store.deliveries(filter).await?.into();
            self.filter.limit -= self.page.len();
            self.ended = self.page.len() < limit || self.filter.limit == 0;
            let last = self.page.back().map(|last| last.id);
            self.filter.before = last.or(self.filter.before);
        }
        Ok(self.page.pop_front())
    }
}

/// A manual action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ManualAction {
    /// Sends the delivery again.
    Retry,
    /// Ends the delivery.
    Discard,
}

/// Makes a delivery due, if its destination is one of `destinations`.
pub async fn retry(
    store: &Store,
    destinations: &BTreeMap<DestinationName, Settings>,
    id: DeliveryId,
) -> Result<ManualResult<DeliveryId>, StoreError> {
    let filter = DeliveryFilter {
        id: Some(id),
        limit: 1,
        ..DeliveryFilter::default()
    };
    let found = store.deliveries(filter).await?;
    let gone = found
        .into_iter()
        .map(|delivery| delivery.destination)
        .find(|destination| !destinations.contains_key(destination));
    Ok(match gone {
        Some(destination) => no_destination(id, &destination),
        None => result(id, ManualAction::Retry, store.retry(id).await?),
    })
}

/// Resends a delivery to another destination, which has to be configured.
pub async fn retry_at(
    store: &Store,
    id: DeliveryId,
    destination: &DestinationName,
) -> Result<ManualResult<DeliveryId>, StoreError> {
    let done = store.retry_at(id, destination).await?;
    Ok(result(id, ManualAction::Retry, done))
}

/// Ends an unfinished delivery.
pub async fn discard(
    store: &Store,
    id: DeliveryId,
) -> Result<ManualResult<DeliveryId>, StoreError> {
    let done = store.discard(id).await?;
    Ok(result(id, ManualAction::Discard, done))
}

/// Returns all dead deliveries to `destination`; `None`: to any.
pub async fn dead(
    store: &Store,
    destination: Option<&DestinationName>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let filter = DeliveryFilter {
        destination: destination.cloned(),
        states: vec![DeliveryState::Dead],
        limit: usize::MAX,
        ..DeliveryFilter::default()
    };
    let mut dead = list(store, filter);
    let mut ids = Vec::new();
    while let Some(delivery) = dead.next().await? {
        ids.push(delivery.id);
    }
    Ok(ids)
}

fn result(id: DeliveryId, action: ManualAction, done: AdminResult) -> ManualResult<DeliveryId> {
    let message = match (done, action) {
        (AdminResult::Done, ManualAction::Retry) => format!("{id} is due now"),
        (AdminResult::Done, ManualAction::Discard) => format!("{id} is discarded"),
        (AdminResult::NotFound, _) => format!("the store has no delivery {id}"),
        (AdminResult::Refused(state), ManualAction::Retry) => {
            format!("{id} is {state}, and cannot be retried")
        }
        (AdminResult::Refused(DeliveryState::Merged), ManualAction::Discard) => format!(
            "{id} is counted in another message and not sent by itself, so there is nothing to discard; `incidents close` ends an incident"
        ),
        (AdminResult::Refused(DeliveryState::Suppressed), ManualAction::Discard) => format!(
            "{id} is muted by a silence and not sent, so there is nothing to discard; `silences end` ends a silence"
        ),
        (AdminResult::Refused(state), ManualAction::Discard) => {
            format!("{id} is {state}, and cannot be discarded")
        }
    };
    ManualResult {
        id,
        done: done == AdminResult::Done,
        message,
    }
}

/// Returns the result for a delivery that would wait forever, because its destination does not exist (any more).
fn no_destination(id: DeliveryId, destination: &DestinationName) -> ManualResult<DeliveryId> {
    let name = destination.as_str();
    ManualResult {
        id,
        done: false,
        message: format!(
            "{id} cannot be retried: there is no destination {name:?}; --to NAME sends it to another destination"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_is_said_in_words() {
        use AdminResult::{Done, NotFound, Refused};
        use ManualAction::{Discard, Retry};
        let id = DeliveryId::from_i64(7);
        let sent = Refused(DeliveryState::Delivered);
        let merged = Refused(DeliveryState::Merged);
        for (given, said) in [
            (result(id, Retry, Done), "is due now"),
            (result(id, Discard, Done), "is discarded"),
            (result(id, Retry, NotFound), "the store has no"),
            (result(id, Retry, sent), "and cannot be retried"),
            (result(id, Discard, sent), "and cannot be discarded"),
            (result(id, Discard, merged), "is counted in another message"),
            (
                no_destination(id, &"gone".into()),
                "cannot be retried: there is no destination \"gone\"",
            ),
        ] {
            let message = &given.message;
            assert!(message.contains("dlv_0000000000007"), "{message}");
            assert!(message.contains(said), "{message}");
            assert_eq!(given.done, ["is due now", "is discarded"].contains(&said));
        }
    }
}
