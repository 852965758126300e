//! Decides what a finished attempt does to its delivery.

use std::borrow::Cow;
use std::time::Duration;

use super::{failover, late_images};
use crate::model::*;
use crate::store::{ALL_SHOWN, CompletedAttempt, LeaseRelease};

/// A leased delivery.
#[derive(Clone, Debug)]
pub(in crate::store) struct Leased {
    pub(in crate::store) trigger: Trigger,
    pub(in crate::store) form: Form,
    /// The number of recorded attempts.
    pub(in crate::store) attempts: u32,
    /// For [`Trigger::LateImages`]: ordinals of the images that its destination was shown before, one
    /// bit each.
    pub(in crate::store) shown_before: u32,
}

/// The new values of a delivery after its lease. `None` leaves a value unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct After<'a> {
    pub(in crate::store) state: DeliveryState,
    /// The number of recorded attempts. The store numbers the attempts itself, so that no two share a
    /// number.
    pub(in crate::store) attempts: u32,
    pub(in crate::store) failure: Option<Failure>,
    /// Whether the delivery now comes after untried ones. A message that was answered with a pause may be the
    /// cause of the pause.
    pub(in crate::store) tried: bool,
    /// A delivery that waits again keeps its old reason if there is no new one.
    pub(in crate::store) reason: Option<Cow<'a, str>>,
    pub(in crate::store) due_at: Option<Timestamp>,
    pub(in crate::store) form: Option<Form>,
    pub(in crate::store) shown: Option<u32>,
    /// The time by which the start of `retry_for` moves.
    pub(in crate::store) uncounted: Duration,
}

/// A failure that counts for the backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Failure {
    /// Whether the response was lost.
    pub(in crate::store) unanswered: bool,
}

/// What happens to the rendering kept for retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Rendering<'a> {
    /// This one is kept, in the form of the attempt.
    Keep(&'a str),
    /// The earlier one is dropped.
    Drop,
    /// The earlier one stays, if there is one.
    Stays,
}

/// What a finished attempt does.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Decision<'a> {
    pub(in crate::store) after: After<'a>,
    pub(in crate::store) rendering: Rendering<'a>,
    /// Whether the delivery waits for another attempt.
    pub(in crate::store) is_retried: bool,
    /// The platform's id of the message that was sent; `None` if it is not stored.
    pub(in crate::store) handle: Option<&'a MessageHandle>,
    /// Whether late images may have to follow.
    pub(in crate::store) late_images: bool,
    /// Whether the message is edited at once, to show images that were not uploaded yet.
    pub(in crate::store) edit: bool,
}

/// Decides what a finished attempt does to its delivery.
pub(in crate::store) fn finished<'a>(
    leased: &Leased,
    finished: &'a CompletedAttempt,
) -> Decision<'a> {
    let is_delivered = finished.verdict == Verdict::Done && leased.trigger != Trigger::Edit;
    let follow = late_images::may_follow(leased.trigger, finished.shown, leased.shown_before);
    Decision {
        after: after(leased, finished),
        rendering: rendering(leased, finished),
        is_retried: matches!(finished.verdict, Verdict::RetryAt { .. }),
        handle: finished.handle.as_ref().filter(|_| is_delivered),
        late_images: is_delivered && follow,
        edit: is_delivered && leased.trigger == Trigger::Incident && finished.shown != ALL_SHOWN,
    }
}

/// Returns the values of a delivery that is released without an attempt, after `attempts` earlier ones.
pub(in crate::store) fn released(attempts: u32, release: &LeaseRelease) -> After<'_> {
    After {
        state: DeliveryState::Pending,
        attempts,
        failure: None,
        tried: false,
        reason: release.reason.as_deref().map(Cow::Borrowed),
        due_at: Some(release.due_at),
        form: None,
        shown: None,
        uncounted: Duration::ZERO,
    }
}

fn after<'a>(leased: &Leased, finished: &'a CompletedAttempt) -> After<'a> {
    let attempt = finished.attempt.as_ref();
    let failure = failure(leased, finished);
    let slowed = attempt.is_some_and(|attempt| attempt.outcome == OutcomeKind::SlowDown);
    // The images of a message that failed count only with the rendering that shows them.
    let keeps_images = match finished.verdict {
        Verdict::Done => leased.trigger != Trigger::Edit,
        Verdict::RetryAt { .. } | Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => {
            kept(leased, finished).is_some()
        }
    };
    let after = After {
        state: DeliveryState::Delivered,
        attempts: leased.attempts.saturating_add(attempt.map_or(0, |_| 1)),
        tried: slowed || failure.is_some(),
        failure,
        reason: None,
        due_at: None,
        form: None,
        shown: Some(finished.shown).filter(|_| keeps_images),
        uncounted: finished.uncounted,
    };
    match &finished.verdict {
        Verdict::Done => after,
        Verdict::RetryAt { due_at, form } => After {
            state: DeliveryState::Pending,
            reason: attempt.and_then(|attempt| attempt.reason.as_deref().map(Cow::Borrowed)),
            due_at: Some(*due_at),
            form: Some(*form),
            ..after
        },
        Verdict::Dead { reason } => After {
            state: failover::given_up(leased.trigger),
            reason: Some(reason.into()),
            ..after
        },
        Verdict::Unconfirmed { reason } => After {
            state: match leased.trigger == Trigger::Edit {
                true => DeliveryState::Discarded,
                false => DeliveryState::Unconfirmed,
            },
            reason: Some(reason.into()),
            ..after
        },
    }
}

/// Returns the failure if the attempt counts for the backoff. Rate limits, rejected forms and stops do
/// not count, because they say nothing about the message.
fn failure(leased: &Leased, finished: &CompletedAttempt) -> Option<Failure> {
    let unanswered = match finished.attempt.as_ref()?.outcome {
        OutcomeKind::Retry | OutcomeKind::Unknown => false,
        OutcomeKind::Ambiguous => true,
        OutcomeKind::Delivered
        | OutcomeKind::SlowDown
        | OutcomeKind::Degrade
        | OutcomeKind::Rejected
        | OutcomeKind::Stop => return None,
    };
    same_form(leased, finished).then_some(Failure { unanswered })
}

/// Returns whether the delivery keeps its form.
fn same_form(leased: &Leased, finished: &CompletedAttempt) -> bool {
    match &finished.verdict {
        Verdict::RetryAt { form, .. } => *form == leased.form,
        Verdict::Done | Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => true,
    }
}

/// Returns the rendering to keep for retries, if its form is the one that is due. Edits keep none,
/// because each attempt shows the current status.
fn kept<'a>(leased: &Leased, finished: &'a CompletedAttempt) -> Option<&'a str> {
    let is_useful = finished.verdict != Verdict::Done
        && leased.trigger != Trigger::Edit
        && same_form(leased, finished);
    finished.payload.as_deref().filter(|_| is_useful)
}

fn rendering<'a>(leased: &Leased, finished: &'a CompletedAttempt) -> Rendering<'a> {
    if let Some(payload) = kept(leased, finished) {
        return Rendering::Keep(payload);
    }
    let useless = finished.verdict == Verdict::Done || !same_form(leased, finished);
    // The first attempt has no earlier rendering to drop, and an edit never has one.
    match useless && leased.attempts > 0 && leased.trigger != Trigger::Edit {
        true => Rendering::Drop,
        false => Rendering::Stays,
    }
}
