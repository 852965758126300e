//! Tests of `kill -9` at any moment: every event answered with 200 is delivered, and sends in
//! flight are repeated with the same key.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::main_path::to_hook;

#[test]
fn send_in_flight_is_repeated_with_same_key() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::After(Duration::from_secs(30)));
    let mut relay = Relay::started(&to_hook(&hook, "timeout = \"25s\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let first = hook.wait_for(1)[0].clone();
    relay.kill();
    hook.always(Reply::status(200));
    relay.start();
    let again = hook.wait_for(2)[1].clone();
    assert_eq!(first.header("webhook-id"), again.header("webhook-id"));
    relay.wait_until_idle();
    let deliveries = relay.deliveries();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0]["state"], "delivered");
}

#[test]
fn acknowledged_events_survive_kill() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    let mut acknowledged = BTreeSet::new();
    for round in 0..4_u64 {
        std::thread::scope(|scope| {
            let relay = &relay;
            let pushing: Vec<_> = (0..4_u64)
                .map(|lane| {
                    scope.spawn(move || {
                        let numbers = (0..50).map(|n| round * 1000 + lane * 100 + n);
                        let taken = numbers.take_while(|number| {
                            relay
                                .try_push(&Feedback::fault(*number))
                                .is_ok_and(|a| a.status == 200)
                        });
                        taken
                            .map(|number| format!("ev-{number}"))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            wait_until("some are delivered", || {
                hook.received().len() > usize::try_from(round).expect("small") * 60 + 20
            });
            relay.signal(rustix::process::Signal::KILL);
            for lane in pushing {
                acknowledged.extend(lane.join().expect("no panic"));
            }
        });
        relay.kill();
        relay.start();
    }
    relay.wait_until_idle();
    let delivered: BTreeSet<String> = hook
        .received()
        .iter()
        .map(|received| {
            received.json()["data"]["event"]["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
        .collect();
    let missing: Vec<_> = acknowledged.difference(&delivered).collect();
    assert!(
        missing.is_empty(),
        "acknowledged and never delivered: {missing:?}"
    );
    assert!(
        relay
            .deliveries()
            .iter()
            .all(|delivery| delivery["state"] == "delivered")
    );
}
