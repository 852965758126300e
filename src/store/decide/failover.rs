//! Decides which messages move to a fallback, and how they end at their own destination.

use std::time::Duration;

use crate::model::*;
use crate::store::{FallBack, NewDelivery};

/// Returns whether such a delivery moves to a fallback. The fallback gets late images of its own, and an
/// edited message exists at its destination only.
pub(in crate::store) const fn can_move(trigger: Trigger) -> bool {
    match trigger {
        Trigger::LateImages | Trigger::Edit => false,
        Trigger::Event
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Test
        | Trigger::Incident => true,
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
    current(siblings, to, created_at)
        .any(|one| can_move(one.trigger) && one.trigger != Trigger::Test)
}

/// Returns whether a message that waits under an old name of `new` would repeat one of `new`: several old
/// names may have got the same event. Late images repeat only late images that are not sent yet. Edits
/// belong to one message each.
pub(in crate::store) fn has_message(
    siblings: &[Sibling],
    new: &DestinationName,
    trigger: Trigger,
    created_at: Timestamp,
) -> bool {
    match trigger {
        Trigger::Event | Trigger::Fallback | Trigger::Replay => {
            has_event(siblings, new, created_at)
        }
        Trigger::LateImages => current(siblings, new, created_at).any(|one| {
            one.trigger == Trigger::LateImages
                && matches!(one.state, DeliveryState::Pending | DeliveryState::Sending)
        }),
        // Each message of an incident has its own news.
        Trigger::Edit | Trigger::Test | Trigger::Incident => false,
    }
}

/// Returns the deliveries to `to` that did not fail, since the start of the chain of fallbacks of the
/// delivery created at `created_at`.
fn current<'a>(
    siblings: &'a [Sibling],
    to: &'a DestinationName,
    created_at: Timestamp,
) -> impl Iterator<Item = &'a Sibling> {
    let starts = |one: &&Sibling| {
        one.created_at <= created_at
            && matches!(
                one.trigger,
                Trigger::Event | Trigger::Replay | Trigger::Incident
            )
    };
    let started_at = siblings
        .iter()
        .filter(starts)
        .map(|one| one.created_at)
        .max();
    let since = started_at.unwrap_or(created_at);
    siblings.iter().filter(move |one| {
        one.destination == *to
            && one.created_at >= since
            && !matches!(one.state, DeliveryState::Dead | DeliveryState::Discarded)
    })
}

/// A message at the fallback that it moves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum AtFallback {
    /// The fallback gets it now.
    New,
    /// The fallback has, or will get, the event.
    Present,
    /// The fallback got it before and did not deliver it. It gets each message once.
    Failed,
}

/// Decides whether the fallback `to` gets a message. `rerouted`: the message moved there before. For the
/// other arguments see [`has_event`].
pub(in crate::store) fn at_fallback(
    siblings: &[Sibling],
    to: &DestinationName,
    created_at: Timestamp,
    rerouted: bool,
) -> AtFallback {
    match (has_event(siblings, to, created_at), rerouted) {
        (true, _) => AtFallback::Present,
        (false, true) => AtFallback::Failed,
        (false, false) => AtFallback::New,
    }
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
        held: None,
    }
}

/// Describes the result of moving a message to `to`, as text for people.
pub(in crate::store) fn describe(to: &DestinationName, at_fallback: AtFallback) -> String {
    match at_fallback {
        AtFallback::New => format!("sent to {to} instead"),
        AtFallback::Present => format!("{to} has it"),
        AtFallback::Failed => format!("sent to {to} before, which did not deliver it"),
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
pub(in crate::store) fn after_move(
    which: FallBack,
    to: &DestinationName,
    at_fallback: AtFallback,
) -> Moved {
    match which {
        FallBack::Critical => Moved::Stays,
        FallBack::Everything => Moved::Dead(format!(
            "its destination is stopped; {}",
            describe(to, at_fallback)
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

/// Returns the state of a delivery that is given up. An edit is only discarded, because nobody waits for it.
pub(in crate::store) const fn given_up(trigger: Trigger) -> DeliveryState {
    match trigger {
        Trigger::Edit => DeliveryState::Discarded,
        Trigger::Event
        | Trigger::LateImages
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Test
        | Trigger::Incident => DeliveryState::Dead,
    }
}
