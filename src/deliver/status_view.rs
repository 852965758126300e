//! Builds the status of a message's feedback, and the buttons that go with it.

use super::message_data::Directory;
use super::prepare::is_main;
use crate::destination::{Destination, KeyOwner, ShowsImages};
use crate::model::{
    AppName, ChangeSource, Content, Event, FeedbackState, FeedbackStatus, IncidentProgress,
    IncidentState, Private, Timestamp, TriageAction, Trigger,
};
use crate::render::{Action, StatusView};
use crate::store::Work;
use crate::triage::{ButtonAction, ButtonTarget, MadeFor};

/// The placeholder for a signed value in previews, which are not sent.
const UNSIGNED: &str = "signed-when-it-is-sent";

/// Builds the status of the feedback or the incident of `work`. `sign` signs the values of buttons.
pub(super) fn of(
    work: &Work,
    event: &Event,
    destination: &dyn Destination,
    names: &Directory,
    sign: &dyn Fn(&ButtonAction) -> String,
    now: Timestamp,
) -> StatusView {
    let incident = work.incident.as_deref();
    let (state, target) = match incident {
        Some(incident) => (
            incident.handled.clone(),
            ButtonTarget::Incident(incident.id),
        ),
        None => (work.state.clone(), ButtonTarget::Feedback(work.event.seq)),
    };
    let acts = match (destination.common().audience.buttons, incident) {
        (true, Some(incident)) => {
            incident_acts(&incident.progress, is_main(work, destination)).to_vec()
        }
        (true, None) => acts(event, work.delivery.trigger, state.as_ref(), now),
        (false, _) => Vec::new(),
    };
    let action = |act: TriageAction| {
        let press = ButtonAction {
            act,
            target,
            made_for: MadeFor::destination(&work.delivery.destination),
            undoes: state
                .as_ref()
                .filter(|_| act == TriageAction::Undo)
                .map(|state| state.changed_at),
        };
        Action {
            act,
            value: sign(&press),
        }
    };
    StatusView {
        actions: acts.into_iter().map(action).collect(),
        by_name: by_name(event, state.as_ref(), names),
        person: state
            .as_ref()
            .and_then(|state| person(state, app(destination)?)),
        reporter: app(destination).and_then(|app| reporter(event, &app)),
        earlier: app(destination).and_then(|app| earlier(event, app)),
        state,
    }
}

/// Builds the status of feedback that nobody has changed, for previews.
pub(super) fn unmoved(event: &Event, trigger: Trigger) -> StatusView {
    let acts = acts(event, trigger, None, Timestamp::from_millis(0));
    let action = |act| Action {
        act,
        value: UNSIGNED.to_owned(),
    };
    StatusView {
        actions: acts.into_iter().map(action).collect(),
        ..StatusView::default()
    }
}

/// Returns the actions that a message offers. Test messages and late images have none.
fn acts(
    event: &Event,
    trigger: Trigger,
    state: Option<&FeedbackState>,
    now: Timestamp,
) -> Vec<TriageAction> {
    let known = matches!(&event.content, Content::Created(feedback) if feedback.id.is_some());
    match trigger {
        Trigger::LateImages | Trigger::Test => return Vec::new(),
        Trigger::Event
        | Trigger::Edit
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Incident => {}
    }
    if !known {
        return Vec::new();
    }
    let status = state.map_or(FeedbackStatus::UNPROCESSED, |state| state.status);
    let mut acts = TriageAction::next(status).to_vec();
    if state
        .and_then(|state| state.undo_until)
        .is_some_and(|until| until > now)
    {
        acts.push(TriageAction::Undo);
    }
    acts
}

/// Returns the actions that a message of an incident offers. Only its main message is edited when the incident
/// changes, so the others offer only an action that stays valid.
fn incident_acts(progress: &IncidentProgress, is_main: bool) -> &'static [TriageAction] {
    match (progress.state, is_main) {
        (IncidentState::Open, true) if progress.claimed => {
            &[TriageAction::Done, TriageAction::Mute]
        }
        (IncidentState::Open, true) => {
            &[TriageAction::Claim, TriageAction::Done, TriageAction::Mute]
        }
        (IncidentState::Open, false) => &[TriageAction::Mute],
        (_, _) => &[],
    }
}

/// Returns the display name of the person who changed the status: the platform's name, or else the name in
/// `[mentions]`.
fn by_name(event: &Event, state: Option<&FeedbackState>, names: &Directory) -> Option<Private> {
    let (name, id) = match &event.content {
        Content::Updated(change) => (None, change.operator.open_id.as_ref()),
        Content::Created(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => {
            let by = state.map(|state| &state.by);
            (
                by.and_then(|by| by.name.clone()),
                by.and_then(|by| by.id.as_ref()),
            )
        }
    };
    let known_here = || Some(Private::new(names.person(id?.expose())?));
    name.or_else(known_here)
}

/// Returns the open id of the person who changed the status, if the id belongs to `app`. An open id is valid
/// for one app only.
fn person(state: &FeedbackState, app: AppName) -> Option<String> {
    match state.through {
        ChangeSource::Slack => return None,
        ChangeSource::Feishu | ChangeSource::Platform => {}
    }
    let id = state.by.id.as_ref().filter(|_| state.by.app == Some(app))?;
    Some(id.expose().to_owned())
}

/// Returns the reporter's open id if it belongs to `app`.
fn reporter(event: &Event, app: &AppName) -> Option<String> {
    match &event.content {
        Content::Created(feedback) if event.via == *app => {
            let id = feedback.user.open_id.as_ref()?;
            Some(id.expose().to_owned())
        }
        Content::Created(_)
        | Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => None,
    }
}

/// Returns the open id of the person who acted on the earlier incident, if it belongs to `app`.
fn earlier(event: &Event, app: AppName) -> Option<String> {
    let Content::Incident(reports) = &event.content else {
        return None;
    };
    person(
        reports.seen_before.as_ref()?.incident.handled.as_ref()?,
        app,
    )
}

/// Returns the Feishu app that sends at a destination.
fn app(destination: &dyn Destination) -> Option<AppName> {
    match destination.shows_images() {
        ShowsImages::ByKey(KeyOwner::App(app)) => Some(app),
        ShowsImages::ByKey(KeyOwner::Bot(_))
        | ShowsImages::ByLink
        | ShowsImages::ByPath
        | ShowsImages::No => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Actor, EventId, EventSeq, Feedback, GroupTerms, StatusChange};

    fn event(content: Content) -> Event {
        Event {
            id: EventId::new("1"),
            via: AppName::new("shop"),
            created_at: None,
            tenant_key: None,
            content,
        }
    }

    fn created(id: Option<&str>) -> Event {
        event(Content::Created(Box::new(Feedback {
            id: id.map(str::to_owned),
            ..Feedback::default()
        })))
    }

    fn state(status: FeedbackStatus, through: ChangeSource) -> FeedbackState {
        FeedbackState {
            status,
            changed_at: Timestamp::from_millis(1000),
            by: Actor {
                name: None,
                id: Some(Private::new("ou_li")),
                app: Some("shop".into()),
            },
            through,
            undo_until: Some(Timestamp::from_millis(9000)),
            local_only: false,
        }
    }

    #[test]
    fn buttons_follow_the_current_status() {
        use TriageAction::{Claim, Done, NotOurs, Undo};
        let at = Timestamp::from_millis;
        let of = |status: FeedbackStatus, now| {
            let state = state(status, ChangeSource::Feishu);
            acts(&created(Some("1")), Trigger::Edit, Some(&state), at(now))
        };
        let fresh = acts(&created(Some("1")), Trigger::Event, None, at(0));
        assert_eq!(fresh, [Claim, Done, NotOurs]);
        assert_eq!(of(FeedbackStatus::PROCESSING, 8999), [Done, NotOurs, Undo]);
        assert_eq!(of(FeedbackStatus::PROCESSING, 9000), [Done, NotOurs]);
        assert_eq!(of(FeedbackStatus::PROCESSED, 0), [Claim, Undo]);
        assert_eq!(of(FeedbackStatus::CLOSED, 9000), [Claim]);
        assert_eq!(of(FeedbackStatus(7), 9000), [Claim, Done, NotOurs]);
    }

    /// An open incident that nobody has claimed.
    fn progress() -> IncidentProgress {
        let at = Timestamp::from_millis(0);
        let second = std::time::Duration::from_secs(1);
        IncidentProgress {
            state: IncidentState::Open,
            terms: GroupTerms {
                from: 1,
                interval: second,
                repeat_after: None,
                resolve_after: second,
                steps: Vec::new(),
                hold: None,
            },
            opened_at: at,
            last_at: at,
            count: 2,
            shown_at: Some(at),
            edit_due: false,
            digested: 0,
            digested_at: at,
            notified: 0,
            notified_at: at,
            steps_done: 0,
            claimed: false,
            applied_to: EventSeq(0),
            applies_to: EventSeq(0),
            late: 0,
            burst: None,
            reopened: 0,
            ended_at: None,
            mute: None,
            silenced: 0,
            silenced_before: 0,
        }
    }

    #[test]
    fn incident_has_buttons_on_its_main_message_while_it_is_open() {
        use TriageAction::{Claim, Done, Mute};
        let mut incident = progress();
        assert_eq!(incident_acts(&incident, true), [Claim, Done, Mute]);
        assert_eq!(incident_acts(&incident, false), [Mute]);
        incident.claimed = true;
        assert_eq!(incident_acts(&incident, true), [Done, Mute]);
        incident.state = IncidentState::Done;
        assert_eq!(incident_acts(&incident, true), []);
    }

    #[test]
    fn buttons_require_an_id_and_a_first_message() {
        let none = |event: &Event, trigger| {
            acts(event, trigger, None, Timestamp::from_millis(0)).is_empty()
        };
        assert!(none(&created(None), Trigger::Event));
        assert!(none(
            &event(Content::Updated(StatusChange::default())),
            Trigger::Event
        ));
        assert!(none(&created(Some("1")), Trigger::LateImages));
        assert!(none(&created(Some("1")), Trigger::Test));
        assert!(!none(&created(Some("1")), Trigger::Replay));
    }

    #[test]
    fn person_id_is_shown_only_by_their_own_app() {
        let state = state(FeedbackStatus::CLOSED, ChangeSource::Platform);
        assert_eq!(person(&state, "shop".into()).as_deref(), Some("ou_li"));
        assert_eq!(person(&state, "order".into()), None);
        let slack = FeedbackState {
            through: ChangeSource::Slack,
            ..state
        };
        assert_eq!(person(&slack, "shop".into()), None);
    }
}
