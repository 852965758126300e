//! Tests of the long connection, with the real binary and a misbehaving fake platform.

use std::collections::BTreeSet;
use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::feishu::Api;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backfill::item as unpushed;
use crate::harness::{APP_ID, Feedback, Platform, Relay, post, wait_until};

const TO_FILE: &str = "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n[[rules]]\nname = \"all\"\nsend_to = \"archive\"\n";

fn events(relay: &Relay) -> Vec<Value> {
    let output = relay.run(&["events", "list", "--limit", "1000", "--json"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let lines = output.stdout.lines();
    let events = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON lines"));
    // Operator notices are no events of the platform.
    events.filter(|event| event["via"] != "relay").collect()
}

fn ids(events: &[Value]) -> BTreeSet<String> {
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    events.iter().map(id).collect()
}

/// Returns the event ids of the sent messages in order.
fn told(relay: &Relay) -> Vec<String> {
    let lines = relay.read("out.jsonl");
    let line = |line: &str| serde_json::from_str::<Value>(line).expect("JSON lines");
    let id = |line: Value| {
        line["data"]["event"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    lines.lines().map(line).map(id).collect()
}

fn metric(relay: &Relay, series: &str) -> f64 {
    let metrics = relay.get("/metrics").text();
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    value.parse().expect("a number")
}

#[test]
fn events_are_acknowledged_and_repeats_detected() {
    let platform = Platform::started();
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    for number in 0..20 {
        platform.push_event(&Feedback::fault(number));
    }
    platform.push_event(&Feedback::fault(7));
    let fragments = Feedback::fault(20).with("description", "分片消息 👍 ".repeat(20).into());
    platform.push_fragments(APP_ID, &fragments.envelope, 3, &[2, 0, 0, 1, 1, 2]);
    platform.push_fragments(APP_ID, &Feedback::fault(3).envelope, 2, &[1, 0]);
    platform.wait_until_acknowledged(23);
    for pushed in platform.pushed() {
        let [ack] = pushed.acks.as_slice() else {
            panic!("acknowledged once: {pushed:?}");
        };
        assert!(ack.faithful && ack.data.is_none(), "{pushed:?}");
        assert!(ack.took < Duration::from_secs(3), "{pushed:?}");
    }
    relay.wait_until_idle();
    let told = told(&relay);
    assert_eq!(told.len(), 21, "{told:?}");
    assert_eq!(
        told.iter().cloned().collect::<BTreeSet<_>>(),
        ids(&events(&relay))
    );

    assert_eq!(
        metric(&relay, "feedback_relay_long_connection_up{app=\"shop\"}"),
        1.0
    );
    let acks = "feedback_relay_long_connection_acks_total{app=\"shop\",code=\"200\"}";
    assert_eq!(metric(&relay, acks), 23.0);
    assert_eq!(
        metric(&relay, "feedback_relay_repeats_total{app=\"shop\"}"),
        2.0
    );
    let status = relay.get("/status").json();
    assert_eq!(status["ok"], true, "{status}");
    let connection = &status["apps"]["shop"]["long_connection"];
    assert!(
        connection["open"] == true && connection["last_frame_at"].is_string(),
        "{status}"
    );
}

#[test]
fn unknown_frames_are_acknowledged_and_old_clicks_give_hint() {
    let platform = Platform::started();
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    let other = json!({"schema": "2.0", "header": {"event_id": "other", "event_type": "im.message.receive_v1"}, "event": {}});
    platform.push(APP_ID, &other);
    platform.push_as(APP_ID, "stream", &json!({"header": {"event_id": "stream"}}));
    platform.push_as(APP_ID, "card", &json!({"a": 1}));
    platform.push(APP_ID, &json!(["no", "object"]));
    platform.wait_until_acknowledged(3);
    relay.wait_for_log("set the callback subscription to the long connection");
    assert!(
        platform.pushed()[2].acks.is_empty(),
        "no client answers these"
    );
    let events = events(&relay);
    let state = |id: &str| {
        events
            .iter()
            .find(|event| event["id"] == id)
            .map(|e| e["state"].clone())
    };
    assert_eq!(state("other"), Some("ignored".into()));
    assert_eq!(state("stream"), None);
    assert_eq!(events.len(), 2);
    assert_eq!(
        events
            .iter()
            .filter(|event| event["state"] == "unreadable")
            .count(),
        1
    );
    let acks = platform.pushed();
    assert!(
        acks.iter()
            .flat_map(|one| &one.acks)
            .all(|ack| ack.code == 200 && ack.faithful)
    );
}

#[test]
fn thousand_events_survive_repeated_disconnects() {
    let platform = Platform::started();
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    for second in 0..4 {
        for number in 0..250 {
            platform.push_event(&Feedback::fault(second * 1000 + number));
            std::thread::sleep(Duration::from_millis(4)); // 250 events a second
        }
        // Reconnecting may take a second, in which pushes reach nobody.
        platform.wait_for_connection();
        platform.break_connections();
    }
    platform.wait_until_acknowledged(1000);
    relay.wait_until_idle();
    let told = told(&relay);
    assert_eq!(told.len(), 1000, "each told once");
    let stored = ids(&events(&relay));
    assert_eq!(stored.len(), 1000, "none lost");
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), stored);
    let faithful = |ack: &feedback_relay::demo::feishu::PushAck| ack.faithful && ack.code == 200;
    assert!(
        platform
            .pushed()
            .iter()
            .flat_map(|one| &one.acks)
            .all(faithful)
    );
    wait_until("another connection", || platform.connections_opened() == 5);
    let ends = "feedback_relay_long_connection_ends_total{app=\"shop\",cause=\"lost\"}";
    assert_eq!(metric(&relay, ends), 4.0);
}

#[test]
fn kill_9_loses_no_acknowledged_event() {
    let platform = Platform::started();
    let mut relay = Relay::started(&platform.config(TO_FILE));
    for round in 0..2_u64 {
        platform.wait_for_connection();
        for number in 0..150 {
            platform.push_event(&Feedback::fault(round * 1000 + number));
        }
        let some = usize::try_from(round).expect("small") * 150 + 20;
        platform.wait_until_acknowledged(some);
        relay.kill();
        let acknowledged: BTreeSet<String> = platform.acknowledged(200).into_iter().collect();
        let stored = ids(&events(&relay));
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "acknowledged and not stored: {lost:?}");
        relay.start();
    }
    platform.wait_until_acknowledged(300);
    relay.wait_until_idle();
    assert_eq!(ids(&events(&relay)).len(), 300);
}

#[test]
fn stop_acknowledges_current_events_and_closes() {
    let platform = Platform::started();
    let mut relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    for number in 0..200 {
        platform.push_event(&Feedback::fault(number));
    }
    platform.wait_until_acknowledged(10);
    let started = tokio::time::Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    wait_until("it is closed", || platform.connections() == 0);
    assert_eq!(platform.closed_by_clients(), [Some(1000)]);
    let acknowledged: BTreeSet<String> = platform.acknowledged(200).into_iter().collect();
    assert_eq!(
        ids(&events(&relay)),
        acknowledged,
        "all that is stored, and nothing else"
    );
}

#[test]
fn refusals_are_reported_and_reload_retries_at_once() {
    let platform = Platform::started();
    let refused = |code: u64| {
        Fault::json(
            200,
            &json!({"code": code, "msg": "see the console; app-secret-of-shop"}),
        )
    };
    platform.faults().add(Api::Endpoint, refused(1_000_040_351));
    platform.faults().add(Api::Endpoint, refused(514));
    let handshake = [
        ("Handshake-Status", "514"),
        ("Handshake-Autherrcode", "1000040350"),
    ];
    platform.faults().add(
        Api::Connect,
        Fault::Answer {
            status: 200,
            headers: handshake
                .map(|(name, value)| (name, value.to_owned()))
                .into(),
            body: String::new(),
        },
    );
    let relay = Relay::started(&platform.config(TO_FILE));
    for says in [
        "another platform",
        "the credentials are refused",
        "too many long connections",
    ] {
        wait_until(says, || {
            let status = relay.get("/status").json();
            let problem = &status["problems"][0];
            problem["kind"] == "connection_down"
                && problem["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.contains(says))
        });
        assert_eq!(relay.get("/readyz").status, 200, "only the store counts");
        relay.signal(Signal::HUP);
    }
    platform.wait_for_connection();
    platform.push_event(&Feedback::fault(1));
    platform.wait_until_acknowledged(1);
    wait_until("all is well", || relay.get("/status").json()["ok"] == true);
    let ends = |cause: &str| {
        format!("feedback_relay_long_connection_ends_total{{app=\"shop\",cause=\"{cause}\"}}")
    };
    for cause in ["wrong_platform", "credentials", "too_many"] {
        assert_eq!(metric(&relay, &ends(cause)), 1.0, "{cause}");
    }
    let notices = "feedback_relay_notices_total{kind=\"connection_refused\"}";
    assert_eq!(metric(&relay, notices), 1.0, "once an hour");
    let log = relay.log();
    assert!(log.contains("see the console"), "{log}");
    for secret in ["app-secret-of-shop", "ticket=", "access_key"] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
}

#[test]
fn close_and_slow_response_lead_to_new_connection() {
    let platform = Platform::started();
    platform
        .faults()
        .add(Api::Endpoint, Fault::json(500, &json!("down")));
    platform
        .faults()
        .add(Api::Endpoint, Fault::Slow(Duration::from_millis(300)));
    platform.faults().add(Api::Endpoint, Fault::Lost);
    platform
        .set_client_config(json!({"PingInterval": 5, "ReconnectInterval": 1, "ReconnectNonce": 0}));
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    for (opened, code) in [(2, 1001), (3, 1012), (4, 1000), (5, 1011)] {
        platform.close_connections(code);
        wait_until("another connection", || {
            platform.connections_opened() >= opened
        });
        platform.wait_for_connection();
        platform.push_event(&Feedback::fault(opened));
        platform.wait_until_acknowledged(usize::try_from(opened).expect("small") - 1);
    }
    let ends = |cause: &str| {
        format!("feedback_relay_long_connection_ends_total{{app=\"shop\",cause=\"{cause}\"}}")
    };
    assert_eq!(metric(&relay, &ends("closed")), 4.0);
    assert!(metric(&relay, &ends("unreachable")) >= 1.0);
}

#[test]
fn feedback_missed_while_disconnected_is_found_in_list() {
    let platform = Platform::started();
    platform
        .set_client_config(json!({"PingInterval": 5, "ReconnectInterval": 1, "ReconnectNonce": 0}));
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    let rounds = "feedback_relay_backfills_total{app=\"shop\",result=\"ok\"}";
    wait_until("the round at the start", || metric(&relay, rounds) == 1.0);
    platform.list_feedback(unpushed(1, 0, 0));
    platform.close_connections(1001);
    wait_until("the report", || events(&relay).len() == 1);
    relay.wait_until_idle();
    assert_eq!(told(&relay).len(), 1);
    assert_eq!(metric(&relay, rounds), 2.0, "one for the gap");
}

#[test]
fn half_open_connection_is_replaced() {
    let platform = Platform::started();
    platform.withhold_pongs(true);
    let relay = Relay::started(&platform.config(TO_FILE));
    platform.wait_for_connection();
    platform.freeze_connections();
    platform.push_event(&Feedback::fault(1));
    platform.withhold_pongs(false);
    let frozen = tokio::time::Instant::now();
    // Takes ten real seconds because the system's own socket must be dropped in time too.
    wait_until("another connection", || platform.connections_opened() == 2);
    assert!(
        frozen.elapsed() < Duration::from_secs(13),
        "{:?}",
        frozen.elapsed()
    );
    platform.wait_until_acknowledged(1);
    let ends = "feedback_relay_long_connection_ends_total{app=\"shop\",cause=\"silent\"}";
    assert_eq!(metric(&relay, ends), 1.0);
    assert!(
        relay
            .log()
            .contains("nothing was received, not even an answer to a ping")
    );
}

#[test]
fn reload_adds_changes_and_removes_apps() {
    let platform = Platform::started();
    let by_webhook = platform.config(TO_FILE).replace(
        "\"websocket\"",
        "\"webhook\"\nverification_token = \"token\"",
    );
    let relay = Relay::started(&by_webhook);
    let reload = |config: &str, says: &str| {
        relay.write("relay.toml", config);
        relay.signal(Signal::HUP);
        relay.wait_for_log(says);
    };
    assert_eq!(platform.connections_opened(), 0);

    // Both ways work while one replaces the other.
    let both = by_webhook.replace("\"webhook\"", "\"websocket\"");
    reload(&both, "app shop changed");
    platform.wait_for_connection();
    platform.push_event(&Feedback::fault(1));
    platform.wait_until_acknowledged(1);
    let event = Feedback::fault(1)
        .with_header("token", "token".into())
        .envelope
        .to_string();
    let answer = post(relay.address(), "/apps/shop/events", &[], event.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(
        events(&relay).len(),
        1,
        "the same event by another way is a repeat"
    );

    reload(
        &both.replace("\"token\"", "\"another\""),
        "long connection ended",
    );
    wait_until("another connection", || platform.connections_opened() == 2);
    platform.wait_for_connection();
    platform.push_event(&Feedback::fault(2));
    platform.wait_until_acknowledged(2);
    reload(
        &format!("server.listen = \"127.0.0.1:0\"\nserver.allow_empty = true\n{TO_FILE}"),
        "app shop removed",
    );
    wait_until("no connection", || platform.connections() == 0);
    assert_eq!(platform.closed_by_clients(), [Some(1000), Some(1000)]);
    let metrics = relay.get("/metrics").text();
    assert!(!metrics.contains("long_connection_up{"), "{metrics}");
    assert_eq!(relay.get("/status").json()["ok"], true);
}
