//! Renders the messages of an event without a store and without sending, for `try`.

use std::collections::BTreeMap;

use super::message_data::{self, Directory, MessageData};
use super::status_view;
use crate::destination::Settings;
use crate::model::{
    DeliveryId, DeliveryIds, DestinationName, Event, Form, HeldUntil, IMAGES_PER_EVENT_MAX,
    MessageSpec, PlannedDelivery, PlannedIncident, RuleName, Timestamp, Trigger,
};
use crate::render::{Mention, Payload, RenderError, Templates};

/// The parts of a configuration that a preview needs.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The destinations of `[destinations]`.
    pub destinations: &'a BTreeMap<DestinationName, Settings>,
    /// The names that messages show.
    pub names: &'a Directory,
    /// All templates.
    pub templates: &'a Templates,
}

/// A message that would be sent.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The delivery as which it is rendered.
    pub id: DeliveryId,
    /// The destination of the message.
    pub destination: DestinationName,
    /// What the rules ask for: template, mentions and the like.
    pub spec: MessageSpec,
    /// The rules that name the destination.
    pub rules: Vec<RuleName>,
    /// The time for which the message would be held; `None`: it would be sent at once.
    pub held: Option<HeldUntil>,
    /// The message in its first form. If the template fails, it is the built-in plain one, as in a real
    /// delivery.
    pub payload: Payload,
    /// The template's error, if it failed.
    pub fault: Option<RenderError>,
}

/// Renders each planned message of `event` as if no image had been fetched yet. With [`Trigger::Test`] the
/// messages announce no images either, because a test fetches none.
pub fn preview(
    parts: Parts<'_>,
    event: &Event,
    planned: Vec<PlannedDelivery>,
    trigger: Trigger,
    ids: &DeliveryIds,
    now: Timestamp,
) -> Vec<Preview> {
    let told = planned.into_iter().filter_map(|planned| {
        // Rules can name configured destinations only; `RuleSet::build` enforces that.
        let settings = parts.destinations.get(&planned.destination)?;
        Some((settings, planned))
    });
    let messages = told.map(|(settings, planned)| {
        let message_data = message_data(
            parts.names,
            event,
            trigger,
            &planned.spec,
            ids.next(now),
            now,
        );
        let (payload, fault) = render(parts.templates, settings, &message_data, now);
        Preview {
            id: message_data.delivery,
            destination: planned.destination,
            spec: planned.spec,
            rules: planned.rules,
            held: planned.held,
            payload,
            fault,
        }
    });
    messages.collect()
}

/// Returns the incident without the destinations for programs, which get each report.
pub fn merged(
    mut incident: PlannedIncident,
    settings: &BTreeMap<DestinationName, Settings>,
) -> PlannedIncident {
    incident.destinations.retain(|destination| {
        let settings = settings.get(destination);
        settings.is_some_and(|one| !one.is_for_programs())
    });
    incident
}

/// Returns the data of a message for which no image has been fetched yet.
fn message_data(
    names: &Directory,
    event: &Event,
    trigger: Trigger,
    spec: &MessageSpec,
    delivery: DeliveryId,
    now: Timestamp,
) -> MessageData {
    let images_total = message_data::images_total(event);
    MessageData {
        received_at: now,
        delivery,
        trigger,
        is_main: false,
        counted: None,
        spec: spec.clone(),
        app_name: names.app_name(event).to_owned(),
        mentions: match trigger {
            Trigger::Test => shown(spec),
            Trigger::Event
            | Trigger::LateImages
            | Trigger::Edit
            | Trigger::Fallback
            | Trigger::Replay
            | Trigger::Incident => names.mentions(spec),
        },
        images: Vec::new(),
        images_refused: 0,
        images_pending: match trigger {
            Trigger::Test => 0,
            Trigger::Event
            | Trigger::LateImages
            | Trigger::Edit
            | Trigger::Fallback
            | Trigger::Replay
            | Trigger::Incident => images_total.min(IMAGES_PER_EVENT_MAX),
        },
        images_total,
        standing: status_view::unmoved(event, trigger),
        event: event.clone(),
    }
}

/// Returns the people that the message spec mentions, by name alone, so that a test notifies nobody.
fn shown(spec: &MessageSpec) -> Vec<Mention> {
    spec.mentions.iter().cloned().map(Mention::Shown).collect()
}

fn render(
    templates: &Templates,
    settings: &Settings,
    message_data: &MessageData,
    now: Timestamp,
) -> (Payload, Option<RenderError>) {
    let (audience, subject) = (&settings.common.audience, message_data.subject(now));
    match templates.payload(audience, Form::Full, &subject) {
        Ok(payload) => (payload, None),
        Err(fault) => (templates.plain(audience, Form::Full, &subject), Some(fault)),
    }
}
