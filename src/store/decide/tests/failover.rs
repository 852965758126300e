//! Messages that move to a fallback.

use std::time::Duration;

use super::super::failover::{
    AtFallback, Moved, Sibling, after_move, at_fallback, can_move, describe, expired, given_up,
    has_event, has_message, moved,
};
use super::*;
use crate::store::FallBack;

/// Returns a message that was created this many seconds from now.
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
    for (at_fallback, how) in [
        (AtFallback::New, "sent to ops instead"),
        (AtFallback::Present, "ops has it"),
        (
            AtFallback::Failed,
            "sent to ops before, which did not deliver it",
        ),
    ] {
        let stays = after_move(FallBack::Critical, &ops, at_fallback);
        assert_eq!(stays, Moved::Stays);
        assert_eq!(describe(&ops, at_fallback), how);
        let dead = Moved::Dead(format!("its destination is stopped; {how}"));
        let ends = after_move(FallBack::Everything, &ops, at_fallback);
        assert_eq!(ends, dead);
    }
}

#[test]
fn fallback_gets_each_message_once() {
    use DeliveryState::{Dead, Pending};
    let ops = "ops".into();
    for (name, state, rerouted, expected) in [
        ("waits there", Pending, false, AtFallback::Present),
        ("moved, waits there", Pending, true, AtFallback::Present),
        ("failed there", Dead, false, AtFallback::New),
        ("moved, failed there", Dead, true, AtFallback::Failed),
    ] {
        let siblings = [
            sibling("chat", Trigger::Event, Pending, 0),
            sibling("ops", Trigger::Fallback, state, 0),
        ];
        let found = at_fallback(&siblings, &ops, at(0), rerouted);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn renamed_destination_repeats_no_message() {
    use DeliveryState::{Dead, Delivered, Discarded, Pending, Sending};
    use Trigger::{Edit, Event, Fallback, LateImages, Replay, Test};
    for (waits, there, state, has) in [
        (Event, Event, Pending, true),
        (Event, Fallback, Sending, true),
        (Fallback, Event, Delivered, true),
        (Replay, Event, Delivered, true),
        (Event, Event, Dead, false),
        (Event, Event, Discarded, false),
        (Event, LateImages, Pending, false),
        (Event, Edit, Pending, false),
        (Event, Test, Pending, false),
        (LateImages, LateImages, Pending, true),
        (LateImages, LateImages, Sending, true),
        (LateImages, LateImages, Delivered, false),
        (LateImages, Event, Pending, false),
        (Edit, Event, Pending, false),
        (Edit, Edit, Pending, false),
        (Test, Test, Pending, false),
        (Test, Event, Pending, false),
    ] {
        let siblings = [
            sibling("old", waits, Pending, 0),
            sibling("new", there, state, 0),
        ];
        let found = has_message(&siblings, &"new".into(), waits, at(0));
        assert_eq!(found, has, "{waits:?}, {there:?} {state:?}");
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
