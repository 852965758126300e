//! What would be sent, without a store and without sending: for `try`.

use std::collections::BTreeMap;

use super::message_data::{self, Directory, MessageData};
use super::status_view;
use crate::destination::Settings;
use crate::model::{
    DeliveryId, DeliveryIds, DestinationName, Event, EventState, Form, IMAGES_PER_EVENT_MAX,
    MessageSpec, RuleName, Timestamp, Trace, Trigger,
};
use crate::render::{Mention, Payload, RenderError, Templates};
use crate::rules::RuleSet;

/// The parts of a configuration that a message is made of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `[[rules]]`.
    pub rules: &'a RuleSet,
    /// `[destinations]`.
    pub destinations: &'a BTreeMap<DestinationName, Settings>,
    /// The names messages are told with.
    pub names: &'a Directory,
    /// All templates.
    pub templates: &'a Templates,
}

/// What the rules make of an event, and what each destination would be sent.
#[derive(Clone, Debug)]
pub struct Previews {
    /// What would become of the event.
    pub state: EventState,
    /// Each rule: matched, or why not.
    pub trace: Trace,
    /// The messages.
    pub messages: Vec<Preview>,
}

/// A message that would be sent.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The delivery it is rendered as.
    pub id: DeliveryId,
    /// Where to.
    pub destination: DestinationName,
    /// How the rules want it told.
    pub spec: MessageSpec,
    /// The rules that name the destination.
    pub rules: Vec<RuleName>,
    /// The message in its first form. Where the template fails, the built-in plain one, as in earnest.
    pub payload: Payload,
    /// How the template failed, if it did.
    pub fault: Option<RenderError>,
}

/// Plans `event` and renders each message as it would go if no image had been fetched yet. With
/// [`Trigger::Test`] none is announced either: nobody fetches the images of a test.
pub fn preview(
    parts: Parts<'_>,
    event: &Event,
    trigger: Trigger,
    ids: &DeliveryIds,
    now: Timestamp,
) -> Previews {
    let (plan, trace) = parts.rules.explain(event);
    let told = plan.deliveries.into_iter().filter_map(|planned| {
        // Rules can name configured destinations only; `RuleSet::build` holds them to it.
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
            payload,
            fault,
        }
    });
    Previews {
        state: plan.state,
        messages: messages.collect(),
        trace,
    }
}

/// The event as it would be told if no image had been fetched yet.
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
        spec: spec.clone(),
        app_name: names.app_name(event).to_owned(),
        mentions: match trigger {
            Trigger::Test => shown(spec),
            Trigger::Event
            | Trigger::LateImages
            | Trigger::Edit
            | Trigger::Fallback
            | Trigger::Replay => names.mentions(spec),
        },
        images: Vec::new(),
        images_refused: 0,
        images_pending: match trigger {
            Trigger::Test => 0,
            Trigger::Event
            | Trigger::LateImages
            | Trigger::Edit
            | Trigger::Fallback
            | Trigger::Replay => images_total.min(IMAGES_PER_EVENT_MAX),
        },
        images_total,
        standing: status_view::unmoved(event, trigger),
        event: event.clone(),
    }
}

/// Whom the order mentions, by name alone: a test calls nobody.
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
