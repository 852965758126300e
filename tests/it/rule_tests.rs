//! Tests of `[[tests]]` in the configuration with the real `check`, and of `events sample`.

use serde_json::json;

use crate::harness::Relay;

const RULES: &str = r#"
[destinations.archive]
kind = "file"
path = "archive.jsonl"
[destinations.ops]
kind = "slack-webhook"
url = "${OPS_URL:-https://hooks.slack.com/services/T0/B0/x}"
locale = "en"
[[rules]]
name = "all"
send_to = "archive"
continue = true
[[rules]]
name = "pay"
match = { type = "fault", path = "pages/pay/*" }
send_to = ["ops", "archive"]
severity = "critical"
[[rules]]
name = "faults"
match = { type = "fault" }
send_to = "archive"
[[rules]]
name = "unused"
match = { type = "suggestion", app = "shop" }
send_to = []
"#;

/// Prepares a folder with these tests and a sample event of a crash at `pages/pay/confirm`.
fn relay(tests: &str) -> Relay {
    let config = Relay::config(RULES).replace(
        "[apps.shop]",
        "server.public_url = \"https://r.example.com\"\n[apps.shop]",
    );
    let relay = Relay::prepared(&format!("{config}{tests}"));
    let sample = relay.run(&["events", "sample", "crash"]);
    assert_eq!(sample.code(), 0, "{sample:?}");
    relay.write("events/crash.json", &sample.stdout);
    relay
}

const GOOD: &str = r#"
[[tests]]
name = "a crash while paying wakes everybody"
at = "2026-03-01T10:31:20+08:00"
event = "events/crash.json"
expect = { rule = "pay", sent_to = ["ops", "archive"], severity = "critical", template = "alert", contains = "paying" }
[[tests]]
name = "elsewhere it is a fault like others"
event = "events/crash.json"
with = { feedback_path = "pages/index", description = "a <b> & [c]" }
expect = { rule = ["all", "faults"], sent_to = "archive", severity = "warning", contains = ["a <b> & [c]"], unrouted = false }
"#;

#[test]
fn passing_tests_are_counted_and_untested_rules_named() {
    let relay = relay(GOOD);
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    assert!(checked.stdout.contains("2 tests pass\n"), "{checked:?}");
    assert!(
        checked.stdout.contains("no test covers \"unused\"\n"),
        "{checked:?}"
    );
    let answer = relay.run(&["check", "--json"]).json();
    let wanted = json!({ "count": 2, "failed": 0, "failures": [], "uncovered": ["unused"] });
    assert_eq!((&answer["good"], &answer["tests"]), (&json!(true), &wanted));
    assert_eq!(relay.read("archive.jsonl"), "", "nothing is sent");
}

#[test]
fn failing_test_shows_place_result_and_reason() {
    let relay = relay(
        r#"
[[tests]]
name = "moved"
event = "events/crash.json"
with = { feedback_path = "pages/order" }
expect = { rule = "pay", severity = "critical" }
[[tests]]
name = "wishes"
event = "events/crash.json"
expect = { sent_to = "ops", severity = "info", template = "suggestion", contains = "refund" }
[[tests]]
name = "nobody"
event = "events/crash.json"
with = { feedback_type = "suggestion", feedback_path = "x" }
expect = { unrouted = true }
[[tests]]
name = "left"
event = "events/crash.json"
with = { feedback_type = 3, fault_type = [], feedback_path = "x" }
expect = { unrouted = false }
"#,
    );
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 1, "{checked:?}");
    insta::assert_snapshot!(checked.stdout);
    let answer = relay.run(&["check", "--json"]);
    assert_eq!(answer.code(), 1);
    let answer = answer.json();
    assert_eq!(
        (&answer["good"], &answer["errors"]),
        (&json!(false), &json!(0))
    );
    let first = &answer["tests"]["failures"][0];
    assert_eq!(
        (&first["code"], &first["path"]),
        (&json!("E063"), &json!("tests[0].expect.rule"))
    );
    let lines = relay.read("relay.toml");
    let line = lines
        .lines()
        .position(|line| line.contains("rule = \"pay\""));
    assert_eq!(first["line"], json!(line.expect("the expectation") + 1));

    let marked = relay.run(&["check", "--format", "github"]);
    assert_eq!(marked.code(), 1);
    let line = format!(
        "::error file=relay.toml,line={},col=19,title=E063::",
        first["line"]
    );
    assert!(marked.stdout.contains(&line), "{}", marked.stdout);
}

#[test]
fn invalid_test_is_an_error_only_for_check() {
    let relay =
        relay("[[tests]]\nname = \"x\"\nevent = \"none.json\"\nexpect = { rule = \"falts\" }\n");
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 2, "{checked:?}");
    for said in ["relay.toml:", "none.json", "did you mean \"faults\"?"] {
        assert!(checked.stdout.contains(said), "{said}: {checked:?}");
    }
    let unrun = "its [[tests]] were not run";
    assert!(checked.stderr.contains(unrun), "{checked:?}");
    let tried = relay.run(&["try", "events/crash.json"]);
    assert_eq!(tried.code(), 0, "{tried:?}");
}

#[test]
fn samples_are_listed_and_printed() {
    let relay = relay("");
    let listed = relay.run(&["events", "sample", "--json"]);
    assert_eq!(listed.code(), 0, "{listed:?}");
    for line in listed.stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        let kind = line["kind"].as_str().expect("a kind");
        let sample = relay.run(&["events", "sample", kind]).stdout;
        let shipped = format!("{}/tests/events/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let shipped = std::fs::read_to_string(shipped).expect("a file of each");
        let without_times = |text: &str| {
            let is_time = |line: &&str| line.contains("_time\"");
            let lines = text.lines().filter(|line| !is_time(line));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_times(&sample), without_times(&shipped), "{kind}");
        assert_ne!(sample, shipped, "it happens now");
        relay.write("event.json", &sample);
        let tried = relay.run(&["try", "event.json"]);
        assert_eq!(tried.code(), 0, "{kind}: {tried:?}");
    }
    let underscore = relay.run(&["events", "sample", "white_screen"]);
    assert_eq!(underscore.json()["event"]["fault_type"], json!([2]));
    let unknown = relay.run(&["events", "sample", "purple-screen"]);
    assert_eq!(unknown.code(), 2);
    assert!(
        unknown.stderr.contains("there are: black-screen, "),
        "{unknown:?}"
    );
}

const APPS: &str = r#"
app_secret = "${APP_SECRET:-s}"
[destinations.chat]
kind = "feishu-app"
app = "shop"
chat_id = "oc_1"
[destinations.channel]
kind = "slack-app"
token = "${TOKEN:-xoxb-1}"
channel = "C0123ABCD"
[[rules]]
name = "long"
match = { path = "pages/index", contact = false }
send_to = []
[[rules]]
name = "but not here"
match = { type = "fault" }
except = { path = "pages/pay/*" }
send_to = []
[[rules]]
name = "faults"
match = { type = "fault" }
send_to = ["chat", "channel"]
[[rules]]
name = "last"
send_to = []
"#;

/// `try` shows the requests to the platforms' API, with a readable card.
#[test]
fn try_shows_conditions_and_requests() {
    let relay = Relay::prepared(&Relay::config(APPS));
    let sample = relay.run(&["events", "sample", "crash"]);
    relay.write("crash.json", &sample.stdout);
    let tried = relay.run(&["try", "crash.json"]);
    assert_eq!(tried.code(), 0, "{tried:?}");
    let (table, messages) = tried.stdout.split_once("\nto ").expect("messages");
    insta::assert_snapshot!("try_table", table);
    assert!(messages.starts_with("chat (feishu-app: chat oc_1): rule \"faults\", warning"));
    assert!(messages.contains("\nto channel (slack-app: channel C0123ABCD): rule"));

    let answer = relay.run(&["try", "crash.json", "--json"]).json();
    let of = |index: usize| answer["deliveries"][index]["request"].clone();
    let (chat, channel) = (of(0), of(1));
    assert_eq!(chat["body"]["receive_id"], "oc_1");
    assert_eq!(chat["body"]["msg_type"], "interactive");
    assert!(chat["body"]["content"]["body"].is_object(), "{chat}");
    assert_eq!(channel["body"]["channel"], "C0123ABCD");
    assert_eq!(channel["body"]["unfurl_links"], false);
    assert!(chat["bytes"].as_u64() > Some(1000));
}

#[test]
fn test_judges_when_at_its_own_time() {
    let night = |at: &str| {
        let rules = RULES.replace("name = \"pay\"", "name = \"pay\"\nwhen = \"22:00-08:00\"");
        let tests = format!(
            "[[tests]]\nname = \"at night\"\nat = \"{at}\"\nevent = \"events/crash.json\"\nexpect = {{ rule = \"pay\" }}\n"
        );
        let relay = relay(&tests);
        let config = Relay::config(&rules);
        relay.write("relay.toml", &format!("{config}{tests}"));
        relay.run(&["check"])
    };
    let passed = night("2026-03-01T02:10:00+08:00");
    assert_eq!(passed.code(), 0, "{passed:?}");
    let failed = night("2026-03-01T12:10:00+08:00");
    assert_eq!(failed.code(), 1, "{failed:?}");
    let why = "\"pay\": not now: 22:00-08:00 (it is Sun 12:10 in Asia/Shanghai)";
    assert!(failed.stdout.contains(why), "{}", failed.stdout);
}
