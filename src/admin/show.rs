//! Shows everything about one event.

use std::collections::BTreeSet;

use super::{Error, Events, find};
use crate::feishu;
use crate::model::{Content, EventSeq, StoredEvent, Timestamp};
use crate::store::{DeliveryFilter, SilenceFilter, StoreError};
use crate::view::{
    ArrivalView, DeliveryRecordView, EventView, SilenceSummary, StatusChangeView, TriageView,
    rule_views,
};

/// The most reports of a summary that are listed.
const SUMMARISED_MAX: usize = 100;

impl Events<'_> {
    /// Returns everything about the event with this id, with its newest `deliveries_max` deliveries. The body
    /// contains what the reporter typed, so it is left out unless `with_body`.
    pub async fn show(
        &self,
        id: &str,
        deliveries_max: usize,
        with_body: bool,
        now: Timestamp,
    ) -> Result<EventView, Error> {
        let event = find(self.store, id).await?;
        let content = self.read(&event).await;
        let change = match content.as_ref().map(|event| &event.content) {
            Ok(Content::Updated(change)) => Some(StatusChangeView::from(change)),
            Ok(
                Content::Created(_)
                | Content::Notice(_)
                | Content::Summary(_)
                | Content::Digest(_)
                | Content::Incident(_),
            )
            | Err(_) => None,
        };
        let received_at = event.received_at;
        let trace = content.map(|event| self.config.rules.explain(&event, received_at).1);
        let images = self.store.images_of(event.seq).await?.into_iter();
        let messages = self.store.messages(event.seq).await?.into_iter();
        let deliveries = self.deliveries_of(event.seq, deliveries_max).await?;
        Ok(EventView {
            silences: self.silences_of(&deliveries, now).await?,
            change,
            rules_today: trace.as_ref().ok().map(rule_views),
            rules_error: trace.err(),
            images: images.map(Into::into).collect(),
            deliveries,
            incidents: self.counted_in(event.seq).await?,
            summarises: self.store.summarised(event.seq, SUMMARISED_MAX).await?,
            messages: messages.map(Into::into).collect(),
            feedback: self.triage_of(event.seq).await?,
            body: with_body.then(|| masked_body(&event)),
            id: event.id,
            feedback_id: event.feedback_id,
            arrival: ArrivalView {
                via: event.via,
                event_type: event.event_type,
                received_at: event.received_at,
                state: event.state,
            },
        })
    }

    async fn deliveries_of(
        &self,
        event: EventSeq,
        limit: usize,
    ) -> Result<Vec<DeliveryRecordView>, StoreError> {
        let filter = DeliveryFilter {
            event: Some(event),
            limit,
            ..DeliveryFilter::default()
        };
        let mut deliveries = Vec::new();
        for delivery in self.store.deliveries(filter).await? {
            let attempts = self.store.attempts(delivery.id).await?.into_iter();
            deliveries.push(DeliveryRecordView {
                delivery: delivery.into(),
                attempt_log: attempts.map(Into::into).collect(),
            });
        }
        Ok(deliveries)
    }

    /// Returns the silences that muted these deliveries.
    async fn silences_of(
        &self,
        deliveries: &[DeliveryRecordView],
        now: Timestamp,
    ) -> Result<Vec<SilenceSummary>, StoreError> {
        let ids = deliveries
            .iter()
            .filter_map(|one| one.delivery.suppressed_by);
        let mut silences = Vec::new();
        for id in ids.collect::<BTreeSet<_>>() {
            let filter = SilenceFilter {
                active: false,
                id: Some(id),
            };
            let found = self.store.silences(filter).await?.into_iter();
            silences.extend(found.map(|one| SilenceSummary::new(one, now)));
        }
        Ok(silences)
    }

    async fn triage_of(&self, event: EventSeq) -> Result<TriageView, StoreError> {
        let acts = self.store.feedback_acts(event).await?.into_iter();
        Ok(TriageView {
            state: self.store.feedback_state(event).await?.map(Into::into),
            in_feishu: self.store.status_job(event).await?.map(Into::into),
            acts: acts.map(Into::into).collect(),
        })
    }
}

/// Returns the stored body with masked secrets; null if there is none.
fn masked_body(event: &StoredEvent) -> serde_json::Value {
    let body = event.body.as_ref();
    body.map_or(serde_json::Value::Null, |body| {
        feishu::shown_body(body.expose())
    })
}
