//! Reads the relay's store for the page: the steps of each event through intake, rule, images and
//! deliveries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::world::{Push, World};
use crate::app;
use crate::config::Config;
use crate::deliver;
use crate::model::{
    Attempt, Clock, Content, Delivery, DeliveryId, Event, EventSeq, FaultKind, FeedbackKind, Image,
    ImageState, MessageHandle, SourceKind, StoredEvent, SystemClock, Timestamp,
};
use crate::store::{DeliveryFilter, EventFilter, OpenError, Store, StoreError};
use crate::view::rule_views;

/// The number of events shown.
const EVENTS_MAX: usize = 24;
/// The number of recent deliveries that are searched. Each event has a handful, and a click adds a
/// few.
const DELIVERIES_MAX: usize = 400;

/// The store, which the relay writes at the same time.
///
/// The page shows changes at once, so the store is polled several times a second. A poll makes two
/// queries, and one more for each new item.
pub(super) struct Journal {
    store: Store,
    known: Mutex<Known>,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// The number of its reports.
    pub(super) reports: u64,
    /// The number of them that were delivered individually.
    pub(super) individual: usize,
    /// The platforms' ids of its own messages, oldest first.
    pub(super) messages: Vec<String>,
}

/// Results that cannot change any more.
#[derive(Default)]
struct Known {
    events: HashMap<EventSeq, Arc<StoredEvent>>,
    /// The images of events whose images are all finished.
    images: HashMap<EventSeq, Vec<Image>>,
    /// The attempts of each delivery, with the delivery's state at that time.
    attempts: HashMap<DeliveryId, (Delivery, Vec<Attempt>)>,
}

impl Journal {
    pub(super) fn open(config: &Config) -> Result<Self, OpenError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(Self {
            store: Store::open_for_command(&config.store, clock)?,
            known: Mutex::default(),
        })
    }

    /// Returns the newest events, newest first, each with its steps.
    pub(super) async fn events(
        &self,
        config: &Config,
        world: &World,
    ) -> Result<Vec<Value>, StoreError> {
        let newest = EventFilter {
            limit: EVENTS_MAX,
            ..EventFilter::default()
        };
        let rows = self.store.events(newest).await?;
        let mut deliveries: HashMap<EventSeq, Vec<Value>> = HashMap::new();
        let filter = DeliveryFilter {
            limit: DELIVERIES_MAX,
            ..DeliveryFilter::default()
        };
        // The store returns the newest first.
        for delivery in self.store.deliveries(filter).await?.into_iter().rev() {
            let Some(row) = rows.iter().find(|row| row.seq == delivery.event) else {
                continue;
            };
            let attempts = self.attempts(&delivery).await?;
            let shown = delivery_json(&delivery, &attempts, &since(row.received_at));
            deliveries.entry(row.seq).or_default().push(shown);
        }
        let mut shown = Vec::new();
        for row in rows {
            let Some(stored) = self.stored(row.seq).await? else {
                continue; // Removed meanwhile.
            };
            let images = self.images(row.seq).await?;
            let deliveries = deliveries.remove(&row.seq).unwrap_or_default();
            shown.extend(event_json(&stored, &images, &deliveries, config, world));
        }
        Ok(shown)
    }

    /// Returns how many of these events are not in the store.
    pub(super) async fn missing(&self, ids: &[String]) -> Result<usize, StoreError> {
        let mut missing = 0;
        for id in ids {
            missing += usize::from(self.store.event(id).await?.is_none());
        }
        Ok(missing)
    }

    /// Returns the incident that counts this event; `None` if none does.
    pub(super) async fn counted(&self, id: &str) -> Result<Option<Counted>, StoreError> {
        let Some(event) = self.store.event(id).await? else {
            return Ok(None);
        };
        let Some(incident) = self.store.incidents_of(event.seq).await?.pop() else {
            return Ok(None);
        };
        let messages = match incident.event {
            Some(own) => self.store.messages(own).await?,
            None => Vec::new(),
        };
        let (reports, individual) = (incident.progress.count, incident.progress.terms.from);
        Ok(Some(Counted {
            reports,
            individual: usize::try_from(individual.min(reports)).unwrap_or(usize::MAX),
            messages: messages
                .iter()
                .map(|sent| message_id(&sent.handle))
                .collect(),
        }))
    }

    async fn stored(&self, seq: EventSeq) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        if let Some(stored) = self.known().events.get(&seq) {
            return Ok(Some(Arc::clone(stored)));
        }
        let Some(stored) = self.store.event_by_seq(seq).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.known().events.insert(seq, Arc::clone(&stored));
        Ok(Some(stored))
    }

    async fn images(&self, event: EventSeq) -> Result<Vec<Image>, StoreError> {
        if let Some(images) = self.known().images.get(&event) {
            return Ok(images.clone());
        }
        let images = self.store.images_of(event).await?;
        if images
            .iter()
            .all(|image| image.state != ImageState::Pending)
        {
            self.known().images.insert(event, images.clone());
        }
        Ok(images)
    }

    async fn attempts(&self, delivery: &Delivery) -> Result<Vec<Attempt>, StoreError> {
        let known = self.known().attempts.get(&delivery.id).cloned();
        if let Some((_, attempts)) = known.filter(|(then, _)| then == delivery) {
            return Ok(attempts);
        }
        let attempts = self.store.attempts(delivery.id).await?;
        let known = (delivery.clone(), attempts.clone());
        self.known().attempts.insert(delivery.id, known);
        Ok(attempts)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the platform's id of a message. Slack's handles begin with the channel.
fn message_id(handle: &MessageHandle) -> String {
    let handle = handle.as_str();
    handle
        .rsplit_once(':')
        .map_or(handle, |(_channel, id)| id)
        .to_owned()
}

/// Returns a function that gives the milliseconds since an event was received.
fn since(received_at: Timestamp) -> impl Fn(Timestamp) -> i64 {
    move |at| at.as_millis() - received_at.as_millis()
}

/// Returns an event with its steps. Effects of clicks on the page are left out because the card
/// shows them.
fn event_json(
    stored: &StoredEvent,
    images: &[Image],
    deliveries: &[Value],
    config: &Config,
    world: &World,
) -> Option<Value> {
    let id = stored.id.as_str();
    let since = since(stored.received_at);
    let read = stored.body.as_ref();
    let read = read.and_then(|body| deliver::read_event(stored, body, &app::names(config)));
    if let Some(Content::Updated(_)) = read.as_ref().map(|event| &event.content) {
        return None;
    }
    let picture = |image: &Image| {
        let fetched = world.fetched_at(id, usize::from(image.ordinal));
        image_json(image, fetched.map(&since))
    };
    let pushes = world.pushes(id);
    Some(json!({
        "id": id,
        "received_at": stored.received_at.as_millis(),
        "state": stored.state.key(),
        "said": read.as_ref().map(said),
        "pushes": pushes.iter().map(|push| push_json(push, &since)).collect::<Vec<_>>(),
        "rules": read.as_ref().map(|event| rule_views(&config.rules.explain(event, stored.received_at).1)),
        "pictures": images.iter().map(picture).collect::<Vec<_>>(),
        "deliveries": deliveries,
    }))
}

/// Returns a short description of an event.
fn said(event: &Event) -> Value {
    match &event.content {
        Content::Created(feedback) => json!({
            "kind": feedback.kind.and_then(FeedbackKind::key),
            "fault": feedback.faults.first().copied().and_then(FaultKind::key),
            "source": feedback.source.and_then(SourceKind::key),
            "text": feedback.description.as_ref().map(|text| text.expose()),
            "tenant": feedback.tenant_name.as_ref().map(|name| name.expose()),
        }),
        Content::Notice(notice) => json!({"kind": "notice", "text": notice.text}),
        Content::Updated(_) => json!({"kind": "updated"}),
        Content::Summary(_) => json!({"kind": "summary"}),
        Content::Digest(_) => json!({"kind": "digest"}),
        Content::Incident(_) => json!({"kind": "incident"}),
    }
}

fn push_json(push: &Push, since: &dyn Fn(Timestamp) -> i64) -> Value {
    json!({
        "at": since(push.pushed_at),
        "took_us": u64::try_from(push.took.as_micros()).unwrap_or(u64::MAX),
        "status": push.status,
    })
}

fn image_json(image: &Image, fetched: Option<i64>) -> Value {
    json!({
        "state": image.state.key(),
        "fetched": fetched,
        "reason": image.reason,
        "format": image.kept.as_ref().map(|kept| kept.format.key()),
        "bytes": image.kept.as_ref().map(|kept| kept.bytes),
        "width": image.kept.as_ref().map(|kept| kept.width),
        "height": image.kept.as_ref().map(|kept| kept.height),
    })
}

fn delivery_json(
    delivery: &Delivery,
    attempts: &[Attempt],
    since: &dyn Fn(Timestamp) -> i64,
) -> Value {
    let attempt = |attempt: &Attempt| {
        json!({
            "at": since(attempt.started_at),
            "took": attempt.duration_ms,
            "outcome": attempt.outcome.key(),
            "status": attempt.status,
            "code": attempt.code,
            "reason": attempt.reason,
            "form": attempt.form.key(),
        })
    };
    json!({
        "to": delivery.destination.as_str(),
        "state": delivery.state.key(),
        "trigger": delivery.trigger.key(),
        "rule": delivery.spec.rule.as_str(),
        "severity": delivery.spec.severity.key(),
        "due": since(delivery.due_at),
        "reason": delivery.reason,
        "attempts": attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}
