//! The way in, through the real binary: every vector of the platform's own libraries, and every way
//! a request can be wrong.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use serde_json::Value;

use crate::harness::{Feedback, Relay, TOKEN, post, sealed};

/// Where a vector's outcome shows: in the journal, once the answer has come.
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
    // What the relay says to its own operator is no event of the platform's.
    lines
        .filter(|event: &Value| event["via"] != "relay")
        .collect()
}

fn config(key: &str, token: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string(); // JSON's strings are TOML's too
    // The vectors' pictures are on real hosts, which no test asks for anything.
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

fn push(relay: &Relay, vector: &Value) -> (u16, Value) {
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
    let answer = post(relay.address(), "/apps/shop/events", &headers, &body);
    (
        answer.status,
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
    )
}

#[test]
fn every_vector_comes_out_as_recommended() {
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
            continue; // such an app does not start; the verifier's own tests have these
        }
        // Each on a journal of its own, but for the pair that is one event pushed twice.
        let relay = match first_of_pair.take() {
            Some(relay) if name == "enc_redelivery_second" => relay,
            _ => Relay::started(&config(key, token)),
        };
        let (status, body) = push(&relay, vector);
        let recommended = &vector["recommended"];
        let stored = events(&relay);
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
            first_of_pair = Some(relay);
        }
    }
    assert_eq!(
        tried, 108,
        "three of the 111 configure neither key nor token"
    );
}

#[test]
fn nothing_of_an_event_is_lost() {
    let relay = Relay::started(&config("", TOKEN));
    let text = r#"{"schema":"2.0","header":{"event_id":"e1","event_type":"application.application.feedback.created_v6","create_time":"1711111111000","token":"TOKEN","app_id":"cli_9f5343c580712544","new_member":{"a":[1,2]}},"event":{"app_id":"cli_9b445f5258795107","feedback_type":7,"fault_type":9,"source":null,"description":"half \ud83d of an emoji","feedback_id":7057888018203574291,"images":null,"surprise":1e400}}"#
        .replace("TOKEN", TOKEN);
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

#[test]
fn a_request_that_is_wrong_is_refused_and_leaves_nothing() {
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
fn swapped_key_and_token_are_named() {
    let swapped = config(TOKEN, "the-encrypt-key");
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
    let config = config("new-key", "new-token")
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
fn half_a_header_holds_up_nobody() {
    let relay = Relay::started(&config("", TOKEN));
    let mut slow = TcpStream::connect(relay.address()).expect("it listens");
    slow.write_all(b"POST /apps/shop/events HTTP/1.1\r\nHost: x\r\nX-Slow")
        .expect("written");
    let event = Feedback::fault(1).envelope.to_string();
    assert_eq!(
        post(relay.address(), "/apps/shop/events", &[], event.as_bytes()).status,
        200
    );
    // The connection that never finished its header is closed by the relay, not by us.
    slow.set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .expect("a socket");
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).expect("closed, not timed out");
}
