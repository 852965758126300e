//! Plans the stored deliveries from the result of the rules. Arrivals and replays share this planner.

use std::time::Duration;

use super::{Holding, NewDelivery};
use crate::model::{HeldFor, Image, ImageState, MessageSpec, Plan, Severity, Timestamp, Trigger};

/// How long messages wait for images, unless their rule says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageWaits {
    /// How long a message waits.
    pub wait: Duration,
    /// How long a critical message waits.
    pub wait_critical: Duration,
}

impl ImageWaits {
    fn of(self, spec: &MessageSpec) -> Duration {
        spec.wait.unwrap_or(match spec.severity {
            Severity::Critical => self.wait_critical,
            Severity::Warning | Severity::Info => self.wait,
        })
    }
}

/// The state of an event's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventImages {
    /// The event has none.
    None,
    /// Each image is stored or lost.
    Settled,
    /// Some images still have to be fetched.
    Pending,
}

impl EventImages {
    /// Returns the state of these images of one event.
    pub fn of(images: &[Image]) -> Self {
        if images.is_empty() {
            Self::None
        } else if images.iter().any(|one| one.state == ImageState::Pending) {
            Self::Pending
        } else {
            Self::Settled
        }
    }
}

/// Plans one delivery for each destination. A message waits only for images that still have to be fetched. Its
/// message spec keeps the wait, because uploads of images are limited by it too.
pub fn plan_deliveries(
    plan: &Plan,
    images: EventImages,
    waits: ImageWaits,
    trigger: Trigger,
    now: Timestamp,
) -> Vec<NewDelivery> {
    let planned = plan.deliveries.iter().map(|planned| {
        let wait = (images != EventImages::None).then(|| waits.of(&planned.spec));
        let due_after = wait.filter(|_| images == EventImages::Pending);
        NewDelivery {
            destination: planned.destination.clone(),
            due_at: now + due_after.unwrap_or_default(),
            spec: MessageSpec {
                wait: wait.or(planned.spec.wait),
                ..planned.spec.clone()
            },
            trigger,
            // A replay is a request of the operator, who waits for it.
            held: planned
                .held
                .clone()
                .filter(|_| trigger == Trigger::Event)
                .map(|held| Holding {
                    held_for: HeldFor::Hold,
                    until: held.until,
                    hours: Some(held.hours),
                    reported_at: now,
                }),
        }
    });
    planned.collect()
}
