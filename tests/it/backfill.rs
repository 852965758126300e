//! Tests of the backfill: missed feedback is found in the list, notified according to its age, and
//! never twice.

use std::sync::Arc;
use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::feishu::{Api, FakeApp, FakeFeishu};
use feedback_relay::model::{SystemClock, Timestamp};
use feedback_relay::store::{Settings, Store, StoreLocation};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Feedback, Receiver, Relay, wait_until};

const APP_ID: &str = "cli_9f5343c580712544";

/// The fake platform, with its own threads.
struct Feishu {
    runtime: Runtime,
    fake: FakeFeishu,
}

impl Feishu {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let app = FakeApp {
            app_id: APP_ID.into(),
            app_secret: "app-secret".into(),
        };
        let fake = runtime
            .block_on(FakeFeishu::start(vec![app]))
            .expect("a port");
        Self { runtime, fake }
    }

    /// Adds feedback that was reported some minutes ago and never pushed.
    fn left(&self, number: u64, minutes_ago: i64, status: i64) {
        self.fake.list_feedback(item(number, minutes_ago, status));
    }

    fn lists(&self) -> usize {
        let calls = self.fake.calls();
        calls
            .iter()
            .filter(|call| call.api == Api::ListFeedback)
            .count()
    }
}

fn id(number: u64) -> String {
    format!("70578880182{number:08}")
}

/// Returns an item of the platform's list.
pub fn item(number: u64, minutes_ago: i64, status: i64) -> Value {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago);
    let beijing = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let at = at
        .to_zoned(beijing)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string();
    json!({
        "feedback_id": id(number).parse::<u64>().expect("digits"), "app_id": APP_ID,
        "feedback_time": at, "tenant_name": "ACME", "feedback_type": 1, "fault_type": [2],
        "source": 1, "description": format!("blank page number {number}"), "status": status,
        "user_id": "ou_reporter",
    })
}

/// Returns a configuration with a rule for a chat and a rule for a webhook.
fn config(feishu: &Feishu, chat: &Receiver, hook: &Receiver, more: &str) -> String {
    Relay::config(&format!(
        r#"
app_secret = "app-secret"
base_url = "{}"
{more}
[mentions]
sre = {{ slack = "U0123" }}
[destinations.chat]
kind = "slack-webhook"
url = "{}"
locale = "en"
[destinations.hook]
kind = "webhook"
url = "{}"
[[rules]]
name = "all"
send_to = ["chat", "hook"]
mention = "sre"
"#,
        feishu.fake.url(),
        chat.url("/"),
        hook.url("/"),
    ))
}

/// Backdates the relay's first contact with the app by some days.
fn served_for(relay: &Relay, days: u64) {
    let settings = Settings {
        location: StoreLocation::Sqlite(relay.path("data/relay.db")),
        retain: Duration::from_secs(86_400),
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let since = Timestamp::from_millis(now) - Duration::from_secs(days * 86_400);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(&settings, Arc::new(SystemClock)).expect("a store");
        let mark = format!("backfill from {APP_ID}");
        store.put_mark(&mark, since).await.expect("written");
        let asked = format!("backfill asked {APP_ID}");
        store.put_mark(&asked, since).await.expect("written");
    });
}

fn rounds(relay: &Relay, result: &str) -> u64 {
    let metrics = relay.get("/metrics").text();
    let name = format!("feedback_relay_backfills_total{{app=\"shop\",result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn wait_for_a_round(relay: &Relay) {
    wait_until("a round is made", || rounds(relay, "ok") > 0);
}

fn events(relay: &Relay) -> Vec<Value> {
    let output = relay.run(&["events", "list", "--json", "--limit", "1000"]);
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn texts(receiver: &Receiver) -> Vec<String> {
    receiver.received().iter().map(|one| one.text()).collect()
}

fn assert_chat_got_one_and_summary_of_seven(chat: &Receiver) {
    let told = texts(chat);
    assert_eq!(told.len(), 2, "one at once and one summary: {told:?}");
    let fresh = told
        .iter()
        .find(|text| !text.contains("Late reports"))
        .expect("told at once");
    assert!(
        fresh.contains("number 1\"") && fresh.contains("<@U0123>"),
        "{fresh}"
    );
    let summary = told
        .iter()
        .find(|text| text.contains("Late reports"))
        .expect("a summary");
    assert!(summary.contains("Late reports: 7 · all"), "{summary}");
    assert!(!summary.contains("U0123"), "nobody is called: {summary}");
    assert!(
        summary.contains("number 2") && summary.contains("number 6"),
        "{summary}"
    );
    assert!(!summary.contains("number 7"), "the newest few: {summary}");
}

fn assert_webhook_got_each(hook: &Receiver) {
    let ids: Vec<Value> = hook
        .received()
        .iter()
        .map(|one| one.json()["data"]["feedback"]["id"].clone())
        .collect();
    assert_eq!(ids.len(), 8, "{ids:?}");
    for number in 1..=8 {
        assert!(ids.contains(&json!(id(number))), "{ids:?}");
    }
}

#[test]
fn missed_feedback_is_notified_by_age_and_later_push_is_repeat() {
    let (feishu, chat, hook) = (
        Feishu::start(),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    let mut relay = Relay::started(&config(&feishu, &chat, &hook, ""));
    wait_for_a_round(&relay);
    relay.stop();
    served_for(&relay, 3);
    feishu.left(1, 5, 0);
    for number in 2..=8 {
        feishu.left(number, 100 * i64::try_from(number).expect("small"), 2);
    }
    feishu.left(9, 10, 1);
    feishu.left(10, 300, 3);
    feishu.left(11, 5 * 24 * 60, 0);
    feishu.fake.list_in_pages_of(3);
    relay.start();
    wait_for_a_round(&relay);
    chat.wait_for(2);
    hook.wait_for(8);
    relay.wait_until_idle();

    assert_chat_got_one_and_summary_of_seven(&chat);
    assert_webhook_got_each(&hook);

    // Nine items of the list and the summary; the tenth is older than the relay's first contact
    // with the app.
    assert_eq!(events(&relay).len(), 11);
    let shown = relay.run(&["events", "show", &id(3)]).stdout;
    assert!(shown.contains("in summary:"), "{shown}");
    let push = Feedback::fault(3).with_header("event_id", json!("pushed-late"));
    assert_eq!(relay.push(&push).status, 200);
    assert_eq!(relay.push(&Feedback::fault(9)).status, 200);
    relay.wait_until_idle();
    assert_eq!((chat.received().len(), hook.received().len()), (2, 8));
    let status = relay.get("/status").json();
    assert_eq!(
        status["apps"]["shop"]["backfill"]["only_in_list"], 10,
        "{status}"
    );
    let metrics = relay.get("/metrics").text();
    for line in [
        "feedback_relay_backfill_taken_total{app=\"shop\"} 10",
        "feedback_relay_backfill_listed{app=\"shop\",seen=\"only_in_list\"} 10",
        "feedback_relay_backfill_listed{app=\"shop\",seen=\"by_event\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn first_start_ignores_older_feedback() {
    let (feishu, chat, hook) = (
        Feishu::start(),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    feishu.left(1, 10, 0);
    feishu.left(2, 600, 0);
    let mut relay = Relay::started(&config(&feishu, &chat, &hook, ""));
    wait_for_a_round(&relay);
    assert_eq!(events(&relay).len(), 0);
    // Reported while the relay was down; its pushes failed.
    relay.stop();
    feishu.left(3, 0, 0);
    relay.start();
    chat.wait_for(1);
    relay.wait_until_idle();
    assert_eq!(events(&relay).len(), 1);
    assert!(texts(&chat)[0].contains("number 3"));

    // A report from the list shows nothing about pushes.
    let last_push = || {
        let metrics = relay.get("/metrics").text();
        let name = "feedback_relay_last_push_timestamp_seconds{app=\"shop\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let at = line.expect("a line").parse::<f64>().expect("a number");
        let status = relay.get("/status").json()["apps"]["shop"].clone();
        assert!(status["last_event_at"].is_string(), "{status}");
        (at > 0.0, status["last_push_at"].is_string())
    };
    assert_eq!(last_push(), (false, false));
    assert_eq!(relay.push(&Feedback::fault(4)).status, 200);
    assert_eq!(last_push(), (true, true));
}

#[test]
fn command_works_beside_relay_and_dry_run_writes_nothing() {
    let (feishu, chat, hook) = (
        Feishu::start(),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    let relay = Relay::started(&config(&feishu, &chat, &hook, "backfill = \"off\""));
    feishu.left(1, 30, 0);
    feishu.left(2, 26 * 60, 0);
    feishu.left(3, 9 * 24 * 60, 0);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    chat.wait_for(1);

    let nothing = relay.run(&["backfill", "shop", "--json"]).json();
    assert_eq!(nothing["listed"], 0, "since it was first served: {nothing}");
    let dry = relay.run(&["backfill", "shop", "--since", "3d", "--dry-run", "--json"]);
    assert_eq!((dry.code(), dry.stderr.as_str()), (0, ""));
    let dry = dry.json();
    assert_eq!(
        (&dry["by_event"], &dry["only_in_list"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(dry["taken"][0]["feedback_id"], id(2));
    assert_eq!(dry["taken"][0]["told"], "quietly");
    assert_eq!(events(&relay).len(), 1);

    let done = relay.run(&["backfill", "shop", "--since", "3d"]);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.stdout.contains(&id(2)), "{}", done.stdout);
    chat.wait_for(2);
    hook.wait_for(2);
    let again = relay
        .run(&["backfill", "shop", "--since", "3d", "--json"])
        .json();
    assert_eq!(
        (&again["by_list"], &again["taken"]),
        (&json!(1), &json!([]))
    );
    relay.wait_until_idle();
    assert_eq!((chat.received().len(), hook.received().len()), (2, 2));

    for (arguments, word) in [
        (&["backfill", "shpo"][..], "there are: shop"),
        (&["backfill", "shop", "--since", "200d"], "180d"),
    ] {
        let wrong = relay.run(arguments);
        assert_eq!(wrong.code(), 2, "{wrong:?}");
        assert!(wrong.stderr.contains(word), "{}", wrong.stderr);
    }
}

#[test]
fn missing_scope_is_reported_everywhere() {
    let (feishu, chat, hook) = (
        Feishu::start(),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    let refusal = || Fault::json(400, &json!({"code": 99_991_672, "msg": "no scope"}));
    feishu.fake.faults().add(Api::ListFeedback, refusal());
    let toml = config(&feishu, &chat, &hook, "")
        .replace("[mentions]", "[operator]\nnotify = \"chat\"\n[mentions]");
    let relay = Relay::started(&toml);
    chat.wait_for(1);
    let scope = "application:application.feedback.feedback_info";
    assert!(texts(&chat)[0].contains(scope), "{:?}", texts(&chat));
    let status = relay.get("/status").json();
    assert_eq!(
        status["problems"][0]["kind"], "backfill_failing",
        "{status}"
    );
    assert!(
        status["problems"][0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains(scope))
    );
    assert_eq!(rounds(&relay, "failed"), 1);
    feishu.fake.faults().add(Api::ListFeedback, refusal());
    let failed = relay.run(&["backfill", "shop"]);
    assert_eq!(failed.code(), 1, "{failed:?}");
    assert!(failed.stderr.contains(scope), "{}", failed.stderr);
    // Intake works without the scope.
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
}

#[test]
fn kill_during_backfill_loses_and_repeats_no_summary() {
    let (feishu, chat, hook) = (
        Feishu::start(),
        Receiver::answering("ok"),
        Receiver::answering("{}"),
    );
    let mut relay = Relay::started(&config(&feishu, &chat, &hook, ""));
    wait_for_a_round(&relay);
    relay.stop();
    served_for(&relay, 3);
    for number in 1..=60 {
        feishu.left(number, 70 + i64::try_from(number).expect("small"), 0);
    }
    feishu.fake.list_in_pages_of(5);
    for round in 1..=3 {
        let before = feishu.lists();
        relay.start();
        wait_until("some pages are read", || {
            feishu.lists() >= before + 2 * round
        });
        relay.kill();
    }
    let midway = events(&relay).len();
    assert!((5..60).contains(&midway), "{midway} were taken in by then");
    relay.start();
    wait_for_a_round(&relay);
    hook.wait_for(60);
    relay.wait_until_idle();
    let all = events(&relay);
    let summaries: Vec<&str> = all
        .iter()
        .filter(|event| event["type"] == "feedback_relay.summary")
        .filter_map(|event| event["id"].as_str())
        .collect();
    assert_eq!(all.len() - summaries.len(), 60);
    let counted: u64 = summaries
        .iter()
        .map(|id| {
            let shown = relay
                .run(&["events", "show", id, "--body", "--json"])
                .json();
            shown["body"]["count"].as_u64().expect("a count")
        })
        .sum();
    assert_eq!(counted, 60, "each is told of once: {summaries:?}");
    // A message may be repeated if the kill came between send and record; no summary is missing.
    assert!(chat.received().len() >= summaries.len());
    drop(feishu.runtime);
}

#[test]
fn missed_status_change_is_found_in_list() {
    let feishu = Feishu::start();
    feishu.fake.open_chat("oc_room");
    let relay = Relay::started(&Relay::config(&format!(
        "app_secret = \"app-secret\"\nbase_url = \"{}\"\n\
         [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"room\"\n",
        feishu.fake.url(),
    )));
    wait_for_a_round(&relay);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    wait_until("the card", || feishu.fake.messages("oc_room").len() == 1);
    relay.wait_until_idle();
    let mut closed = item(1, 0, 3);
    closed["operator_id"] = json!("ou_han");
    feishu.fake.list_feedback(closed);
    assert_eq!(relay.run(&["backfill", "shop", "--dry-run"]).code(), 0);
    assert_eq!(relay.run(&["backfill", "shop"]).code(), 0);
    wait_until("the card shows it", || {
        let card = feishu.fake.messages("oc_room").remove(0);
        card.content.to_string().contains("<at id=ou_han></at>")
    });
    assert_eq!(relay.run(&["backfill", "shop"]).code(), 0);
    relay.wait_until_idle();
    assert_eq!(feishu.fake.messages("oc_room")[0].edits, 1);
}
