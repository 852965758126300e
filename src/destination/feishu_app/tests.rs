//! Tests of the requests, the meaning of each code, and urgent notifications.

use jiff::tz::TimeZone;

use super::super::tests::{KEY, NOW, build, reason, settings};
use super::super::{BuildError, KindSettings, Settings};
use super::*;
use crate::feishu::App;
use crate::feishu::client::fake::{self, Fake, Got, Reply};
use crate::model::OutcomeKind::{
    self, Ambiguous, Degrade, Delivered, Rejected, Retry, SlowDown, Stop, Unknown,
};
use crate::model::Secret;
use crate::render::Payload;

const CARD: &str = r#"{"msg_type":"interactive","card":{"schema":"2.0","x":"\"白屏\""}}"#;
const TEXT: &str = r#"{"msg_type":"text","content":{"text":"x"}}"#;
const MADE: &str = r#"{"code":0,"msg":"success","data":{"message_id":"om_1","chat_id":"oc_1","thread_id":"omt_1","body":{"content":"a reporter's words"}}}"#;

fn chat() -> To {
    To::Chat("oc_1".into())
}

fn kind(to: To, urgent: Option<Urgent>) -> Settings {
    settings(KindSettings::FeishuApp {
        app: "shop".into(),
        to,
        urgent,
        buttons: true,
    })
}

/// Starts a fake platform, which first grants a token, and builds the destination.
fn at(replies: Vec<Reply>, settings: &Settings) -> (Fake, std::sync::Arc<dyn Destination>) {
    let token = r#"{"code":0,"msg":"ok","tenant_access_token":"t-secret","expire":7200}"#;
    let mut all = vec![Reply::of(200, token)];
    all.extend(replies);
    let fake = Fake::start(all);
    let app = App {
        name: "shop".into(),
        app_id: "cli_9f5343c580712544".into(),
        receive: crate::feishu::Receive::Webhook,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: Some(Secret::new("app-secret")),
        base_url: fake.url(""),
        feedback_timezone: TimeZone::UTC,
    };
    let client = FeishuClient::new(&app, fake::http());
    (fake, build(settings, Some(client)).unwrap())
}

async fn put(
    destination: &dyn Destination,
    (form, body): (Form, &str),
    place: Place<'_>,
    rings: &[String],
) -> Sent {
    let payload = Payload::from_stored(form, body);
    let message = Message {
        payload: &payload,
        place,
        key: KEY,
        now: NOW,
        rings,
        link: &|image| format!("https://relay.example.com/images/{image}"),
    };
    destination.send(message).await
}

/// Sends one message to a platform that answers with `reply`.
async fn ask(to: To, place: Place<'_>, form: Form, reply: Reply) -> Sent {
    let (_fake, destination) = at(vec![reply], &kind(to, None));
    let body = if form == Form::Text { TEXT } else { CARD };
    put(destination.as_ref(), (form, body), place, &[]).await
}

fn json(got: &Got) -> serde_json::Value {
    serde_json::from_slice(&got.body).unwrap()
}

#[tokio::test]
async fn card_is_sent_as_string_with_delivery_id() {
    let (fake, destination) = at(vec![Reply::of(200, MADE)], &kind(chat(), None));
    let sent = put(destination.as_ref(), (Form::Full, CARD), Place::New, &[]).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(sent.handle, Some(MessageHandle("om_1".into())));
    assert_eq!((sent.status, &sent.code), (Some(200), &None));
    let excerpt = sent.excerpt.unwrap();
    assert!(
        excerpt.contains("om_1") && excerpt.contains("omt_1"),
        "{excerpt}"
    );
    assert!(!excerpt.contains("reporter"), "{excerpt}");
    let got = &fake.got()[1];
    assert_eq!(
        got.line,
        "POST /open-apis/im/v1/messages?receive_id_type=chat_id HTTP/1.1"
    );
    assert_eq!(got.header("authorization"), "Bearer t-secret");
    assert_eq!(
        json(got),
        json!({"receive_id": "oc_1", "msg_type": "interactive", "uuid": KEY.to_string(),
               "content": r#"{"schema":"2.0","x":"\"白屏\""}"#})
    );
}

/// The answer repeats the message, which can be long, and nothing says that the id comes before it.
#[tokio::test]
async fn long_answer_to_an_accepted_message_is_a_success() {
    let words = "\u{1f600}".repeat(50_000);
    assert!(words.len() > 3 * crate::net::ANSWER_BYTES_MAX);
    let data = json!({"body": {"content": words}, "message_id": "om_1"});
    let answer = format!(r#"{{"code":0,"msg":"success","data":{data}}}"#);
    let sent = ask(chat(), Place::New, Form::Full, Reply::of(200, answer)).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(sent.handle, Some(MessageHandle("om_1".into())));
}

#[tokio::test]
async fn message_reply_and_update_use_their_own_calls() {
    let handle = MessageHandle("om_9".into());
    let person = kind(To::Person("ou_1".into()), None);
    let (fake, destination) = at(vec![Reply::of(200, MADE)], &person);
    for place in [Place::New, Place::Under(&handle), Place::Over(&handle)] {
        let sent = put(destination.as_ref(), (Form::Full, CARD), place, &[]).await;
        assert_eq!(sent.outcome, Outcome::Delivered);
        let wanted = match place {
            Place::Over(_) => "om_9",
            Place::New | Place::Under(_) => "om_1",
        };
        assert_eq!(sent.handle, Some(MessageHandle(wanted.into())));
    }
    let got = fake.got();
    assert!(got[1].line.contains("?receive_id_type=open_id"));
    assert_eq!(json(&got[1])["receive_id"], "ou_1");
    assert!(
        got[2]
            .line
            .starts_with("POST /open-apis/im/v1/messages/om_9/reply ")
    );
    assert_eq!(json(&got[2])["reply_in_thread"], true);
    assert_eq!(json(&got[2])["uuid"], KEY.to_string());
    assert!(
        got[3]
            .line
            .starts_with("PATCH /open-apis/im/v1/messages/om_9 ")
    );
    let sent = put(
        destination.as_ref(),
        (Form::Text, TEXT),
        Place::Over(&handle),
        &[],
    )
    .await;
    assert_eq!(sent.outcome.kind(), Rejected);
    assert_eq!(fake.got().len(), 4, "text cannot take the place of a card");
}

/// Code, and its outcome for a new rich message and for plain text.
const CODES: &[(i64, OutcomeKind, OutcomeKind)] = &[
    (0, Delivered, Delivered),
    (1, Retry, Retry),
    (2200, Retry, Retry),
    (9499, Unknown, Unknown),
    (10003, Stop, Stop),
    (10014, Stop, Stop),
    (11232, SlowDown, SlowDown),
    (11246, Degrade, Rejected),
    (11310, Degrade, Rejected),
    (100_290, Degrade, Rejected),
    (200_570, Degrade, Rejected),
    (200_621, Degrade, Rejected),
    (200_861, Degrade, Rejected),
    (300_305, Degrade, Rejected),
    (230_001, Degrade, Rejected),
    (230_002, Stop, Stop),
    (230_006, Stop, Stop),
    (230_013, Degrade, Rejected),
    (230_017, Degrade, Rejected),
    (230_018, Stop, Stop),
    (230_020, SlowDown, SlowDown),
    (230_022, Rejected, Rejected),
    (230_025, Degrade, Rejected),
    (230_027, Stop, Stop),
    (230_028, Rejected, Rejected),
    (230_035, Stop, Stop),
    (230_049, Retry, Retry),
    (230_053, Stop, Stop),
    (230_099, Degrade, Rejected),
    (232_009, Stop, Stop),
    (99_991_400, SlowDown, SlowDown),
    (99_991_401, Stop, Stop),
    (99_991_543, Stop, Stop),
    (99_991_661, Stop, Stop),
    (99_991_662, Stop, Stop),
    (99_991_673, Stop, Stop),
    (99_991_672, Stop, Stop),
    (99_991_676, Stop, Stop),
    (99_991_679, Stop, Stop),
    (99_992_402, Degrade, Rejected),
    (230_101, Retry, Retry),
    (99_991_403, Stop, Stop),
    (424_242, Unknown, Unknown),
];

#[tokio::test]
async fn what_each_code_means() {
    for (code, rich, plain) in CODES {
        for (form, wanted) in [
            (Form::Full, rich),
            (Form::NoImages, rich),
            (Form::Post, rich),
            (Form::Text, plain),
        ] {
            for status in [200, 400] {
                let status = if *code == 0 { 200 } else { status };
                let body = format!(r#"{{"code":{code},"msg":"a reporter's words"}}"#);
                let sent = ask(chat(), Place::New, form, Reply::of(status, body)).await;
                assert_eq!(sent.outcome.kind(), *wanted, "{code} {form:?}: {sent:?}");
                assert!(!reason(&sent).contains("reporter"), "{sent:?}");
                let shown = (*code != 0).then(|| code.to_string());
                assert_eq!(sent.code, shown);
                assert_eq!(sent.stale_images, matches!(*code, 200_570 | 230_017));
            }
        }
    }
}

#[tokio::test]
async fn token_refused_twice_is_retried_later() {
    for code in [99_991_663, 99_991_664, 99_991_671] {
        let body = format!(r#"{{"code":{code}}}"#);
        let token = r#"{"code":0,"tenant_access_token":"t-2","expire":7200}"#;
        let replies = vec![
            Reply::of(400, body.as_str()),
            Reply::of(200, token),
            Reply::of(200, body.as_str()),
        ];
        let (_fake, destination) = at(replies, &kind(chat(), None));
        let sent = put(destination.as_ref(), (Form::Full, CARD), Place::New, &[]).await;
        assert_eq!(sent.outcome.kind(), Retry, "{sent:?}");
    }
}

#[tokio::test]
async fn reasons_say_what_to_do() {
    let person = || To::Person("ou_1".into());
    for (to, body, kind, words) in [
        (
            chat(),
            r#"{"code":230002}"#,
            Stop,
            "add it in the chat's settings",
        ),
        (chat(), r#"{"code":232009}"#, Stop, "set another `chat_id`"),
        (
            person(),
            r#"{"code":230013}"#,
            Stop,
            "widen it in the console",
        ),
        (
            chat(),
            r#"{"code":230006}"#,
            Stop,
            "switch it on in the console",
        ),
        (
            chat(),
            r#"{"code":99991672,"msg":"Access denied. One of the following scopes is required: [im:message, im:message:send_as_bot]."}"#,
            Stop,
            "add im:message or im:message:send_as_bot in the console",
        ),
        (
            chat(),
            r#"{"code":230027,"msg":""}"#,
            Stop,
            "im:message:send_as_bot",
        ),
        (
            chat(),
            r#"{"code":230001,"msg":"x, ext=invalid receive_id."}"#,
            Stop,
            "check `chat_id`",
        ),
        (
            person(),
            r#"{"code":230001,"msg":"x, ext=invalid receive_id."}"#,
            Stop,
            "must be an open id of this app",
        ),
        (
            chat(),
            r#"{"code":230099,"msg":"Failed, ext=ErrCode: 11310; ErrMsg: words; ErrorValue: words;"}"#,
            Degrade,
            "ErrCode 11310: the card is not valid: too many tables",
        ),
        (
            chat(),
            r#"{"code":230099,"msg":"Failed, ext=ErrCode: 200621; ErrMsg: words"}"#,
            Degrade,
            "ErrCode 200621: the card is not valid: an unknown property",
        ),
    ] {
        let sent = ask(to, Place::New, Form::Full, Reply::of(400, body)).await;
        assert_eq!(sent.outcome.kind(), kind, "{sent:?}");
        assert!(reason(&sent).contains(words), "{sent:?}");
    }
    let stale = r#"{"code":230099,"msg":"Failed, ext=ErrCode: 200570; ErrMsg: x"}"#;
    let sent = ask(chat(), Place::New, Form::Full, Reply::of(400, stale)).await;
    assert!(sent.stale_images, "{sent:?}");
}

#[tokio::test]
async fn update_of_an_old_message_is_rejected() {
    let handle = MessageHandle("om_9".into());
    for (code, kind) in [
        (230_001, Rejected),
        (230_011, Rejected),
        (230_012, Rejected),
        (230_031, Rejected),
        (230_054, Rejected),
        (230_110, Rejected),
        (230_020, SlowDown),
        (230_099, Degrade),
        (230_027, Stop),
    ] {
        let reply = Reply::of(400, format!(r#"{{"code":{code}}}"#));
        let sent = ask(chat(), Place::Over(&handle), Form::Full, reply).await;
        assert_eq!(sent.outcome.kind(), kind, "{code}: {sent:?}");
    }
}

#[tokio::test]
async fn reply_to_a_recalled_message_is_sent_as_new() {
    let handle = MessageHandle("om_9".into());
    for body in [
        r#"{"code":230011}"#,
        r#"{"code":230110}"#,
        r#"{"code":230001,"msg":"x, ext=invalid message_id."}"#,
    ] {
        let replies = vec![Reply::of(400, body), Reply::of(200, MADE)];
        let (fake, destination) = at(replies, &kind(chat(), None));
        let under = Place::Under(&handle);
        let sent = put(destination.as_ref(), (Form::Full, CARD), under, &[]).await;
        assert_eq!(sent.outcome, Outcome::Delivered, "{body}");
        let got = fake.got();
        assert!(got[1].line.contains("/om_9/reply"));
        assert!(got[2].line.contains("?receive_id_type=chat_id"));
    }
}

#[tokio::test]
async fn foreign_and_lost_answers_are_classified() {
    for (reply, kind) in [
        (Reply::of(502, "<html>"), Retry),
        (Reply::of(500, r#"{"code":0}"#), Retry),
        (Reply::of(200, "<html>login</html>"), Retry),
        (Reply::of(404, "<html>"), Retry),
        (Reply::with(302, "location", "https://x/", ""), Retry),
        (Reply::of(429, "<html>"), SlowDown),
        (Reply::CloseAfterRequest, Ambiguous),
        (Reply::CutShort, Ambiguous),
    ] {
        let sent = ask(chat(), Place::New, Form::Full, reply.clone()).await;
        assert_eq!(sent.outcome.kind(), kind, "{reply:?}: {sent:?}");
        reason(&sent);
    }
    // Without a token nothing was sent.
    for (body, kind) in [
        (r#"{"code":10014,"msg":"app secret invalid"}"#, Stop),
        (r#"{"code":424242}"#, Retry),
        (r#"{"code":99991400}"#, SlowDown),
        (r#"{"code":9499,"msg":"too many request"}"#, SlowDown),
    ] {
        let fake = Fake::start(vec![Reply::of(200, body)]);
        let app = App {
            name: "shop".into(),
            app_id: "cli_1".into(),
            receive: crate::feishu::Receive::Webhook,
            encrypt_keys: Vec::new(),
            verification_tokens: Vec::new(),
            app_secret: Some(Secret::new("app-secret")),
            base_url: fake.url(""),
            feedback_timezone: TimeZone::UTC,
        };
        let client = FeishuClient::new(&app, fake::http());
        let destination = build(&self::kind(chat(), None), Some(client)).unwrap();
        let sent = put(destination.as_ref(), (Form::Full, CARD), Place::New, &[]).await;
        assert_eq!(sent.outcome.kind(), kind, "{sent:?}");
        assert_eq!(fake.got().len(), 1);
    }
}

#[tokio::test]
async fn hints_to_wait_are_read() {
    let limited = |code: i64| format!(r#"{{"code":{code}}}"#);
    for (code, header, value, wanted) in [
        (99_991_400, "x-ogw-ratelimit-reset", "12", Some(12)),
        (11232, "x-ogw-ratelimit-reset", "999999", Some(3600)),
        (11232, "x", "", None),
        (230_020, "x", "", Some(1)),
        (230_020, "x-ogw-ratelimit-reset", "3", Some(3)),
    ] {
        let reply = Reply::with(429, header, value, &limited(code));
        let sent = ask(chat(), Place::New, Form::Full, reply).await;
        let wanted = wanted.map(Duration::from_secs);
        assert!(
            matches!(&sent.outcome, Outcome::SlowDown { pause, .. } if *pause == wanted),
            "{code} {value}: {sent:?}"
        );
    }
}

#[tokio::test]
async fn size_counts_after_encoding() {
    let (fake, destination) = at(vec![Reply::of(200, MADE)], &kind(chat(), None));
    let card = |quotes: usize| {
        let text = r#"\""#.repeat(quotes);
        format!(r#"{{"msg_type":"interactive","card":{{"x":"{text}"}}}}"#)
    };
    // Each of these quotes has two bytes here and four in the request.
    let sent = put(
        destination.as_ref(),
        (Form::Full, &card(7500)),
        Place::New,
        &[],
    )
    .await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    for (form, kind) in [(Form::Full, Degrade), (Form::Text, Rejected)] {
        let sent = put(destination.as_ref(), (form, &card(7700)), Place::New, &[]).await;
        assert_eq!(sent.outcome.kind(), kind, "{sent:?}");
    }
    assert_eq!(fake.got().len(), 2, "what is too large is not sent");
}

fn people(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn urgent_notification_follows_the_message() {
    let rung = Reply::of(200, r#"{"code":0,"data":{"invalid_user_id_list":[]}}"#);
    let replies = vec![Reply::of(200, MADE), rung];
    let (fake, destination) = at(replies, &kind(chat(), Some(Urgent::Phone)));
    let two = people(&["ou_1", "ou_2"]);
    let sent = put(destination.as_ref(), (Form::Full, CARD), Place::New, &two).await;
    assert_eq!(sent.rang, Some(Rang::People(2)));
    let got = &fake.got()[2];
    assert_eq!(
        got.line,
        "PATCH /open-apis/im/v1/messages/om_1/urgent_phone?user_id_type=open_id HTTP/1.1"
    );
    assert_eq!(json(got), json!({"user_id_list": two}));
}

#[tokio::test]
async fn failed_urgent_notification_keeps_the_outcome() {
    for (reply, words) in [
        (Reply::of(400, r#"{"code":230024,"msg":"x"}"#), "quota"),
        (Reply::of(400, r#"{"code":230023}"#), "200 unread"),
        (
            Reply::of(400, r#"{"code":230027}"#),
            "im:message.urgent:sms",
        ),
        (Reply::of(400, r#"{"code":99991400}"#), "rate limited"),
        (Reply::of(502, "<html>"), "HTTP 502"),
        (Reply::CloseAfterRequest, "answer was lost"),
        (
            Reply::of(
                200,
                r#"{"code":0,"data":{"invalid_user_id_list":["ou_1"]}}"#,
            ),
            "1 of 1 people",
        ),
    ] {
        let replies = vec![Reply::of(200, MADE), reply];
        let (_fake, destination) = at(replies, &kind(chat(), Some(Urgent::Sms)));
        let one = people(&["ou_1"]);
        let sent = put(destination.as_ref(), (Form::Full, CARD), Place::New, &one).await;
        assert_eq!(sent.outcome, Outcome::Delivered);
        assert!(
            matches!(&sent.rang, Some(Rang::Failed { reason }) if reason.contains(words)),
            "{sent:?}"
        );
    }
}

#[tokio::test]
async fn urgent_notification_needs_setting_mentions_and_success() {
    let handle = MessageHandle("om_9".into());
    let one = people(&["ou_1"]);
    for (urgent, place, rings, reply) in [
        (None, Place::New, &one[..], MADE),
        (Some(Urgent::App), Place::New, &[], MADE),
        (Some(Urgent::App), Place::Over(&handle), &one, MADE),
        (Some(Urgent::App), Place::New, &one, r#"{"code":230022}"#),
    ] {
        let (fake, destination) = at(vec![Reply::of(200, reply)], &kind(chat(), urgent));
        let sent = put(destination.as_ref(), (Form::Full, CARD), place, rings).await;
        assert_eq!((sent.rang, fake.got().len()), (None, 2));
    }
}

#[tokio::test]
async fn properties_are_as_documented() {
    let settings = kind(chat(), None);
    let (_fake, destination) = at(Vec::new(), &settings);
    assert_eq!(destination.kind(), "feishu-app");
    assert!(settings.kind.keeps_handles());
    assert!(destination.recognises_repeats() && destination.keeps_handles());
    assert_eq!(destination.forms().len(), 4);
    assert_eq!(
        destination.shows_images(),
        ShowsImages::ByKey(KeyOwner::App("shop".into()))
    );
    let paces = destination.paces();
    let keys: Vec<_> = paces.iter().map(|pace| pace.key.clone()).collect();
    let app = PaceKey::of(&["feishu app", "shop"]);
    let of_chat = PaceKey::of(&["feishu", "chat_id", "oc_1"]);
    assert_eq!(keys, [of_chat, app.clone(), app]);
    let error = build(&kind(chat(), None), None).err().unwrap();
    assert!(matches!(error, BuildError::NoSpeaker { .. }), "{error}");
}
