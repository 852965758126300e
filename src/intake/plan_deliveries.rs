//! From what the rules make of an event to the deliveries that are stored: one planner for an arrival and a replay.

use std::time::Duration;

use crate::model::{MessageSpec, Plan, Severity, Timestamp, Trigger};
use crate::store::NewDelivery;

/// How long messages wait for images, unless their rule says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageWaits {
    /// How long a message waits.
    pub wait: Duration,
    /// How long a critical one does.
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

/// The images of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventImages {
    /// It has none.
    None,
    /// Each is kept or lost.
    Settled,
    /// Some are still to be fetched.
    Pending,
}

/// Plans one delivery for each destination. A message waits only for images that are still to be fetched;
/// its order keeps the wait, because uploads of images are bounded by it too.
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
        }
    });
    planned.collect()
}
