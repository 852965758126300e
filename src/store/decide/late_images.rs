//! Decides which destinations get images that arrived after their message.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::*;
use crate::store::{ALL_SHOWN, NewDelivery};

/// How long late images wait for other images of their event, so that they are sent together.
const TOGETHER: Duration = Duration::from_secs(3);

/// A delivery of an event, other than an edit.
#[derive(Clone, Debug)]
pub(in crate::store) struct Sent {
    pub(in crate::store) destination: DestinationName,
    pub(in crate::store) state: DeliveryState,
    /// Ordinals of the images it showed, one bit each.
    pub(in crate::store) shown: u32,
    /// Its spec; needed only for a delivered message.
    pub(in crate::store) spec: Option<MessageSpec>,
}

/// The messages that one destination got about an event.
#[derive(Default)]
struct Messages {
    /// The spec of the first delivered message, which late images reuse; `None` if none was delivered.
    spec: Option<MessageSpec>,
    /// Ordinals of the images it was shown, one bit each.
    shown: u32,
    /// Whether a delivery is in progress. When it ends, this decision is made again.
    under_way: bool,
}

impl Messages {
    fn add(&mut self, one: Sent) {
        match one.state {
            DeliveryState::Pending | DeliveryState::Sending => self.under_way = true,
            DeliveryState::Delivered => {
                self.shown |= one.shown;
                self.spec = self.spec.take().or(one.spec);
            }
            DeliveryState::Held
            | DeliveryState::Dead
            | DeliveryState::Discarded
            | DeliveryState::Unconfirmed
            | DeliveryState::Merged
            | DeliveryState::Suppressed => {}
        }
    }
}

/// Returns a delivery for each destination that was notified of the event and misses kept images.
/// `kept` has their ordinals, one bit each; `sent` is in the order of creation.
pub(in crate::store) fn follow_ups(
    kept: u32,
    sent: impl IntoIterator<Item = Sent>,
    now: Timestamp,
) -> Vec<NewDelivery> {
    let mut destinations: BTreeMap<DestinationName, Messages> = BTreeMap::new();
    for one in sent {
        let messages = destinations.entry(one.destination.clone()).or_default();
        messages.add(one);
    }
    let misses = |messages: &Messages| !messages.under_way && kept & !messages.shown != 0;
    destinations
        .into_iter()
        .filter(|(_, messages)| misses(messages))
        .filter_map(|(destination, messages)| {
            Some(NewDelivery {
                destination,
                // People who were mentioned once are not mentioned again for an image.
                spec: MessageSpec {
                    mentions: Vec::new(),
                    ..messages.spec?
                },
                trigger: Trigger::LateImages,
                due_at: now + TOGETHER,
                held: None,
            })
        })
        .collect()
}

/// Returns whether images may have to follow a delivered message. `shown_before` has the images that its
/// destination was shown before, one bit each.
pub(in crate::store) fn may_follow(trigger: Trigger, shown: u32, shown_before: u32) -> bool {
    // Otherwise, images that a destination cannot show would be resent forever.
    let in_vain = trigger == Trigger::LateImages && shown & !shown_before == 0;
    !in_vain && shown != ALL_SHOWN
}
