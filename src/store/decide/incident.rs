//! Decides how a report changes its incident, and what an incident does when a timer is due.
//!
//! Timers are columns, so a restart or a late wake-up runs each timer once.

use std::time::Duration;

use crate::model::*;
use crate::store::{ActionOutcome, ApplyIncidentAction, Holding};

/// What a database does for an incident after a timer, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum IncidentEffect {
    /// Sends a message to each of the incident's destinations.
    Send(IncidentNews),
    /// Sends a message to each destination whose own message cannot be edited.
    SendDigest,
    /// Edits the messages that can be edited. If one is not sent yet, `edit_due` is set again.
    Edit,
    /// Runs the step of `escalate` with this index.
    Escalate(usize),
    /// Applies the last button action to more reports.
    Apply,
}

/// The result of a button action on an incident.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) enum Acted {
    /// Nothing is written.
    Nothing(ActionOutcome),
    /// The incident gets this status.
    Change {
        state: FeedbackState,
        effects: Vec<IncidentEffect>,
    },
}

/// What a report does to the last incident with its key, if that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum AfterEnd {
    /// It opens another incident.
    OpensAnother,
    /// It is counted in the incident, which stays done: the report is older than the button action.
    Joins,
    /// It reopens the incident.
    Reopens,
}

/// Returns the progress of a new incident, before its first report is counted. `reopened`: how many incidents with its
/// key became quiet recently.
pub(in crate::store) fn open(terms: GroupTerms, reopened: u64, now: Timestamp) -> IncidentProgress {
    IncidentProgress {
        state: IncidentState::Open,
        terms,
        opened_at: now,
        last_at: now,
        count: 0,
        shown_at: None,
        edit_due: false,
        digested: 0,
        digested_at: now,
        notified: 0,
        notified_at: now,
        steps_done: 0,
        claimed: false,
        applied_to: EventSeq(0),
        applies_to: EventSeq(0),
        ended_at: None,
        mute: None,
        silenced: 0,
        silenced_before: 0,
        late: 0,
        burst: None,
        reopened,
    }
}

/// Returns how long a new message of the incident is held; `None`: it is sent at once.
pub(in crate::store) fn held(incident: &IncidentProgress, now: Timestamp) -> Option<Holding> {
    let hours = incident.terms.hold.as_ref()?;
    Some(Holding {
        held_for: HeldFor::Hold,
        until: hours.end(now)?,
        hours: Some(hours.written()),
        reported_at: now,
    })
}

/// Counts a late report, if the incident is open and was when the report was made. Returns whether it did. A late
/// report notifies nobody: its destinations get it in a late summary.
pub(in crate::store) fn late_report(
    incident: &mut IncidentProgress,
    reported_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let is_covered = reported_at.is_some_and(|at| at >= incident.opened_at);
    if incident.state != IncidentState::Open || is_over(incident, now) || !is_covered {
        return false;
    }
    incident.count += 1;
    incident.late += 1;
    show_news(incident);
    true
}

/// Counts a report. Returns whether it is merged into the incident's own messages. `terms` are those of the
/// current configuration. `mute` is the silence that mutes the report: then no message follows from it.
pub(in crate::store) fn report(
    incident: &mut IncidentProgress,
    terms: &GroupTerms,
    mute: Option<Mute>,
    now: Timestamp,
) -> bool {
    if incident.terms != *terms {
        // Steps are identified by their position, so changed ones start again.
        if incident.terms.steps != terms.steps {
            incident.steps_done = passed(terms, incident, now);
        }
        incident.terms = terms.clone();
    }
    if let Some(burst) = incident.burst
        && now >= burst.since + incident.terms.interval
    {
        incident.burst = Some(burst_period(incident, now));
    }
    incident.count += 1;
    incident.last_at = incident.last_at.max(now);
    // The end of a silence is a timer of its own, which says what was muted.
    let has_ended = incident.mute.is_some_and(|mute| mute.until <= now);
    let changes = (mute.is_some() || !has_ended) && set_mute(incident, mute);
    incident.silenced += u64::from(mute.is_some());
    // While the incident is muted, its messages are edited only to say so.
    incident.edit_due |= incident.shown_at.is_some() && (changes || mute.is_none());
    is_merged(incident)
}

/// Sets the silence that mutes the incident. Returns whether it changed.
fn set_mute(incident: &mut IncidentProgress, mute: Option<Mute>) -> bool {
    if incident.mute == mute {
        return false;
    }
    if incident.mute.is_none() {
        incident.silenced_before = incident.silenced;
    }
    incident.mute = mute;
    true
}

/// Mutes an open incident, or changes until when it is muted. Its messages show that at once.
pub(in crate::store) fn mute(
    incident: &mut IncidentProgress,
    mute: Mute,
    now: Timestamp,
) -> Vec<IncidentEffect> {
    if incident.state != IncidentState::Open || !set_mute(incident, Some(mute)) {
        return Vec::new();
    }
    match incident.shown_at {
        Some(_) => vec![show(incident, now)],
        None => Vec::new(),
    }
}

/// Returns the steps that have passed already, one bit each. After a change of the configuration they must not
/// notify again.
fn passed(terms: &GroupTerms, incident: &IncidentProgress, now: Timestamp) -> u32 {
    let has_passed = |step: &EscalationStep| match step.at {
        EscalateAt::Count(count) => incident.on_time() >= count,
        EscalateAt::After(after) => now >= incident.opened_at + after,
    };
    let steps = terms.steps.iter().enumerate();
    steps
        .filter(|(_, step)| has_passed(step))
        .fold(0, |done, (index, _)| done | bit(index))
}

fn bit(step: usize) -> u32 {
    u32::try_from(step)
        .ok()
        .and_then(|step| 1_u32.checked_shl(step))
        .unwrap_or(0)
}

fn is_merged(incident: &IncidentProgress) -> bool {
    incident.on_time() > incident.terms.from
}

/// Returns the period that starts now.
fn burst_period(incident: &IncidentProgress, now: Timestamp) -> BurstPeriod {
    BurstPeriod {
        from: incident.on_time(),
        since: now,
    }
}

/// Returns the step of `escalate` that a new burst runs once more: the one with the smallest count, if that many
/// reports came in the period.
fn burst_step(incident: &IncidentProgress) -> Option<usize> {
    let came = incident.on_time().saturating_sub(incident.burst?.from);
    let counts = incident.terms.steps.iter().enumerate();
    let counts = counts.filter_map(|(index, step)| match step.at {
        EscalateAt::Count(count) => Some((count, index)),
        EscalateAt::After(_) => None,
    });
    let (count, index) = counts.min()?;
    (came >= count).then_some(index)
}

/// Returns the time between two edits of a message: a twelfth of the incident's age, so that an old incident
/// is edited rarely.
fn edit_pace(incident: &IncidentProgress, at: Timestamp) -> Duration {
    let longest = incident.terms.interval.max(EDIT_PACE_MIN);
    (at.since(incident.opened_at) / 12).clamp(EDIT_PACE_MIN, longest)
}

/// Returns when the edit is due, if one is.
fn edit_at(incident: &IncidentProgress) -> Option<Timestamp> {
    let shown_at = incident.shown_at.filter(|_| incident.edit_due)?;
    Some(shown_at + edit_pace(incident, shown_at))
}

/// Returns when the incident ends if no report follows, and how.
fn end_at(incident: &IncidentProgress) -> (Timestamp, IncidentState) {
    let quiet_at = incident.last_at + incident.resolve_after();
    let old_at = incident.opened_at + INCIDENT_AGE_MAX;
    if old_at < quiet_at {
        (old_at, IncidentState::Continued)
    } else {
        (quiet_at, IncidentState::Quiet)
    }
}

/// Returns whether an open incident has to end now.
pub(in crate::store) fn is_over(incident: &IncidentProgress, now: Timestamp) -> bool {
    let (ends_at, _) = end_at(incident);
    // An end further ahead was computed before the wall clock jumped back.
    let has_passed = ends_at <= now || ends_at > now + INCIDENT_AGE_MAX;
    incident.state == IncidentState::Open && has_passed
}

/// Returns when a step is due; `None` if it is done, cancelled, or waits for more reports.
fn step_at(incident: &IncidentProgress, index: usize, step: &EscalationStep) -> Option<Timestamp> {
    let is_over = incident.steps_done & bit(index) != 0;
    if is_over || (step.unless_claimed && incident.claimed) {
        return None;
    }
    match step.at {
        EscalateAt::Count(count) => (incident.on_time() >= count).then_some(incident.last_at),
        EscalateAt::After(after) => Some(incident.opened_at + after),
    }
}

fn digest_at(incident: &IncidentProgress) -> Option<Timestamp> {
    let has_news = incident.shown_at.is_some() && incident.on_time() > incident.digested;
    has_news.then(|| incident.digested_at + incident.terms.interval)
}

fn repeat_at(incident: &IncidentProgress) -> Option<Timestamp> {
    let has_news = incident.shown_at.is_some() && incident.on_time() > incident.notified;
    let after = incident.terms.repeat_after.filter(|_| has_news)?;
    Some(incident.notified_at + after)
}

/// Returns when the next timer is due; `None` if there is nothing left to do.
pub(in crate::store) fn next_at(incident: &IncidentProgress) -> Option<Timestamp> {
    timers(incident).map(|(_, at)| at).min()
}

/// Returns the timers that are set, with their due times, in no particular order.
pub(in crate::store) fn timers(
    incident: &IncidentProgress,
) -> impl Iterator<Item = (IncidentTimer, Timestamp)> {
    let is_open = incident.state == IncidentState::Open;
    let is_muted = incident.mute.is_some();
    let is_unshown = incident.shown_at.is_none() && is_merged(incident);
    let (ends_at, state) = end_at(incident);
    let notifying = [
        (IncidentTimer::Open, is_unshown.then_some(incident.last_at)),
        (IncidentTimer::Digest, digest_at(incident)),
        (IncidentTimer::Repeat, repeat_at(incident)),
    ];
    let steps = incident.terms.steps.iter().enumerate();
    let steps = steps.map(|(index, step)| {
        let at = step_at(incident, index, step);
        (IncidentTimer::Step(index), at)
    });
    let burst =
        burst_step(incident).map(|index| (IncidentTimer::Step(index), Some(incident.last_at)));
    let notifying = notifying.into_iter().chain(steps).chain(burst);
    let of_open = [
        (IncidentTimer::Unmute, incident.mute.map(|mute| mute.until)),
        (IncidentTimer::End(state), Some(ends_at)),
    ];
    let of_open = of_open
        .into_iter()
        .chain(notifying.filter(move |_| !is_muted))
        .filter(move |_| is_open);
    let of_any = [
        (IncidentTimer::Edit, edit_at(incident)),
        (
            IncidentTimer::Apply,
            applies(incident).then_some(incident.last_at),
        ),
    ];
    of_any
        .into_iter()
        .chain(of_open)
        .filter_map(|(timer, at)| Some((timer, at?)))
}

/// Runs the timers that are due.
pub(in crate::store) fn advance(
    incident: &mut IncidentProgress,
    now: Timestamp,
) -> Vec<IncidentEffect> {
    if is_over(incident, now) {
        let (_, state) = end_at(incident);
        return end(incident, state, now);
    }
    let mut effects = Vec::new();
    if incident.state == IncidentState::Open {
        run_open(incident, now, &mut effects);
    }
    if edit_at(incident).is_some_and(|at| at <= now) {
        effects.push(show(incident, now));
    }
    if applies(incident) {
        effects.push(IncidentEffect::Apply);
    }
    effects
}

/// Returns whether the last button action is still to be applied to some reports.
pub(in crate::store) fn applies(incident: &IncidentProgress) -> bool {
    incident.applied_to < incident.applies_to
}

/// Decides a button action on an incident with the status `handled`. `newest` is its newest report.
/// `local_only`: Feishu does not get the status.
pub(in crate::store) fn act(
    incident: &mut IncidentProgress,
    handled: Option<&FeedbackState>,
    acting: &ApplyIncidentAction,
    newest: EventSeq,
    local_only: bool,
    now: Timestamp,
) -> Acted {
    let status = match acting.act {
        TriageAction::Claim => FeedbackStatus::PROCESSING,
        TriageAction::Done => FeedbackStatus::PROCESSED,
        TriageAction::NotOurs | TriageAction::Undo | TriageAction::Mute => {
            return Acted::Nothing(ActionOutcome::Unknown);
        }
    };
    let is_repeat = |state: &&FeedbackState| match incident.state {
        // A reopened incident keeps its last status, but nobody has it.
        IncidentState::Open => incident.claimed && state.status == status,
        IncidentState::Done => true,
        IncidentState::Quiet | IncidentState::Continued | IncidentState::Closed => false,
    };
    if let Some(first) = handled.filter(is_repeat) {
        return Acted::Nothing(ActionOutcome::Already(first.clone()));
    }
    if incident.state != IncidentState::Open {
        return Acted::Nothing(ActionOutcome::Ended);
    }
    incident.claimed = true;
    incident.burst = Some(burst_period(incident, now));
    incident.applied_to = EventSeq(0);
    incident.applies_to = newest;
    let effects = match acting.act {
        TriageAction::Done => end(incident, IncidentState::Done, now),
        TriageAction::Claim | TriageAction::NotOurs | TriageAction::Undo | TriageAction::Mute => {
            vec![show(incident, now)]
        }
    };
    Acted::Change {
        state: FeedbackState {
            status,
            changed_at: now,
            by: acting.by.clone(),
            through: acting.through,
            undo_until: None,
            local_only,
        },
        effects,
    }
}

/// Gives a new report of the incident the status that a button action gave the incident, if it has one now.
pub(in crate::store) fn follow_action(incident: &mut IncidentProgress, report: EventSeq) {
    let has_status = match incident.state {
        IncidentState::Open => incident.claimed,
        IncidentState::Done => true,
        IncidentState::Quiet | IncidentState::Continued | IncidentState::Closed => false,
    };
    if has_status {
        incident.applies_to = report;
    }
}

/// Decides what a report does to the last incident with its key, which is not open.
pub(in crate::store) fn after_end(
    incident: &IncidentProgress,
    reported_at: Option<Timestamp>,
    now: Timestamp,
) -> AfterEnd {
    let is_old = now >= incident.opened_at + INCIDENT_AGE_MAX;
    match incident.ended_at {
        Some(done_at) if incident.state == IncidentState::Done && !is_old => {
            match reported_at.is_some_and(|at| at < done_at) {
                true => AfterEnd::Joins,
                false => AfterEnd::Reopens,
            }
        }
        Some(_) | None => AfterEnd::OpensAnother,
    }
}

/// Reopens an incident that was done. Steps of `escalate` whose time has passed do not notify again. `mute` is the
/// silence that mutes the report: then the messages are edited only.
pub(in crate::store) fn reopen(
    incident: &mut IncidentProgress,
    mute: Option<Mute>,
    now: Timestamp,
) -> Vec<IncidentEffect> {
    incident.state = IncidentState::Open;
    incident.ended_at = None;
    incident.claimed = false;
    incident.burst = None;
    incident.last_at = incident.last_at.max(now);
    set_mute(incident, mute);
    skip_passed(incident, now);
    let mut effects = vec![show(incident, now)];
    if mute.is_none() {
        effects.push(IncidentEffect::Send(IncidentNews::Reopened));
    }
    effects
}

/// Counts what has happened so far as notified, so that no timer notifies of it.
fn skip_passed(incident: &mut IncidentProgress, now: Timestamp) {
    incident.steps_done |= passed(&incident.terms, incident, now);
    digested(incident, now);
    notified(incident, now);
}

/// Ends the mute of an open incident. What was muted is one edit and one message, however much it was: reports, a
/// digest, steps of `escalate`.
fn unmute(incident: &mut IncidentProgress, now: Timestamp, effects: &mut Vec<IncidentEffect>) {
    incident.mute = None;
    skip_passed(incident, now);
    let has_muted = incident.silenced_now() > 0;
    if incident.shown_at.is_some() {
        effects.push(show(incident, now));
    }
    match (has_muted, incident.shown_at) {
        (true, Some(_)) => effects.push(IncidentEffect::Send(IncidentNews::Unmuted)),
        (true, None) => send_first(incident, now, effects),
        (false, _) => {}
    }
}

/// Sends the first message of an incident.
fn send_first(incident: &mut IncidentProgress, now: Timestamp, effects: &mut Vec<IncidentEffect>) {
    incident.shown_at = Some(now);
    digested(incident, now);
    notified(incident, now);
    effects.push(IncidentEffect::Send(IncidentNews::Opened));
}

/// Runs the timers of an open incident, except its end and edits.
fn run_open(incident: &mut IncidentProgress, now: Timestamp, effects: &mut Vec<IncidentEffect>) {
    if incident.mute.is_some_and(|mute| mute.until <= now) {
        unmute(incident, now, effects);
    }
    if incident.mute.is_some() {
        return;
    }
    if incident.shown_at.is_none() && is_merged(incident) {
        send_first(incident, now, effects);
    }
    if digest_at(incident).is_some_and(|at| at <= now) {
        digested(incident, now);
        effects.push(IncidentEffect::SendDigest);
    }
    let steps = incident.terms.steps.iter().enumerate();
    let due =
        steps.filter(|(index, step)| step_at(incident, *index, step).is_some_and(|at| at <= now));
    let due: Vec<usize> = due.map(|(index, _)| index).collect();
    for index in &due {
        incident.steps_done |= bit(*index);
        effects.push(IncidentEffect::Escalate(*index));
    }
    if !due.is_empty() {
        notified(incident, now);
        // The same reports do not notify twice.
        incident.burst = incident.burst.map(|_| burst_period(incident, now));
    } else if let Some(index) = burst_step(incident) {
        incident.burst = None;
        notified(incident, now);
        effects.push(IncidentEffect::Escalate(index));
    }
    if repeat_at(incident).is_some_and(|at| at <= now) {
        notified(incident, now);
        effects.push(IncidentEffect::Send(IncidentNews::Repeat));
    }
}

fn digested(incident: &mut IncidentProgress, now: Timestamp) {
    incident.digested = incident.on_time();
    incident.digested_at = now;
}

fn notified(incident: &mut IncidentProgress, now: Timestamp) {
    incident.notified = incident.on_time();
    incident.notified_at = now;
}

fn show(incident: &mut IncidentProgress, now: Timestamp) -> IncidentEffect {
    incident.shown_at = Some(now);
    incident.edit_due = false;
    IncidentEffect::Edit
}

/// Requests an edit of its messages, because they can show more.
pub(in crate::store) fn show_news(incident: &mut IncidentProgress) {
    incident.edit_due |= incident.shown_at.is_some();
}

/// Ends an incident. Its messages show the end at once. A successor has messages of its own, so only other
/// ends are announced, unless a silence mutes them.
pub(in crate::store) fn end(
    incident: &mut IncidentProgress,
    state: IncidentState,
    now: Timestamp,
) -> Vec<IncidentEffect> {
    incident.state = state;
    incident.ended_at = Some(now);
    if incident.shown_at.is_none() {
        // Each report was delivered individually, so there is nothing to add.
        return Vec::new();
    }
    let news = match state {
        IncidentState::Open | IncidentState::Continued => None,
        IncidentState::Quiet => Some(IncidentNews::Quiet),
        IncidentState::Closed => Some(IncidentNews::Closed),
        IncidentState::Done => Some(IncidentNews::Done),
    };
    let news = news.filter(|_| !incident.is_muted(now));
    let edit = show(incident, now);
    [Some(edit), news.map(IncidentEffect::Send)]
        .into_iter()
        .flatten()
        .collect()
}
