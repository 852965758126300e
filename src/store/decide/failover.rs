//! Decides which messages move to a fallback, and how they end at their own destination.

use std::time::Duration;

use crate::model::*;
use crate::store::{FallBack, NewDelivery};

/// Returns whether such a delivery moves to a fallback. The fallback gets late images of its own, and an
/// edited message exists at its destination only.
pub(in crate::store) const fn can_move(trigger: Trigger) -> bool {
    match trigger {
        Trigger::LateImages | Trigger::Edit => false,
        Trigger::Event | Trigger::Fallback | Trigger::Replay | Trigger::Test => true,
    }
}

/// One delivery of an event.
#[derive(Clone, Debug)]
pub(in crate::store) struct Sibling {
    pub(in crate::store) destination: DestinationName,
    pub(in crate::store) trigger: Trigger,
    pub(in crate::store) state: DeliveryState,
    pub(in crate::store) created_at: Timestamp,
}

/// Returns whether `to` has, or will get, the event by a rule, a replay or a fallback. `siblings` are all
/// deliveries of the event; `created_at` is of the one that would move. Deliveries older than the
/// rule's or replay's message at the start of the chain of fallbacks do not count.
pub(in crate::store) fn has_event(
    siblings: &[Sibling],
    to: &DestinationName,
    created_at: Timestamp,
) -> bool {
    let starts = |one: &&Sibling| {
        one.created_at <= created_at && matches!(one.trigger, Trigger::Event | Trigger::Replay)
    };
    let started_at = siblings
        .iter()
        .filter(starts)
        .map(|one| one.created_at)
        .max();
    let since = started_at.unwrap_or(created_at);
    siblings.iter().any(|one| {
        one.destination == *to
            && one.created_at >= since
            && can_move(one.trigger)
            && one.trigger != Trigger::Test
            && !matches!(one.state, DeliveryState::Dead | DeliveryState::Discarded)
    })
}

/// Returns the fallback's delivery for a message that waits at `from`.
pub(in crate::store) fn moved(
    spec: &MessageSpec,
    from: &DestinationName,
    to: &DestinationName,
    now: Timestamp,
) -> NewDelivery {
    NewDelivery {
        destination: to.clone(),
        // The fallback may show no more than this destination would.
        spec: spec.fallen_from(from),
        trigger: Trigger::Fallback,
        due_at: now,
    }
}

/// Describes for people how a message moved to `to`. `is_new`: `to` did not have the event.
pub(in crate::store) fn describe(to: &DestinationName, is_new: bool) -> String {
    match is_new {
        true => format!("sent to {to} instead"),
        false => format!("{to} has it"),
    }
}

/// What happens to a delivery that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Moved {
    /// It stays and is retried, and does not move again.
    Stays,
    /// It is dead, for this reason.
    Dead(String),
}

/// Decides what happens to a delivery that moved to `to`.
pub(in crate::store) fn after_move(which: FallBack, to: &DestinationName, is_new: bool) -> Moved {
    match which {
        FallBack::Critical => Moved::Stays,
        FallBack::Everything => Moved::Dead(format!(
            "its destination is stopped; {}",
            describe(to, is_new)
        )),
    }
}

/// Returns why a delivery ended after `retry_for`. `last` is the reason of its last attempt.
pub(in crate::store) fn expired(retry_for: Duration, last: Option<&str>) -> String {
    let last = last.filter(|last| !last.is_empty());
    format!(
        "given up after {} s of trying: {}",
        retry_for.as_secs(),
        last.unwrap_or("its destination kept failing")
    )
}

/// Returns the state of a delivery that is given up. Nobody waits for an edit, so it is only discarded.
pub(in crate::store) const fn given_up(trigger: Trigger) -> DeliveryState {
    match trigger {
        Trigger::Edit => DeliveryState::Discarded,
        Trigger::Event
        | Trigger::LateImages
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Test => DeliveryState::Dead,
    }
}
