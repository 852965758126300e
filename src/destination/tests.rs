//! Helpers for the tests of all kinds, and tests that apply to all kinds that use HTTP.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::*;
use crate::feishu::client::fake::{self, Fake, Reply};
use crate::model::EXCERPT_BYTES_MAX;
use crate::model::OutcomeKind::{
    self, Ambiguous, Delivered, Rejected, Retry, SlowDown, Stop, Unknown,
};
use crate::render::{Family, Fields, Locale, SentAs};

/// Sun, 06 Nov 1994 08:49:37 GMT.
pub(super) const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);
pub(super) const KEY: DeliveryId = DeliveryId::from_i64(0x0123_4567_89ab_cdef);

pub(crate) use super::answer::unsent;

pub(crate) fn settings(kind: KindSettings) -> Settings {
    let audience = Audience {
        family: Family::Webhook,
        locale: Locale::En,
        timezone: TimeZone::UTC,
        fields: Fields::default(),
        keyword: None,
        body: None,
        bytes_max: None,
        buttons: false,
        sent: SentAs::default(),
    };
    Settings {
        common: Common {
            name: "there".into(),
            rate: None,
            concurrency: 4,
            timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(3600),
            fallback: None,
            fallback_after: None,
            stale_after: None,
            was: Vec::new(),
            audience,
        },
        proxy: None,
        kind,
        links: false,
    }
}

pub(crate) fn webhook(url: &str) -> KindSettings {
    KindSettings::Webhook {
        url: Secret::new(url),
        secrets: Vec::new(),
        headers: Vec::new(),
        success: None,
    }
}

pub(super) fn slack(url: &str) -> KindSettings {
    KindSettings::SlackWebhook {
        url: Secret::new(url),
    }
}

pub(super) fn bot(url: &str, secret: Option<&str>) -> KindSettings {
    KindSettings::FeishuBot {
        url: Secret::new(url),
        secret: secret.map(Secret::new),
        upload_images_as: None,
    }
}

/// Shadows [`super::build`] for tests without a proxy, which share one HTTP client.
pub(super) fn build(
    settings: &Settings,
    uploader: Option<FeishuClient>,
) -> Result<Arc<dyn Destination>, BuildError> {
    super::build(settings, fake::http(), uploader)
}

pub(super) async fn send(destination: &dyn Destination, form: Form, body: &str) -> Sent {
    let payload = Payload::from_stored(form, body);
    let message = Message {
        payload: &payload,
        place: Place::New,
        key: KEY,
        now: NOW,
        rings: &[],
        link: &|image| format!("https://relay.example.com/images/{image}"),
    };
    destination.send(message).await
}

/// Sends once to a receiver that answers with `reply`.
pub(super) async fn ask(kind: fn(&str) -> KindSettings, form: Form, reply: Reply) -> Sent {
    let fake = Fake::start(vec![reply]);
    let destination = build(&settings(kind(&fake.url("/hook/SECRETPART"))), None).unwrap();
    send(destination.as_ref(), form, r#"{"msg_type":"text"}"#).await
}

const KINDS: [fn(&str) -> KindSettings; 3] = [webhook, slack, |url| bot(url, Some("demo"))];

/// Returns the reason, which must not contain a part of the URL.
pub(super) fn reason(sent: &Sent) -> &str {
    let reason = sent.outcome.reason().unwrap_or_default();
    assert!(!reason.contains("SECRETPART"), "{reason}");
    assert!(!reason.contains("127.0.0.1"), "{reason}");
    reason
}

#[tokio::test]
async fn missing_or_partial_answer_is_classified() {
    for kind in KINDS {
        for reply in [Reply::CloseAtOnce, Reply::CloseAfterRequest] {
            let sent = ask(kind, Form::Full, reply.clone()).await;
            assert!(
                matches!(sent.outcome, Outcome::Ambiguous { .. }),
                "{reply:?}: {sent:?}"
            );
            reason(&sent);
        }
        let gone = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let refused = kind(&format!("http://{gone}/hook/SECRETPART"));
        let refused = build(&settings(refused), None).unwrap();
        let sent = send(refused.as_ref(), Form::Full, "{}").await;
        assert!(matches!(sent.outcome, Outcome::Retry { .. }), "{sent:?}");
        reason(&sent);
        let fake = Fake::start(vec![Reply::Silent]);
        let mut slow = settings(kind(&fake.url("/hook/SECRETPART")));
        slow.common.timeout = Duration::from_millis(100);
        let sent = send(build(&slow, None).unwrap().as_ref(), Form::Full, "{}").await;
        assert!(
            matches!(sent.outcome, Outcome::Ambiguous { .. }),
            "{sent:?}"
        );
        assert!(reason(&sent).contains("in time"));
        let nowhere = build(&settings(kind("SECRETPART is no url")), None).unwrap();
        let sent = send(nowhere.as_ref(), Form::Full, "{}").await;
        assert!(matches!(sent.outcome, Outcome::Stop { .. }), "{sent:?}");
        reason(&sent);
    }
}

#[test]
fn unsent_request_is_retried_and_bad_certificate_stops() {
    use crate::net::NetError;
    let redactor = crate::net::Redactor::new([&Secret::new("http://x/")], [], []);
    let of = |error| answer::unanswered(&error, &redactor).outcome;
    assert!(matches!(
        of(NetError::Unsent("no such host".into())),
        Outcome::Retry { .. }
    ));
    assert!(matches!(
        of(NetError::Refused("a header that cannot be sent".into())),
        Outcome::Stop { .. }
    ));
    let certificate = of(NetError::Certificate("expired".into()));
    assert!(
        matches!(&certificate, Outcome::Stop { reason } if reason.contains("certificate")),
        "{certificate:?}"
    );
}

#[tokio::test]
async fn common_statuses_have_the_same_outcome_for_all_kinds() {
    let secs = |n| Some(Duration::from_secs(n));
    for kind in KINDS {
        let ask =
            |status, name, value| ask(kind, Form::Full, Reply::with(status, name, value, "<html>"));
        for status in [408, 425, 500, 502, 503, 504, 507, 520, 599] {
            let sent = ask(status, "x", "y").await;
            assert!(matches!(sent.outcome, Outcome::Retry { .. }), "{sent:?}");
            assert_eq!(sent.status, Some(status));
        }
        for status in [401, 407, 410] {
            assert!(
                matches!(ask(status, "x", "y").await.outcome, Outcome::Stop { .. }),
                "{status}"
            );
        }
        for status in [423, 429] {
            let sent = ask(status, "x", "y").await;
            assert!(
                matches!(sent.outcome, Outcome::SlowDown { pause: None, .. }),
                "{sent:?}"
            );
        }
        for (status, value, wanted) in [
            (429, "7", 7),
            (423, "Sun, 06 Nov 1994 08:50:07 GMT", 30),
            (502, "3", 3),
            (503, "86400", 3600),
            (504, "0", 0),
        ] {
            let sent = ask(status, "retry-after", value).await;
            assert!(
                matches!(&sent.outcome, Outcome::SlowDown { pause, .. } if *pause == secs(wanted)),
                "{sent:?}"
            );
        }
        for status in [301, 302, 303, 307, 308] {
            let to = "https://login.example.com/SECRETPART?token=t";
            let sent = ask(status, "location", to).await;
            assert!(matches!(sent.outcome, Outcome::Retry { .. }), "{sent:?}");
            assert!(reason(&sent).contains("to login.example.com;"), "{sent:?}");
            assert!(!reason(&sent).contains("token"), "{sent:?}");
        }
    }
}

const HTML: (&str, &str) = (
    "text/html",
    "<html><title>Service unavailable</title></html>",
);
const JSON: (&str, &str) = ("application/json", r#"{"message":"invalid content"}"#);
const TEXT: (&str, &str) = ("text/plain", "invalid content");
const CODE: (&str, &str) = ("application/json", r#"{"code":230999,"msg":"try again"}"#);
const NONE: (&str, &str) = ("text/plain", "");
const PORTAL: (&str, &str) = ("text/plain", "Please sign in to the network");
const GATEWAY: (&str, &str) = ("application/json", r#"{"message":"ok"}"#);
const REFUSAL: (&str, &str) = ("application/json", r#"{"error":"no route"}"#);
const CUT: (&str, &str) = ("application/json", r#"{"code":0,"msg":"suc"#);

/// Status, media type and body, and the outcomes of webhook, slack-webhook and feishu-bot.
type Row = (u16, (&'static str, &'static str), [OutcomeKind; 3]);

const ANSWERS: &[Row] = &[
    (200, HTML, [Delivered, Retry, Retry]),
    (200, PORTAL, [Delivered, Delivered, Retry]),
    (200, GATEWAY, [Delivered, Delivered, Ambiguous]),
    (200, REFUSAL, [Delivered, Unknown, Retry]),
    (200, CUT, [Delivered, Ambiguous, Ambiguous]),
    (200, NONE, [Delivered, Delivered, Ambiguous]),
    (200, CODE, [Delivered, Unknown, Unknown]),
    (204, NONE, [Delivered, Delivered, Ambiguous]),
    (302, HTML, [Retry, Retry, Retry]),
    (304, NONE, [Retry, Retry, Retry]),
    (307, NONE, [Retry, Retry, Retry]),
    (400, HTML, [Retry, Retry, Retry]),
    (400, NONE, [Retry, Retry, Retry]),
    (400, JSON, [Unknown, Unknown, Retry]),
    (400, TEXT, [Unknown, Unknown, Retry]),
    (400, CODE, [Unknown, Unknown, Unknown]),
    (401, HTML, [Stop, Stop, Stop]),
    (401, JSON, [Stop, Stop, Stop]),
    (402, HTML, [Retry, Retry, Retry]),
    (402, NONE, [Retry, Retry, Retry]),
    (403, HTML, [Retry, Retry, Retry]),
    (403, NONE, [Stop, Stop, Stop]),
    (404, HTML, [Retry, Retry, Retry]),
    (404, NONE, [Retry, Stop, Stop]),
    (404, TEXT, [Retry, Retry, Retry]),
    (405, HTML, [Retry, Retry, Retry]),
    (406, NONE, [Retry, Retry, Retry]),
    (408, NONE, [Retry, Retry, Retry]),
    (409, NONE, [Delivered, Retry, Retry]),
    (410, HTML, [Stop, Stop, Stop]),
    (411, HTML, [Retry, Retry, Retry]),
    (413, HTML, [Rejected, Rejected, Rejected]),
    (415, NONE, [Rejected, Rejected, Rejected]),
    (418, TEXT, [Retry, Retry, Retry]),
    (421, HTML, [Retry, Retry, Retry]),
    (422, JSON, [Rejected, Rejected, Rejected]),
    (425, NONE, [Retry, Retry, Retry]),
    (429, HTML, [SlowDown, SlowDown, SlowDown]),
    (429, CODE, [SlowDown, SlowDown, SlowDown]),
    (451, HTML, [Retry, Retry, Retry]),
    (500, HTML, [Retry, Retry, Retry]),
    (500, CODE, [Retry, Retry, Retry]),
    (501, HTML, [Retry, Retry, Retry]),
    (503, NONE, [Retry, Retry, Retry]),
    (505, NONE, [Retry, Retry, Retry]),
    (530, HTML, [Retry, Retry, Retry]),
    (999, NONE, [Retry, Retry, Retry]),
];

/// Tests the outcome of every class of answer for each kind. Only answers that judge a message end it.
#[tokio::test]
async fn every_class_of_answer_by_kind() {
    for (status, (media_type, body), wanted) in ANSWERS.iter().copied() {
        for (kind, wanted) in KINDS.into_iter().zip(wanted) {
            let reply = Reply::with(status, "content-type", media_type, body);
            // In the plainest form, the outcome is the end or a retry.
            let form = if kind as usize == KINDS[0] as usize {
                Form::Full
            } else {
                Form::Text
            };
            let sent = ask(kind, form, reply).await;
            assert_eq!(sent.outcome.kind(), wanted, "{status} {body}: {sent:?}");
            reason(&sent);
        }
    }
}

/// The library's own limit of 100 headers would make this answer count as lost.
#[tokio::test]
async fn success_with_many_headers_is_a_success_for_all_kinds() {
    let bodies = ["", "ok", r#"{"code":0,"msg":"success"}"#];
    for (kind, body) in KINDS.into_iter().zip(bodies) {
        let headers = vec![("x-filler", "v".into()); 900];
        let reply = Reply::Answer(200, headers, body.as_bytes().to_vec());
        let sent = ask(kind, Form::Full, reply).await;
        assert_eq!(sent.outcome, Outcome::Delivered, "{body}");
    }
}

/// Platforms refuse messages beyond their limits, so each limit of the relay is a little lower.
#[tokio::test]
async fn rate_limits_are_below_the_documented_ones() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    for (kind, documented) in [
        (bot("http://x/", None), vec![(5, second), (100, minute)]),
        (slack("http://x/"), vec![(1, second)]),
    ] {
        let destination = build(&settings(kind), None).unwrap();
        for (count, per) in documented {
            let below = |shared: &SharedPace| {
                let RateLimit {
                    count: ours,
                    per: our_per,
                } = shared.pace;
                ours <= count && our_per >= per && (ours, our_per) != (count, per)
            };
            let paces = destination.paces();
            assert!(paces.iter().any(below), "{count} in {per:?}: {paces:?}");
        }
    }
}

#[tokio::test]
async fn lasting_proxy_page_stops_the_destination() {
    for kind in KINDS {
        let to = "https://login.example.com/x";
        let fake = Fake::start(vec![
            Reply::with(302, "location", to, ""),
            Reply::with(302, "location", to, ""),
            Reply::of(500, ""),
            Reply::of(405, ""),
        ]);
        let destination = build(&settings(kind(&fake.url("/hook/SECRETPART"))), None).unwrap();
        let one = || send(destination.as_ref(), Form::Full, r#"{"msg_type":"text"}"#);
        assert!(matches!(one().await.outcome, Outcome::Retry { .. }));
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        let sent = one().await;
        assert!(matches!(sent.outcome, Outcome::Stop { .. }), "{sent:?}");
        assert!(
            reason(&sent).contains("a redirect to login.example.com"),
            "{sent:?}"
        );
        // An answer of the receiver itself restarts the time limit.
        assert!(matches!(one().await.outcome, Outcome::Retry { .. }));
        assert!(matches!(one().await.outcome, Outcome::Retry { .. }));
    }
}

/// A sign-in page with status 200 delivers nothing: the destination stops, and the operator reads the title.
#[tokio::test]
async fn lasting_sign_in_page_stops_the_destination() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    for kind in &KINDS[1..] {
        let fake = Fake::start(vec![Reply::of(200, page)]);
        let destination = build(&settings(kind(&fake.url("/hook/SECRETPART"))), None).unwrap();
        let one = || send(destination.as_ref(), Form::Full, r#"{"msg_type":"text"}"#);
        assert!(matches!(one().await.outcome, Outcome::Retry { .. }));
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        let sent = one().await;
        assert!(matches!(sent.outcome, Outcome::Stop { .. }), "{sent:?}");
        assert_eq!(
            reason(&sent),
            "HTTP 200, a page in front of the receiver: \"Sign in\"; check the address"
        );
    }
}

#[tokio::test]
async fn excerpt_is_short_and_without_secrets() {
    for kind in KINDS {
        let body = format!("no POST to /hook/SECRETPART\x07 {}", "あ".repeat(50_000));
        let sent = ask(kind, Form::Full, Reply::of(500, body)).await;
        let excerpt = sent.excerpt.unwrap();
        assert!(excerpt.starts_with("no POST to ‹secret›"), "{excerpt}");
        assert!(excerpt.len() <= EXCERPT_BYTES_MAX && excerpt.len() > EXCERPT_BYTES_MAX - 4);
    }
}

#[tokio::test]
async fn a_configured_proxy_is_used() {
    for kind in KINDS {
        let proxy = Fake::start(vec![Reply::of(429, "")]);
        let mut settings = settings(kind("http://far.invalid/hook"));
        settings.proxy = Some(Secret::new(proxy.url("")));
        let http = HttpClient::trusted(settings.proxy.as_ref()).unwrap();
        let destination = super::build(&settings, http, None).unwrap();
        let sent = send(destination.as_ref(), Form::Full, "{}").await;
        assert!(matches!(sent.outcome, Outcome::SlowDown { .. }), "{sent:?}");
        assert_eq!(proxy.got()[0].line, "POST http://far.invalid/hook HTTP/1.1");
    }
    let error =
        HttpClient::trusted(Some(&Secret::new("http://user:hunter22@[nonsense"))).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("hunter22"));
}

#[tokio::test]
async fn kinds_say_what_they_are() {
    let file = KindSettings::File {
        path: "x.jsonl".into(),
    };
    for (kind, word, forms, paces, linked) in [
        (webhook("http://x/"), "webhook", 1, 0, ShowsImages::ByLink),
        (
            slack("http://x/"),
            "slack-webhook",
            2,
            1,
            ShowsImages::ByLink,
        ),
        (
            bot("http://x/", None),
            "feishu-bot",
            4,
            2,
            ShowsImages::ByLink,
        ),
        (file, "file", 1, 0, ShowsImages::ByPath),
    ] {
        let mut settings = settings(kind);
        let plain = build(&settings, None).unwrap();
        settings.links = true;
        let with_links = build(&settings, None).unwrap();
        assert_eq!(plain.kind(), word);
        assert_eq!(plain.keeps_handles(), settings.kind.keeps_handles());
        assert_eq!(
            (plain.forms().len(), plain.paces().len()),
            (forms, paces),
            "{word}"
        );
        assert_eq!(plain.forms()[0], Form::Full);
        assert_eq!(with_links.shows_images(), linked);
        if linked == ShowsImages::ByLink {
            assert_eq!(plain.shows_images(), ShowsImages::No);
        }
        let upload = plain
            .upload(ImageFormat::Png, Bytes::from_static(b"x"))
            .await;
        assert!(matches!(upload, Err(ApiError::Rejected { .. })), "{word}");
        assert_eq!(plain.common().name.as_str(), "there");
    }
}

#[test]
fn destinations_at_one_url_share_its_rate_limit_without_revealing_it() {
    let path = "/open-apis/bot/v2/hook/SECRETPART";
    let url = &format!("https://open.example{path}");
    let same = format!("HTTPS://Open.example:443{path}/");
    let bot = |url: &str| bot(url, None);
    let paces = |kind| build(&settings(kind), None).unwrap().paces();
    assert_eq!(paces(bot(url)), paces(bot(&same)));
    assert_eq!(paces(slack(url)), paces(slack(&same)));
    assert_ne!(paces(bot(url)), paces(bot(&format!("{url}2"))));
    let shown = format!("{:?}", paces(bot(url)));
    assert!(!shown.contains("SECRETPART"), "{shown}");
}
