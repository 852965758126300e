//! Tests of the effects of each response, with the real binary.

use serde_json::json;

use crate::harness::{Feedback, Receiver, Relay, Reply, wait_until};
use crate::main_path::to_hook;

const BOT_OK: &str = r#"{"code":0,"msg":"success"}"#;

fn to_bot(bot: &Receiver, more: &str) -> String {
    Relay::config(&format!(
        "[destinations.oncall]\nkind = \"feishu-bot\"\nurl = \"{}\"\n{more}\n[[rules]]\nname = \"all\"\nsend_to = \"oncall\"\n",
        bot.url("/open-apis/bot/v2/hook/bot-id-is-secret"),
    ))
}

#[test]
fn refused_card_is_resent_in_plainer_form() {
    let bot = Receiver::answering(BOT_OK);
    for _ in 0..3 {
        bot.next(Reply::ok(r#"{"code":11246,"msg":"card refused"}"#));
    }
    let relay = Relay::started(&to_bot(&bot, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let received = bot.wait_for(4);
    relay.wait_until_idle();
    let kinds: Vec<_> = received
        .iter()
        .map(|r| r.json()["msg_type"].clone())
        .collect();
    assert_eq!(kinds, ["interactive", "interactive", "post", "text"]);
    assert!(received[3].text().contains("blank page number 1"));
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    let attempts = shown["deliveries"][0]["attempt_log"]
        .as_array()
        .expect("attempts")
        .clone();
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["degrade", "degrade", "degrade", "delivered"]);
    assert_eq!(attempts[0]["code"], "11246");
    assert_eq!(attempts[0]["status"], 200);
}

#[test]
fn refused_mention_leaves_the_card_and_is_notified_once() {
    let (bot, ops) = (Receiver::answering(BOT_OK), Receiver::answering("{}"));
    let words = "ErrCode: 100290; ErrMsg: invalid user resource (at/person); ErrorValue: x;";
    let refused = json!({ "code": 11246, "msg": words }).to_string();
    let more = format!(
        "[destinations.ops]\nkind = \"webhook\"\nurl = \"{}\"\n",
        ops.url("/ops")
    );
    let config = to_bot(&bot, &more).replace(
        "send_to = \"oncall\"",
        "send_to = \"oncall\"\nmention = [\"sre\"]",
    );
    let top = "operator.notify = \"ops\"\nmentions.sre = { feishu = [\"ou_gone\"] }";
    let relay = Relay::started(&format!("{top}\n{config}"));
    for number in [1, 2] {
        bot.next(Reply::ok(&refused));
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        relay.wait_until_idle();
    }
    let received = bot.received();
    assert_eq!(received.len(), 4);
    for pair in received.chunks(2) {
        assert_eq!(pair[0].json()["msg_type"], "interactive");
        assert!(pair[0].text().contains("ou_gone"));
        assert_eq!(pair[1].json()["msg_type"], "interactive");
        assert!(!pair[1].text().contains("ou_gone"));
        assert!(pair[1].text().contains("blank page number"));
    }
    let notices = ops.received();
    assert_eq!(notices.len(), 1);
    let notice = notices[0].text();
    assert!(notice.contains("mention_refused"), "{notice}");
    assert!(notice.contains("sre"), "{notice}");
}

#[test]
fn secret_url_appears_nowhere() {
    let bot = Receiver::answering(BOT_OK);
    bot.next(Reply::status(502));
    let relay = Relay::started(&to_bot(&bot, "secret = \"sign-secret\""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    bot.wait_for(2);
    relay.wait_until_idle();
    let mut seen = relay.log();
    for arguments in [
        &["events", "show", "ev-1"] as &[&str],
        &["deliveries", "list"],
        &["destinations", "list"],
        &["check"],
    ] {
        let output = relay.run(arguments);
        seen.push_str(&output.stdout);
        seen.push_str(&output.stderr);
    }
    seen.push_str(&relay.get("/metrics").text());
    seen.push_str(&relay.get("/status").text());
    for secret in ["bot-id-is-secret", "sign-secret", "test-encrypt-key"] {
        assert!(!seen.contains(secret), "{secret} in: {seen}");
    }
    // A reporter's words appear in `events show --body`, never in logs.
    assert!(!relay.log().contains("blank page") && !relay.log().contains("li@example.com"));
}

#[test]
fn failing_destination_does_not_affect_others() {
    let (dead, alive) = (Receiver::answering("{}"), Receiver::answering("{}"));
    dead.always(Reply::status(500));
    let config = Relay::config(&format!(
        "[destinations.dead]\nkind = \"webhook\"\nurl = \"{}\"\n[destinations.alive]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]\nname = \"all\"\nsend_to = [\"dead\", \"alive\"]\n",
        dead.url("/"),
        alive.url("/"),
    ));
    let relay = Relay::started(&config);
    for number in 0..30 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    alive.wait_for(30);
    // The breaker limits the attempts at a failing destination.
    assert!(
        dead.received().len() < 30,
        "{} attempts",
        dead.received().len()
    );
    dead.always(Reply::status(200));
    wait_until("all delivered after its return", || {
        relay
            .deliveries()
            .iter()
            .all(|delivery| delivery["state"] == "delivered")
    });
}

#[test]
fn retry_after_pauses_whole_destination() {
    let hook = Receiver::answering("{}");
    hook.next(Reply::Answer(
        429,
        vec![("Retry-After".into(), "4".into())],
        Vec::new(),
    ));
    let relay = Relay::started(&to_hook(&hook, "concurrency = 1"));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    hook.wait_for(1);
    wait_until("the pause is known", || {
        let list = relay.run(&["destinations", "list", "--json"]);
        list.stdout.contains("\"paced_until\":\"20")
    });
    let problem = relay.get("/status").json()["problems"][0].clone();
    assert_eq!(problem["kind"], "destination_paced", "{problem}");
    assert_eq!(problem["subject"], "hook");
    let reason = problem["reason"].as_str().expect("a reason");
    assert!(reason.contains("asked to wait until 20"), "{reason}");
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    assert_eq!(hook.received().len(), 1, "nothing goes during the pause");
    hook.wait_for(3);
    relay.wait_until_idle();
}

#[test]
fn dead_delivery_goes_to_fallback_or_is_notified() {
    let (gone, spare) = (Receiver::answering("{}"), Receiver::answering("{}"));
    gone.always(Reply::status(422));
    let config = Relay::config(&format!(
        "[destinations.gone]\nkind = \"webhook\"\nurl = \"{}\"\nfallback = \"spare\"\n[destinations.lonely]\nkind = \"webhook\"\nurl = \"{}\"\n[destinations.spare]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]\nname = \"all\"\nsend_to = [\"gone\", \"lonely\"]\n",
        gone.url("/gone"),
        gone.url("/lonely"),
        spare.url("/"),
    ));
    let relay = Relay::started(&format!("operator.notify = \"spare\"\n{config}"));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let received = spare.wait_for(2);
    relay.wait_until_idle();
    let kinds: Vec<_> = received.iter().map(|r| r.json()["type"].clone()).collect();
    assert!(kinds.contains(&json!("feedback.created")), "{kinds:?}");
    let notice = received
        .iter()
        .find(|r| r.json()["type"] == "relay.notice")
        .expect("a notice");
    assert!(notice.text().contains("lonely"), "{}", notice.text());

    // A dead letter is kept and can be retried manually, with its old key.
    gone.always(Reply::status(200));
    let list = relay
        .run(&[
            "deliveries",
            "list",
            "--state",
            "dead",
            "--to",
            "lonely",
            "--json",
        ])
        .json();
    let id = list["id"].as_str().expect("an id").to_owned();
    assert_eq!(relay.run(&["deliveries", "retry", &id]).code(), 0);
    wait_until("the retry arrives", || {
        gone.received()
            .iter()
            .filter(|r| r.path == "/lonely")
            .count()
            == 2
    });
    let keys: Vec<_> = gone
        .received()
        .iter()
        .filter(|r| r.path == "/lonely")
        .map(|r| r.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn stopped_destination_sends_to_fallback() {
    let (bot, spare) = (
        Receiver::answering(r#"{"code":19001,"msg":"param invalid"}"#),
        Receiver::answering("{}"),
    );
    let config = to_bot(&bot, "fallback = \"spare\"").replace(
        "[[rules]]",
        &format!(
            "[destinations.spare]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]",
            spare.url("/")
        ),
    );
    let relay = Relay::started(&config);
    for number in 0..3 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    spare.wait_for(3);
    relay.wait_until_idle();
    assert!(
        bot.received().len() <= 3,
        "a stopped destination is left alone"
    );
    assert!(relay.log().contains("destination stopped"));
}

#[test]
fn stopped_destination_with_fallback_recovers_by_probe() {
    let (bot, spare) = (
        Receiver::answering(r#"{"code":19001,"msg":"param invalid"}"#),
        Receiver::answering("{}"),
    );
    let config = to_bot(&bot, "fallback = \"spare\"").replace(
        "[[rules]]",
        &format!(
            "[destinations.spare]\nkind = \"webhook\"\nurl = \"{}\"\n[[rules]]",
            spare.url("/")
        ),
    );
    let mut relay = Relay::started(&config);
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    spare.wait_for(1);
    wait_until("the stop is kept", || {
        let list = relay.run(&["destinations", "list", "--json"]);
        list.stdout.contains("19001")
    });
    relay.stop();
    bot.always(Reply::ok(BOT_OK));
    // A restart may probe at once; otherwise the probe comes ten minutes after the stop.
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(2)).status, 200);
    assert!(bot.wait_for(2)[1].text().contains("blank page number 2"));
    relay.wait_for_log("destination recovered");
    assert_eq!(spare.received().len(), 1);
}

#[test]
fn audience_gets_only_visible_fields() {
    let hook = Receiver::answering("{}");
    let fields = "fields = { contact = \"mask\", user = \"drop\", description = \"drop\" }";
    let relay = Relay::started(&to_hook(&hook, fields));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let received = hook.wait_for(1)[0].clone();
    let text = received.text();
    for hidden in ["li@example.com", "ou_reporter", "blank page"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    let contact = received.json()["data"]["feedback"]["contact"]
        .as_str()
        .expect("masked")
        .to_owned();
    assert!(
        contact.ends_with("@example.com") && contact.contains('*'),
        "{contact}"
    );
}

#[test]
fn own_template_is_used_and_broken_one_replaced_by_plain() {
    let bot = Receiver::answering(BOT_OK);
    let config = format!("templates.dir = \"templates\"\n{}", to_bot(&bot, ""));
    let mut relay = Relay::prepared(&config);
    let card = r#"{"schema":"2.0","body":{"elements":[{"tag":"div","text":{"tag":"plain_text","content":"OWN {{feedback.description}}"}}]}}"#;
    relay.write("templates/feishu/alert.hbs", card);
    relay.start();
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    let text = bot.wait_for(1)[0].text();
    assert!(text.contains("OWN blank page number 1"), "{text}");
}

#[test]
fn lost_response_is_ambiguous_and_retried_with_same_key() {
    let hook = Receiver::answering("{}");
    hook.next(Reply::Hang);
    let relay = Relay::started(&to_hook(&hook, ""));
    assert_eq!(relay.push(&Feedback::suggestion(1)).status, 200);
    let received = hook.wait_for(2);
    assert_eq!(
        received[0].header("webhook-id"),
        received[1].header("webhook-id")
    );
    assert_eq!(
        received[0].body, received[1].body,
        "retries repeat the first rendering"
    );
    relay.wait_until_idle();
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    assert_eq!(
        shown["deliveries"][0]["attempt_log"][0]["outcome"], "ambiguous",
        "{shown}"
    );
}

#[test]
fn broken_off_response_is_ambiguous() {
    let bot = Receiver::answering(BOT_OK);
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"code\":0".to_vec();
    bot.next(Reply::Cut(broken));
    let relay = Relay::started(&to_bot(&bot, ""));
    assert_eq!(relay.push(&Feedback::fault(1)).status, 200);
    bot.wait_for(2);
    relay.wait_until_idle();
    let shown = relay.run(&["events", "show", "ev-1", "--json"]).json();
    let first = &shown["deliveries"][0]["attempt_log"][0];
    assert_eq!(first["outcome"], "ambiguous", "{shown}");
}

/// Tests a chain of two fallbacks, for a dead delivery and for a stopped destination.
#[test]
fn fallback_shows_no_more_than_first_destination() {
    let (first, second, last) = (
        Receiver::answering("{}"),
        Receiver::answering("{}"),
        Receiver::answering("{}"),
    );
    first.always(Reply::status(410));
    second.always(Reply::status(413));
    let destination = |name: &str, to: &Receiver, rest: &str| {
        format!(
            "[destinations.{name}]\nkind = \"webhook\"\nurl = \"{}\"\n{rest}\n",
            to.url("/")
        )
    };
    let relay = Relay::started(&Relay::config(&format!(
        "{}{}{}[[rules]]\nname = \"all\"\nsend_to = \"first\"\n",
        destination(
            "first",
            &first,
            "fallback = \"second\"\nfields = { contact = \"drop\" }"
        ),
        destination(
            "second",
            &second,
            "fallback = \"last\"\nfields = { path = \"drop\" }"
        ),
        destination("last", &last, ""),
    )));
    let event = Feedback::fault(1)
        .with("contact", json!("li@example.com"))
        .with("feedback_path", json!("pages/pay/confirm"));
    assert_eq!(relay.push(&event).status, 200);
    let received = last.wait_for(1);
    let body = received[0].text();
    assert!(body.contains("blank page number 1"), "{body}");
    for hidden in ["li@example.com", "pages/pay/confirm"] {
        assert!(!body.contains(hidden), "{hidden}: {body}");
    }
}

#[test]
fn wait_for_a_rate_is_a_problem_in_status() {
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&to_hook(&hook, "rate = \"1/h\""));
    for number in 1..=3 {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
    }
    hook.wait_for(1);
    wait_until("two wait", || {
        relay.get("/status").json()["destinations"]["hook"]["pending"] == 2
    });
    let status = relay.get("/status").json();
    let wait = status["destinations"]["hook"]["wait_s"].as_u64();
    assert!(wait.is_some_and(|wait| wait >= 3600), "{status}");
    let problem = &status["problems"][0];
    assert_eq!(problem["kind"], "destination_queued", "{status}");
    let reason = problem["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("2 deliveries wait for its rate of 1/h"),
        "{reason}"
    );
}

/// A sign-in page before the receiver is a success by its status, but nothing may have been received.
#[test]
fn html_page_is_counted_logged_and_shown() {
    let hook = Receiver::answering("{}");
    hook.next(Reply::bytes(
        "text/html; charset=utf-8",
        b"<html>Sign in</html>",
    ));
    let relay = Relay::started(&to_hook(&hook, ""));
    for number in [1, 2] {
        assert_eq!(relay.push(&Feedback::fault(number)).status, 200);
        relay.wait_until_idle();
    }
    let states: Vec<_> = relay
        .deliveries()
        .iter()
        .map(|one| one["state"].clone())
        .collect();
    assert_eq!(states, ["delivered", "delivered"]);
    let metrics = relay.get("/metrics").text();
    let counted = "feedback_relay_page_answers_total{destination=\"hook\"} 1\n";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(relay.log().contains("the response is an HTML page"));
    let shown = |event: &str| relay.run(&["events", "show", event]).stdout;
    assert!(
        shown("ev-1").contains("a page for people"),
        "{}",
        shown("ev-1")
    );
    assert!(!shown("ev-2").contains("a page for people"));
}
