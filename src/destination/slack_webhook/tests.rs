//! Tests of the meaning of each answer.

use super::super::tests::{ask, build, send, settings, slack};
use super::*;
use crate::feishu::client::fake::{Fake, Reply};
use crate::model::OutcomeKind;

#[tokio::test]
async fn message_is_sent_unchanged() {
    let fake = Fake::start(vec![Reply::of(200, "ok")]);
    let destination = build(&settings(slack(&fake.url("/services/T/B/X"))), None).unwrap();
    let body = r#"{"text":"白屏","blocks":[]}"#;
    let sent = send(destination.as_ref(), Form::Full, body).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!((sent.code, sent.excerpt.as_deref()), (None, Some("ok")));
    let got = &fake.got()[0];
    assert_eq!(got.text(), body);
    assert_eq!(
        got.header("content-type"),
        "application/json; charset=utf-8"
    );
}

#[tokio::test]
async fn what_each_answer_means() {
    use OutcomeKind::{Ambiguous, Degrade, Delivered, Rejected, Retry, SlowDown, Stop, Unknown};
    // Status, body, and the outcome for a rich message and for a plain one.
    let rows = [
        (200, "ok", Delivered, Delivered),
        (200, "ok\n", Delivered, Delivered),
        (200, r#"{"ok":true}"#, Delivered, Delivered),
        (200, "<html>login</html>", Retry, Retry),
        (
            200,
            r#"{"ok":false,"error":"invalid_blocks"}"#,
            Degrade,
            Rejected,
        ),
        (
            200,
            r#"{"ok":false,"error":"rate_limited"}"#,
            SlowDown,
            SlowDown,
        ),
        (400, "invalid_payload", Degrade, Rejected),
        (400, "invalid_blocks", Degrade, Rejected),
        (400, "no_text", Degrade, Rejected),
        (400, "too_many_attachments", Degrade, Rejected),
        (400, "user_not_found", Degrade, Rejected),
        (400, "<html>", Retry, Retry),
        (400, "", Retry, Retry),
        (400, "no such field", Unknown, Unknown),
        (400, "Bad Request", Unknown, Unknown),
        (405, "", Retry, Retry),
        (413, "", Degrade, Rejected),
        (422, "", Degrade, Rejected),
        (403, "action_prohibited", Stop, Stop),
        (403, "invalid_token", Stop, Stop),
        (404, "no_service", Stop, Stop),
        (404, "no_team", Stop, Stop),
        (404, "channel_not_found", Stop, Stop),
        (404, "", Stop, Stop),
        (410, "channel_is_archived", Stop, Stop),
        (429, "", SlowDown, SlowDown),
        (429, "rate_limited", SlowDown, SlowDown),
        (500, "rollup_error", Retry, Retry),
        (500, "internal_error", Retry, Retry),
        (
            500,
            "missing_text_or_fallback_or_attachments",
            Degrade,
            Rejected,
        ),
        (500, "invalid_blocks", Degrade, Rejected),
        (500, "<html>", Retry, Retry),
        (500, "ok", Retry, Retry),
        (503, "", Retry, Retry),
    ];
    for (status, body, rich, plain) in rows {
        for (form, wanted) in [(Form::Full, rich), (Form::Text, plain)] {
            let sent = ask(slack, form, Reply::of(status, body)).await;
            assert_eq!(
                sent.outcome.kind(),
                wanted,
                "{status} {body} {form:?}: {sent:?}"
            );
        }
    }
    let sent = ask(slack, Form::Full, Reply::of(400, "invalid_blocks")).await;
    assert_eq!(sent.code.as_deref(), Some("invalid_blocks"));
    let sent = ask(slack, Form::Full, Reply::of(200, vec![b'o'; 200_000])).await;
    assert_eq!(sent.outcome.kind(), Ambiguous);
}

/// Slack declares its answers as HTML.
#[tokio::test]
async fn words_of_slack_count_whatever_their_media_type() {
    use OutcomeKind::{Delivered, Rejected};
    for (status, body, wanted) in [(200, "ok", Delivered), (400, "invalid_payload", Rejected)] {
        let reply = Reply::with(status, "content-type", "text/html", body);
        let sent = ask(slack, Form::Text, reply).await;
        assert_eq!(sent.outcome.kind(), wanted, "{sent:?}");
    }
}

/// Receivers of Slack's messages confirm them in words of their own; an answer that mentions an error is no
/// success.
#[tokio::test]
async fn short_answer_without_error_is_a_success() {
    use OutcomeKind::{Delivered, Unknown};
    for (status, body, wanted) in [
        (200, "", Delivered),
        (200, "OK", Delivered),
        (202, "Accepted", Delivered),
        (200, "1", Delivered),
        (200, r#"{"success":true}"#, Delivered),
        (200, r#"{"result":"success"}"#, Delivered),
        (200, r#"{"status":"ok","error":null}"#, Delivered),
        (200, r#"{"success":false}"#, Unknown),
        (200, r#"{"error":"no such hook"}"#, Unknown),
        (200, r#"{"status":"error"}"#, Unknown),
        (200, "Internal error", Unknown),
        (200, "some_error_of_tomorrow", Unknown),
        (200, r#"{"error":0}"#, Delivered),
        (200, r#"{"ok":true,"error":{}}"#, Delivered),
        (200, r#"{"status":"success","error":"none"}"#, Delivered),
        (200, r#"{"success":true,"errors":0}"#, Delivered),
        (200, "no_error", Delivered),
        (200, "Message transferred successfully", Delivered),
        (200, r#"{"errcode":0,"errmsg":"ok"}"#, Delivered),
        (200, r#"{"status":200}"#, Delivered),
        (200, r#"{"code":40001,"msg":"invalid token"}"#, Unknown),
        (
            200,
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            Unknown,
        ),
        (200, r#"{"ok":0,"msg":"invalid"}"#, Unknown),
        (200, r#"{"success":"false"}"#, Unknown),
        (200, r#"{"status":500,"message":"failed"}"#, Unknown),
        (200, "false", Unknown),
    ] {
        let sent = ask(slack, Form::Text, Reply::of(status, body)).await;
        assert_eq!(sent.outcome.kind(), wanted, "{status} {body}: {sent:?}");
    }
}
