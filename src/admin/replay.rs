//! Replays events: applies the current rules and creates deliveries with new keys.

use std::collections::{BTreeSet, VecDeque};

use super::Events;
use crate::model::{
    DeliveryId, DestinationName, Event, EventId, EventSeq, EventState, Plan, StoredEvent,
    Timestamp, Trigger,
};
use crate::store::{DeliveryFilter, EventImages, NewDelivery, StoreError, plan_deliveries};
use crate::view::{ReplayTotals, ReplayedDelivery, ReplayedEvent};

/// A replay of several events.
pub struct Replay<'a> {
    events: Events<'a>,
    /// Events that are not replayed yet.
    waiting: VecDeque<EventSeq>,
    totals: ReplayTotals,
}

/// The result for one event.
#[derive(Debug)]
pub enum Replayed {
    /// It was replayed.
    Done(ReplayedEvent),
    /// It cannot be parsed.
    Unreadable {
        event: EventId,
        /// Why.
        reason: String,
    },
}

impl<'a> Events<'a> {
    /// Prepares a replay of `events` in this order. A dry run sends nothing.
    pub fn replay(self, events: Vec<EventSeq>, dry_run: bool) -> Replay<'a> {
        Replay {
            events: self,
            waiting: events.into(),
            totals: ReplayTotals {
                dry_run,
                ..ReplayTotals::default()
            },
        }
    }
}

impl Replay<'_> {
    /// Replays the next event; `None` after the last one. Skips events that another process has removed or replayed
    /// in the meantime.
    pub async fn next(&mut self, now: Timestamp) -> Result<Option<Replayed>, StoreError> {
        while let Some(seq) = self.waiting.pop_front() {
            let Some(event) = self.events.store.event_by_seq(seq).await? else {
                continue;
            };
            let content = match self.events.read(&event).await {
                Ok(content) => content,
                Err(reason) => {
                    self.totals.cannot_be_replayed += 1;
                    let event = event.id;
                    return Ok(Some(Replayed::Unreadable { event, reason }));
                }
            };
            if let Some(done) = self.one(event, &content, now).await? {
                self.count(&done);
                return Ok(Some(Replayed::Done(done)));
            }
        }
        Ok(None)
    }

    /// Returns the totals so far.
    pub const fn totals(&self) -> &ReplayTotals {
        &self.totals
    }

    /// Replays an event. `None`: its state has changed in the meantime, and nothing was done.
    async fn one(
        &self,
        event: StoredEvent,
        content: &Event,
        now: Timestamp,
    ) -> Result<Option<ReplayedEvent>, StoreError> {
        let mut plan = self.events.config.rules.plan(content, now);
        if event.state == EventState::Unrouted && plan.state == EventState::Unrouted {
            // The event stays unrouted, so a second run finds it again. Destinations that already have a message get
            // no second one.
            let notified = self.notified(&event).await?;
            plan.deliveries
                .retain(|one| !notified.contains(&one.destination));
        }
        let deliveries = self.deliveries(&event, &plan, now).await?;
        let destinations = deliveries.iter().map(|one| one.destination.clone());
        let destinations: Vec<DestinationName> = destinations.collect();
        let ids = match self.totals.dry_run {
            true => vec![None; destinations.len()],
            false => match self.send(&event, &plan, deliveries).await? {
                Some(ids) => ids.into_iter().map(Some).collect(),
                None => return Ok(None),
            },
        };
        let deliveries = ids.into_iter().zip(destinations);
        let deliveries = deliveries.map(|(id, destination)| ReplayedDelivery { id, destination });
        Ok(Some(ReplayedEvent {
            event_id: event.id,
            dry_run: self.totals.dry_run,
            deliveries: deliveries.collect(),
        }))
    }

    /// Creates the deliveries. `None`: the event's state has changed in the meantime.
    async fn send(
        &self,
        event: &StoredEvent,
        plan: &Plan,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Option<Vec<DeliveryId>>, StoreError> {
        let settled = settled(event.state, plan);
        let store = self.events.store;
        store
            .replay(event.seq, event.state, settled, deliveries)
            .await
    }

    /// Returns the destinations that already have a message of the event.
    async fn notified(&self, event: &StoredEvent) -> Result<BTreeSet<DestinationName>, StoreError> {
        let filter = DeliveryFilter {
            event: Some(event.seq),
            limit: usize::MAX,
            ..DeliveryFilter::default()
        };
        let deliveries = self.events.store.deliveries(filter).await?.into_iter();
        Ok(deliveries.map(|one| one.destination).collect())
    }

    /// Returns the same deliveries as intake creates: each waits for unfinished images.
    async fn deliveries(
        &self,
        event: &StoredEvent,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Vec<NewDelivery>, StoreError> {
        let images = self.events.store.images_of(event.seq).await?;
        let (images, waits) = (EventImages::of(&images), self.events.config.waits);
        Ok(plan_deliveries(plan, images, waits, Trigger::Replay, now))
    }

    fn count(&mut self, done: &ReplayedEvent) {
        self.totals.events += 1;
        self.totals.to_nobody += u64::from(done.deliveries.is_empty());
        for delivery in &done.deliveries {
            let destination = delivery.destination.clone();
            *self.totals.messages.entry(destination).or_default() += 1;
        }
    }
}

/// Returns the new state of the event: routed once a rule without `continue` matches.
fn settled(before: EventState, plan: &Plan) -> EventState {
    match (before, plan.state) {
        (EventState::Unrouted | EventState::Noted, EventState::Routed) => EventState::Routed,
        _ => before,
    }
}
