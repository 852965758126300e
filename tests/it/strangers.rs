//! Tests of requests without any secret: their cost in memory, log lines and attention.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::harness::{Feedback, Relay, post, wait_until};

/// The number of connections with unfinished bodies. The relay allows 4,096 by default. Memory is
/// counted in bytes, so fewer connections show the same.
const SLOW: usize = 1500;
/// The bytes that each connection sends of its megabyte.
const SENT: usize = 200 << 10;
/// The largest memory of the relay, in a test build.
const MEMORY_MAX_KIB: u64 = 150 * 1024;

fn relay() -> Relay {
    Relay::started(&Relay::config(
        "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n[[rules]]\nname = \"all\"\nsend_to = \"archive\"\n",
    ))
}

fn peak_kib(relay: &Relay) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = peak.expect("a peak").trim().trim_end_matches(" kB");
    digits.parse().expect("kilobytes")
}

fn metric(relay: &Relay, name: &str) -> u64 {
    let text = relay.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().expect("a number"))
}

#[test]
fn slow_unauthorized_bodies_use_bounded_memory() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    let relay = relay();
    let head = "POST /apps/shop/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let part = [head.as_bytes(), &vec![b'x'; SENT]].concat();
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(relay.address()).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        // Writes as much as possible at once. Some requests are refused meanwhile, as intended.
        match stream.write(&part) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
        slow.push(stream);
    }
    let refused = "feedback_relay_refused_total{app=\"shop\",reason=\"too_many_bodies\"}";
    let too_slow = "feedback_relay_refused_total{app=\"shop\",reason=\"body_too_slow\"}";
    wait_until("all of them ended", || {
        metric(&relay, refused) + metric(&relay, too_slow) >= SLOW as u64
    });
    let peak = peak_kib(&relay);
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
}

#[test]
fn body_for_unknown_app_is_not_kept() {
    let relay = relay();
    for path in ["/apps/nobody/events", "/destinations/nobody/actions"] {
        let before = peak_kib(&relay);
        for _ in 0..20 {
            assert_eq!(
                post(relay.address(), path, &[], &vec![b'x'; 1 << 20]).status,
                404
            );
        }
        let grown = peak_kib(&relay) - before;
        assert!(grown < 8 * 1024, "{path}: {grown} KiB");
    }
}

#[test]
fn thousand_refused_requests_give_one_line_and_count() {
    let mut relay = relay();
    for _ in 0..1000 {
        let refused = post(relay.address(), "/apps/shop/events", &[], b"{}");
        assert_eq!(refused.status, 401);
    }
    relay.stop();
    let log = relay.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("request refused"))
        .count();
    assert!(lines <= 10, "{lines} lines");
    assert!(log.contains("left_out="), "{log}");
}

#[test]
fn wrong_path_is_logged_with_the_right_one_and_counted() {
    let relay = relay();
    for path in [
        "/apps/shop/events/",
        "/apps/shop/event",
        "/webhook/event",
        "/",
        "/%1b%5b31m/apps/shop/x",
    ] {
        assert_eq!(
            post(relay.address(), path, &[], b"{}").status,
            404,
            "{path}"
        );
    }
    relay.wait_for_log("request to a path that is not served");
    assert!(
        relay.log().contains("nearest=\"/apps/shop/events\""),
        "{}",
        relay.log()
    );
    assert!(!relay.log().contains('\u{1b}'));
    let counted = "feedback_relay_refused_total{app=\"\",reason=\"no_such_path\"}";
    assert_eq!(metric(&relay, counted), 5);
    post(relay.address(), "/apps/shopp/events", &[], b"{}");
    relay.wait_for_log("the nearest is /apps/shop/events");
}

#[test]
fn old_card_callback_gets_advice() {
    let relay = relay();
    let headers = [
        ("X-Lark-Request-Timestamp", "1700000000"),
        ("X-Lark-Request-Nonce", "n"),
        (
            "X-Lark-Signature",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        ),
    ];
    let body = br#"{"open_id":"ou_1","open_message_id":"om_1","token":"c-1","action":{"value":{"relay":"x"}}}"#;
    let answer = post(relay.address(), "/apps/shop/events", &headers, body);
    assert_eq!(answer.status, 401);
    relay.wait_for_log("card request URL");
    let counted = "feedback_relay_refused_total{app=\"shop\",reason=\"old_card_callback\"}";
    assert_eq!(metric(&relay, counted), 1);
}

/// The app still subscribes to the old callback: the event is authentic, but in a format that nobody handles.
#[test]
fn old_card_event_gets_advice() {
    let relay = relay();
    let event = Feedback::fault(1).with_header("event_type", "card.action.trigger_v1".into());
    let answer = relay.push(&event);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    relay.wait_for_log("ignored a card click in an old format");
    relay.wait_for_log("card request URL");
    let counted = "feedback_relay_refused_total{app=\"shop\",reason=\"old_card_callback\"}";
    assert_eq!(metric(&relay, counted), 1);
}
