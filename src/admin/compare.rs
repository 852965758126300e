//! Compares where the rules of a configuration would send stored events with where they went.

use std::collections::{BTreeMap, BTreeSet};

use super::{Events, select};
use crate::feishu;
use crate::model::{
    Content, DestinationName, Event, EventSeq, EventState, RuleName, Timestamp, Trigger,
};
use crate::store::{DeliveryFilter, EventFilter, EventRow, FormerNames, StoreError};
use crate::view::{ComparisonView, ExampleView, RouteChangeView, RouteView};

/// The most events of a changed route that are named.
const EXAMPLES_MAX: usize = 5;

/// The destinations of an event, each with the rule that names it, if that is known.
type Routes = BTreeMap<DestinationName, Option<RuleName>>;

/// The destinations that events went to, and those that they would go to.
type FromTo = (Vec<RouteView>, Vec<RouteView>);

/// The destinations of a configuration, as far as a comparison needs them.
#[derive(Clone, Debug, Default)]
pub struct ComparedDestinations {
    /// Former names, which count as the current ones.
    pub former: FormerNames,
    /// Destinations that show a change of status by editing an earlier message.
    pub editable: BTreeSet<DestinationName>,
}

/// The changed routes so far.
#[derive(Debug, Default)]
struct Changes {
    compared: u64,
    not_comparable: u64,
    changed: u64,
    by_routes: BTreeMap<FromTo, RouteChangeView>,
}

impl Events<'_> {
    /// Compares the events received from `since` on. It sends and writes nothing.
    pub async fn compare(
        &self,
        since: Timestamp,
        destinations: &ComparedDestinations,
    ) -> Result<ComparisonView, StoreError> {
        let mut filter = EventFilter {
            since: Some(since),
            limit: select::PAGE,
            ..EventFilter::default()
        };
        let mut changes = Changes::default();
        loop {
            let page = self.store.events(filter.clone()).await?;
            for row in &page {
                self.compare_one(row, destinations, &mut changes).await?;
            }
            filter.before = page.last().map(|row| row.seq);
            if page.len() < select::PAGE {
                return Ok(changes.view(since));
            }
        }
    }

    async fn compare_one(
        &self,
        row: &EventRow,
        destinations: &ComparedDestinations,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        if ![feishu::CREATED, feishu::UPDATED].contains(&row.event_type.as_str()) {
            // The relay's own events, and those of types that it ignores, have no rules.
            return Ok(());
        }
        let Ok(event) = self.read(&select::stored(row)).await else {
            changes.not_comparable += 1;
            return Ok(());
        };
        let is_created = matches!(event.content, Content::Created(_));
        if is_created && row.state == EventState::Noted {
            // Backfill only recorded it, because somebody had already dealt with it.
            return Ok(());
        }
        let mut would = self.planned(&event, row.received_at);
        let mut went = self.sent(row.seq, destinations).await?;
        if !is_created {
            let is_compared = |name: &DestinationName| !destinations.editable.contains(name);
            would.retain(|name, _| is_compared(name));
            went.retain(|name, _| is_compared(name));
        }
        changes.compared += 1;
        if !went.keys().eq(would.keys()) {
            changes.add(row, &went, &would);
        }
        Ok(())
    }

    /// Returns where the rules would send the event, at the time when it was received.
    fn planned(&self, event: &Event, received_at: Timestamp) -> Routes {
        let plan = self.config.rules.plan(event, received_at);
        let deliveries = plan.deliveries.into_iter();
        deliveries
            .map(|one| (one.destination, Some(one.spec.rule)))
            .collect()
    }

    /// Returns where the event went when it came, also merged into an incident or a summary.
    async fn sent(
        &self,
        event: EventSeq,
        destinations: &ComparedDestinations,
    ) -> Result<Routes, StoreError> {
        let current = |name: DestinationName| match destinations.former.get(&name) {
            Some(current) => current.clone(),
            None => name,
        };
        let filter = DeliveryFilter {
            event: Some(event),
            limit: usize::MAX,
            ..DeliveryFilter::default()
        };
        let mut routes = Routes::new();
        for delivery in self.store.deliveries(filter).await? {
            if delivery.trigger == Trigger::Event {
                routes.insert(current(delivery.destination), Some(delivery.spec.rule));
            }
        }
        Ok(routes)
    }
}

impl Changes {
    /// Adds an event that would go elsewhere. Events come newest first.
    fn add(&mut self, row: &EventRow, went: &Routes, would: &Routes) {
        self.changed += 1;
        let change = self
            .by_routes
            .entry((views(went), views(would)))
            .or_insert_with_key(|(from, to)| RouteChangeView {
                events: 0,
                from: from.clone(),
                to: to.clone(),
                examples: Vec::new(),
            });
        change.events += 1;
        if change.examples.len() < EXAMPLES_MAX {
            change.examples.push(ExampleView {
                id: row.id.clone(),
                received_at: row.received_at,
            });
        }
    }

    fn view(self, since: Timestamp) -> ComparisonView {
        let mut changes: Vec<RouteChangeView> = self.by_routes.into_values().collect();
        changes.sort_by_key(|one| std::cmp::Reverse(one.events));
        ComparisonView {
            since,
            compared: self.compared,
            not_comparable: self.not_comparable,
            changed: self.changed,
            changes,
        }
    }
}

fn views(routes: &Routes) -> Vec<RouteView> {
    let routes = routes.iter();
    let view = |(destination, rule): (&DestinationName, &Option<RuleName>)| RouteView {
        destination: destination.clone(),
        rule: rule.clone(),
    };
    routes.map(view).collect()
}
