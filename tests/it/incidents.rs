//! Tests of incidents with the real binary: reports of one fault are counted in one message.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::feishu::{Api, Posted};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Feedback, Feishu, Receiver, Relay, Slack, wait_until};

/// The shortest time between two edits of an incident's message.
const EDIT_PACE: Duration = Duration::from_secs(5);

/// Returns a configuration with one chat, and one rule that has the keys `rule` too.
fn to_room(feishu: &Feishu, rule: &str) -> String {
    Relay::config(&format!(
        "{}backfill = \"off\"\n\
         [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"room\"\n{rule}\n",
        feishu.app_keys()
    ))
}

fn crash(number: u64) -> Feedback {
    Feedback::fault(number).with("fault_type", json!([5]))
}

fn push_crashes(relay: &Relay, numbers: Range<u64>) {
    for number in numbers {
        assert_eq!(relay.push(&crash(number)).status, 200);
    }
}

fn title(message: &Posted) -> String {
    let title = message.content["header"]["title"]["content"].as_str();
    title.unwrap_or_default().to_owned()
}

/// Returns the messages of incidents in the chat. Their titles begin with a number of reports.
fn incident_messages(feishu: &Feishu) -> Vec<Posted> {
    let mut messages = feishu.messages("oc_room");
    messages.retain(|one| title(one).contains(" 份反馈"));
    messages
}

/// Waits until an incident's message shows this number of reports.
fn wait_for_count(feishu: &Feishu, count: u64) {
    let shown = format!("{count} 份反馈");
    wait_until(&shown, || {
        let messages = incident_messages(feishu);
        messages.iter().any(|one| title(one).starts_with(&shown))
    });
}

fn edits(feishu: &Feishu) -> usize {
    let calls = feishu.calls();
    let edits = calls.iter().filter(|call| call.api == Api::UpdateCard);
    edits.count()
}

/// Counts the deliveries in each state.
fn states(relay: &Relay) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for delivery in relay.deliveries() {
        let state = delivery["state"].as_str().expect("a state").to_owned();
        *states.entry(state).or_default() += 1;
    }
    states
}

#[test]
fn storm_is_five_cards_and_one_edited_message() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let relay = Relay::started(&to_room(&feishu, ""));
    let began = Instant::now();
    push_crashes(&relay, 0..150);
    assert_eq!(relay.push(&Feedback::suggestion(1000)).status, 200);
    wait_until("the incident's message", || {
        incident_messages(&feishu).len() == 1
    });
    push_crashes(&relay, 150..300);
    wait_for_count(&feishu, 300);
    relay.wait_until_idle();

    let held = feishu.messages("oc_room");
    assert_eq!(held.len(), 7, "{held:?}");
    for number in [0, 1, 2, 3, 4, 1000] {
        let words = format!("blank page number {number}\"");
        let about = held
            .iter()
            .filter(|one| one.content.to_string().contains(&words));
        assert_eq!(about.count(), 1, "{words}");
    }
    let [incident] = <[Posted; 1]>::try_from(incident_messages(&feishu)).expect("one message");
    assert!(title(&incident).starts_with("300 份反馈"), "{incident:?}");
    assert_eq!(edits(&feishu), incident.edits as usize, "no other edits");
    assert!(
        incident.edits >= 1 && EDIT_PACE * incident.edits <= began.elapsed(),
        "{} edits in {:?}",
        incident.edits,
        began.elapsed()
    );
    assert_eq!(states(&relay)["merged"], 295);
}

#[test]
fn destination_without_edits_gets_digest() {
    let bot = Receiver::answering(r#"{"code":0,"msg":"success"}"#);
    let relay = Relay::started(&Relay::config(&format!(
        "[destinations.oncall]\nkind = \"feishu-bot\"\nurl = \"{}\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"oncall\"\ngroup_interval = \"10s\"\n",
        bot.url("/open-apis/bot/v2/hook/bot-id")
    )));
    push_crashes(&relay, 0..6);
    bot.wait_for(6);
    push_crashes(&relay, 6..10);
    let received = bot.wait_for(7);
    relay.wait_until_idle();
    assert_eq!(bot.count(), 7);
    // The fifth report's message and the incident's first one may arrive in either order.
    let mut texts: Vec<String> = received.iter().map(|one| one.text()).collect();
    texts.retain(|text| text.contains(" 份反馈"));
    let [first, digest] = <[String; 2]>::try_from(texts).expect("two messages of the incident");
    assert!(first.contains("6 份反馈"), "{first}");
    assert!(digest.contains("10 份反馈"), "{digest}");
    assert_eq!(states(&relay)["merged"], 5);
}

#[test]
fn each_page_has_its_own_incident() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let relay = Relay::started(&to_room(&feishu, "group_by = [\"path\"]"));
    let paths = ["pages/order/detail?id=1", "pages/home/home"];
    for number in 0..6 {
        let path = paths[usize::from(number % 2 == 0)];
        let report = crash(number).with("feedback_path", json!(path));
        assert_eq!(relay.push(&report).status, 200);
    }
    wait_until("both messages show all reports", || {
        let messages = incident_messages(&feishu);
        let show_three = messages
            .iter()
            .filter(|one| title(one).starts_with("3 份反馈"));
        show_three.count() == 2
    });
    relay.wait_until_idle();
    assert_eq!(feishu.messages("oc_room").len(), 4);
    for page in ["pages/order/detail", "pages/home/home"] {
        let messages = incident_messages(&feishu).into_iter();
        let about: Vec<_> = messages
            .map(|one| one.content.to_string())
            .filter(|text| text.contains(&format!("**页面**\\n{page}")))
            .collect();
        assert_eq!(about.len(), 1, "{page}");
    }
    assert_eq!(states(&relay)["merged"], 4);
}

#[test]
fn reload_repeats_no_message() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let relay = Relay::started(&to_room(&feishu, ""));
    push_crashes(&relay, 0..8);
    wait_for_count(&feishu, 8);
    let changed = "group_interval = \"1m\"\n[[rules]]\nname = \"more\"\nsend_to = \"room\"";
    relay.write("relay.toml", &to_room(&feishu, changed));
    relay.signal(Signal::HUP);
    relay.wait_for_log("configuration reloaded");
    push_crashes(&relay, 8..12);
    wait_for_count(&feishu, 12);
    relay.wait_until_idle();
    assert_eq!(feishu.messages("oc_room").len(), 6);
    assert_eq!(incident_messages(&feishu).len(), 1);
}

/// Collects the texts of all objects in which `key` has one of these values.
fn texts_of<'v>(value: &'v Value, (key, words): (&str, &[&str]), found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            let word = members.get(key).and_then(Value::as_str);
            if word.is_some_and(|word| words.contains(&word)) {
                let text = members.get("content").or(members.get("text"));
                found.extend(text.and_then(Value::as_str));
            }
            for one in members.values() {
                texts_of(one, (key, words), found);
            }
        }
        Value::Array(items) => {
            for one in items {
                texts_of(one, (key, words), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn hostile_text_is_inert_in_incident_messages() {
    let (feishu, slack) = (Feishu::with_chats(&["oc_room"]), Slack::started());
    let rest = format!(
        "{}[[rules]]\nname = \"all\"\nsend_to = [\"room\", \"product\"]\ngroup_by = [\"path\", \"tenant\"]\n",
        slack.destination()
    );
    let config =
        to_room(&feishu, "").replace("[[rules]]\nname = \"all\"\nsend_to = \"room\"\n", &rest);
    let relay = Relay::started(&config);
    let hostile = |word: &str| {
        json!(format!(
            "<at id=all></at><!channel> [x](https://evil.example) **b** \"}}]}} {word}"
        ))
    };
    for number in 0..3 {
        let report = crash(number)
            .with("description", hostile("described"))
            .with("feedback_path", hostile("opened"))
            .with("tenant_name", hostile("rented"));
        assert_eq!(relay.push(&report).status, 200);
    }
    wait_for_count(&feishu, 3);
    wait_until("Slack shows three", || {
        let messages = slack.messages();
        messages.iter().any(|one| one.text.contains("3 reports"))
    });
    relay.wait_until_idle();

    let [card] = <[Posted; 1]>::try_from(incident_messages(&feishu)).expect("one message");
    let [_, post] = <[_; 2]>::try_from(slack.messages()).expect("the report and its incident");
    for (content, marked) in [
        (&card.content, ("tag", &["markdown", "lark_md"][..])),
        (&post.blocks, ("type", &["mrkdwn"][..])),
    ] {
        let whole = content.to_string();
        for word in ["described", "opened", "rented"] {
            assert!(whole.contains(word), "{word} in {whole}");
        }
        let mut texts = Vec::new();
        texts_of(content, marked, &mut texts);
        assert!(!texts.is_empty(), "{whole}");
        for markup in [
            "<at id=all>",
            "<!channel>",
            "](https://evil.example)",
            "**b**",
        ] {
            assert!(!texts.iter().any(|text| text.contains(markup)), "{texts:?}");
        }
    }
    assert!(!post.text.contains("<!channel>"), "{}", post.text);
}

#[test]
fn removed_message_is_replaced_by_the_next_notification() {
    let feishu = Feishu::with_chats(&["oc_room"]);
    let rule = "group_from = 1\nescalate = [{ count = 4, mention = \"all\" }]";
    let relay = Relay::started(&to_room(&feishu, rule));
    let recalled = json!({"code": 230_011, "msg": "The message was recalled"});
    let refused = Fault::json(400, &recalled);
    feishu.faults().add(Api::UpdateCard, refused);
    push_crashes(&relay, 0..2);
    wait_until("the incident's message", || {
        incident_messages(&feishu).len() == 1
    });
    push_crashes(&relay, 2..3);
    wait_until("a refused edit", || edits(&feishu) > 0);
    relay.wait_until_idle();
    push_crashes(&relay, 3..4);
    wait_for_count(&feishu, 4);
    push_crashes(&relay, 4..5);
    wait_for_count(&feishu, 5);
    relay.wait_until_idle();
    assert_eq!(incident_messages(&feishu).len(), 2);
}

#[test]
fn programs_get_each_report_with_its_incident_and_number() {
    let bot = Receiver::answering(r#"{"code":0,"msg":"success"}"#);
    let relay = Relay::started(&Relay::config(&format!(
        "[destinations.oncall]\nkind = \"feishu-bot\"\nurl = \"{}\"\n\
         [destinations.archive]\nkind = \"file\"\npath = \"out.jsonl\"\n\
         [[rules]]\nname = \"all\"\nsend_to = [\"oncall\", \"archive\"]\ngroup_from = 1\n",
        bot.url("/open-apis/bot/v2/hook/bot-id")
    )));
    push_crashes(&relay, 0..4);
    assert_eq!(relay.push(&Feedback::suggestion(9)).status, 200);
    bot.wait_for(3);
    relay.wait_until_idle();
    let lines = relay.read("out.jsonl");
    let mut counted: Vec<(Value, Value)> = lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("a JSON line");
            let incident = &line["data"]["incident"];
            (incident["id"].clone(), incident["count"].clone())
        })
        .collect();
    counted.sort_by_key(|(_, number)| number.as_u64());
    let numbered = (1..5).map(|number| (json!("inc_1"), json!(number)));
    let mut expected = vec![(Value::Null, Value::Null)];
    expected.extend(numbered);
    assert_eq!(counted, expected);
}
