//! Tests of the commands, beside a running relay and without one.

use std::os::unix::fs::chown;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Feedback, NOBODY, Receiver, Relay, Reply, wait_until};
use crate::main_path::{png, to_hook};

fn lines(output: &str) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect()
}

#[test]
fn check_reports_every_error_and_exit_status() {
    let hook = Receiver::answering("{}");
    let relay = Relay::prepared(&to_hook(&hook, "").replace("send_to", "sent_to"));
    let wrong = relay.run(&["check"]);
    assert_eq!(wrong.code(), 2);
    assert!(
        wrong.stdout.contains("relay.toml:") && wrong.stdout.contains("send_to"),
        "{wrong:?}"
    );
    let serve = relay.run(&["serve"]);
    assert_eq!((serve.code(), serve.stdout.as_str()), (2, ""));
    assert!(serve.stderr.contains("send_to"));

    relay.write("relay.toml", &to_hook(&hook, ""));
    let good = relay.run(&["check"]);
    assert_eq!(good.code(), 0, "{good:?}");
    assert!(relay.run(&["check", "--json"]).json().is_object());
}

#[test]
fn store_commands_need_no_secret() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::status(422));
    // Without a step, an incident of reports for a program would notify nobody, and would not be counted.
    let escalate = "escalate = [{ count = 100, mention = \"all\" }]\n";
    let config = format!("{}{escalate}", to_hook(&hook, ""));
    let mut relay = Relay::started(&config);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    relay.stop();
    let app = config.replace("encrypt_key = \"", "encrypt_key = \"${SHOP_KEY}");
    let chat = "[destinations.chat]\nkind = \"feishu-bot\"\nurl = \"${BOT_URL}\"\nsecret = { file = \"/nowhere\" }\n";
    relay.write("relay.toml", &format!("{app}{chat}"));
    let listed = relay.run(&["events", "list", "--json"]);
    assert_eq!(listed.code(), 0, "{listed:?}");
    let dead = relay.deliveries()[0]["id"].clone();
    let dead = dead.as_str().expect("an id");
    for command in [
        &["events", "show", "ev-1"][..],
        &["events", "replay", "ev-1"],
        &["deliveries", "list"],
        &["deliveries", "retry", dead],
        &["deliveries", "discard", dead],
        &["incidents", "list"],
        &["incidents", "show", "inc_1"],
        &["incidents", "close", "1"],
        &["destinations", "list"],
        &["destinations", "resume", "chat"],
        &["backup", "copy"],
        &["events", "erase", "ev-1"],
    ] {
        let done = relay.run(command);
        assert_eq!(done.code(), 0, "{command:?}: {done:?}");
    }
    for command in ["check", "serve"] {
        assert_eq!(relay.run(&[command]).code(), 2);
    }
}

#[test]
fn try_is_never_late_and_mentions_nobody() {
    let (bot, slack, hook) = (
        Receiver::answering(r#"{"code":0,"msg":"success","data":{}}"#),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    let relay = Relay::prepared(&Relay::config(&format!(
        r#"
[mentions]
sre = {{ feishu = "ou_1234", slack = "U1234567" }}
[destinations.bot]
kind = "feishu-bot"
url = "{}"
[destinations.slack]
kind = "slack-webhook"
url = "{}"
[destinations.hook]
kind = "webhook"
url = "{}"
[[rules]]
name = "all"
send_to = ["bot", "slack", "hook"]
mention = ["sre", "all"]
"#,
        bot.url("/"),
        slack.url("/"),
        hook.url("/")
    )));
    let old = include_str!("../events/white-screen.json");
    relay.write("old.json", old);
    let sent = relay.run(&["try", "old.json", "--send"]);
    assert_eq!(sent.code(), 0, "{sent:?}");
    for receiver in [&bot, &slack] {
        let received = receiver.received();
        let body = String::from_utf8_lossy(&received[0].body).into_owned();
        assert!(body.contains("@sre @all"), "{body}");
        for call in ["<at", "ou_1234", "U1234567", "<!"] {
            assert!(!body.contains(call), "{call}: {body}");
        }
    }
    let body: Value = serde_json::from_slice(&hook.received()[0].body).expect("JSON");
    assert_eq!(body["data"]["event"]["late"], false, "{body}");
    // Without sending, the message is shown as it would be sent.
    let tried = relay.run(&["try", "old.json"]);
    assert!(tried.stdout.contains("<at id=ou_1234></at>"), "{tried:?}");
    // A stamped sample happens now and so is sent like a current event.
    let stamped = relay.run(&["events", "sample", "white-screen"]).json();
    assert_ne!(stamped["header"]["create_time"], "1772302211000");
}

#[test]
fn environment_overrides_file() {
    let hook = Receiver::answering("{}");
    let mut relay = Relay::prepared(&to_hook(&hook, ""));
    relay.set("RELAY__SERVER__MAX_BODY", "lots");
    let wrong = relay.run(&["check"]);
    assert_eq!(wrong.code(), 2);
    assert!(
        wrong.stdout.contains("RELAY__SERVER__MAX_BODY"),
        "{}",
        wrong.stdout
    );
    relay.set("RELAY__SERVER__MAX_BODY", "2MiB");
    relay.set("RELAY__DESTINATIONS__HOOK__CONCURRENCY", "1");
    assert_eq!(relay.run(&["check"]).code(), 0);
}

#[test]
fn try_reports_invalid_file_before_missing_app() {
    let two = "[apps.other]\napp_id = \"cli_other\"\nverification_token = \"t\"\n";
    let relay = Relay::prepared(&Relay::config(two));
    relay.write("encrypted.json", "{\"encrypt\":\"x\"}");
    relay.write("broken.json", "{");
    relay.write("bare.json", "{\"description\":\"x\"}");
    let marked = format!("\u{feff}{}", Feedback::fault(1).envelope);
    relay.write("marked.json", &marked);
    for (file, code, said) in [
        ("encrypted.json", 1, "it is encrypted"),
        ("broken.json", 1, "it is not a JSON object"),
        ("bare.json", 2, "use --app with one of: other, shop"),
        ("marked.json", 0, ""),
    ] {
        let tried = relay.run(&["try", file]);
        assert_eq!(tried.code(), code, "{file}: {tried:?}");
        assert!(tried.stderr.contains(said), "{file}: {tried:?}");
    }
}

#[test]
fn try_explains_and_sends_only_on_request() {
    let hook = Receiver::answering("{}");
    let relay = Relay::prepared(
        &to_hook(&hook, "").replace("send_to", "match = { type = \"fault\" }\nsend_to"),
    );
    relay.write("fault.json", &Feedback::fault(1).envelope.to_string());
    relay.write(
        "bare.json",
        &Feedback::suggestion(2).envelope["event"].to_string(),
    );

    let shown = relay.run(&["try", "fault.json", "--json"]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    let shown = shown.json();
    assert_eq!(shown["deliveries"][0]["destination"], "hook");
    assert_eq!(
        shown["deliveries"][0]["payload"]["data"]["feedback"]["faults"][0]["key"],
        "white_screen"
    );
    let other = relay.run(&["try", "bare.json"]);
    assert_eq!(other.code(), 0, "{other:?}");
    assert!(
        other.stdout.contains("type") && other.stdout.contains("suggestion"),
        "{}",
        other.stdout
    );
    assert!(hook.received().is_empty(), "nothing is sent without --send");

    assert_eq!(relay.run(&["try", "fault.json", "--send"]).code(), 0);
    assert_eq!(hook.received().len(), 1);
    hook.next(Reply::status(400));
    assert_eq!(relay.run(&["try", "fault.json", "--send"]).code(), 1);
}

#[test]
fn try_judges_when_at_the_given_time() {
    let hook = Receiver::answering("{}");
    let rules = to_hook(&hook, "").replace("send_to", "when = \"mon-fri 09:00-18:00\"\nsend_to");
    let relay = Relay::prepared(&rules);
    relay.write("fault.json", &Feedback::fault(1).envelope.to_string());
    let tried = |more: &[&str]| relay.run(&[&["try", "fault.json"], more].concat());

    let saturday = "2026-03-07T10:12:00+08:00";
    let shown = tried(&["--at", saturday]);
    assert_eq!(shown.code(), 0, "{shown:?}");
    let line = shown.stdout.lines().find(|line| line.starts_with("all "));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "all not now when mon-fri 09:00-18:00 Sat 10:12 in Asia/Shanghai"
    );
    let json = tried(&["--at", saturday, "--json"]).json();
    let wanted = json!({
        "rule": "all",
        "finding": "not_now",
        "key": "when",
        "wanted": "mon-fri 09:00-18:00",
        "found": "Sat 10:12 in Asia/Shanghai",
    });
    assert_eq!(json["rules"][0], wanted);
    assert_eq!(json["deliveries"], json!([]));
    let friday = tried(&["--at", "2026-03-06T10:12:00+08:00", "--json"]).json();
    assert_eq!(friday["rules"][0]["finding"], "matched");
    assert_eq!(tried(&["--at", "yesterday"]).code(), 2);
}

#[test]
fn try_creates_no_folder_of_the_relay() {
    let hook = Receiver::answering("{}");
    let relay = Relay::prepared(&format!(
        "{}[destinations.archive]\nkind = \"file\"\npath = \"data/archive.jsonl\"\n[[rules]]\nname = \"archive\"\nsend_to = \"archive\"\n",
        to_hook(&hook, "").replace("send_to", "continue = true\nsend_to")
    ));
    relay.write("fault.json", &Feedback::fault(1).envelope.to_string());
    let tried = relay.run(&["try", "fault.json", "--send"]);
    assert_eq!(tried.code(), 1, "{tried:?}");
    assert!(
        tried.stderr.contains("start `feedback-relay serve` first"),
        "{tried:?}"
    );
    assert!(!relay.path("data").exists());
    assert!(hook.received().is_empty(), "nothing is sent by halves");
    let only_hook = relay.run(&["try", "fault.json", "--send", "--to", "hook"]);
    assert_eq!(only_hook.code(), 0, "{only_hook:?}");
}

#[test]
fn try_as_root_creates_no_file_in_the_folder_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can make the folder of another user
    }
    let hook = Receiver::answering("{}");
    let relay = Relay::prepared(&format!(
        "{}[destinations.archive]\nkind = \"file\"\npath = \"data/archive.jsonl\"\n",
        to_hook(&hook, "").replace("\"hook\"", "[\"hook\", \"archive\"]")
    ));
    relay.write("fault.json", &Feedback::fault(1).envelope.to_string());
    let data = relay.path("data");
    std::fs::create_dir(&data).expect("a folder");
    chown(&data, Some(NOBODY), Some(NOBODY)).expect("this is root");
    let tried = relay.run(&["try", "fault.json", "--send"]);
    assert_eq!(tried.code(), 1, "{tried:?}");
    assert!(
        tried.stderr.contains("run this command as that user"),
        "{tried:?}"
    );
    assert!(!data.join("archive.jsonl").exists());
    std::fs::write(data.join("archive.jsonl"), "").expect("a file");
    let tried = relay.run(&["try", "fault.json", "--send"]);
    assert_eq!(tried.code(), 0, "{tried:?}");
}

#[test]
fn event_is_listed_explained_replayed_and_erased() {
    let hook = Receiver::answering("{}");
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_hook(&hook, ""));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    hook.wait_for(2);
    relay.wait_until_idle();

    let listed = lines(&relay.run(&["events", "list", "--json"]).stdout);
    assert_eq!(listed.len(), 2);
    let shown = relay.run(&["events", "show", "ev-1"]);
    assert!(
        shown.stdout.contains("delivered") && shown.stdout.contains("rule"),
        "{}",
        shown.stdout
    );
    let body = relay.run(&["events", "show", "ev-1", "--body"]).stdout;
    assert!(
        body.contains("blank page number 1") && !body.contains("test-verification-token"),
        "{body}"
    );
    assert_eq!(relay.run(&["events", "show", "nothing"]).code(), 1);

    assert_eq!(relay.run(&["events", "replay", "ev-1"]).code(), 0);
    let received = hook.wait_for(3);
    assert_ne!(
        received[0].header("webhook-id"),
        received[2].header("webhook-id")
    );
    relay.wait_until_idle();

    let kept = || {
        std::fs::read_dir(relay.path("data/images"))
            .into_iter()
            .flatten()
            .flatten()
            .count()
    };
    assert!(kept() > 0);
    assert_eq!(
        relay
            .run(&["events", "erase", "--user", "ou_reporter"])
            .code(),
        0
    );
    let journal = ["data/relay.db", "data/relay.db-wal"]
        .map(|name| std::fs::read(relay.path(name)).unwrap_or_default());
    for words in ["blank page number", "li@example.com"] {
        let found = journal
            .iter()
            .any(|file| file.windows(words.len()).any(|w| w == words.as_bytes()));
        assert!(!found, "{words:?} is still in the store");
    }
    assert_eq!(
        relay.run(&["events", "replay", "ev-1"]).code(),
        1,
        "its words are gone"
    );
    assert_eq!(
        lines(&relay.run(&["events", "list", "--json"]).stdout).len(),
        2,
        "the bare record stays"
    );
}

#[test]
fn events_are_chosen_by_conditions_and_replayed_once() {
    let hook = Receiver::answering("{}");
    let config = to_hook(&hook, "");
    let narrow = config.replace("send_to", "match.path = \"pages/never\"\nsend_to");
    let mut relay = Relay::started(&narrow);
    let pages = ["pages/pay/confirm?id=1", "pages/pay/done", "pages/index"];
    for (n, page) in (1..).zip(pages) {
        let event = Feedback::fault(n).with("feedback_path", json!(page));
        assert_eq!(relay.push(&event).status, 200);
    }
    relay.wait_until_idle();
    let list_of = |relay: &Relay, conditions: &[&str]| {
        let mut command = vec!["events", "list", "--json"];
        command.extend(conditions);
        let listed = relay.run(&command);
        assert_eq!(listed.code(), 0, "{listed:?}");
        lines(&listed.stdout)
    };
    assert_eq!(list_of(&relay, &["--path", "pages/pay/*"]).len(), 2);
    assert_eq!(
        list_of(&relay, &["--path", "pages/pay/*", "--query", "id=*"]).len(),
        1
    );
    assert_eq!(
        list_of(
            &relay,
            &[
                "--match",
                "any = [{ path = \"*/done\" }, { path = \"*/index\" }]"
            ]
        )
        .len(),
        2
    );
    let braces = ["--type", "fault", "--match", "{ path = \"*/done\" }"];
    assert_eq!(list_of(&relay, &braces).len(), 1);
    for (conditions, said) in [
        (
            &["--type", "fault", "--match", "type = \"fault\""][..],
            "`type` is given twice",
        ),
        (
            &["--match", "type=fault"],
            "write it as in a rule: type = \"fault\"",
        ),
        (&["--match", ""], "the conditions are empty"),
    ] {
        for command in ["list", "replay"] {
            let wrong = relay.run(&[&["events", command], conditions].concat());
            assert_eq!(wrong.code(), 2, "{wrong:?}");
            assert!(wrong.stderr.contains(said), "{wrong:?}");
        }
    }
    assert_eq!(list_of(&relay, &["--text", "NUMBER 3"]).len(), 1);
    assert_eq!(list_of(&relay, &["--until", "1d"]).len(), 0);
    assert_eq!(list_of(&relay, &["--type", "suggestion"]).len(), 0);
    let wrong = relay.run(&["events", "list", "--fault", "crsh"]);
    assert_eq!(wrong.code(), 2);
    assert!(wrong.stderr.contains("did you mean \"crash\""), "{wrong:?}");
    let shown = relay.run(&["events", "list"]).stdout;
    assert!(
        shown.contains("pages/pay/done") && shown.contains("blank page number 2"),
        "{shown}"
    );

    relay.stop();
    relay.write("relay.toml", &config);
    relay.start();
    let replay = |more: &[&str]| {
        let mut command = vec![
            "events",
            "replay",
            "--state",
            "unrouted",
            "--path",
            "pages/pay/*",
        ];
        command.extend(more);
        relay.run(&command)
    };
    let dry = replay(&["--dry-run"]);
    assert!(dry.stdout.contains("2 events would be replayed"), "{dry:?}");
    assert_eq!(hook.count(), 0);
    assert_eq!(replay(&[]).code(), 0);
    hook.wait_for(2);
    let again = replay(&[]);
    assert!(again.stdout.contains("0 events were replayed"), "{again:?}");
    relay.wait_until_idle();
    assert_eq!(hook.count(), 2);
    let states = list_of(&relay, &[]);
    let routed = states.iter().filter(|one| one["state"] == "routed").count();
    assert_eq!(routed, 2, "{states:?}");
    let nothing = relay.run(&["events", "replay"]);
    assert_eq!(nothing.code(), 2, "{nothing:?}");
}

#[test]
fn dead_letter_of_removed_destination_is_retried_elsewhere() {
    let (old, new) = (Receiver::answering("{}"), Receiver::answering("{}"));
    old.always(Reply::status(413));
    let config = to_hook(&old, "");
    let mut relay = Relay::started(&config);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    relay.wait_until_idle();
    relay.stop();
    let renamed = to_hook(&new, "")
        .replace("[destinations.hook]", "[destinations.renamed]")
        .replace("send_to = \"hook\"", "send_to = \"renamed\"");
    relay.write("relay.toml", &renamed);
    relay.start();
    let dead = lines(
        &relay
            .run(&["deliveries", "list", "--state", "dead", "--json"])
            .stdout,
    );
    assert_eq!(dead.len(), 1, "{dead:?}");
    let retry = |to: &str| {
        relay.run(&[
            "deliveries",
            "retry",
            "--dead",
            "--from",
            "hook",
            "--to",
            to,
        ])
    };
    assert_eq!(retry("nowhere").code(), 2);
    assert_eq!(retry("renamed").code(), 0);
    new.wait_for(1);
}

#[test]
fn deliveries_are_listed_as_json_without_limit() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, ""));
    for number in 0..51 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    let all = relay.run(&["deliveries", "list", "--json"]);
    assert_eq!(lines(&all.stdout).len(), 51);
    let table = relay.run(&["deliveries", "list"]);
    assert_eq!(table.stdout.lines().count(), 1 + 50);
    assert!(table.stderr.contains("there may be more"), "{table:?}");
}

#[test]
fn dead_letters_are_listed_discarded_and_counted() {
    let hook = Receiver::answering("{}");
    hook.always(Reply::status(422));
    let relay = Relay::started(&to_hook(&hook, ""));
    for number in 0..3 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    wait_until("all three are dead", || {
        let output = relay.run(&["deliveries", "list", "--state", "dead", "--json"]);
        lines(&output.stdout).len() == 3
    });
    let id = relay.deliveries()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let first = relay.run(&["deliveries", "list", "--limit", "2", "--json"]);
    assert_eq!(lines(&first.stdout).len(), 2);
    let table = relay.run(&["deliveries", "list", "--limit", "2"]);
    assert!(table.stderr.contains("there may be more"), "{table:?}");
    assert_eq!(relay.run(&["deliveries", "discard", &id]).code(), 0);
    assert_eq!(
        relay.run(&["deliveries", "discard", &id]).code(),
        1,
        "it is discarded already"
    );
    hook.always(Reply::status(200));
    assert_eq!(
        relay
            .run(&["deliveries", "retry", "--dead", "--to", "hook"])
            .code(),
        0
    );
    hook.wait_for(5);
    relay.wait_until_idle();
    let states: Vec<_> = relay
        .deliveries()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(
        states.iter().filter(|state| **state == "delivered").count(),
        2
    );

    let renamed = to_hook(&hook, "").replace("[destinations.hook]", "[destinations.other]");
    relay.write("relay.toml", &renamed.replace("\"hook\"", "\"other\""));
    let nobody = relay.run(&["deliveries", "retry", &id]);
    assert_eq!(nobody.code(), 1, "it would wait for ever");
    assert!(
        nobody.stderr.contains("no destination \"hook\""),
        "{nobody:?}"
    );
}

#[test]
fn backup_of_running_relay_can_be_served() {
    let hook = Receiver::answering("{}");
    let pictures = Receiver::answering("");
    pictures.always(Reply::bytes("image/png", &png()));
    let relay = Relay::started(&to_hook(&hook, ""));
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    hook.wait_for(1);
    relay.wait_until_idle();
    assert_eq!(relay.run(&["backup", "copy"]).code(), 0);
    assert_eq!(
        relay.run(&["backup", "copy"]).code(),
        1,
        "a copy is never overwritten"
    );

    let restored = Relay::prepared(&to_hook(&hook, ""));
    let moved =
        |from: &str, to: &str| std::fs::rename(relay.path(from), restored.path(to)).expect("moved");
    std::fs::create_dir(restored.path("data")).expect("a folder");
    moved("copy/relay.db", "data/relay.db");
    moved("copy/images", "data/images");
    let mut restored = restored;
    restored.start();
    assert_eq!(restored.push(&event).status, 200);
    restored.wait_until_idle();
    assert_eq!(
        hook.received().len(),
        1,
        "the restored relay knows the repeat"
    );
}

#[test]
fn completions_and_help_need_no_configuration() {
    let relay = Relay::prepared("this is no TOML");
    for arguments in [
        &["completions", "bash"] as &[&str],
        &["--help"],
        &["--version"],
    ] {
        let output = relay.run(arguments);
        assert_eq!(output.code(), 0, "{output:?}");
        assert!(!output.stdout.is_empty());
    }
    assert_eq!(
        relay.run(&["silences", "list"]).code(),
        2,
        "what is not built is no command"
    );
}

/// A replay plans its messages as intake does: they wait for images that are not settled.
#[test]
fn replayed_event_waits_for_its_images_as_at_intake() {
    let (hook, pictures) = (Receiver::answering("{}"), Receiver::answering(""));
    pictures.always(Reply::status(503));
    let config = to_hook(&hook, "").replace("name = \"all\"", "name = \"all\"\nwait = \"1h\"");
    let relay = Relay::started(&config);
    let event = Feedback::fault(1).with("images", json!([pictures.url("/p.png")]));
    assert_eq!(relay.push(&event).status, 200);
    assert_eq!(relay.run(&["events", "replay", "ev-1"]).code(), 0);
    let waiting = relay.deliveries();
    let due = |one: &Value| one["due_at"].as_str().expect("a time").to_owned();
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(50)).to_string();
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|one| due(one) > soon), "{waiting:?}");
    assert_eq!(hook.count(), 0);
    pictures.always(Reply::bytes("image/png", &png()));
    relay.signal(Signal::HUP); // makes images due
    hook.wait_for(2);
    // The images are settled now, so nothing waits.
    assert_eq!(relay.run(&["events", "replay", "ev-1"]).code(), 0);
    hook.wait_for(3);
}
