//! Tests of Slack's bots and webhooks.

use super::*;
use crate::slack::SlackClient;

fn slack(fake: &Fake) -> SlackClient {
    SlackClient::new(&fake.url(""), Secret::new("xoxb-1"), fake::http())
}

fn auth(scopes: &str) -> Reply {
    let body = r#"{"ok":true,"team":"example","user":"relay"}"#;
    Reply::with(200, "x-oauth-scopes", scopes, body)
}

async fn examined(replies: Vec<Reply>) -> Report {
    let fake = Fake::start(replies);
    let mut report = report();
    let check = slack_app::Check {
        client: slack(&fake),
        channel: "C0123ABCD".into(),
        signed: false,
        timeout: CALL_TIMEOUT,
    };
    check.run(&mut report).await;
    assert_nothing_posted(&fake.got());
    report
}

#[tokio::test]
async fn a_bot_says_who_it_is_and_what_it_may_do() {
    let member = json(
        200,
        r#"{"ok":true,"channel":{"is_member":true,"is_archived":false}}"#,
    );
    let report = examined(vec![auth("chat:write,files:read"), member]).await;
    assert_is(
        &report,
        "token",
        Good,
        "speaks as relay in the workspace example",
    );
    assert_is(&report, "scopes", Good, "chat:write");
    assert_is(
        &report,
        "scopes",
        Failed,
        "grant files:write at api.slack.com/apps",
    );
    assert_is(&report, "channel", Good, "in the channel");
    assert_is(&report, "signing_secret", Warning, "Basic Information");

    let refused = examined(vec![json(200, r#"{"ok":false,"error":"invalid_auth"}"#)]).await;
    assert_is(&refused, "token", Failed, "OAuth & Permissions");
    assert_eq!(refused.findings.len(), 1);
    for reply in [
        json(200, "<html>"),
        json(429, r#"{"ok":false,"error":"ratelimited"}"#),
    ] {
        let report = examined(vec![reply]).await;
        assert!(report.findings.iter().all(|one| one.standing == NotChecked));
    }
}

#[tokio::test]
async fn a_bot_is_in_its_channel_or_what_to_do() {
    let refused = |word: &str| json(200, &format!(r#"{{"ok":false,"error":"{word}"}}"#));
    let channel = |flags: &str| json(200, &format!(r#"{{"ok":true,"channel":{{{flags}}}}}"#));
    for (scopes, answer, standing, says) in [
        (
            "chat:write",
            channel(r#""is_member":false"#),
            Failed,
            "/invite",
        ),
        (
            "chat:write.public",
            channel(r#""is_member":false"#),
            Good,
            "chat:write.public",
        ),
        (
            "chat:write.public",
            channel(r#""is_member":false,"is_private":true"#),
            Failed,
            "/invite",
        ),
        (
            "",
            channel(r#""is_member":true,"is_archived":true"#),
            Failed,
            "archived",
        ),
        ("", channel(r#""is_im":true"#), Good, "in the channel"),
        ("", channel(""), NotChecked, "does not say"),
        ("", refused("channel_not_found"), Failed, "no such channel"),
        (
            "",
            json(
                200,
                r#"{"ok":false,"error":"missing_scope","needed":"groups:read"}"#,
            ),
            NotChecked,
            "to have it checked, grant groups:read",
        ),
    ] {
        let report = examined(vec![auth(scopes), answer]).await;
        assert_is(&report, "channel", standing, says);
    }
}

#[tokio::test]
async fn slack_webhook_that_rejects_empty_message_works() {
    for (status, word, standing, says) in [
        (400, "no_text", Good, "works"),
        (
            500,
            "missing_text_or_fallback_or_attachments",
            Good,
            "works",
        ),
        (403, "invalid_token", Failed, "Incoming Webhooks"),
        (403, "action_prohibited", Failed, "administrator"),
        (404, "no_service", Failed, "gone"),
        (410, "channel_is_archived", Failed, "archived"),
        (503, "", NotChecked, "try again"),
        (200, "ok", Warning, "check `url`"),
    ] {
        let fake = Fake::start(vec![json(status, word)]);
        let mut report = report();
        let url = Secret::new(fake.url("/services/T/B/secret"));
        let check = reachability::SlackWebhook {
            receiver: reachability::Receiver::new(fake::http(), url, CALL_TIMEOUT),
            slacks: vec!["127.0.0.1".into()],
        };
        check.run(&mut report).await;
        assert_is(&report, "webhook", standing, says);
        assert_nothing_posted(&fake.got());
    }
}

#[tokio::test]
async fn slack_compatible_webhook_gets_no_post() {
    let fake = Fake::start(vec![json(405, "")]);
    let mut report = report();
    let url = Secret::new(fake.url("/services/T/B/secret"));
    let check = reachability::SlackWebhook {
        receiver: reachability::Receiver::new(fake::http(), url, CALL_TIMEOUT),
        slacks: Platforms::default().slack,
    };
    check.run(&mut report).await;
    assert_is(&report, "reach", Good, "HTTP 405");
    let [got] = <[Got; 1]>::try_from(fake.got()).unwrap();
    assert!(got.line.starts_with("HEAD "), "{got:?}");
}
