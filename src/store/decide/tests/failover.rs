//! Messages that move to a fallback.

use std::time::Duration;

use super::super::failover::{
    Moved, Sibling, after_move, can_move, describe, expired, given_up, has_event, moved,
};
use super::*;
use crate::store::FallBack;

/// A message that was created this many seconds from now.
fn sibling(destination: &str, trigger: Trigger, state: DeliveryState, seconds: i64) -> Sibling {
    Sibling {
        destination: destination.into(),
        trigger,
        state,
        created_at: at(seconds),
    }
}

#[test]
fn fallback_has_the_event_if_it_got_or_will_get_it() {
    use DeliveryState::{Dead, Delivered, Discarded, Pending, Sending, Unconfirmed};
    use Trigger::{Edit, Event, Fallback, LateImages, Replay, Test};
    for (trigger, state, has) in [
        (Event, Pending, true),
        (Event, Sending, true),
        (Event, Delivered, true),
        (Event, Unconfirmed, true),
        (Event, Dead, false),
        (Event, Discarded, false),
        (Fallback, Delivered, true),
        (Replay, Delivered, true),
        (LateImages, Delivered, false),
        (Edit, Delivered, false),
        (Test, Delivered, false),
    ] {
        let siblings = [
            sibling("chat", Event, Pending, 0),
            sibling("ops", trigger, state, 0),
        ];
        let found = has_event(&siblings, &"ops".into(), at(0));
        assert_eq!(found, has, "{trigger:?} {state:?}");
        assert!(!has_event(&siblings, &"third".into(), at(0)));
    }
}

#[test]
fn only_the_current_chain_of_fallbacks_counts() {
    use DeliveryState::{Delivered, Pending};
    use Trigger::{Event, Fallback, Replay};
    let first = sibling("chat", Event, Delivered, -60);
    let fallen = sibling("ops", Fallback, Delivered, -50);
    let replayed = sibling("chat", Replay, Pending, -10);
    let cases = [
        (
            "the message itself",
            vec![first.clone(), fallen.clone()],
            -60,
            true,
        ),
        (
            "its fallback",
            vec![first.clone(), fallen.clone()],
            -50,
            true,
        ),
        (
            "a replay after it",
            vec![first.clone(), fallen.clone(), replayed.clone()],
            -10,
            false,
        ),
        (
            "before that replay",
            vec![first, fallen.clone(), replayed],
            -60,
            true,
        ),
        ("no start is kept", vec![fallen.clone()], -50, true),
        ("no start, moved later", vec![fallen], -40, false),
    ];
    for (name, siblings, created_s, has) in cases {
        let found = has_event(&siblings, &"ops".into(), at(created_s));
        assert_eq!(found, has, "{name}");
    }
}

#[test]
fn fallback_shows_no_more_than_the_first_destination() {
    let new = moved(&spec(&["sre"]), &"chat".into(), &"ops".into(), at(0));
    assert_eq!((new.trigger, new.due_at), (Trigger::Fallback, at(0)));
    assert_eq!(new.spec.fell_from, ["chat".into()]);
    assert_eq!(new.spec.mentions, ["sre"]);
}

#[test]
fn moved_message_ends_only_at_a_stopped_destination() {
    let ops = "ops".into();
    assert_eq!(after_move(FallBack::Critical, &ops, true), Moved::Stays);
    for (is_new, how) in [(true, "sent to ops instead"), (false, "ops has it")] {
        assert_eq!(describe(&ops, is_new), how);
        let dead = Moved::Dead(format!("its destination is stopped; {how}"));
        assert_eq!(after_move(FallBack::Everything, &ops, is_new), dead);
    }
}

#[test]
fn edits_and_late_images_stay_at_their_destination() {
    use DeliveryState::{Dead, Discarded};
    for (trigger, moves, ends) in [
        (Trigger::Event, true, Dead),
        (Trigger::Fallback, true, Dead),
        (Trigger::Replay, true, Dead),
        (Trigger::Test, true, Dead),
        (Trigger::LateImages, false, Dead),
        (Trigger::Edit, false, Discarded),
    ] {
        assert_eq!((can_move(trigger), given_up(trigger)), (moves, ends));
    }
}

#[test]
fn expired_message_has_the_reason_of_its_last_attempt() {
    let hour = Duration::from_secs(3600);
    let trying = "given up after 3600 s of trying";
    for (last, reason) in [
        (Some("HTTP 500"), "HTTP 500"),
        (Some(""), "its destination kept failing"),
        (None, "its destination kept failing"),
    ] {
        assert_eq!(expired(hour, last), format!("{trying}: {reason}"));
    }
}
