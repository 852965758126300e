//! Tests of the meaning of each answer, and of uploads and conversions of images.

use serde_json::{Value, json};

use super::super::KindSettings;
use super::super::tests::{NOW, reason, settings};
use super::super::{Place, build};
use super::*;
use crate::feishu::client::fake::{self, Fake, Reply};
use crate::model::OutcomeKind::{
    self, Ambiguous, Degrade, Delivered, Rejected, Retry, SlowDown, Stop,
};
use crate::model::{DeliveryId, DeliveryIds, ImageId};
use crate::render::Payload;

fn kind(url: &str) -> KindSettings {
    KindSettings::SlackApp {
        token: Secret::new("xoxb-SECRETPART"),
        signing_secret: None,
        channel: "C0123ABCD".into(),
        buttons: false,
        base_url: url.to_owned(),
    }
}

/// Returns a delivery that was made `age_secs` before [`NOW`].
fn key(age_secs: u64) -> DeliveryId {
    DeliveryIds::new(0).next(NOW - Duration::from_secs(age_secs))
}

async fn send_at(fake: &Fake, form: Form, place: Place<'_>, key: DeliveryId) -> Sent {
    let destination = build(&settings(kind(&fake.url(""))), fake::http(), None).unwrap();
    let payload = Payload::from_stored(form, r#"{"text":"白屏","blocks":[{"type":"divider"}]}"#);
    let message = Message {
        payload: &payload,
        place,
        key,
        now: NOW,
        rings: &[],
        link: &|image: &ImageId| image.to_string(),
    };
    destination.send(message).await
}

async fn ask(form: Form, reply: Reply) -> Sent {
    send_at(&Fake::start(vec![reply]), form, Place::New, key(5)).await
}

fn error(word: &str) -> Reply {
    let details = r#""errors":["a reporter's words [json-pointer:/blocks/0/text]"]"#;
    Reply::of(200, format!(r#"{{"ok":false,"error":"{word}",{details}}}"#))
}

const OK: &str = r#"{"ok":true,"channel":"C0123ABCD","ts":"1503435956.000247","message":{}}"#;

fn body(fake: &Fake, index: usize) -> Value {
    serde_json::from_str(fake.got()[index].text()).unwrap()
}

#[tokio::test]
async fn a_message_is_posted_and_its_handle_kept() {
    let fake = Fake::start(vec![Reply::of(200, OK)]);
    let sent = send_at(&fake, Form::Full, Place::New, key(5)).await;
    assert_eq!(
        (&sent.outcome, sent.status),
        (&Outcome::Delivered, Some(200))
    );
    let handle = MessageHandle("C0123ABCD:1503435956.000247".into());
    assert_eq!(sent.handle, Some(handle.clone()));
    let got = &fake.got()[0];
    assert_eq!(got.line, "POST /api/chat.postMessage HTTP/1.1");
    assert_eq!(got.header("authorization"), "Bearer xoxb-SECRETPART");
    assert_eq!(
        got.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(body(&fake, 0)["channel"], "C0123ABCD");

    // Slack repeats the message in its answer. Only the handle is kept.
    assert_eq!(sent.excerpt.as_deref(), Some(handle.as_str()));

    send_at(&fake, Form::Full, Place::Under(&handle), key(5)).await;
    assert_eq!(body(&fake, 1)["thread_ts"], "1503435956.000247");
    let changed = send_at(&fake, Form::Full, Place::Over(&handle), key(5)).await;
    assert_eq!(fake.got()[2].line, "POST /api/chat.update HTTP/1.1");
    assert_eq!(body(&fake, 2)["ts"], "1503435956.000247");
    assert_eq!(changed.handle, Some(handle));
}

/// Slack's error, and its outcome for a rich message and for a plain one.
const ERRORS: &[(&str, OutcomeKind, OutcomeKind)] = &[
    ("ratelimited", SlowDown, SlowDown),
    ("rate_limited", SlowDown, SlowDown),
    ("message_limit_exceeded", SlowDown, SlowDown),
    ("internal_error", Ambiguous, Ambiguous),
    ("fatal_error", Ambiguous, Ambiguous),
    ("service_unavailable", Retry, Retry),
    ("request_timeout", Retry, Retry),
    ("team_added_to_org", Retry, Retry),
    ("org_login_required", Retry, Retry),
    ("token_expired", Stop, Stop),
    ("invalid_auth", Stop, Stop),
    ("not_authed", Stop, Stop),
    ("token_revoked", Stop, Stop),
    ("account_inactive", Stop, Stop),
    ("missing_scope", Stop, Stop),
    ("no_permission", Stop, Stop),
    ("not_allowed_token_type", Stop, Stop),
    ("access_denied", Stop, Stop),
    ("two_factor_setup_required", Stop, Stop),
    ("ekm_access_denied", Stop, Stop),
    ("accesslimited", Stop, Stop),
    ("channel_not_found", Stop, Stop),
    ("not_in_channel", Stop, Stop),
    ("is_archived", Stop, Stop),
    ("restricted_action", Stop, Stop),
    ("restricted_action_read_only_channel", Stop, Stop),
    ("restricted_action_thread_only_channel", Stop, Stop),
    ("app_access_restricted", Stop, Stop),
    ("team_not_found", Stop, Stop),
    ("messages_tab_disabled", Stop, Stop),
    ("invalid_blocks", Degrade, Rejected),
    ("invalid_blocks_format", Degrade, Rejected),
    ("msg_blocks_too_long", Degrade, Rejected),
    ("msg_too_long", Degrade, Rejected),
    ("no_text", Degrade, Rejected),
    ("markdown_text_conflict", Degrade, Rejected),
    ("too_many_attachments", Degrade, Rejected),
    ("attachment_payload_limit_exceeded", Degrade, Rejected),
    ("invalid_metadata_format", Degrade, Rejected),
    ("invalid_metadata_schema", Degrade, Rejected),
    ("metadata_too_large", Degrade, Rejected),
    ("metadata_must_be_sent_from_app", Degrade, Rejected),
    ("invalid_arg_name", Degrade, Rejected),
    ("invalid_arguments", Degrade, Rejected),
    ("invalid_array_arg", Degrade, Rejected),
    ("invalid_charset", Degrade, Rejected),
    ("missing_post_type", Degrade, Rejected),
    ("thread_not_found", Rejected, Rejected),
    ("cannot_reply_to_message", Rejected, Rejected),
    ("restricted_action_thread_locked", Rejected, Rejected),
    ("message_not_found", Rejected, Rejected),
    ("cant_update_message", Rejected, Rejected),
    ("edit_window_closed", Rejected, Rejected),
    ("is_inactive", Rejected, Rejected),
    (
        "a_word_of_tomorrow",
        OutcomeKind::Unknown,
        OutcomeKind::Unknown,
    ),
];

#[tokio::test]
async fn what_each_error_means() {
    for (word, rich, plain) in ERRORS {
        for (form, wanted) in [
            (Form::Full, rich),
            (Form::NoImages, rich),
            (Form::Text, plain),
        ] {
            let sent = ask(form, error(word)).await;
            assert_eq!(sent.outcome.kind(), *wanted, "{word} {form:?}: {sent:?}");
            assert_eq!(sent.code.as_deref(), Some(*word));
            assert!(reason(&sent).starts_with(&format!("{word}: ")), "{sent:?}");
            assert!(!reason(&sent).contains("reporter"), "{sent:?}");
            assert_eq!(sent.handle, None);
        }
    }
}

#[tokio::test]
async fn reason_names_the_fix() {
    let scope =
        r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"im:read"}"#;
    let sent = ask(Form::Full, Reply::of(200, scope)).await;
    assert!(reason(&sent).contains("grant it chat:write"), "{sent:?}");
    let sent = ask(Form::Full, error("not_in_channel")).await;
    assert!(reason(&sent).contains("invite it there"), "{sent:?}");
    assert!(reason(&sent).contains("chat:write.public"), "{sent:?}");
    let sent = ask(Form::Full, error("invalid_blocks")).await;
    assert!(reason(&sent).ends_with("(/blocks/0/text)"), "{sent:?}");
}

#[tokio::test]
async fn unprocessed_image_is_awaited_for_a_limited_time() {
    let unready = r#"{"ok":false,"error":"invalid_blocks",
        "errors":["invalid slack file [json-pointer:/blocks/0/slack_file]"]}"#;
    for (age_secs, wanted) in [(0, Retry), (59, Retry), (60, Degrade), (86_400, Degrade)] {
        let fake = Fake::start(vec![Reply::of(200, unready)]);
        let sent = send_at(&fake, Form::Full, Place::New, key(age_secs)).await;
        assert_eq!(sent.outcome.kind(), wanted, "{age_secs}: {sent:?}");
    }
}

#[tokio::test]
async fn refused_reply_is_sent_as_new() {
    let handle = MessageHandle("C0123ABCD:1.2".into());
    for word in [
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
    ] {
        let fake = Fake::start(vec![error(word), Reply::of(200, OK)]);
        let sent = send_at(&fake, Form::Full, Place::Under(&handle), key(5)).await;
        assert_eq!(sent.outcome, Outcome::Delivered, "{word}");
        assert_eq!(body(&fake, 0)["thread_ts"], "1.2");
        assert_eq!(body(&fake, 1).get("thread_ts"), None);
        assert_eq!(fake.got().len(), 2);
    }
    let fake = Fake::start(vec![error("is_archived")]);
    let sent = send_at(&fake, Form::Full, Place::Under(&handle), key(5)).await;
    assert_eq!((sent.outcome.kind(), fake.got().len()), (Stop, 1));
}

#[tokio::test]
async fn status_and_body_together() {
    for (status, body, wanted) in [
        (200, OK, Delivered),
        (200, r#"{"ok":true}"#, Delivered),
        (200, "<html>login</html>", Retry),
        (200, "", Ambiguous),
        (500, OK, Retry),
        (500, r#"{"ok":false,"error":"a_word_of_tomorrow"}"#, Retry),
        (500, r#"{"ok":false,"error":"invalid_blocks"}"#, Degrade),
        (
            429,
            r#"{"ok":false,"error":"a_word_of_tomorrow"}"#,
            SlowDown,
        ),
        (404, "<html>", Retry),
        (403, "<html>", Retry),
        (413, "<html>", Degrade),
        (302, "", Retry),
        (503, "", Retry),
    ] {
        let sent = ask(Form::Full, Reply::of(status, body)).await;
        assert_eq!(sent.outcome.kind(), wanted, "{status} {body}: {sent:?}");
    }
    let limited = r#"{"ok":false,"error":"ratelimited"}"#;
    let sent = ask(Form::Full, Reply::with(429, "retry-after", "30", limited)).await;
    let wanted = Some(Duration::from_secs(30));
    assert!(
        matches!(&sent.outcome, Outcome::SlowDown { pause, .. } if *pause == wanted),
        "{sent:?}"
    );
    let sent = ask(Form::Full, error("message_limit_exceeded")).await;
    assert!(
        matches!(&sent.outcome, Outcome::SlowDown { pause, .. } if *pause == Some(RETRY_AFTER_MAX)),
        "{sent:?}"
    );
}

#[tokio::test]
async fn long_answer_to_an_accepted_message_is_a_success() {
    let message = format!(r#""message":{{"text":"{}"}}}}"#, r"\u767d".repeat(20_000));
    let long = OK.replace(r#""message":{}}"#, &message);
    let sent = ask(Form::Full, Reply::of(200, long)).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert!(sent.handle.is_some());
}

#[tokio::test]
async fn incomplete_answer_is_ambiguous() {
    for reply in [
        Reply::CloseAtOnce,
        Reply::CloseAfterRequest,
        Reply::CutShort,
    ] {
        let sent = ask(Form::Full, reply).await;
        assert_eq!(sent.outcome.kind(), Ambiguous, "{sent:?}");
        reason(&sent);
    }
    let echo = r#"{"ok":false,"error":"invalid_auth","token":"xoxb-SECRETPART"}"#;
    let sent = ask(Form::Full, Reply::of(200, echo)).await;
    assert!(!sent.excerpt.unwrap().contains("SECRETPART"));
}

/// Returns the answers to an upload; the file is ready at the second poll. `{url}` is the fake's own.
fn upload_answers(address: &str) -> Vec<Reply> {
    let place = json!({"ok": true, "upload_url": address, "file_id": "F0123ABCD"});
    let file =
        |mimetype: &str| json!({"ok": true, "file": {"id": "F0123ABCD", "mimetype": mimetype}});
    vec![
        Reply::of(200, place.to_string()),
        Reply::of(200, "OK - 4"),
        Reply::of(200, r#"{"ok":true,"files":[{"id":"F0123ABCD"}]}"#),
        Reply::of(200, file("").to_string()),
        Reply::of(200, file("image/png").to_string()),
    ]
}

/// Uploads through a fake whose first answer names the address of another fake, which answers the rest.
async fn upload(
    fake: &Fake,
    format: ImageFormat,
    bytes: &'static [u8],
) -> Result<String, ApiError> {
    let destination = build(&settings(kind(&fake.url(""))), fake::http(), None).unwrap();
    destination.upload(format, Bytes::from_static(bytes)).await
}

#[tokio::test]
async fn image_upload_polls_until_processed() {
    let fake = Fake::start_knowing_itself(|url| upload_answers(&format!("{url}/upload/v1/x")));
    let id = upload(&fake, ImageFormat::Png, b"\x89PNG").await;
    assert_eq!(id, Ok("F0123ABCD".into()));
    let got = fake.got();
    let lines: Vec<&str> = got.iter().map(|got| got.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /api/files.getUploadURLExternal HTTP/1.1",
            "POST /upload/v1/x HTTP/1.1",
            "POST /api/files.completeUploadExternal HTTP/1.1",
            "POST /api/files.info HTTP/1.1",
            "POST /api/files.info HTTP/1.1",
        ]
    );
    assert_eq!(got[0].text(), "filename=picture.png&length=4");
    assert_eq!(got[1].body, b"\x89PNG");
    assert!(!got[1].has("authorization"), "the address is its own key");
    let complete: Value = serde_json::from_str(got[2].text()).unwrap();
    assert_eq!(
        complete,
        json!({"files": [{"id": "F0123ABCD", "title": "picture.png"}]})
    );
    assert_eq!(got[3].text(), "file=F0123ABCD");
}

#[tokio::test]
async fn upload_to_a_foreign_address_is_refused() {
    let inside = Fake::start(vec![Reply::of(200, "secret of the inside")]);
    let fake = Fake::start(upload_answers(&inside.url("/metadata")));
    let error = upload(&fake, ImageFormat::Png, b"\x89PNG")
        .await
        .unwrap_err();
    assert!(matches!(&error, ApiError::Retry { reason } if reason.contains("not Slack's")));
    assert!(inside.got().is_empty());
}

#[tokio::test]
async fn what_each_failed_step_of_an_upload_means() {
    let kind = |error: &ApiError| match error {
        ApiError::Retry { .. } => "retry",
        ApiError::SlowDown { .. } => "slow down",
        ApiError::Stop { .. } => "stop",
        ApiError::InFront { .. } => "in front",
        ApiError::Rejected { .. } => "rejected",
    };
    for (step, reply, wanted) in [
        (0, error("missing_scope"), "stop"),
        (0, error("ratelimited"), "retry"),
        (0, error("file_uploads_disabled"), "stop"),
        (0, error("internal_error"), "retry"),
        (
            0,
            Reply::of(200, r#"{"ok":true,"file_id":"F0123ABCD"}"#),
            "retry",
        ),
        (0, Reply::of(200, "<html>"), "retry"),
        (0, Reply::of(404, "<html>"), "retry"),
        (0, Reply::of(407, "<html>"), "stop"),
        (0, Reply::CloseAfterRequest, "retry"),
        (1, Reply::of(500, ""), "retry"),
        (1, Reply::of(200, "<html>"), "retry"),
        (1, Reply::of(413, ""), "rejected"),
        (1, Reply::CloseAfterRequest, "retry"),
        (2, error("file_not_found"), "retry"),
        (2, Reply::CutShort, "retry"),
        (3, error("file_not_found"), "retry"),
    ] {
        let fake = Fake::start_knowing_itself(|url| {
            let mut replies = upload_answers(&format!("{url}/upload"));
            replies[step] = reply.clone();
            replies
        });
        let error = upload(&fake, ImageFormat::Gif, b"GIF").await.unwrap_err();
        assert_eq!(kind(&error), wanted, "{step} {reply:?}: {error}");
        let text = error.to_string();
        assert!(
            !text.contains("SECRETPART") && !text.contains("127.0.0.1"),
            "{text}"
        );
        assert!(!text.contains("reporter"), "{text}");
        assert_eq!(fake.got().len(), step + 1, "{step} {reply:?}");
    }
    // A bot without the scope to read files can still show them.
    let fake = Fake::start_knowing_itself(|url| {
        let mut replies = upload_answers(&format!("{url}/upload"));
        replies[3] = error("missing_scope");
        replies
    });
    assert!(upload(&fake, ImageFormat::Gif, b"GIF").await.is_ok());
    assert_eq!(fake.got().len(), 4);
}

#[tokio::test]
async fn unconvertible_image_is_not_uploaded() {
    let fake = Fake::start(vec![error("x")]);
    for (format, bytes) in [
        (ImageFormat::Heif, &b"heic"[..]),
        (ImageFormat::Webp, b"RIFF"),
        (ImageFormat::Png, b""),
    ] {
        let error = upload(&fake, format, bytes).await;
        assert!(
            matches!(error, Err(ApiError::Rejected { .. })),
            "{format:?}"
        );
    }
    assert!(fake.got().is_empty());
}

#[tokio::test]
async fn properties_are_as_documented() {
    let destination = build(&settings(kind("https://slack.com")), fake::http(), None).unwrap();
    assert_eq!(destination.kind(), "slack-app");
    assert_eq!(destination.forms(), FORMS);
    let mut other = kind("https://slack.com");
    let KindSettings::SlackApp { channel, .. } = &mut other else {
        panic!("not a slack-app");
    };
    channel.push('E');
    let other = build(&settings(other), fake::http(), None).unwrap();
    let paces = destination.paces();
    assert_eq!((paces.len(), paces[0].pace), (1, PER_CHANNEL));
    assert_ne!(paces, other.paces(), "each channel has its own");
    assert!(destination.keeps_handles() && !destination.recognises_repeats());
    assert!(kind("https://slack.com").keeps_handles());
    let ShowsImages::ByKey(KeyOwner::Bot(owner)) = destination.shows_images() else {
        panic!("not by key");
    };
    assert!(owner.starts_with("slack:") && !owner.contains("SECRETPART"));
}

/// Slack answers an unknown method with JSON, so a page with 404 comes from something in front of its API.
#[tokio::test]
async fn lasting_page_with_404_stops_the_destination() {
    let fake = Fake::start(vec![Reply::of(404, "<html><title>No such site</title>")]);
    let destination = build(&settings(kind(&fake.url(""))), fake::http(), None).unwrap();
    let one = || super::super::tests::send(destination.as_ref(), Form::Full, "{}");
    assert!(matches!(one().await.outcome, Outcome::Retry { .. }));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    let sent = one().await;
    assert!(matches!(sent.outcome, Outcome::Stop { .. }), "{sent:?}");
}
