//! Tests of silences with the real binary: commands beside a running relay, and what they mute.

use serde_json::{Value, json};

use crate::harness::{Exposition, Feedback, Receiver, Relay, wait_until};

const REASON: &str = "the pay page is being rebuilt";

/// Starts a relay with a chat and a webhook.
fn relay(chat: &Receiver, hook: &Receiver) -> Relay {
    Relay::started(&Relay::config(&format!(
        r#"
[destinations.chat]
kind = "feishu-bot"
url = "{}"
[destinations.hook]
kind = "webhook"
url = "{}"
[[rules]]
name = "faults"
match = {{ type = "fault" }}
send_to = ["chat", "hook"]
group_by = []
[[rules]]
name = "ideas"
match = {{ type = "suggestion" }}
send_to = "chat"
"#,
        chat.url("/"),
        hook.url("/")
    )))
}

fn started() -> (Relay, Receiver, Receiver) {
    let chat = Receiver::answering(r#"{"code":0,"msg":"success","data":{}}"#);
    let hook = Receiver::answering("{}");
    (relay(&chat, &hook), chat, hook)
}

fn add<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let fixed = [
        "silences", "add", "--reason", REASON, "--author", "li", "--json",
    ];
    fixed.iter().chain(options).copied().collect()
}

fn lines(relay: &Relay, command: &[&str]) -> Vec<Value> {
    let output = relay.run(command);
    assert_eq!(output.code(), 0, "{output:?}");
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect()
}

/// Starts a relay with a silence of `faults`, which muted the report `ev-2`.
fn silenced() -> (Relay, Receiver, Receiver) {
    let (relay, chat, hook) = started();
    let added = relay.run(&add(&["--rule", "faults", "--for", "2h"])).json();
    assert_eq!(added["id"], "sil_1", "{added}");
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    assert_eq!(relay.push(&Feedback::suggestion(3)).status, 200);
    hook.wait_for(1);
    chat.wait_for(1);
    relay.wait_until_idle();
    assert_eq!((chat.count(), hook.count()), (1, 1));
    (relay, chat, hook)
}

fn suppressed(relay: &Relay) -> Vec<Value> {
    let command = ["deliveries", "list", "--state", "suppressed", "--json"];
    lines(relay, &command)
}

#[test]
fn dry_run_shows_what_would_be_muted_and_adds_nothing() {
    let (relay, chat, hook) = started();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    chat.wait_for(1);
    hook.wait_for(1);
    let dry = relay.run(&add(&["--rule", "faults", "--for", "2h", "--dry-run"]));
    let dry = dry.json();
    assert_eq!(
        (&dry["id"], &dry["complete"]),
        (&Value::Null, &json!(true)),
        "{dry}"
    );
    let would = &dry["would_have_muted"];
    let counted = (&would["reports"], &would["messages"]);
    assert_eq!(counted, (&json!(1), &json!(1)), "{dry}");
    assert_eq!(would["counts"][0]["destination"], "chat", "{dry}");
    let listed = relay.run(&["silences", "list"]).stdout;
    assert_eq!(listed, "no active silences\n");
}

#[test]
fn silenced_rule_is_quiet_in_chats_only_until_it_is_ended() {
    let (relay, chat, _hook) = silenced();
    let id = suppressed(&relay)[0]["id"].clone();
    let id = id.as_str().expect("an id");
    assert_eq!(relay.run(&["deliveries", "discard", id]).code(), 1);
    assert_eq!(relay.run(&["deliveries", "retry", id]).code(), 0);
    chat.wait_for(2);
    let ended = relay.run(&["silences", "end", "sil_1"]);
    assert_eq!(
        (ended.code(), ended.stdout.as_str()),
        (0, "sil_1 is ended\n")
    );
    let again = relay.run(&["silences", "end", "sil_1"]);
    assert_eq!(again.code(), 1, "{again:?}");
    assert!(again.stderr.contains("sil_1 had ended at"), "{again:?}");
    assert_eq!(relay.push(&Feedback::fault(4)).status, 200);
    chat.wait_for(3);
    let all = lines(&relay, &["silences", "list", "--all", "--json"]);
    assert_eq!((all.len(), &all[0]["active"]), (1, &json!(false)));
}

#[test]
fn silence_is_explained_by_commands_status_and_metrics() {
    let (relay, _chat, _hook) = silenced();
    let shown = relay.run(&["events", "show", "ev-2"]).stdout;
    let said = "suppressed by sil_1 (until ";
    assert!(shown.contains(said) && shown.contains(REASON), "{shown}");
    let muted = suppressed(&relay);
    assert_eq!(muted.len(), 1, "{muted:?}");
    assert_eq!(muted[0]["suppressed_by"], "sil_1");
    let shown = relay.run(&["silences", "show", "1", "--json"]).json();
    assert_eq!(shown["muted"]["newest"][0]["id"], "ev-2", "{shown}");
    let state = (&shown["reports"], &shown["active"]);
    assert_eq!(state, (&json!(1), &json!(true)));
    let text = relay.run(&["silences", "show", "sil_1"]).stdout;
    let said = "1 message of rule \"faults\" to chat";
    assert!(text.contains(said), "{text}");

    let status = relay.get("/status").json();
    let active = &status["silences"][0];
    let counted = (&active["id"], &active["reports"]);
    assert_eq!(counted, (&json!("sil_1"), &json!(1)), "{status}");
    let said = (&active["author"], &active["rule"]);
    assert_eq!(said, (&json!("li"), &json!("faults")));
    let counted = "feedback_relay_suppressed_deliveries_total{rule=\"faults\"}";
    wait_until("the muted message is counted", || {
        Exposition::of(&relay).value(counted) == 1.0
    });
    let metrics = Exposition::of(&relay);
    assert_eq!(metrics.value("feedback_relay_silences_active"), 1.0);
    let log = relay.log();
    assert!(!log.contains(REASON), "{log}");
}

#[test]
fn silence_with_conditions_mutes_matching_reports_within_a_moment() {
    let (relay, chat, hook) = started();
    let added = relay.run(&add(&[
        "--path",
        "pages/pay*",
        "--fault",
        "crash",
        "--for",
        "1h",
    ]));
    assert_eq!(added.code(), 0, "{added:?}");
    let report = |number: u64, path: &str| {
        Feedback::fault(number)
            .with("fault_type", json!([5]))
            .with("feedback_path", json!(path))
    };
    // The relay sees the command's silence within a second. Until then, reports are delivered.
    let mut number = 0;
    wait_until("a matching report is muted", || {
        number += 1;
        assert_eq!(relay.push(&report(number, "pages/pay/index")).status, 200);
        relay.wait_until_idle();
        let muted = relay.run(&["deliveries", "list", "--state", "suppressed", "--json"]);
        !muted.stdout.is_empty()
    });
    let before = chat.count();
    assert_eq!(relay.push(&report(1000, "pages/home")).status, 200);
    assert_eq!(relay.push(&report(1001, "pages/pay/index")).status, 200);
    chat.wait_for(before + 1);
    relay.wait_until_idle();
    assert_eq!(chat.count(), before + 1);
    let pushed = usize::try_from(number).expect("few") + 2;
    assert_eq!(
        hook.wait_for(pushed).len(),
        pushed,
        "a webhook gets every report"
    );
}

#[test]
fn waiting_messages_are_muted_by_the_command() {
    let hook = Receiver::answering("{}");
    // Nothing listens at the chat's address.
    let relay = Relay::started(&Relay::config(&format!(
        "[destinations.chat]\nkind = \"feishu-bot\"\nurl = \"http://127.0.0.1:1/\"\n\
         [destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n\
         [[rules]]\nname = \"faults\"\nsend_to = [\"chat\", \"hook\"]\ngroup_by = []\n",
        hook.url("/")
    )));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    let pending = || {
        lines(
            &relay,
            &["deliveries", "list", "--state", "pending", "--json"],
        )
    };
    wait_until("the message waits", || pending().len() == 1);
    let added = relay.run(&add(&["--rule", "faults", "--for", "1h"])).json();
    assert_eq!(added["waiting"], 1, "{added}");
    assert_eq!(pending(), Vec::<Value>::new());
}

#[test]
fn wrong_silence_is_refused_with_its_reason() {
    let (relay, _chat, _hook) = started();
    for (options, said) in [
        (
            &["--rule", "fault", "--for", "1h"][..],
            "there is no rule \"fault\"; did you mean \"faults\"?",
        ),
        (&["--for", "1h"], "there is nothing to mute"),
        (&["--rule", "faults", "--for", "0s"], "above zero"),
        (&["--rule", "faults", "--for", "31d"], "30d at most"),
        (
            &["--rule", "faults", "--until", "2020-01-01T00:00:00Z"],
            "in the past",
        ),
        (
            &["--fault", "crsh", "--for", "1h"],
            "did you mean \"crash\"?",
        ),
        (&["--rule", "faults"], "--for"),
    ] {
        let output = relay.run(&add(options));
        assert_eq!(output.code(), 2, "{options:?} {output:?}");
        assert!(output.stderr.contains(said), "{options:?} {output:?}");
    }
    let bare = ["silences", "add", "--rule", "faults", "--for", "1h"];
    let output = relay.run(&bare);
    assert!(output.stderr.contains("--reason"), "{output:?}");
    let blank = relay.run(&[&bare[..], &["--reason", " "]].concat());
    assert!(blank.stderr.contains("--reason is empty"), "{blank:?}");
    for command in ["show", "end"] {
        let unknown = relay.run(&["silences", command, "sil_99"]);
        assert_eq!(unknown.code(), 1, "{unknown:?}");
        assert!(unknown.stderr.contains("no silence sil_99"), "{unknown:?}");
    }
    let long = relay.run(&add(&["--rule", "faults", "--for", "8d"]));
    assert_eq!(long.code(), 0, "{long:?}");
    assert!(long.stderr.contains("longer than 7d"), "{long:?}");
}
