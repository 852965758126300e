//! How the feedback stands that a message tells of, and the buttons that go with that.

use super::telling::Names;
use crate::closing::{MadeFor, Press};
use crate::destination::{Destination, KeyOwner, ShowsImages};
use crate::model::{
    Act, AppName, Content, Event, FeedbackState, FeedbackStatus, Private, Through, Timestamp,
    Trigger,
};
use crate::render::{Action, Standing};
use crate::store::Work;

/// What stands in the place of a signed value where nothing is sent.
const UNSIGNED: &str = "signed-when-it-is-sent";

/// How the feedback of `work` stands. `sign` makes the values of buttons.
pub(super) fn of(
    work: &Work,
    event: &Event,
    destination: &dyn Destination,
    names: &Names,
    sign: &dyn Fn(&Press) -> String,
    now: Timestamp,
) -> Standing {
    let state = work.state.clone();
    let acts = match destination.common().audience.buttons {
        true => acts(event, work.delivery.trigger, state.as_ref(), now),
        false => Vec::new(),
    };
    let action = |act: Act| {
        let press = Press {
            act,
            event: work.event.seq,
            made_for: MadeFor::destination(&work.delivery.destination),
            undoes: state
                .as_ref()
                .filter(|_| act == Act::Undo)
                .map(|state| state.changed_at),
        };
        Action {
            act,
            value: sign(&press),
        }
    };
    Standing {
        actions: acts.into_iter().map(action).collect(),
        by_name: by_name(event, state.as_ref(), names),
        person: state
            .as_ref()
            .and_then(|state| person(state, app(destination)?)),
        reporter: app(destination).and_then(|app| reporter(event, &app)),
        state,
    }
}

/// A feedback that nobody has moved, for messages that are only looked at.
pub(super) fn unmoved(event: &Event, trigger: Trigger) -> Standing {
    let acts = acts(event, trigger, None, Timestamp::from_millis(0));
    let action = |act| Action {
        act,
        value: UNSIGNED.to_owned(),
    };
    Standing {
        actions: acts.into_iter().map(action).collect(),
        ..Standing::default()
    }
}

/// What can be done about the feedback that a message brings; nothing about one that was only tried out,
/// and nothing by a message that comes after the first.
fn acts(
    event: &Event,
    trigger: Trigger,
    state: Option<&FeedbackState>,
    now: Timestamp,
) -> Vec<Act> {
    let known = matches!(&event.content, Content::Created(feedback) if feedback.id.is_some());
    match trigger {
        Trigger::LateImages | Trigger::Test => return Vec::new(),
        Trigger::Event | Trigger::Edit | Trigger::Fallback | Trigger::Replay => {}
    }
    if !known {
        return Vec::new();
    }
    let status = state.map_or(FeedbackStatus::UNPROCESSED, |state| state.status);
    let mut acts = Act::next(status).to_vec();
    if state
        .and_then(|state| state.undo_until)
        .is_some_and(|until| until > now)
    {
        acts.push(Act::Undo);
    }
    acts
}

/// What people call whoever changed it: their name where the platform said it, else their name here.
fn by_name(event: &Event, state: Option<&FeedbackState>, names: &Names) -> Option<Private> {
    let (name, id) = match &event.content {
        Content::Updated(change) => (None, change.operator.open_id.as_ref()),
        Content::Created(_) | Content::Notice(_) | Content::Summary(_) => {
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

/// The open id of whoever changed it, if it is one of `app`'s: another app's means nobody there.
fn person(state: &FeedbackState, app: AppName) -> Option<String> {
    match state.through {
        Through::Slack => return None,
        Through::Feishu | Through::Platform => {}
    }
    let id = state.by.id.as_ref().filter(|_| state.by.app == Some(app))?;
    Some(id.expose().to_owned())
}

/// The reporter's open id, if it is one of `app`'s.
fn reporter(event: &Event, app: &AppName) -> Option<String> {
    match &event.content {
        Content::Created(feedback) if event.via == *app => {
            let id = feedback.user.open_id.as_ref()?;
            Some(id.expose().to_owned())
        }
        Content::Created(_) | Content::Updated(_) | Content::Notice(_) | Content::Summary(_) => {
            None
        }
    }
}

/// The Feishu app that speaks at a destination.
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
    use crate::model::{Actor, EventId, Feedback, StatusChange};

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

    fn state(status: FeedbackStatus, through: Through) -> FeedbackState {
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
            here_only: false,
        }
    }

    #[test]
    fn buttons_are_what_can_sensibly_be_done_next() {
        use Act::{Claim, Done, NotOurs, Undo};
        let at = Timestamp::from_millis;
        let of = |status: FeedbackStatus, now| {
            let state = state(status, Through::Feishu);
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

    #[test]
    fn what_has_no_id_or_is_no_first_message_carries_none() {
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
    fn a_person_is_shown_by_an_id_only_where_their_app_speaks() {
        let state = state(FeedbackStatus::CLOSED, Through::Platform);
        assert_eq!(person(&state, "shop".into()).as_deref(), Some("ou_li"));
        assert_eq!(person(&state, "order".into()), None);
        let slack = FeedbackState {
            through: Through::Slack,
            ..state
        };
        assert_eq!(person(&slack, "shop".into()), None);
    }
}
