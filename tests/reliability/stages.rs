//! Tests of SIGTERM in every stage of work: the relay ends cleanly and in time, and stored events
//! are kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::feishu::Api;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::Instant;

use crate::harness::sealed::KEY;
use crate::harness::{Feedback, Feishu, Platform, Receiver, Relay, Reply, sealed, wait_until};
use crate::parts::{assert_whole, count, form, journal, picture, push_to, to_hook};

/// `server.shutdown_grace`, and a margin for a busy machine.
const IN_TIME: Duration = Duration::from_secs(25);

/// Stops the relay, in time and cleanly.
fn assert_stops(relay: &mut Relay) -> Duration {
    let begun = Instant::now();
    assert_eq!(relay.stop().code(), Some(0), "{}", relay.log());
    let took = begun.elapsed();
    assert!(took < IN_TIME, "{took:?}");
    assert!(!relay.log().contains("panicked"), "{}", relay.log());
    assert_whole(&relay.path("data/relay.db"));
    took
}

fn holds(relay: &Relay, number: u64) -> bool {
    let conn = journal(&relay.path("data/relay.db"));
    count(
        &conn,
        &format!("SELECT count(*) FROM events WHERE id = 'ev-{number}'"),
    ) == 1
}

#[test]
fn idle() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    // An idle connection does not delay the stop.
    let resting = TcpStream::connect(relay.address()).expect("accepted");
    let took = assert_stops(&mut relay);
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(resting);
}

#[test]
fn receiving_a_body() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    let (headers, body) = sealed(KEY, &Feedback::fault(1).envelope.to_string());
    let mut stream = TcpStream::connect(relay.address()).expect("accepted");
    let mut head = "POST /apps/shop/events HTTP/1.1\r\nHost: relay\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).expect("it is read");
    stream
        .write_all(&body[..body.len() / 2])
        .expect("it is read");
    thread::sleep(Duration::from_millis(100)); // until the relay waits for the rest
    relay.signal(Signal::TERM);
    relay.wait_for_log("stopping");
    stream
        .write_all(&body[body.len() / 2..])
        .expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut relay = ended(relay);
    assert!(holds(&relay, 1));
    relay.start();
    hook.wait_for(1);
    assert_stops(&mut relay);
}

/// Waits for a relay that was told to stop, and returns it.
fn ended(mut relay: Relay) -> Relay {
    assert!(relay.wait().success(), "{}", relay.log());
    relay
}

#[test]
fn committing_under_load() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::started(&to_hook(&hook, ""));
    for round in 0..form(3, 30) {
        let address = relay.address().to_owned();
        let taken: Vec<u64> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..4)
                .map(|lane| {
                    let address = &address;
                    scope.spawn(move || {
                        let numbers = (0..1000).map(|n| round * 10_000 + lane * 1000 + n);
                        let taken = numbers.take_while(|number| {
                            push_to(address, &Feedback::fault(*number))
                                .is_ok_and(|answer| answer.status == 200)
                        });
                        taken.collect::<Vec<_>>()
                    })
                })
                .collect();
            let arrived = hook.count();
            wait_until("it is under load", || hook.count() > arrived + 20);
            assert_stops(&mut relay);
            let taken = lanes.into_iter().map(|lane| lane.join().expect("no panic"));
            taken.flatten().collect()
        });
        assert!(!taken.is_empty());
        for number in taken {
            assert!(holds(&relay, number), "{number} was answered with 200");
        }
        relay.start();
    }
    relay.wait_until_idle();
    assert_stops(&mut relay);
    let received = hook.received();
    let mut keys: Vec<_> = received
        .iter()
        .map(|one| one.header("webhook-id"))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), received.len(), "a clean stop doubles nothing");
}

#[test]
fn sending_to_slow_and_hanging_destinations() {
    for (reply, state) in [
        (Reply::After(Duration::from_secs(1)), "delivered"),
        (Reply::After(Duration::from_secs(50)), "sending"),
    ] {
        let hook = Receiver::answering("{}");
        hook.always(reply);
        let config = to_hook(&hook, "timeout = \"60s\"");
        let mut relay = Relay::started(&format!("server.shutdown_grace = \"3s\"\n{config}"));
        assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
        hook.wait_for(1);
        let took = assert_stops(&mut relay);
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert_eq!(relay.deliveries()[0]["state"], state);
        hook.always(Reply::status(200));
        relay.start();
        relay.wait_until_idle();
        assert_eq!(relay.deliveries()[0]["state"], "delivered");
        let received = hook.received();
        let key = received[0].header("webhook-id");
        assert!(received.iter().all(|one| one.header("webhook-id") == key));
    }
}

#[test]
fn uploading_an_image() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &picture(1)));
    let room = "[destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
                [[rules]]\nname = \"all\"\nsend_to = \"room\"\n";
    let config = Relay::config(&format!("{}backfill = \"off\"\n{room}", feishu.app_keys()));
    let mut relay = Relay::started(&format!("server.shutdown_grace = \"3s\"\n{config}"));
    let slow = Fault::Slow(Duration::from_secs(30));
    feishu.faults().add(Api::UploadImage, slow);
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    let uploads = || {
        let calls = feishu.calls();
        calls
            .iter()
            .filter(|call| call.api == Api::UploadImage)
            .count()
    };
    wait_until("the upload has begun", || uploads() > 0);
    assert_stops(&mut relay);
    relay.start();
    wait_until("the message and its picture are there", || {
        let held = feishu.messages("oc_room");
        held.iter()
            .any(|one| one.content.to_string().contains("\"img\""))
    });
    relay.wait_until_idle();
    // The report and its late image: each once.
    let sent = relay.deliveries();
    assert!(
        sent.iter().all(|one| one["state"] == "delivered"),
        "{sent:?}"
    );
    assert_eq!(feishu.messages("oc_room").len(), sent.len());
    assert_stops(&mut relay);
}

#[test]
fn backfilling() {
    let feishu = Feishu::with_chats(&[]);
    feishu
        .faults()
        .add(Api::ListFeedback, Fault::Slow(Duration::from_secs(60)));
    let file = "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n\
                [[rules]]\nname = \"all\"\nsend_to = \"archive\"\n";
    let keys = feishu.app_keys();
    let mut relay = Relay::started(&Relay::config(&format!("{keys}{file}")));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    wait_until("the list is asked for", || {
        let calls = feishu.calls();
        calls.iter().any(|call| call.api == Api::ListFeedback)
    });
    let took = assert_stops(&mut relay);
    assert!(
        took < Duration::from_secs(5),
        "it waits for no list: {took:?}"
    );
    assert!(holds(&relay, 1));
}

#[test]
fn connected_by_long_connection() {
    let platform = Platform::started();
    let file = "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n\
                [[rules]]\nname = \"all\"\nsend_to = \"archive\"\n";
    let mut relay = Relay::started(&platform.config(file));
    platform.wait_for_connection();
    for number in 0..50 {
        platform.push_event(&Feedback::fault(number));
    }
    assert_stops(&mut relay);
    let acknowledged: Vec<_> = platform
        .pushed()
        .iter()
        .filter(|pushed| !pushed.acks.is_empty())
        .map(|pushed| pushed.acks.len())
        .collect();
    let conn = journal(&relay.path("data/relay.db"));
    let held = count(&conn, "SELECT count(*) FROM events WHERE id LIKE 'ev-%'");
    assert!(
        usize::try_from(held).expect("few") >= acknowledged.len(),
        "{held} kept, {acknowledged:?}"
    );
    wait_until("the connection is closed", || platform.connections() == 0);
}
