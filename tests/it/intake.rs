//! Tests of the intake with the real binary: every vector of the platform's own libraries, and
//! every kind of wrong request.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use feedback_relay::app::{App, Running};
use feedback_relay::config;
use feedback_relay::model::{Clock, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::sealed::now_ms;
use crate::harness::{Feedback, Relay, TOKEN, post, sealed};

/// Returns the outcome of a vector by the response and the store.
fn outcome_of(status: u16, body: &Value, stored: &[Value]) -> String {
    if status != 200 {
        return "reject".into();
    }
    if body.get("challenge").is_some() {
        return "challenge".into();
    }
    match stored.first().and_then(|event| event["state"].as_str()) {
        Some("unreadable") => "dead_letter".into(),
        Some("ignored") => "ignore".into(),
        Some(_) => "accept".into(),
        None => "nothing kept".into(),
    }
}

fn events(relay: &Relay) -> Vec<Value> {
    let output = relay.run(&["events", "list", "--limit", "1000", "--json"]);
    assert_eq!(output.code(), 0, "{output:?}");
    let lines = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"));
    // Operator notices are no events of the platform.
    lines
        .filter(|event: &Value| event["via"] != "relay")
        .collect()
}

fn one_app(key: &str, token: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string(); // JSON strings are valid TOML
    // The vectors' images are on real hosts, which no test may contact.
    let mut config = "images.allow_hosts = [\"127.0.0.1\"]\nimages.wait = \"0s\"\nserver.listen = \"127.0.0.1:0\"\n[apps.shop]\napp_id = \"cli_9f5343c580712544\"\nreceive = \"webhook\"\n".to_owned();
    if !key.is_empty() {
        config.push_str(&format!("encrypt_key = {}\n", quoted(key)));
    }
    if !token.is_empty() {
        config.push_str(&format!("verification_token = {}\n", quoted(token)));
    }
    config
        + "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n[[rules]]\nname = \"all\"\nsend_to = \"archive\"\n"
}

fn allowed(recommended: &Value, field: &str, either: &str) -> Vec<Value> {
    let mut allowed = vec![recommended[field].clone()];
    allowed.extend(
        recommended[either]
            .as_array()
            .into_iter()
            .flatten()
            .cloned(),
    );
    allowed
}

/// The time of the vectors, and one hour more, in milliseconds.
const THEN_MS: i64 = 1_711_112_222_000 + 3_600_000;

/// A clock at the time of the vectors, which would be too old today.
struct Then(Instant);

impl Clock for Then {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(THEN_MS)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A relay in this process, at the time of the vectors.
struct RelayThen {
    folder: Relay,
    address: String,
    _running: Running,
    _runtime: tokio::runtime::Runtime,
}

impl RelayThen {
    fn started(config: &str) -> Self {
        let folder = Relay::prepared(config);
        let mut loaded = config::load(&folder.path("relay.toml"), &BTreeMap::new());
        let config = loaded.config.take().expect("it is good");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (address, running) = runtime.block_on(async {
            let app = App::build(config, Arc::new(Then(Instant::now())), 7).await;
            let app = app.expect("it can be built");
            (app.address().to_string(), app.start().await)
        });
        Self {
            folder,
            address,
            _running: running,
            _runtime: runtime,
        }
    }
}

fn push(address: &str, vector: &Value) -> (u16, Value) {
    let body = match vector["body_b64"].as_str() {
        Some(encoded) => base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .expect("base64"),
        None => vector["body"].as_str().expect("a body").as_bytes().to_vec(),
    };
    let headers: Vec<(&str, &str)> = vector["headers"]
        .as_object()
        .expect("headers")
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
        .collect();
    let answer = post(address, "/apps/shop/events", &headers, &body);
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
    )
}

#[test]
fn every_vector_has_recommended_outcome() {
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/feishu-webhook.json")).expect("JSON");
    let vectors = vectors["vectors"].as_array().expect("a list");
    let mut tried = 0;
    let mut first_of_pair = None;
    for vector in vectors {
        let name = vector["name"].as_str().expect("a name");
        let (key, token) = (&vector["encrypt_key"], &vector["verification_token"]);
        let (key, token) = (key.as_str().unwrap_or(""), token.as_str().unwrap_or(""));
        if key.is_empty() && token.is_empty() {
            continue; // such an app cannot start; the verifier's tests cover these
        }
        // Each vector has its own store, except for the pair that is one event pushed twice.
        let relay = match first_of_pair.take() {
            Some(relay) if name == "enc_redelivery_second" => relay,
            _ => RelayThen::started(&one_app(key, token)),
        };
        let (status, body) = push(&relay.address, vector);
        let relay_then = relay;
        let relay = &relay_then.folder;
        let recommended = &vector["recommended"];
        let stored = events(relay);
        let mut outcome = outcome_of(status, &body, &stored);
        if name == "enc_redelivery_second" {
            assert_eq!(stored.len(), 1, "a repeat is kept once");
            outcome = "duplicate".into();
        }
        let outcomes = allowed(recommended, "outcome", "either");
        assert!(
            outcomes.contains(&outcome.as_str().into()),
            "{name}: {outcome}, not {outcomes:?}"
        );
        if status != 200 {
            let statuses = allowed(recommended, "http_status", "either_status");
            assert!(
                statuses.contains(&status.into()),
                "{name}: {status}, not {statuses:?}"
            );
            assert!(stored.is_empty(), "{name}: what is refused leaves nothing");
        }
        if let Some(challenge) = recommended.get("challenge") {
            assert_eq!(
                body,
                serde_json::json!({ "challenge": challenge }),
                "{name}"
            );
        }
        if outcome == "accept" {
            relay.wait_until_idle();
            let lines = relay.read("out.jsonl");
            let created = stored[0]["type"]
                .as_str()
                .is_some_and(|kind| kind.contains("created"));
            assert_eq!(
                lines.lines().count(),
                usize::from(created),
                "{name}: told once"
            );
        }
        tried += 1;
        if name == "enc_redelivery_first" {
            first_of_pair = Some(relay_then);
        }
    }
    assert_eq!(
        tried, 108,
        "three of the 111 configure neither key nor token"
    );
}

#[test]
fn event_is_stored_completely() {
    let relay = Relay::started(&one_app("", TOKEN));
    let text = r#"{"schema":"2.0","header":{"event_id":"e1","event_type":"application.application.feedback.created_v6","create_time":"1711111111000","token":"TOKEN","app_id":"cli_9f5343c580712544","new_member":{"a":[1,2]}},"event":{"app_id":"cli_9b445f5258795107","feedback_type":7,"fault_type":9,"source":null,"description":"half \ud83d of an emoji","feedback_id":7057888018203574291,"images":null,"surprise":1e400}}"#
        .replace("TOKEN", TOKEN)
        .replace("1711111111000", &now_ms().to_string());
    let answer = post(relay.address(), "/apps/shop/events", &[], text.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    relay.wait_until_idle();
    let shown = relay
        .run(&["events", "show", "e1", "--body", "--json"])
        .json();
    assert_eq!(
        shown["feedback_id"], "7057888018203574291",
        "no digit lost: {shown}"
    );
    let body = shown["body"].as_str().expect("the body as it came");
    assert!(
        body.contains(r"half \ud83d of an emoji") && body.contains("\"surprise\":1e400"),
        "{body}"
    );
    assert!(!body.contains(TOKEN), "the token is a secret: {body}");
    let line: Value = serde_json::from_str(relay.read("out.jsonl").trim()).expect("one JSON line");
    let feedback = &line["data"]["feedback"];
    assert_eq!(feedback["id"], "7057888018203574291");
    assert_eq!(feedback["type"]["code"], 7, "codes of tomorrow are kept");
    assert_eq!(feedback["faults"][0]["code"], 9);
    assert_eq!(feedback["description"], "half \u{fffd} of an emoji");
}

/// The id of an old event may have been removed, so a repeat of a signed body would count as new.
#[test]
fn event_older_than_kept_ids_is_ignored() {
    const DAY_MS: u128 = 86_400_000;
    let relay = Relay::started(&Relay::config(
        "[destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n[[rules]]\nname = \"all\"\nsend_to = \"archive\"\n",
    ));
    let aged = |number: u64, days: u128| {
        let at = (now_ms() - days * DAY_MS).to_string();
        Feedback::fault(number).with_header("create_time", at.into())
    };
    for (feedback, kept) in [(aged(1, 400), 0), (aged(2, 182), 0), (aged(3, 180), 1)] {
        let answer = relay.push(&feedback);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
        relay.wait_until_idle();
        assert_eq!(events(&relay).len(), kept);
    }
    let metrics = relay.get("/metrics").text();
    let counted = "feedback_relay_events_too_old_total{app=\"shop\"} 2\n";
    assert!(metrics.contains(counted), "{metrics}");
    relay.wait_for_log("older than the stored event ids");
    // Without a time the age is unknown.
    let ageless = Feedback::fault(4).with_header("create_time", Value::Null);
    assert_eq!(relay.push(&ageless).status, 200);
    assert_eq!(events(&relay).len(), 2);
}

/// A sender with access to one app must not make another app's reports look like repeats.
#[test]
fn feedback_id_is_unique_per_receiving_app() {
    let hook = crate::harness::Receiver::answering("{}");
    let other = format!(
        "[apps.other]\napp_id = \"cli_9b445f5258795107\"\nreceive = \"webhook\"\nencrypt_key = \"another key\"\n\
         [destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]\nname = \"all\"\nsend_to = \"hook\"\n",
        hook.url("/")
    );
    let relay = Relay::started(&Relay::config(&other));
    let forged = Feedback::fault(1).with_header("event_id", "forged".into());
    let (headers, body) = sealed("another key", &forged.envelope.to_string());
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = post(relay.address(), "/apps/other/events", &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    hook.wait_for(1);
    let differs = "the event is about a different app than the one that received it";
    relay.wait_for_log(differs);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(2);
    // For its own app it is a repeat, whatever its event id.
    let again = Feedback::fault(1).with_header("event_id", "again".into());
    assert_eq!(relay.push(&again).status, 200);
    relay.wait_for_log("repeated event acknowledged");
    let log = relay.log();
    assert_eq!(log.matches(differs).count(), 1, "{log}");
}

#[test]
fn invalid_request_is_refused_and_not_stored() {
    let relay = Relay::started(&format!(
        "server.max_body = \"4KiB\"\n{}",
        Relay::config("")
    ));
    let (headers, body) = sealed("another key", "{}");
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &headers, &body).status,
        401
    );
    assert_eq!(
        post(relay.address(), "/apps/nobody/events", &[], b"{}").status,
        404
    );
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &[], &[b'x'; 5000]).status,
        413
    );
    let deep = format!("{{\"encrypt\":{}1{}}}", "[".repeat(1500), "]".repeat(1500));
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &[], deep.as_bytes()).status,
        400
    );
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &gzip, b"\x1f\x8b").status,
        400
    );
    assert_eq!(relay.get("/apps/shop/events").status, 405);
    assert!(events(&relay).is_empty());
}

#[test]
fn swapped_key_and_token_are_reported() {
    let swapped = one_app(TOKEN, "the-encrypt-key");
    let relay = Relay::started(&swapped);
    let (headers, body) = sealed("the-encrypt-key", &Feedback::fault(1).envelope.to_string());
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &headers, &body).status,
        401
    );
    relay.wait_for_log("swapped");
    assert!(
        !relay.log().contains("the-encrypt-key"),
        "a secret in the log: {}",
        relay.log()
    );
}

#[test]
fn key_and_token_rotate_without_a_gap() {
    let config = one_app("new-key", "new-token")
        .replace("\"new-key\"", "[\"new-key\", \"old-key\"]")
        .replace("\"new-token\"", "[\"new-token\", \"old-token\"]");
    let relay = Relay::started(&config);
    for (number, (key, token)) in [("new-key", "new-token"), ("old-key", "old-token")]
        .iter()
        .enumerate()
    {
        let event = Feedback::fault(number as u64).with_header("token", (*token).into());
        let (headers, body) = sealed(key, &event.envelope.to_string());
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            post(relay.address(), "/apps/shop/events", &headers, &body).status,
            200
        );
    }
    assert_eq!(events(&relay).len(), 2);
}

#[test]
fn unfinished_header_delays_nobody() {
    let relay = Relay::started(&one_app("", TOKEN));
    let mut slow = TcpStream::connect(relay.address()).expect("it listens");
    slow.write_all(b"POST /apps/shop/events HTTP/1.1\r\nHost: x\r\nX-Slow")
        .expect("written");
    let event = Feedback::fault(1).envelope.to_string();
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &[], event.as_bytes()).status,
        200
    );
    // The relay closes the connection that never finished its header.
    slow.set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a socket");
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("closed, not timed out");
}
