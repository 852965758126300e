//! Tests of the `demo` command: the real binary, with the requests of its page.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::demo::{Demo, command, wait_until};
use crate::harness::http::{get, post};

/// Returns whether some part of a value is this text, or contains it.
fn says(value: &Value, text: &str) -> bool {
    value.to_string().contains(text)
}

#[test]
fn demo_shows_card_with_images_and_cleans_up() {
    let mut demo = Demo::started();
    wait_until("a card with a picture", || {
        demo.messages("oncall")
            .iter()
            .any(|card| says(card, "img_v3_"))
    });
    let took = demo.begun.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "the first card took {took:?}"
    );
    let card = demo.messages("oncall").remove(0);
    assert!(
        says(&card, "白屏 · shop") && says(&card, "<at id=ou_li></at>"),
        "{card}"
    );
    let elements = card["content"]["body"]["elements"]
        .as_array()
        .expect("elements")
        .clone();
    let keys = elements
        .iter()
        .filter_map(|element| element["img_key"].as_str());
    for key in keys {
        let picture = demo.get(&format!("/api/pictures/feishu/{key}"));
        assert_eq!(
            (picture.status, picture.header("content-type")),
            (200, Some("image/png"))
        );
    }

    let folder = demo.folder();
    assert!(folder.join("data/relay.db").exists(), "a real store");
    let check = Command::new(env!("CARGO_BIN_EXE_feedback-relay"))
        .args([
            "--config",
            &folder.join("relay.toml").display().to_string(),
            "check",
            "--deny-warnings",
        ])
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(
        check.status.success(),
        "its tests pass, and there is nothing to warn of: {check:?}"
    );

    let begun = Instant::now();
    assert_eq!(demo.end(Signal::INT).code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "Ctrl-C ended it late"
    );
    assert_eq!(
        std::fs::read_dir(demo.temporary.path())
            .expect("it is there")
            .count(),
        0
    );
    let mut said = String::new();
    demo.said.read_to_string(&mut said).expect("readable");
    assert!(
        said.contains("relay.toml") && said.contains("Ctrl-C"),
        "{said}"
    );
}

#[test]
fn repeat_is_sent_once_and_visitor_report_is_delivered() {
    let demo = Demo::started();
    let id = demo.report("crash", "mine <b>&amp;</b> *x*");
    let event = || demo.event(&id).unwrap_or_default();
    for place in ["oncall", "slack", "warehouse"] {
        demo.wait_for_delivery(&id, place, "delivered", 1);
    }
    let shown = event();
    assert_eq!(shown["said"]["fault"], "crash");
    assert_eq!(shown["pushes"][0]["status"], 200);
    assert_eq!(shown["pictures"][0]["state"], "kept");
    let rules = shown["rules"].as_array().expect("rules");
    let findings: Vec<_> = rules
        .iter()
        .filter_map(|rule| rule["finding"].as_str())
        .collect();
    assert_eq!(
        findings,
        ["continued", "matched", "not_reached", "not_reached"]
    );
    let of_mine = |card: &Value| says(card, "mine <b>&amp;</b> *x*");
    assert!(demo.messages("oncall").iter().any(of_mine));

    wait_until("the first event was pushed again", || {
        let state = demo.state();
        let events = state["events"].as_array().expect("events");
        events
            .iter()
            .any(|event| event["pushes"].as_array().is_some_and(|all| all.len() == 2))
    });
    let first = demo.messages("oncall");
    let first = first.iter().filter(|card| says(card, "白屏 · shop"));
    assert_eq!(first.count(), 1);
}

#[test]
fn broken_chat_delays_no_other_and_catches_up() {
    let demo = Demo::started();
    // Of different kinds, so that none is merged into the incident of another.
    for (chat, condition, said, kind) in [
        ("oncall", "fails", "503", "crash"),
        ("warehouse", "limits", "429", "white_screen"),
        ("product", "limits", "11232", "suggestion"),
    ] {
        demo.done(
            "/api/condition",
            &json!({"chat": chat, "condition": condition}),
        );
        let id = demo.report(kind, "while it is down");
        let delivery = demo.wait_for_delivery(&id, chat, "pending", 1);
        assert!(says(&delivery["attempts"][0], said), "{delivery}");
        demo.wait_for_delivery(&id, "slack", "delivered", 1);
        demo.done(
            "/api/condition",
            &json!({"chat": chat, "condition": "works"}),
        );
        let delivery = demo.wait_for_delivery(&id, chat, "delivered", 2);
        assert_eq!(
            delivery["attempts"]
                .as_array()
                .and_then(|all| all.last())
                .expect("one")["outcome"],
            "delivered"
        );
    }
}

#[test]
fn click_goes_through_relay_and_updates_every_message() {
    let demo = Demo::started();
    let id = demo.report("crash", "press me");
    demo.wait_for_delivery(&id, "oncall", "delivered", 1);
    demo.wait_for_delivery(&id, "slack", "delivered", 1);
    let of = |chat: &str| {
        let mut all = demo.messages(chat).into_iter();
        all.rfind(|message| says(message, "press me"))
            .expect("it is told")
    };
    let press = |chat: &str, button: &str| {
        demo.done(
            "/api/press",
            &json!({"chat": chat, "message": of(chat)["id"], "button": button}),
        )
    };
    assert_eq!(press("oncall", "claim")["toast"]["en_us"], "It is yours");
    wait_until("both copies say who", || {
        says(&of("oncall"), "<at id=ou_you></at>") && says(&of("slack"), "*Processing*")
    });
    assert_eq!(press("slack", "done")["status"], 200);
    wait_until("both copies say that it is done", || {
        says(&of("oncall"), "已处理") && says(&of("slack"), "*Processed*")
    });
    let forged = json!({"chat": "oncall", "message": "om_none", "button": "claim"});
    assert_eq!(demo.tell("/api/press", &forged).status, 400);
}

#[test]
fn relay_toml_edits_are_applied_and_invalid_ones_refused() {
    let demo = Demo::started();
    let config = demo.get("/api/config").json();
    let text = config["text"].as_str().expect("a text");
    let path = PathBuf::from(config["path"].as_str().expect("a path"));
    let wrong = text.replace("[\"product\", \"slack\"]", "[\"produkt\", \"slack\"]");
    let saved = demo.done("/api/config", &json!({ "text": wrong }));
    assert_eq!(saved["in_force"], false);
    assert!(
        says(&saved["report"], "did you mean \\\"product\\\"?"),
        "{saved}"
    );
    let refused = demo.tell("/api/kill", &json!({}));
    assert!(
        refused.status == 400 && refused.text().contains("relay.toml has an error"),
        "{}",
        refused.text()
    );
    wait_until("the operator is told", || {
        demo.messages("oncall")
            .iter()
            .any(|card| says(card, "relay.toml"))
    });
    let id = demo.report("suggestion", "by the old rules");
    demo.wait_for_delivery(&id, "product", "delivered", 1);

    // Writes like an editor. The relay may read a half-written file and count that as a version
    // too.
    let right = text.replace("send_to = [\"product\", \"slack\"]", "send_to = \"oncall\"");
    std::fs::write(path, right).expect("it can be written");
    wait_until("the new rules are active", || {
        let config = demo.state()["config"].clone();
        config["in_force"] == true && config["version"].as_u64() > Some(2)
    });
    wait_until("suggestions go to on-call", || {
        let id = demo.report("suggestion", "by the new rules");
        demo.wait_for_delivery(&id, "warehouse", "delivered", 1);
        let event = demo.event(&id).expect("it is there");
        let mut deliveries = event["deliveries"].as_array().expect("deliveries").iter();
        deliveries.any(|one| one["to"] == "oncall")
    });
}

#[test]
fn storm_with_kill_is_one_card_that_counts_every_report() {
    let demo = Demo::started();
    wait_until("the relay runs", || demo.state()["relay"]["ready"] == true);
    demo.done("/api/pause", &json!({"paused": true}));
    let relay = demo.state()["relay"]["pid"].clone();
    demo.done("/api/storm", &json!({}));
    assert_eq!(demo.tell("/api/storm", &json!({})).status, 400, "one runs");
    let storm = || demo.state()["storm"].clone();
    let acknowledged = || storm()["acknowledged"].as_u64().unwrap_or(0);
    wait_until("a part of the storm", || acknowledged() >= 200);
    assert_eq!(
        demo.done("/api/kill", &json!({}))["killed"],
        relay,
        "that process is killed"
    );
    let restart = || demo.state()["relay"]["restart"].clone();
    wait_until("the next process is checked", || restart()["lost"].is_u64());
    assert_eq!(restart()["lost"], 0, "{}", restart());
    assert_ne!(demo.state()["relay"]["pid"], relay);

    for part in [400, 600, 800, 1000] {
        wait_until("more of the storm", || acknowledged() >= part);
    }
    wait_until("the storm is over", || storm()["running"] == false);
    let ended = storm();
    assert_eq!(
        (
            &ended["acknowledged"],
            &ended["counted"],
            &ended["suggestions"]
        ),
        (&json!(1000), &json!(1000), &json!(4))
    );
    let cards = || {
        let all = demo.messages("oncall").into_iter();
        let title = |card: &Value| card["content"]["header"]["title"]["content"].clone();
        let shows = |card: &Value| {
            title(card)
                .as_str()
                .is_some_and(|title| title.contains("1000"))
        };
        all.filter(shows).collect::<Vec<Value>>()
    };
    wait_until("a card shows every report", || !cards().is_empty());
    let cards = cards();
    assert_eq!(cards.len(), 1, "{cards:?}");
    assert!(cards[0]["edits"].as_u64() > Some(1), "it was counting");
    assert_eq!(storm()["cards"][0], cards[0]["id"]);
    let shown = storm();
    assert_eq!(shown["edits"], cards[0]["edits"]);
    let own = shown["cards"].as_array().expect("ids");
    let individual = demo.messages("oncall");
    let of_storm = |card: &&Value| says(card, "hall") && !own.contains(&card["id"]);
    assert_eq!(individual.iter().filter(of_storm).count(), 1, "the first");
}

/// Returns where the relay of a demo listens.
fn relay_address(demo: &Demo) -> String {
    let config = demo.get("/api/config").json();
    let text = config["text"].as_str().expect("a text");
    let (_, rest) = text.split_once("listen = \"").expect("it listens");
    rest.split_once('"').expect("a text").0.to_owned()
}

#[test]
fn end_of_the_demo_ends_its_relay() {
    for signal in [Signal::KILL, Signal::TERM, Signal::HUP] {
        let mut demo = Demo::started();
        let relay = relay_address(&demo);
        assert!(TcpStream::connect(&relay).is_ok(), "it listens on {relay}");
        let status = demo.end(signal);
        assert_eq!(status.success(), signal != Signal::KILL, "{signal:?}");
        wait_until("the relay has ended", || {
            TcpStream::connect(&relay).is_err()
        });
    }
}

#[test]
fn requests_of_other_pages_are_refused() {
    let demo = Demo::started();
    for path in [
        "/",
        "/api/state",
        "/page.js",
        "/0123456789abcdef0123456789abcdef/api/state",
    ] {
        assert_eq!(get(&demo.page, path).status, 404, "without its key: {path}");
    }
    let page = demo.get("/");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    // A browser sends this if somebody points a foreign name at this machine.
    let mut stream = TcpStream::connect(&demo.page).expect("it listens");
    let asked = format!(
        "GET {}/api/state HTTP/1.1\r\nHost: demo.example\r\nConnection: close\r\n\r\n",
        demo.key
    );
    stream.write_all(asked.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let body = json!({"paused": true}).to_string();
    let form = [("content-type", "text/plain")];
    assert_eq!(
        post(
            &demo.page,
            &format!("{}/api/pause", demo.key),
            &form,
            body.as_bytes()
        )
        .status,
        415
    );
    assert_eq!(demo.state()["paused"], false);
    demo.done("/api/pause", &json!({"paused": true}));
    assert_eq!(demo.state()["paused"], true);
}

#[test]
fn occupied_port_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let temporary = TempDir::new().expect("a temporary folder");
    let output = command(&temporary, &["--port", &port])
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains(&format!("port {port}")) && said.contains("--port"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_dir(temporary.path())
            .expect("it is there")
            .count(),
        0
    );
}
