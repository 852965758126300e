//! Button actions and platform reports.

use std::time::Duration;

use super::super::feedback_status::{
    Action, Facts, Known, action, already_notified, is_news, report, takes_incident_action,
};
use super::*;
use crate::store::{ActionOutcome, ApplyAction};

const UNPROCESSED: FeedbackStatus = FeedbackStatus::UNPROCESSED;
const PROCESSING: FeedbackStatus = FeedbackStatus::PROCESSING;
const PROCESSED: FeedbackStatus = FeedbackStatus::PROCESSED;
const CLOSED: FeedbackStatus = FeedbackStatus::CLOSED;

/// Returns a status that was set a minute ago.
fn known(status: FeedbackStatus, through: ChangeSource) -> Known {
    Known {
        state: FeedbackState {
            status,
            changed_at: at(-60),
            by: Actor::default(),
            through,
            undo_until: Some(at(600)),
            local_only: false,
        },
        event: Some(EventSeq(1)),
        previous: UNPROCESSED,
        previous_local_only: false,
        platform_at: None,
    }
}

fn clicked(status: FeedbackStatus) -> Known {
    known(status, ChangeSource::Feishu)
}

fn local_only(known: Known) -> Known {
    Known {
        state: FeedbackState {
            local_only: true,
            ..known.state
        },
        ..known
    }
}

fn acting(act: TriageAction) -> ApplyAction {
    ApplyAction {
        event: EventSeq(1),
        act,
        undoes: (act == TriageAction::Undo).then(|| at(-60)),
        by: Actor::default(),
        through: ChangeSource::Feishu,
        operator: Some(Private::new("ou_li")),
    }
}

/// Returns the new status, whether it is local-only, and whether it goes to the platform.
fn changed(known: Option<&Known>, acting: &ApplyAction) -> (FeedbackState, bool) {
    match action(known, acting, at(0)) {
        Action::Change { state, write_as } => (state, write_as.is_some()),
        Action::Nothing(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn action_on_an_incident_changes_no_settled_report() {
    use TriageAction::{Claim, Done};
    for (status, takes) in [
        (FeedbackStatus::UNPROCESSED, [true, true]),
        (FeedbackStatus::PROCESSING, [false, true]),
        (FeedbackStatus::PROCESSED, [false, false]),
        (FeedbackStatus::CLOSED, [false, false]),
    ] {
        let found = [Claim, Done].map(|act| takes_incident_action(act, status));
        assert_eq!(found, takes, "{status:?}");
    }
}

#[test]
fn action_sets_its_status_and_can_be_undone() {
    for (act, status) in [
        (TriageAction::Claim, PROCESSING),
        (TriageAction::Done, PROCESSED),
        (TriageAction::NotOurs, CLOSED),
    ] {
        let (state, written) = changed(None, &acting(act));
        assert_eq!((state.status, state.changed_at), (status, at(0)));
        assert_eq!(state.undo_until, Some(at(0) + Duration::from_secs(15 * 60)));
        assert!(written && !state.local_only);
    }
}

#[test]
fn action_that_changes_nothing_says_why() {
    let claimed = clicked(PROCESSING);
    let state = claimed.state.clone();
    let no_undo = |until| {
        let state = FeedbackState {
            undo_until: until,
            ..claimed.state.clone()
        };
        Known {
            state,
            ..claimed.clone()
        }
    };
    let (over, never) = (no_undo(Some(at(0))), no_undo(None));
    let other = ApplyAction {
        undoes: Some(at(-90)),
        ..acting(TriageAction::Undo)
    };
    use ActionOutcome::{Already, TooLate, Unknown};
    let (claim, undo) = (acting(TriageAction::Claim), acting(TriageAction::Undo));
    for (name, known, acting, outcome) in [
        (
            "same status",
            Some(&claimed),
            &claim,
            Already(state.clone()),
        ),
        ("nothing to undo", None, &undo, Unknown),
        ("changed since", Some(&claimed), &other, Already(state)),
        ("too late", Some(&over), &undo, TooLate(over.state.clone())),
        ("no undo", Some(&never), &undo, TooLate(never.state.clone())),
    ] {
        let found = action(known, acting, at(0));
        assert_eq!(found, Action::Nothing(outcome), "{name}");
    }
}

#[test]
fn undo_restores_the_status_and_whether_it_is_local_only() {
    let undo = acting(TriageAction::Undo);
    let anonymous = ApplyAction {
        operator: None,
        ..undo.clone()
    };
    let never_sent = local_only(clicked(PROCESSED));
    let neither_sent = Known {
        previous_local_only: true,
        ..never_sent.clone()
    };
    for (name, known, acting, local_only, written) in [
        ("sent", clicked(PROCESSED), &undo, false, true),
        (
            "sent, nobody to name",
            clicked(PROCESSED),
            &anonymous,
            true,
            false,
        ),
        ("never sent", never_sent.clone(), &undo, false, false),
        (
            "never sent, nobody to name",
            never_sent,
            &anonymous,
            false,
            false,
        ),
        ("neither was sent", neither_sent, &undo, true, false),
    ] {
        let (state, goes) = changed(Some(&known), acting);
        assert_eq!((state.status, state.undo_until), (UNPROCESSED, None));
        assert_eq!((state.local_only, goes), (local_only, written), "{name}");
    }
}

#[test]
fn action_without_an_operator_is_local_only() {
    let here = ApplyAction {
        operator: None,
        ..acting(TriageAction::Claim)
    };
    let (state, written) = changed(None, &here);
    assert!(state.local_only && !written);
}

#[test]
fn each_change_has_a_time_of_its_own() {
    let mut ahead = clicked(PROCESSING);
    ahead.state.changed_at = at(5);
    let (state, _) = changed(Some(&ahead), &acting(TriageAction::Done));
    assert_eq!(state.changed_at, at(5) + Duration::from_millis(1));
}

fn change(status: FeedbackStatus, updated_s: Option<i64>, told_s: Option<i64>) -> FeedbackChange {
    FeedbackChange {
        app_id: "cli_1".into(),
        feedback_ids: vec!["fb-1".into()],
        status,
        updated_at: updated_s.map(at),
        told_at: told_s.map(at),
        by: Actor::default(),
    }
}

fn facts(known: Option<Known>) -> Facts {
    Facts {
        known,
        event: Some(EventSeq(1)),
        ..Facts::default()
    }
}

/// Returns the effect of a report.
fn effect(known: Option<&Known>, change: &FeedbackChange) -> Effect {
    report(&facts(known.cloned()), change, at(0)).effect
}

#[test]
fn report_changes_a_platform_status_unless_it_is_older() {
    use Effect::{Changed, Known as Same, Stale};
    let reported = Known {
        platform_at: Some(at(-30)),
        ..known(PROCESSED, ChangeSource::Platform)
    };
    let here = local_only(clicked(PROCESSED));
    for (known, status, updated_s, expected) in [
        (None, CLOSED, None, Changed),
        (None, UNPROCESSED, None, Same),
        (Some(&reported), PROCESSED, None, Same),
        (Some(&reported), CLOSED, None, Changed),
        (Some(&reported), CLOSED, Some(-29), Changed),
        (Some(&reported), CLOSED, Some(-30), Changed),
        (Some(&reported), CLOSED, Some(-31), Stale),
        (Some(&reported), PROCESSED, Some(-31), Stale),
        // The platform has it now.
        (Some(&here), PROCESSED, None, Changed),
    ] {
        let found = effect(known, &change(status, updated_s, None));
        assert_eq!(found, expected, "{status:?} {updated_s:?}");
    }
}

#[test]
fn report_from_before_a_button_action_is_stale() {
    let clicked = clicked(PROCESSED);
    for (updated_s, told_s, expected) in [
        (None, Some(-59), Effect::Changed),
        (None, Some(-61), Effect::Stale),
        (Some(-61), None, Effect::Stale),
        (Some(-61), Some(-59), Effect::Changed),
        (None, None, Effect::Changed),
    ] {
        let found = effect(Some(&clicked), &change(CLOSED, updated_s, told_s));
        assert_eq!(found, expected, "{updated_s:?} {told_s:?}");
    }
}

#[test]
fn report_near_the_relays_own_request_is_its_echo() {
    for (sent, told_s, effect) in [
        (PROCESSING, -30, Effect::Known),
        (PROCESSING, 30, Effect::Known),
        (PROCESSING, 31, Effect::Changed),
        (PROCESSING, -90, Effect::Known),
        (PROCESSING, -91, Effect::Stale),
        (CLOSED, 0, Effect::Changed),
    ] {
        // The status was undone after it was sent.
        let facts = Facts {
            sent: Some((sent, at(-30))),
            ..facts(Some(clicked(UNPROCESSED)))
        };
        let found = report(&facts, &change(PROCESSING, None, Some(told_s)), at(0));
        assert_eq!(found.effect, effect, "{sent:?} {told_s}");
    }
}

#[test]
fn effect_decides_what_a_report_writes() {
    let platform = known(PROCESSED, ChangeSource::Platform);
    let newer = Known {
        platform_at: Some(at(0)),
        ..platform.clone()
    };
    let unseen = Facts {
        event: None,
        ..facts(None)
    };
    let event = Some(EventSeq(1));
    for (name, facts, status, replaces, is_dated, edits) in [
        (
            "changed",
            facts(Some(platform.clone())),
            CLOSED,
            true,
            true,
            event,
        ),
        ("known", facts(Some(platform)), PROCESSED, false, true, None),
        ("stale", facts(Some(newer)), CLOSED, false, false, None),
        ("first, initial", facts(None), UNPROCESSED, true, true, None),
        ("its event is not kept", unseen, CLOSED, true, true, None),
    ] {
        let found = report(&facts, &change(status, Some(-10), None), at(0));
        let written = (found.replaces, found.is_dated, found.edits);
        assert_eq!(written, (replaces, is_dated, edits), "{name}");
        assert_eq!((found.state.status, found.state.undo_until), (status, None));
    }
}

#[test]
fn report_changed_at_its_date_but_never_in_the_future() {
    for (updated_s, told_s, at_s) in [
        (Some(-10), Some(-5), -10),
        (None, Some(-5), -5),
        (Some(30), None, 0),
        (None, None, 0),
    ] {
        let found = report(&facts(None), &change(CLOSED, updated_s, told_s), at(0));
        assert_eq!(found.state.changed_at, at(at_s));
    }
}

#[test]
fn list_replaces_a_button_action_only_by_a_later_date() {
    let queued = Facts {
        is_queued: true,
        ..facts(Some(clicked(PROCESSED)))
    };
    let platform = facts(Some(known(PROCESSED, ChangeSource::Platform)));
    let unkept = Facts {
        event: None,
        ..facts(None)
    };
    let clicked = facts(Some(clicked(PROCESSED)));
    for (name, facts, change, news) in [
        (
            "nobody changed it",
            &facts(None),
            change(CLOSED, None, None),
            true,
        ),
        (
            "initial",
            &facts(None),
            change(UNPROCESSED, None, None),
            false,
        ),
        ("not kept", &unkept, change(CLOSED, Some(0), None), false),
        ("platform", &platform, change(CLOSED, None, None), true),
        ("same", &platform, change(PROCESSED, Some(0), None), false),
        ("clicked", &clicked, change(CLOSED, Some(0), None), true),
        ("undated", &clicked, change(CLOSED, None, Some(0)), false),
        (
            "clock ahead",
            &clicked,
            change(CLOSED, Some(60), None),
            true,
        ),
        (
            "wrong zone",
            &clicked,
            change(CLOSED, Some(61), None),
            false,
        ),
        ("older", &clicked, change(CLOSED, Some(-61), None), false),
        (
            "in the outbox",
            &queued,
            change(CLOSED, Some(0), None),
            false,
        ),
    ] {
        assert_eq!(is_news(facts, &change, at(0)), news, "{name}");
    }
}

#[test]
fn echo_needs_no_message_where_an_edit_shows_it() {
    use Effect::{Changed, Known as Same, Stale};
    type Case = (
        Vec<(Effect, &'static [&'static str])>,
        &'static [&'static str],
    );
    let cases: [Case; 6] = [
        (vec![], &[]),
        (vec![(Same, &["a", "b"])], &["a", "b"]),
        (vec![(Same, &["a", "b"]), (Same, &["b", "c"])], &["b"]),
        (vec![(Same, &["a"]), (Same, &[])], &[]),
        (vec![(Same, &["a"]), (Changed, &["a"])], &[]),
        (vec![(Stale, &["a"])], &[]),
    ];
    for (effects, notified) in cases {
        let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<_>>();
        let shown_by = effects.iter().map(|(effect, at)| (*effect, names(at)));
        assert_eq!(already_notified(shown_by), names(notified), "{effects:?}");
    }
}
