//! Finished attempts.

use std::time::Duration;

use super::super::attempt::{After, Failure, Leased, Rendering, finished, released};
use super::*;
use crate::store::{ALL_SHOWN, CompletedAttempt, LeaseRelease};

const SHOWN: u32 = 0b11;

fn leased(trigger: Trigger) -> Leased {
    Leased {
        trigger,
        form: Form::Full,
        attempts: 2,
        shown_before: 0,
    }
}

fn completed(outcome: OutcomeKind, verdict: Verdict) -> CompletedAttempt {
    CompletedAttempt {
        id: DeliveryId::from_i64(1),
        attempt: Some(Attempt {
            number: 1,
            started_at: at(0),
            duration_ms: 12,
            form: Form::Full,
            outcome,
            status: None,
            code: None,
            reason: Some("HTTP 500".into()),
            excerpt: None,
        }),
        uncounted: Duration::ZERO,
        paced: false,
        verdict,
        payload: Some("card".into()),
        shown: SHOWN,
        fallback: None,
        handle: Some(MessageHandle("om_1".into())),
        is_final: false,
    }
}

fn retry(form: Form) -> Verdict {
    Verdict::RetryAt {
        due_at: at(5),
        form,
    }
}

fn dead() -> Verdict {
    Verdict::Dead {
        reason: "gone".into(),
    }
}

fn unconfirmed() -> Verdict {
    Verdict::Unconfirmed {
        reason: "lost".into(),
    }
}

#[test]
fn verdict_decides_state_reason_and_rendering() {
    use DeliveryState::{Dead, Delivered, Pending, Unconfirmed};
    use Rendering::{Drop, Keep};
    let (busy, all) = (Some("HTTP 500"), Some(SHOWN));
    for (verdict, state, reason, shown, rendering) in [
        (Verdict::Done, Delivered, None, all, Drop),
        (retry(Form::Full), Pending, busy, all, Keep("card")),
        (retry(Form::Text), Pending, busy, None, Drop),
        (dead(), Dead, Some("gone"), all, Keep("card")),
        (unconfirmed(), Unconfirmed, Some("lost"), all, Keep("card")),
    ] {
        let name = format!("{verdict:?}");
        let completed = completed(OutcomeKind::Rejected, verdict);
        let decided = finished(&leased(Trigger::Event), &completed);
        let after = decided.after;
        let row = (after.state, after.shown, after.attempts);
        assert_eq!(row, (state, shown, 3), "{name}");
        assert_eq!(after.reason.as_deref(), reason, "{name}");
        assert_eq!(decided.rendering, rendering, "{name}");
        assert_eq!(decided.is_retried, state == Pending, "{name}");
        assert_eq!(decided.handle.is_some(), state == Delivered, "{name}");
        assert_eq!(decided.late_images, state == Delivered, "{name}");
    }
}

#[test]
fn edit_keeps_no_rendering_and_is_discarded_if_it_fails() {
    use DeliveryState::{Delivered, Discarded, Pending};
    for (verdict, state) in [
        (Verdict::Done, Delivered),
        (retry(Form::Full), Pending),
        (retry(Form::Text), Pending),
        (dead(), Discarded),
        (unconfirmed(), Discarded),
    ] {
        let completed = completed(OutcomeKind::Rejected, verdict);
        let decided = finished(&leased(Trigger::Edit), &completed);
        assert_eq!((decided.after.state, decided.after.shown), (state, None));
        assert_eq!(decided.rendering, Rendering::Stays);
        assert_eq!((decided.handle, decided.late_images), (None, false));
    }
}

#[test]
fn only_failures_of_the_message_count_for_the_backoff() {
    use OutcomeKind::{Ambiguous, Degrade, Delivered, Rejected, Retry, SlowDown, Stop, Unknown};
    let answered = Some(Failure { unanswered: false });
    let unanswered = Some(Failure { unanswered: true });
    for (outcome, form, failure, tried) in [
        (Retry, Form::Full, answered, true),
        (Unknown, Form::Full, answered, true),
        (Ambiguous, Form::Full, unanswered, true),
        (Retry, Form::Text, None, false),
        (Ambiguous, Form::Text, None, false),
        (SlowDown, Form::Full, None, true),
        (Degrade, Form::Text, None, false),
        (Rejected, Form::Full, None, false),
        (Stop, Form::Full, None, false),
        (Delivered, Form::Full, None, false),
    ] {
        let completed = completed(outcome, retry(form));
        let after = finished(&leased(Trigger::Event), &completed).after;
        assert_eq!(
            (after.failure, after.tried),
            (failure, tried),
            "{outcome:?} {form:?}"
        );
        assert_eq!((after.due_at, after.form), (Some(at(5)), Some(form)));
    }
}

#[test]
fn delivery_that_was_not_attempted_counts_no_attempt() {
    let unsent = CompletedAttempt {
        attempt: None,
        payload: None,
        handle: None,
        ..completed(OutcomeKind::Retry, dead())
    };
    let decided = finished(&leased(Trigger::Event), &unsent);
    assert_eq!((decided.after.attempts, decided.after.failure), (2, None));
    assert_eq!(decided.after.shown, None, "no rendering shows them");
    assert_eq!(decided.rendering, Rendering::Stays);
}

#[test]
fn first_attempt_has_no_rendering_to_drop() {
    let first = Leased {
        attempts: 0,
        ..leased(Trigger::Event)
    };
    let done = completed(OutcomeKind::Delivered, Verdict::Done);
    assert_eq!(finished(&first, &done).rendering, Rendering::Stays);
}

#[test]
fn images_follow_only_if_some_can_be_shown() {
    for (trigger, shown, before, follows) in [
        (Trigger::Event, 0, 0, true),
        (Trigger::Event, ALL_SHOWN, 0, false),
        (Trigger::LateImages, 0b10, 0b01, true),
        (Trigger::LateImages, 0b01, 0b01, false),
    ] {
        let leased = Leased {
            shown_before: before,
            ..leased(trigger)
        };
        let done = CompletedAttempt {
            shown,
            ..completed(OutcomeKind::Delivered, Verdict::Done)
        };
        assert_eq!(
            finished(&leased, &done).late_images,
            follows,
            "{trigger:?} {shown}"
        );
    }
}

#[test]
fn released_delivery_only_waits_again() {
    for reason in [None, Some("paused".to_owned())] {
        let release = LeaseRelease {
            id: DeliveryId::from_i64(1),
            token: LeaseToken(1),
            due_at: at(1),
            reason: reason.clone(),
        };
        let expected = After {
            state: DeliveryState::Pending,
            attempts: 2,
            failure: None,
            tried: false,
            reason: reason.map(Into::into),
            due_at: Some(at(1)),
            form: None,
            shown: None,
            uncounted: Duration::ZERO,
        };
        assert_eq!(released(2, &release), expected);
    }
}

#[test]
fn wait_without_trying_is_passed_on_for_every_verdict() {
    for verdict in [Verdict::Done, retry(Form::Full), dead(), unconfirmed()] {
        let waited = CompletedAttempt {
            uncounted: Duration::from_secs(40),
            ..completed(OutcomeKind::Retry, verdict)
        };
        let after = finished(&leased(Trigger::Event), &waited).after;
        assert_eq!(after.uncounted, waited.uncounted);
    }
}
