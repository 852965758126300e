//! Tests of `[[tests]]` in the configuration with the real `check`, and of `events sample`.

use serde_json::json;

use crate::harness::{Feedback, Receiver, Relay};

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

/// Faults go to a bot; the app's messages can be edited; a program gets everything.
const STORM: &str = r#"
app_secret = "${APP_SECRET:-s}"
[destinations.oncall-chat]
kind = "feishu-bot"
url = "${BOT_URL:-https://open.feishu.cn/open-apis/bot/v2/hook/x}"
[destinations.war-room]
kind = "feishu-app"
app = "shop"
chat_id = "oc_1"
[destinations.product]
kind = "file"
path = "product.jsonl"
[[rules]]
name = "everything"
send_to = "archive"
continue = true
[[rules]]
name = "faults"
match = { type = "fault" }
send_to = ["oncall-chat", "war-room"]
[[rules]]
name = "suggestions"
match = { type = "suggestion" }
send_to = "product"
[destinations.archive]
kind = "file"
path = "archive.jsonl"
"#;

/// Prepares a folder with these tests, a crash and a suggestion.
fn storm(tests: &str) -> Relay {
    let relay = Relay::prepared(&format!("{}{tests}", Relay::config(STORM)));
    for kind in ["crash", "suggestion"] {
        let sample = relay.run(&["events", "sample", kind]);
        relay.write(&format!("events/{kind}.json"), &sample.stdout);
    }
    relay
}

#[test]
fn storm_of_three_hundred_crashes_is_six_cards() {
    let relay = storm(
        r#"
[[tests]]
name = "three hundred crashes are six cards"
at = "2026-03-01T02:10:00+08:00"
events = [{ event = "events/crash.json", times = 300, every = "200ms" }, { event = "events/suggestion.json", after = "10s" }]
expect = { messages = { oncall-chat = 6, war-room = 6, product = 1, archive = 301 }, edits = { war-room = 11, oncall-chat = 0 }, incidents = 1 }
[[tests]]
name = "later a digest, and a last word"
at = "2026-03-01T02:10:00+08:00"
events = { event = "events/crash.json", times = 300, every = "200ms" }
for = "1h"
expect = { messages = { oncall-chat = 8, war-room = 7 } }
[[tests]]
name = "one crash is one card, and mentions nobody"
event = "events/crash.json"
expect = { rule = "faults", messages = { oncall-chat = 1 }, incidents = 1, lacks = "@all" }
"#,
    );
    let checked = relay.run(&["check", "--json"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    let wanted = json!({ "count": 3, "failed": 0, "failures": [], "uncovered": [] });
    assert_eq!(checked.json()["tests"], wanted);
    assert_eq!(relay.read("archive.jsonl"), "", "nothing is sent");
}

#[test]
fn failing_storm_shows_what_was_sent_when() {
    let relay = storm(
        r#"
[[tests]]
name = "quiet"
at = "2026-03-01T02:10:00+08:00"
events = [{ event = "events/crash.json", times = 300, every = "200ms" }, { event = "events/crash.json", with = { fault_type = "freeze" } }]
expect = { messages = { oncall-chat = 1, product = 1 }, edits = { war-room = 1 }, incidents = 1 }
[[tests]]
name = "nothing groups"
events = { event = "events/suggestion.json", times = 3, every = "1s" }
expect = { incidents = 1 }
[[tests]]
name = "loud"
event = "events/crash.json"
expect = { lacks = "Feedback" , contains = "no such words" }
"#,
    );
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 1, "{checked:?}");
    insta::assert_snapshot!(checked.stdout);
}

#[test]
fn try_shows_a_storm_over_time() {
    let relay = storm("");
    let at = ["--at", "2026-03-01T02:10:00+08:00", "--app", "shop"];
    let storm = [
        "try",
        "events/crash.json",
        "--times",
        "300",
        "--every",
        "200ms",
    ];
    let storm: Vec<&str> = storm.into_iter().chain(at).collect();
    let tried = relay.run(&storm);
    assert_eq!(tried.code(), 0, "{tried:?}");
    let (_, timeline) = tried
        .stdout
        .split_once("\n300 reports")
        .expect("a timeline");
    insta::assert_snapshot!("try_storm", timeline);

    let with = |more: &[&'static str]| relay.run(&[&storm[..], more].concat());
    let answer = with(&["--json", "--to", "oncall-chat"]).json();
    let simulation = &answer["simulation"];
    assert_eq!(simulation["messages"], json!({ "oncall-chat": 8 }));
    assert_eq!(simulation["timeline"][0]["count"], 5);
    assert_eq!(simulation["incidents"][0]["individual"], 5);
    let one = relay.run(&["try", "events/crash.json", "--json"]).json();
    assert_eq!(one["simulation"], serde_json::Value::Null);

    for (arguments, said) in [
        (&["--times", "300"][..], "--every"),
        (&["--times", "10001", "--every", "1s"], "10000"),
        (
            &["--times", "3", "--every", "1 week"],
            "use a duration such as",
        ),
        (&["--times", "10000", "--every", "1d"], "31 days"),
        (
            &["--times", "3", "--every", "1s", "--send"],
            "cannot be used with",
        ),
    ] {
        let wrong = relay.run(&[&["try", "events/crash.json"], arguments].concat());
        assert_eq!(wrong.code(), 2, "{wrong:?}");
        assert!(wrong.stderr.contains(said), "{said}: {wrong:?}");
    }
}

/// Suggestions are held at night. A program gets everything.
const NIGHT: &str = r#"
[destinations.product]
kind = "slack-webhook"
url = "${OPS_URL:-https://hooks.slack.com/services/T0/B0/x}"
[destinations.oncall-chat]
kind = "feishu-bot"
url = "${BOT_URL:-https://open.feishu.cn/open-apis/bot/v2/hook/x}"
[destinations.archive]
kind = "file"
path = "archive.jsonl"
[[rules]]
name = "everything"
send_to = "archive"
continue = true
[[rules]]
name = "suggestions"
match = { type = "suggestion" }
hold = "22:00-08:00"
send_to = "product"
[[rules]]
name = "faults"
send_to = "oncall-chat"
"#;

fn night(tests: &str) -> Relay {
    let relay = Relay::prepared(&format!("{}{tests}", Relay::config(NIGHT)));
    for kind in ["crash", "suggestion"] {
        let sample = relay.run(&["events", "sample", kind]);
        relay.write(&format!("events/{kind}.json"), &sample.stdout);
    }
    relay
}

#[test]
fn held_messages_are_counted_once_they_are_due() {
    let relay = night(
        r#"
[[tests]]
name = "a night's suggestions are one message in the morning"
at = "2026-03-01T22:30:00+08:00"
events = { event = "events/suggestion.json", times = 37, every = "5m" }
for = "570m"
expect = { messages = { product = 1, archive = 37 } }
[[tests]]
name = "before eight there is none"
at = "2026-03-01T22:30:00+08:00"
events = { event = "events/suggestion.json", times = 37, every = "5m" }
for = "569m"
expect = { messages = { product = 0, archive = 37 } }
[[tests]]
name = "by day each is sent at once"
at = "2026-03-01T12:30:00+08:00"
events = { event = "events/suggestion.json", times = 3, every = "5m" }
expect = { messages = { product = 3 } }
"#,
    );
    let checked = relay.run(&["check", "--json"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    assert_eq!(checked.json()["tests"]["count"], 3);
    assert_eq!(relay.read("archive.jsonl"), "", "nothing is sent");
}

#[test]
fn failing_test_shows_what_is_held_and_muted() {
    let relay = night(
        r#"
[[tests]]
name = "still held"
at = "2026-03-01T22:30:00+08:00"
events = { event = "events/suggestion.json", times = 37, every = "5m" }
expect = { messages = { product = 1 } }
[[tests]]
name = "one summary"
at = "2026-03-01T22:30:00+08:00"
events = { event = "events/suggestion.json", times = 37, every = "5m" }
for = "12h"
expect = { messages = { product = 37 } }
[[tests]]
name = "muted"
at = "2026-03-01T12:30:00+08:00"
events = { event = "events/crash.json", times = 4, every = "1s" }
silences = { rule = "faults", for = "10m" }
expect = { messages = { oncall-chat = 4 }, suppressed = 3 }
[[tests]]
name = "nothing is muted"
events = { event = "events/crash.json" }
expect = { suppressed = 1 }
"#,
    );
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 1, "{checked:?}");
    insta::assert_snapshot!(checked.stdout);
}

#[test]
fn try_shows_the_summary_of_held_messages() {
    let relay = night("");
    let night = [
        "try",
        "events/suggestion.json",
        "--times",
        "37",
        "--every",
        "5m",
        "--at",
        "2026-03-01T22:30:00+08:00",
    ];
    let tried = relay.run(&night);
    assert_eq!(tried.code(), 0, "{tried:?}");
    let summary = "9h 30m 0s       product  summary of 37 reports held 22:00-08:00\n";
    assert!(tried.stdout.contains(summary), "{}", tried.stdout);
    let answer = relay.run(&[&night[..], &["--json", "--to", "product"]].concat());
    let simulation = &answer.json()["simulation"];
    let [summary] = simulation["timeline"]
        .as_array()
        .expect("a list")
        .as_slice()
    else {
        panic!("{simulation}")
    };
    assert_eq!(summary["summary_of"], "22:00-08:00");
    assert_eq!(summary["reports"], 37);
    assert_eq!(simulation["held"], json!([]));

    let one = [
        &[
            "try",
            "events/suggestion.json",
            "--times",
            "1",
            "--every",
            "1s",
        ],
        &night[6..],
    ];
    let one = relay.run(&one.concat()).stdout;
    assert!(one.contains("report 1; held until now\n"), "{one}");
}

#[test]
fn silences_begin_and_end_in_the_time_of_the_test() {
    let relay = storm(
        r#"
[[tests]]
name = "a silence of the rule mutes both chats until it ends"
events = { event = "events/crash.json", times = 60, every = "1s" }
silences = [{ rule = "faults", after = "3s", for = "27s" }]
expect = { suppressed = 27, incidents = 1, messages = { archive = 60 } }
[[tests]]
name = "a silence of a page mutes only that page"
events = [
  { event = "events/crash.json", times = 3, every = "1s", with = { feedback_path = "pages/pay/index" } },
  { event = "events/crash.json", times = 2, every = "1s", with = { feedback_path = "pages/index", fault_type = "freeze" } },
]
silences = { path = "pages/pay/*", for = "10m" }
expect = { suppressed = 3, messages = { oncall-chat = 2, war-room = 2, archive = 5 } }
[[tests]]
name = "two keys have to match"
events = { event = "events/crash.json", times = 3, every = "1s" }
silences = { rule = "suggestions", fault = "crash", for = "10m" }
expect = { suppressed = 0, messages = { oncall-chat = 3 } }
"#,
    );
    let checked = relay.run(&["check"]);
    assert_eq!(checked.code(), 0, "{checked:?}");
    assert!(checked.stdout.contains("3 tests pass\n"), "{checked:?}");
}

#[test]
fn check_against_the_store_names_events_that_would_go_elsewhere() {
    let hook = Receiver::answering("{}");
    let destination = |name: &str| {
        format!(
            "[destinations.{name}]\nkind = \"webhook\"\nurl = \"{}\"\n",
            hook.url("/")
        )
    };
    let rules = |more: &str, faults: &str| {
        Relay::config(&format!(
            "{}{more}[[rules]]\nname = \"faults\"\nmatch = {{ type = \"fault\" }}\nsend_to = {faults}\n[[rules]]\nname = \"rest\"\nsend_to = []\n",
            destination("hook")
        ))
    };
    let relay = Relay::started(&rules("", "\"hook\""));
    for id in 1..=7 {
        assert_eq!(relay.push(&Feedback::fault(id)).status, 200);
    }
    relay.wait_until_idle();
    let against = |relay: &Relay| relay.run(&["check", "--against", "1d"]);
    let same = against(&relay);
    assert_eq!(same.code(), 0, "{same:?}");
    let said = "7 events since ";
    assert!(same.stdout.contains(said), "{same:?}");
    assert!(
        same.stdout.contains("none would go elsewhere\n"),
        "{same:?}"
    );

    let renamed =
        rules("", "\"kept\"").replace("[destinations.hook]", "[destinations.kept]\nwas = \"hook\"");
    relay.write("relay.toml", &renamed);
    let renamed = against(&relay);
    assert!(
        renamed.stdout.contains("none would go elsewhere\n"),
        "{renamed:?}"
    );

    let listed = relay.run(&["events", "list", "--json"]);
    let newest: serde_json::Value =
        serde_json::from_str(listed.stdout.lines().next().expect("events")).expect("JSON");
    let erased = relay.run(&["events", "erase", newest["id"].as_str().expect("an id")]);
    assert_eq!(erased.code(), 0, "{erased:?}");
    let other = destination("other");
    relay.write("relay.toml", &rules(&other, "\"other\""));
    let changed = relay.run(&["check", "--against", "1d", "--json"]);
    assert_eq!(changed.code(), 0, "{changed:?}");
    let answer = &changed.json()["against"];
    let counts = ["compared", "not_comparable", "changed"].map(|key| answer[key].clone());
    assert_eq!(counts, [json!(6), json!(1), json!(6)]);
    let change = &answer["changes"][0];
    assert_eq!(
        change["from"],
        json!([{ "destination": "hook", "rule": "faults" }])
    );
    assert_eq!(
        change["to"],
        json!([{ "destination": "other", "rule": "faults" }])
    );
    assert_eq!(change["examples"].as_array().map(Vec::len), Some(5));
    let shown = against(&relay).stdout;
    assert!(
        shown.contains("6 events: hook by \"faults\" -> other by \"faults\"\n"),
        "{shown}"
    );
    assert_eq!(hook.count(), 7, "nothing is sent");

    let wrong = relay.run(&["check", "--against", "14 days"]);
    assert_eq!(wrong.code(), 2);
    assert!(wrong.stderr.contains("use a duration such as"), "{wrong:?}");
}

#[test]
fn check_against_a_missing_store_says_so() {
    let relay = storm("");
    let checked = relay.run(&["check", "--against", "14d"]);
    assert_eq!(checked.code(), 1, "{checked:?}");
    assert!(
        checked.stderr.contains("there is no store at"),
        "{checked:?}"
    );
}
