//! Tests of triage with the real binary: buttons in Feishu and Slack, their effects, and the
//! notifications.

use std::time::Duration;

use feedback_relay::demo::Fault;
use feedback_relay::demo::{feishu, slack as slack_demo};
use serde_json::{Value, json};

use crate::harness::{Feedback, Feishu, Receiver, Relay, Reply, Slack, TOKEN, post, wait_until};
use crate::main_path::png;

const APP: &str = "cli_9f5343c580712544";
const FEEDBACK: &str = "7057888018200000001";

/// A world in which one report is sent to a Feishu chat, a Slack channel and a webhook.
struct World {
    feishu: Feishu,
    slack: Slack,
    hook: Receiver,
}

impl World {
    fn new() -> Self {
        let feishu = Feishu::with_chats(&["oc_room"]);
        feishu.list_feedback(json!({
            "feedback_id": FEEDBACK, "app_id": APP, "feedback_time": "2026-03-01 02:10:11",
        }));
        Self {
            feishu,
            slack: Slack::started(),
            hook: Receiver::answering("{}"),
        }
    }

    fn config(&self, rules: &str) -> String {
        self.config_with(&self.feishu.app_keys(), rules)
    }

    fn config_with(&self, app_keys: &str, rules: &str) -> String {
        let rest = format!(
            "{app_keys}\
             [mentions]\n\
             li = {{ feishu = [\"ou_li\"], slack = [\"U0LI01\"] }}\n\
             team = {{ feishu = [\"ou_li\", \"ou_han\"], slack = [\"U0HAN01\", \"U0WANG01\"] }}\n\
             [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
             {}\
             [destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\n\
             {rules}\n\
             [[rules]]\nname = \"all\"\nsend_to = [\"room\", \"product\", \"hook\"]\n",
            self.slack.destination(),
            self.hook.url("/hook"),
        );
        Relay::config(&rest)
    }

    /// Starts a relay and waits until it has sent the report everywhere.
    fn told(&self, config: &str) -> Relay {
        let relay = Relay::started(config);
        assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
        wait_until("the report is told", || {
            self.feishu.messages("oc_room").len() == 1 && self.slack.messages().len() == 1
        });
        self.hook.wait_for(1);
        relay.wait_until_idle();
        relay
    }

    fn card(&self) -> feishu::Posted {
        self.feishu.messages("oc_room").remove(0)
    }

    fn post(&self) -> slack_demo::Posted {
        self.slack.messages().remove(0)
    }

    /// Waits until both messages contain these texts.
    fn wait_for_both(&self, in_feishu: &str, in_slack: &str) {
        wait_until(&format!("{in_feishu} in Feishu"), || {
            self.card().content.to_string().contains(in_feishu)
        });
        wait_until(&format!("{in_slack} in Slack"), || {
            self.post().blocks.to_string().contains(in_slack)
        });
    }

    /// Returns the path and query of each status call so far.
    fn statuses(&self) -> Vec<String> {
        let calls = self.feishu.calls().into_iter();
        let set = calls.filter(|call| call.api == feishu::Api::SetFeedback);
        set.map(|call| call.path).collect()
    }

    fn wait_for_statuses(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} statuses in Feishu"), || {
            self.statuses().len() >= count
        });
        self.statuses()
    }
}

/// Returns the value of the button with this id in a card.
fn value(card: &Value, button: &str) -> Option<Value> {
    match card {
        Value::Object(members) if members.get("element_id").is_some_and(|id| id == button) => {
            Some(card["behaviors"][0]["value"].clone())
        }
        Value::Object(members) => members.values().find_map(|one| value(one, button)),
        Value::Array(items) => items.iter().find_map(|one| value(one, button)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Sends a card click as the platform does and returns the response.
fn click(relay: &Relay, value: &Value, open_id: &str) -> Value {
    let callback = json!({
        "schema": "2.0",
        "header": {
            "event_id": "f7984f25108f8137722bb63ceeb3c5fa", "token": TOKEN,
            "create_time": "1603977298000000", "event_type": "card.action.trigger",
            "tenant_key": "tk1", "app_id": APP,
        },
        "event": {
            "operator": {"tenant_key": "tk1", "open_id": open_id, "union_id": "on_1"},
            "token": "c-295ee5",
            "action": {"value": value, "tag": "button", "timezone": "Asia/Shanghai"},
            "host": "im_message",
            "context": {"open_message_id": "om_1", "open_chat_id": "oc_room"},
        },
    });
    let answer = relay.push_text(&callback.to_string());
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn toast(answer: &Value) -> &str {
    answer["toast"]["type"].as_str().expect("a toast")
}

/// Returns the event for a status change.
fn updated(number: u64, status: i64, operator: &str) -> Value {
    let mut event = Feedback::fault(number).envelope;
    event["header"]["event_id"] = json!(format!("up-{number}"));
    event["header"]["event_type"] = json!("application.application.feedback.updated_v6");
    event["event"] = json!({
        "feedback_ids": [FEEDBACK], "status": status, "app_id": APP,
        "operator_id": {"open_id": operator},
    });
    event
}

#[test]
fn feishu_click_updates_every_message_and_sets_status_once() {
    let world = World::new();
    let relay = world.told(&world.config(""));
    let claim = value(&world.card().content, "claim").expect("a button");
    let answer = click(&relay, &claim, "ou_li");
    assert_eq!(toast(&answer), "success", "{answer}");
    assert_eq!(answer["toast"]["i18n"]["en_us"], "It is yours");

    world.wait_for_both("处理中", "*Processing* · li ·");
    let card = world.card().content;
    assert!(card.to_string().contains("<at id=ou_li></at>"), "{card}");
    assert!(value(&card, "claim").is_none() && value(&card, "done").is_some());
    assert!(value(&card, "undo").is_some());
    let patched = world.wait_for_statuses(1);
    let path = format!("/open-apis/application/v6/applications/{APP}/feedbacks/{FEEDBACK}?");
    assert!(patched[0].starts_with(&path), "{patched:?}");
    assert!(patched[0].contains("status=2"), "{patched:?}");
    assert!(patched[0].contains("operator_id=ou_li"), "{patched:?}");

    // A second click on the old button, by anyone, is answered without an effect.
    assert_eq!(toast(&click(&relay, &claim, "ou_han")), "info");
    // The platform's event about the relay's own change has no effect.
    for mut echo in world.feishu.take_feedback_updates() {
        echo["header"]["token"] = json!(TOKEN);
        assert_eq!(relay.push_text(&echo.to_string()).status, 200);
    }
    relay.wait_until_idle();
    assert_eq!((world.card().edits, world.post().edits), (1, 1));
    assert_eq!(world.statuses().len(), 1);
    assert_eq!(world.hook.received().len(), 1);

    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    assert_eq!(shown["feedback"]["status"]["key"], "processing", "{shown}");
    assert_eq!(shown["feedback"]["in_feishu"]["state"], "done");
    assert_eq!(shown["messages"].as_array().map(Vec::len), Some(2));
    let metrics = relay.get("/metrics").text();
    let clicks = "feedback_relay_clicks_total{through=\"feishu\",act=\"claim\",result=\"done\"} 1";
    assert!(metrics.contains(clicks), "{metrics}");
}

#[test]
fn slack_click_sets_feishu_status_and_can_be_undone() {
    let world = World::new();
    let relay = world.told(&world.config(""));
    let press = |button: &str, user| {
        let status = world
            .slack
            .press(relay.address(), &world.post(), button, user);
        assert_eq!(status, 200);
    };
    press("done", ("U0LI01", "Li Lei"));
    world.wait_for_both("已处理**</font> · Li Lei", "*Processed* · Li Lei");
    let first = world.wait_for_statuses(1);
    assert!(first[0].contains("status=1&operator_id=ou_li"), "{first:?}");
    press("undo", ("U0LI01", "Li Lei"));
    world.wait_for_both("未处理", "*Unprocessed*");
    let second = world.wait_for_statuses(2);
    assert!(
        second[1].contains("status=0&operator_id=ou_li"),
        "{second:?}"
    );

    // An actor without a mapping of their own changes the status only locally, and the messages say
    // so.
    press("claim", ("U0HAN01", "Han Meimei"));
    world.wait_for_both("仅在此处更改", "Han Meimei");
    assert!(world.post().blocks.to_string().contains("here only"));
    relay.wait_until_idle();
    assert_eq!(world.statuses().len(), 2);
    // A late click on an old button is answered only to the actor.
    let old = world.post();
    press("undo", ("U0HAN01", "Han Meimei"));
    world.wait_for_both("未处理", "*Unprocessed*");
    let edits = (world.card().edits, world.post().edits);
    let pressed = world
        .slack
        .press_as_it_was(relay.address(), &old, "undo", "U0HAN01");
    assert_eq!(pressed, 200);
    wait_until("a word to the clicker", || {
        let calls = world.slack.calls().into_iter();
        let mut told = calls.filter(|call| call.api == slack_demo::Api::Respond);
        told.any(|call| {
            call.arguments["response_type"] == "ephemeral"
                && call.arguments["text"].to_string().contains("changed since")
        })
    });
    relay.wait_until_idle();
    assert_eq!((world.card().edits, world.post().edits), edits);
}

#[test]
fn click_on_an_incident_acts_on_all_its_reports() {
    let world = World::new();
    for number in 2..=4 {
        world.feishu.list_feedback(json!({
            "feedback_id": format!("70578880182{number:08}"), "app_id": APP,
            "feedback_time": "2026-03-01 02:10:11",
        }));
    }
    let faults = "[[rules]]\nname = \"faults\"\nmatch = { type = \"fault\" }\n\
                  send_to = [\"room\", \"product\"]\ngroup_by = [\"fault\"]\n";
    let relay = Relay::started(&world.config(faults));
    for number in 1..=4 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    wait_until("the incident has its messages", || {
        world.feishu.messages("oc_room").len() == 2 && world.slack.messages().len() == 2
    });
    relay.wait_until_idle();
    let card = || world.feishu.messages("oc_room").remove(1).content;
    let post = || world.slack.messages().remove(1);
    let wait_for = |in_feishu: &str, in_slack: &str| {
        wait_until("both messages of the incident show it", || {
            card().to_string().contains(in_feishu) && post().blocks.to_string().contains(in_slack)
        });
    };
    let claim = value(&card(), "claim").expect("a button");
    let answer = click(&relay, &claim, "ou_li");
    assert_eq!(answer["toast"]["i18n"]["en_us"], "It is yours", "{answer}");
    assert_eq!(toast(&click(&relay, &claim, "ou_han")), "info");
    wait_for("处理中", "*Processing* · li ·");
    assert!(value(&card(), "claim").is_none() && value(&card(), "done").is_some());
    let claimed = world.wait_for_statuses(4);
    let is_claim = |path: &String| path.contains("status=2") && path.contains("operator_id=ou_li");
    assert!(claimed.iter().all(is_claim), "{claimed:?}");

    let pressed = world
        .slack
        .press(relay.address(), &post(), "done", ("U0LI01", "Li Lei"));
    assert_eq!(pressed, 200);
    wait_for("**已处理**</font> · Li Lei", "*Processed* · Li Lei");
    let done = world.wait_for_statuses(8);
    assert!(
        done[4..].iter().all(|path| path.contains("status=1")),
        "{done:?}"
    );
    wait_until("the end is announced", || {
        world.feishu.messages("oc_room").len() == 3 && world.slack.messages().len() == 3
    });
    assert_eq!(value(&card(), "done"), None);
    let shown = relay.run(&["incidents", "show", "1", "--json"]).json();
    assert_eq!(shown["state"], "done", "{shown}");
    let metrics = relay.get("/metrics").text();
    let clicks = "feedback_relay_clicks_total{through=\"slack\",act=\"done\",result=\"done\"} 1";
    assert!(metrics.contains(clicks), "{metrics}");
}

#[test]
fn mute_button_mutes_the_incident_until_its_silence_ends() {
    let world = World::new();
    let faults = "[[rules]]\nname = \"faults\"\nmatch = { type = \"fault\" }\n\
                  send_to = [\"room\", \"product\"]\ngroup_by = [\"fault\"]\n";
    let relay = Relay::started(&world.config(faults));
    let push = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        }
    };
    push(1..4);
    wait_until("the incident has its messages", || {
        world.feishu.messages("oc_room").len() == 2 && world.slack.messages().len() == 2
    });
    relay.wait_until_idle();
    let card = || world.feishu.messages("oc_room").remove(1).content;
    let post = || world.slack.messages().remove(1);
    let mute = value(&card(), "mute").expect("a button");
    let answer = click(&relay, &mute, "ou_li");
    assert_eq!(
        answer["toast"]["i18n"]["en_us"], "Muted for 2 h",
        "{answer}"
    );
    wait_until("both messages show it", || {
        card().to_string().contains("静默至") && post().blocks.to_string().contains("Muted until")
    });
    assert!(card().to_string().contains("· li"), "{}", card());
    assert!(value(&card(), "mute").is_some(), "the button stays");
    let pressed = world
        .slack
        .press(relay.address(), &post(), "mute", ("U0LI01", "Li Lei"));
    assert_eq!(pressed, 200);
    let silences = || relay.run(&["silences", "list", "--json"]);
    wait_until("the silence is extended", || {
        silences().stdout.contains("Li Lei")
    });
    assert_eq!(silences().stdout.lines().count(), 1, "never a second one");

    relay.wait_until_idle();
    push(4..9);
    relay.wait_until_idle();
    assert_eq!(
        world.feishu.messages("oc_room").len(),
        2,
        "no further message"
    );
    let shown = relay.run(&["incidents", "show", "1", "--json"]).json();
    assert_eq!(
        (&shown["count"], &shown["silenced"]),
        (&json!(8), &json!(5)),
        "{shown}"
    );
    assert_eq!(relay.run(&["silences", "end", "1"]).code(), 0);
    wait_until("the reply says how many were muted", || {
        let reply = world.feishu.messages("oc_room");
        reply.len() == 3 && reply[2].content.to_string().contains("静默期间: 5 份反馈")
    });
    wait_until("Slack has the reply too", || {
        let posts = world.slack.messages();
        posts.len() == 3
            && posts[2]
                .blocks
                .to_string()
                .contains("During the mute: 5 reports")
    });
    wait_until("the message counts again", || {
        card().to_string().contains("8 份反馈") && !card().to_string().contains("静默至")
    });
}

#[test]
fn foreign_and_forged_clicks_change_nothing() {
    let world = World::new();
    let relay = world.told(&world.config(""));
    let ours = value(&world.card().content, "claim").expect("a button");
    let word = ours["relay"].as_str().expect("a text");
    for forged in [
        json!({"relay": word.replace("claim", "done")}),
        json!({"relay": format!("{word}x")}),
        json!({"relay": "claim.1.0.AAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"act": "claim"}),
        json!("claim"),
        Value::Null,
    ] {
        assert_eq!(toast(&click(&relay, &forged, "ou_li")), "error", "{forged}");
    }
    let path = "/destinations/product/actions";
    let form = "application/x-www-form-urlencoded";
    let stamp = "1700000000";
    for headers in [
        vec![("content-type", form)],
        vec![
            ("content-type", form),
            ("x-slack-request-timestamp", stamp),
            ("x-slack-signature", "v0=00"),
        ],
    ] {
        let answer = post(relay.address(), path, &headers, b"payload=%7B%7D");
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    for nobody in ["/destinations/hook/actions", "/destinations/none/actions"] {
        assert_eq!(post(relay.address(), nobody, &[], b"").status, 404);
    }
    relay.wait_until_idle();
    assert_eq!((world.card().edits, world.post().edits), (0, 0));
    assert_eq!(world.statuses().len(), 0);
    let metrics = relay.get("/metrics").text();
    let forged = "feedback_relay_clicks_total{through=\"feishu\",act=\"none\",result=\"forged\"} 6";
    assert!(metrics.contains(forged), "{metrics}");
}

/// The sender of a message in another workspace can copy a button's value, and sign the click.
#[test]
fn click_from_another_workspace_changes_nothing() {
    let world = World::new();
    let other = format!(
        "[destinations.other]\nkind = \"slack-app\"\ntoken = \"xoxb-other\"\nsigning_secret = \"other\"\n\
         channel = \"C0OTHER01\"\nbase_url = \"{}\"\n",
        world.slack.url()
    );
    let relay = world.told(&world.config(&other));
    let (address, post) = (relay.address(), world.post());
    let elsewhere = ("other", "other");
    let status = world
        .slack
        .press_at(address, elsewhere, &post, "claim", "U0LI01");
    assert_eq!(status, 200);
    let forged = "feedback_relay_clicks_total{through=\"slack\",act=\"none\",result=\"forged\"} 1";
    wait_until("the click is counted", || {
        relay.get("/metrics").text().contains(forged)
    });
    relay.wait_until_idle();
    assert_eq!((world.card().edits, world.post().edits), (0, 0));
    // The same click from its own workspace is applied.
    let own = world
        .slack
        .press_as_it_was(address, &post, "claim", "U0LI01");
    assert_eq!(own, 200);
    world.wait_for_both("处理中", "*Processing*");
}

/// Names below `example` cannot be resolved, so every request came through the proxy.
#[test]
fn one_proxy_serves_token_list_messages_and_statuses() {
    let proxy = Receiver::answering("");
    let answer = json!({
        "code": 0, "msg": "success", "tenant_access_token": "t-1", "expire": 7200,
        "data": {"message_id": "om_1", "feedback_list": []},
    });
    proxy.always(Reply::ok(&answer.to_string()));
    let config = Relay::config(
        "app_secret = \"app-secret\"\nbase_url = \"http://open.example\"\n\
         [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_room\"\n\
         [[rules]]\nname = \"all\"\nsend_to = \"room\"\n",
    );
    let relay = Relay::started(&format!("network.proxy = \"{}\"\n{config}", proxy.url("")));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let asked = |part: &str| {
        let received = proxy.received().into_iter();
        let prefix = format!("http://open.example/open-apis/{part}");
        received
            .filter(|one| one.path.starts_with(&prefix))
            .collect::<Vec<_>>()
    };
    let feedbacks = format!("application/v6/applications/{APP}/feedbacks");
    wait_until("token, list and message", || {
        let parts = ["auth/v3/", &feedbacks, "im/v1/messages"];
        parts.iter().all(|part| !asked(part).is_empty())
    });
    let body = asked("im/v1/messages")[0].json();
    let content = body["content"].as_str().expect("a card");
    let card: Value = serde_json::from_str(content).expect("JSON");
    let claim = value(&card, "claim").expect("a button");
    relay.wait_until_idle();
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
    let status = format!("{feedbacks}/{FEEDBACK}?");
    wait_until("the status", || !asked(&status).is_empty());
}

/// The card cannot show the assignee, so the toast of the next click and the operator notice do. A recalled card
/// is expected, and causes no notice.
#[test]
fn refused_edit_is_notified_and_next_click_names_assignee() {
    for (code, msg, notified) in [
        (230_099, "Failed, ext=ErrCode: 200800; ErrMsg: x;", true),
        (230_028, "The messages do NOT pass the audit", true),
        (230_011, "The message was recalled", false),
    ] {
        let world = World::new();
        let ops = Receiver::answering("{}");
        let with_ops = format!(
            "[destinations.ops]\nkind = \"webhook\"\nurl = \"{}\"\n",
            ops.url("/ops")
        );
        let config = format!("operator.notify = \"ops\"\n{}", world.config(&with_ops));
        let relay = world.told(&config);
        let refused = json!({"code": code, "msg": msg});
        for _form in 0..4 {
            let refused = Fault::json(400, &refused);
            world.feishu.faults().add(feishu::Api::UpdateCard, refused);
        }
        let claim = value(&world.card().content, "claim").expect("a button");
        assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
        if notified {
            let notice = ops.wait_for(1)[0].text();
            assert!(notice.contains("message_not_changed"), "{notice}");
            assert!(notice.contains(&code.to_string()), "{notice}");
        } else {
            relay.wait_until_idle();
            assert_eq!(ops.count(), 0, "{code}");
        }
        let again = click(&relay, &claim, "ou_han");
        assert_eq!(toast(&again), "info");
        assert!(again["toast"].to_string().contains("li"), "{again}");
    }
}

#[test]
fn kill_between_click_and_edit_loses_nothing() {
    let world = World::new();
    let mut relay = world.told(&world.config(""));
    let slow = Fault::Slow(Duration::from_secs(30));
    world
        .feishu
        .faults()
        .add(feishu::Api::UpdateCard, slow.clone());
    world
        .feishu
        .faults()
        .add(feishu::Api::SetFeedback, slow.clone());
    world.slack.faults().add(slack_demo::Api::Update, slow);
    let claim = value(&world.card().content, "claim").expect("a button");
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
    wait_until("all three are being told", || {
        let told = |api| world.feishu.calls().iter().any(|call| call.api == api);
        let slack = world.slack.calls();
        told(feishu::Api::UpdateCard)
            && told(feishu::Api::SetFeedback)
            && slack.iter().any(|call| call.api == slack_demo::Api::Update)
    });
    relay.kill();
    assert_eq!((world.card().edits, world.post().edits), (0, 0));
    relay.start();
    world.wait_for_both("处理中", "*Processing* · li ·");
    wait_until("Feishu knows", || {
        world.feishu.listed_feedback(FEEDBACK).expect("listed")["status"] == 2
    });
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "info");
}

#[test]
fn platform_status_change_updates_messages_and_thread() {
    let world = World::new();
    let rules = "[[rules]]\nname = \"news\"\nmatch = { event = \"updated\" }\nsend_to = [\"room\", \"hook\"]\n";
    let relay = world.told(&world.config(rules));
    assert_eq!(
        relay.push_text(&updated(7, 3, "ou_han").to_string()).status,
        200
    );
    world.wait_for_both(
        "已关闭**</font> · <at id=ou_han></at>",
        "*Closed* · someone",
    );
    wait_until("the news", || world.feishu.messages("oc_room").len() == 2);
    let news = world.feishu.messages("oc_room").remove(1);
    assert_eq!(news.parent, Some(world.card().id));
    world.hook.wait_for(2);
    assert!(value(&world.card().content, "undo").is_none());
    relay.wait_until_idle();
    assert_eq!(world.statuses().len(), 0);

    // A click sets the status again. The webhook receives the platform's event about it because
    // edits do not reach webhooks.
    let claim = value(&world.card().content, "claim").expect("a button");
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
    world.wait_for_statuses(1);
    assert_eq!(
        relay.push_text(&updated(8, 2, "ou_li").to_string()).status,
        200
    );
    world.hook.wait_for(3);
    relay.wait_until_idle();
    assert_eq!(world.feishu.messages("oc_room").len(), 2);
}

#[test]
fn late_images_are_sent_to_thread_and_edits_show_all() {
    let world = World::new();
    let pictures = Receiver::answering("");
    pictures.next(Reply::status(503));
    pictures.always(Reply::bytes("image/png", &png()));
    let config = format!("images.wait = \"10ms\"\n{}", world.config(""));
    let relay = Relay::started(&config);
    let event = Feedback::fault(1).with("images", json!([pictures.url("/late.png")]));
    assert_eq!(relay.push(&event).status, 200);
    wait_until("the pictures follow", || {
        world.feishu.messages("oc_room").len() == 2 && world.slack.messages().len() == 2
    });
    relay.wait_until_idle();
    assert_eq!(
        world.feishu.messages("oc_room")[1].parent,
        Some(world.card().id)
    );
    assert_eq!(world.slack.messages()[1].thread_ts, Some(world.post().ts));
    let claim = value(&world.card().content, "claim").expect("a button");
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
    world.wait_for_both("\"tag\":\"img\"", "slack_file");
    world.wait_for_both("处理中", "*Processing*");
}

#[test]
fn refused_status_is_kept_locally_and_notified() {
    let world = World::new();
    let refused = Fault::json(
        400,
        &json!({"code": 99_992_402, "msg": "field validation failed"}),
    );
    world.feishu.faults().add(feishu::Api::SetFeedback, refused);
    let config = format!("operator.notify = \"hook\"\n{}", world.config(""));
    let relay = world.told(&config);
    let claim = value(&world.card().content, "claim").expect("a button");
    assert_eq!(toast(&click(&relay, &claim, "ou_li")), "success");
    world.wait_for_both("仅在此处更改", "here only");
    let notice = world.hook.wait_for(2)[1].json();
    assert_eq!(notice["data"]["notice"]["kind"], "status_not_set");
    let shown = relay.run(&["events", "show", "ev-1"]).stdout;
    assert!(shown.contains("not set in Feishu"), "{shown}");
    let status: Value = serde_json::from_str(&relay.get("/status").text()).expect("JSON");
    assert_eq!(status["statuses"]["dead"], 1, "{status}");
}

#[test]
fn push_after_erasures_is_accepted() {
    let world = World::new();
    let relay = world.told(&world.config(""));
    for number in 2..=4 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    relay.wait_until_idle();
    let erased = relay.run(&["events", "erase", "ev-2", "ev-3", "ev-4"]);
    assert_eq!(erased.code(), 0, "{erased:?}");
    assert_eq!(relay.push(&Feedback::fault(5)).status, 200);
}

#[test]
fn actor_can_be_erased_without_report() {
    let world = World::new();
    let relay = world.told(&world.config(""));
    let claim = value(&world.card().content, "claim").expect("a button");
    assert_eq!(toast(&click(&relay, &claim, "ou_clicker")), "success");
    world.wait_for_both("处理中", "*Processing*");
    world.wait_for_statuses(1);
    relay.wait_until_idle();
    let erase = |more: &[&str]| {
        let arguments = [&["events", "erase", "--user", "ou_clicker"], more].concat();
        relay.run(&arguments)
    };
    let asked = erase(&["--dry-run"]);
    assert!(
        asked
            .stdout
            .contains("would remove the person from 1 click"),
        "{asked:?}"
    );
    let done = erase(&["--json"]);
    assert_eq!(done.json(), json!({"clicks": 1, "erased": true}));
    let again = erase(&[]);
    assert!(
        again.stderr.contains("no events and no clicks"),
        "{again:?}"
    );
    let files = std::fs::read_dir(relay.path("data")).expect("a folder");
    for file in files.map(|file| file.expect("an entry").path()) {
        let bytes = if file.is_file() {
            std::fs::read(&file).expect("readable")
        } else {
            Vec::new()
        };
        let found = bytes.windows(10).any(|window| window == b"ou_clicker");
        assert!(!found, "{}", file.display());
    }
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    assert_eq!(shown["feedback"]["status"]["key"], "processing", "{shown}");
}

#[test]
fn messages_without_buttons_are_still_updated() {
    let world = World::new();
    let config = world
        .config("")
        .replace(
            "chat_id = \"oc_room\"\n",
            "chat_id = \"oc_room\"\nbuttons = false\n",
        )
        .replace("channel = ", "buttons = false\nchannel = ");
    let relay = world.told(&config);
    assert_eq!(value(&world.card().content, "claim"), None);
    assert!(!world.post().blocks.to_string().contains("action_id"));
    assert_eq!(
        post(relay.address(), "/destinations/product/actions", &[], b"").status,
        404
    );
    assert_eq!(
        relay.push_text(&updated(7, 1, "ou_li").to_string()).status,
        200
    );
    world.wait_for_both("已处理", "*Processed* · li");
}
