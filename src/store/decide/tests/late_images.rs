//! Images that arrive after the message.

use std::time::Duration;

use super::super::late_images::{Sent, follow_ups, may_follow};
use super::*;
use crate::store::{ALL_SHOWN, NewDelivery};

fn sent(destination: &str, state: DeliveryState, shown: u32) -> Sent {
    Sent {
        destination: destination.into(),
        state,
        shown,
        spec: (state == DeliveryState::Delivered).then(|| spec(&["sre"])),
    }
}

#[test]
fn late_images_go_to_destinations_that_miss_some() {
    use DeliveryState::{Dead, Delivered, Discarded, Pending, Sending, Unconfirmed};
    type Case = (&'static str, u32, Vec<(DeliveryState, u32)>, bool);
    let cases: [Case; 11] = [
        ("no message", 0b1, vec![], false),
        ("shown none", 0b1, vec![(Delivered, 0)], true),
        ("shown all", 0b11, vec![(Delivered, 0b11)], false),
        ("shown some", 0b11, vec![(Delivered, 0b01)], true),
        (
            "two messages",
            0b11,
            vec![(Delivered, 0b01), (Delivered, 0b10)],
            false,
        ),
        ("more shown than kept", 0b01, vec![(Delivered, 0b11)], false),
        ("none kept", 0, vec![(Delivered, 0)], false),
        (
            "still waits",
            0b1,
            vec![(Delivered, 0), (Pending, 0)],
            false,
        ),
        (
            "still sending",
            0b1,
            vec![(Delivered, 0), (Sending, 0)],
            false,
        ),
        (
            "never delivered",
            0b1,
            vec![(Dead, 0), (Discarded, 0), (Unconfirmed, 0)],
            false,
        ),
        (
            "delivered after all",
            0b1,
            vec![(Dead, 0b1), (Delivered, 0)],
            true,
        ),
    ];
    for (name, kept, states, follows) in cases {
        let sent = states
            .iter()
            .map(|&(state, shown)| sent("chat", state, shown));
        let found = follow_ups(kept, sent, at(0));
        assert_eq!(found.len(), usize::from(follows), "{name}");
    }
}

#[test]
fn late_images_repeat_the_first_message_without_mentions() {
    let second = Sent {
        spec: Some(MessageSpec {
            template: "other".into(),
            ..spec(&[])
        }),
        ..sent("chat", DeliveryState::Delivered, 0)
    };
    let messages = [
        sent("other", DeliveryState::Delivered, 0b1),
        sent("chat", DeliveryState::Delivered, 0),
        second,
    ];
    let expected = NewDelivery {
        destination: "chat".into(),
        spec: spec(&[]),
        trigger: Trigger::LateImages,
        due_at: at(0) + Duration::from_secs(3),
        held: None,
    };
    assert_eq!(follow_ups(0b1, messages, at(0)), [expected]);
}

#[test]
fn images_that_cannot_be_shown_do_not_follow_forever() {
    for (trigger, shown, before, follows) in [
        (Trigger::Event, 0, 0, true),
        (Trigger::Event, 0b1, 0b1, true),
        (Trigger::Event, ALL_SHOWN, 0, false),
        (Trigger::LateImages, 0b10, 0b01, true),
        (Trigger::LateImages, 0, 0b01, false),
        (Trigger::LateImages, 0b01, 0b01, false),
        (Trigger::LateImages, ALL_SHOWN, 0, false),
    ] {
        let found = may_follow(trigger, shown, before);
        assert_eq!(found, follows, "{trigger:?} {shown} {before}");
    }
}
