//! Decides what button actions and platform reports do to the status of a feedback.

use std::time::Duration;

use crate::model::*;
use crate::store::{ActionOutcome, ApplyAction};

/// How long a button action can be undone.
const UNDO_FOR: Duration = Duration::from_secs(15 * 60);
/// A platform report within this time of the relay's request is its echo. The margin covers clock
/// differences.
const ECHO_WITHIN: Duration = Duration::from_secs(60);

/// The stored status of a feedback.
#[derive(Clone, Debug)]
pub(in crate::store) struct Known {
    pub(in crate::store) state: FeedbackState,
    /// The event that created the feedback; `None` if it has not arrived.
    pub(in crate::store) event: Option<EventSeq>,
    /// The status before the last change.
    pub(in crate::store) previous: FeedbackStatus,
    /// Whether the previous status was local-only.
    pub(in crate::store) previous_local_only: bool,
    /// The newest date that the platform gave to a change.
    pub(in crate::store) platform_at: Option<Timestamp>,
}

/// The result of a button action.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Action<'a> {
    /// Nothing is written.
    Nothing(ActionOutcome),
    /// The status changes.
    Change {
        state: FeedbackState,
        /// The person in whose name the status is written to the platform. `None` cancels a pending outbox
        /// entry.
        write_as: Option<&'a Private>,
    },
}

/// Decides a button action on a kept feedback. `known` is `None` if nobody has changed its status.
pub(in crate::store) fn action<'a>(
    known: Option<&Known>,
    acting: &'a ApplyAction,
    now: Timestamp,
) -> Action<'a> {
    let status = match wanted_status(known, acting, now) {
        Ok(status) => status,
        Err(outcome) => return Action::Nothing(outcome),
    };
    let undo_until = acting.act.status().map(|_| now + UNDO_FOR);
    // Undoing a change that the platform never got leaves nothing to write: the platform still has the
    // previous status, or never had it.
    let taken_back = known.filter(|known| undo_until.is_none() && known.state.local_only);
    let operator = acting.operator.as_ref();
    Action::Change {
        state: FeedbackState {
            status,
            changed_at: after(known, now),
            by: acting.by.clone(),
            through: acting.through,
            undo_until,
            local_only: taken_back.map_or(operator.is_none(), |known| known.previous_local_only),
        },
        write_as: operator.filter(|_| taken_back.is_none()),
    }
}

/// Returns the status that the action sets, or why it sets none.
fn wanted_status(
    known: Option<&Known>,
    acting: &ApplyAction,
    now: Timestamp,
) -> Result<FeedbackStatus, ActionOutcome> {
    let state = |known: &Known| known.state.clone();
    match (acting.act.status(), known) {
        (Some(wanted), Some(known)) if known.state.status == wanted => {
            Err(ActionOutcome::Already(state(known)))
        }
        (Some(wanted), _) => Ok(wanted),
        (None, None) => Err(ActionOutcome::Unknown),
        (None, Some(known)) if acting.undoes != Some(known.state.changed_at) => {
            Err(ActionOutcome::Already(state(known)))
        }
        (None, Some(known)) => match known.state.undo_until {
            Some(until) if until > now => Ok(known.previous),
            Some(_) | None => Err(ActionOutcome::TooLate(state(known))),
        },
    }
}

/// Returns whether an incident's action applies to one of its reports. A report that was settled individually
/// keeps its status.
pub(in crate::store) fn takes_incident_action(act: TriageAction, status: FeedbackStatus) -> bool {
    match status {
        FeedbackStatus::PROCESSED | FeedbackStatus::CLOSED => false,
        status => TriageAction::next(status).contains(&act),
    }
}

/// Returns a time for a change that differs from the previous change's time.
fn after(known: Option<&Known>, now: Timestamp) -> Timestamp {
    let last = known.map(|known| known.state.changed_at + Duration::from_millis(1));
    last.map_or(now, |last| last.max(now))
}

/// What is stored about a feedback that the platform reports.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Facts {
    /// `None` if nobody has changed its status.
    pub(in crate::store) known: Option<Known>,
    /// The event that created it; `None` if it is not kept.
    pub(in crate::store) event: Option<EventSeq>,
    /// The status last sent to the platform, and when.
    pub(in crate::store) sent: Option<(FeedbackStatus, Timestamp)>,
    /// Whether the outbox holds a status for the platform.
    pub(in crate::store) is_queued: bool,
}

/// The result of a platform report.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Report {
    pub(in crate::store) effect: Effect,
    /// The reported status, for the history.
    pub(in crate::store) state: FeedbackState,
    /// Whether `state` becomes the stored one. A pending outbox entry is then cancelled.
    pub(in crate::store) replaces: bool,
    /// Whether the report's date counts for later ones.
    pub(in crate::store) is_dated: bool,
    /// The event whose messages are edited; `None` if none is.
    pub(in crate::store) edits: Option<EventSeq>,
}

/// Decides what a platform report does.
pub(in crate::store) fn report(facts: &Facts, change: &FeedbackChange, now: Timestamp) -> Report {
    let known = facts.known.as_ref();
    let effect = effect(facts, change);
    let said_at = change.updated_at.or(change.told_at);
    Report {
        effect,
        state: FeedbackState {
            status: change.status,
            changed_at: after(known, said_at.map_or(now, |at| at.min(now))),
            by: change.by.clone(),
            through: ChangeSource::Platform,
            undo_until: None,
            local_only: false,
        },
        replaces: effect == Effect::Changed || known.is_none(),
        is_dated: effect != Effect::Stale,
        edits: facts.event.filter(|_| effect == Effect::Changed),
    }
}

/// Returns whether a platform list has news about kept feedback. A button action is only replaced by a
/// later platform date, and never while it is in the outbox. A date in the future means an unexpected
/// time zone, so it is ignored.
pub(in crate::store) fn is_news(facts: &Facts, change: &FeedbackChange, now: Timestamp) -> bool {
    let clicked = facts
        .known
        .as_ref()
        .is_some_and(|known| known.state.through != ChangeSource::Platform);
    let dated = change.updated_at.is_some_and(|at| at <= now + ECHO_WITHIN);
    let may_replace = !clicked || dated && !facts.is_queued;
    facts.event.is_some() && may_replace && effect(facts, change) == Effect::Changed
}

/// Returns the effect of a platform report. Reports come late, out of order, and also echo the relay's
/// own requests.
fn effect(facts: &Facts, change: &FeedbackChange) -> Effect {
    let Some(known) = &facts.known else {
        return match change.status {
            FeedbackStatus::UNPROCESSED => Effect::Known,
            _ => Effect::Changed,
        };
    };
    if is_older(change.updated_at, known.platform_at) {
        return Effect::Stale;
    }
    if change.status == known.state.status {
        // The platform now has a status that messages show as local-only.
        return match known.state.local_only {
            true => Effect::Changed,
            false => Effect::Known,
        };
    }
    if known.state.through == ChangeSource::Platform {
        return Effect::Changed;
    }
    // The last change was a button action. `told_at` has a zone and milliseconds, so it is comparable
    // with the relay's clock.
    let told_at = change.told_at.or(change.updated_at);
    if let (Some(at), Some((status, sent_at))) = (told_at, facts.sent)
        && status == change.status
        && at + ECHO_WITHIN >= sent_at
        && at <= sent_at + ECHO_WITHIN
    {
        return Effect::Known;
    }
    match is_older(told_at, Some(known.state.changed_at)) {
        true => Effect::Stale,
        false => Effect::Changed,
    }
}

fn is_older(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one < other)
}

/// Returns the destinations that need no message about a reported change. If the platform only echoes
/// a button action, an edit has already shown it to them. `shown_by` has the effect on each reported
/// feedback, and where its messages are edited.
pub(in crate::store) fn already_notified(
    shown_by: impl IntoIterator<Item = (Effect, Vec<DestinationName>)>,
) -> Vec<DestinationName> {
    let mut notified: Option<Vec<DestinationName>> = None;
    for (effect, editable_at) in shown_by {
        if effect != Effect::Known {
            return Vec::new();
        }
        notified = Some(match notified {
            None => editable_at,
            Some(mut notified) => {
                notified.retain(|one| editable_at.contains(one));
                notified
            }
        });
    }
    notified.unwrap_or_default()
}
