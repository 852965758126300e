//! Tests that the fake refuses what Slack refuses.

use axum::routing::post as post_to;

use super::*;
use crate::demo::PressError;
use crate::feishu::client::fake;
use crate::model::{Secret, Timestamp};
use crate::slack::{ApiResponse, Arguments, SlackClient, Unverified};

const CHANNEL: &str = "C0123ABCD";

async fn started() -> (FakeSlack, SlackClient) {
    let workspace = Workspace::new("xoxb-1", "signing", CHANNEL);
    let slack = FakeSlack::start(workspace).await.unwrap();
    let http = fake::http();
    let client = SlackClient::new(&slack.url(), Secret::new("xoxb-1"), http);
    (slack, client)
}

/// Posts a message. Returns `ok`, or the error and the first place.
async fn post(client: &SlackClient, mut message: Value) -> String {
    if message.get("channel").is_none() {
        message["channel"] = CHANNEL.into();
    }
    let arguments = Arguments::Json(message.to_string());
    let answer = client
        .call("chat.postMessage", arguments, Duration::from_secs(5))
        .await;
    match ApiResponse::of(&answer.unwrap()) {
        ApiResponse::Ok(_) => "ok".into(),
        ApiResponse::Refused(problem) => [vec![problem.error], problem.places].concat().join(" "),
        ApiResponse::Unreadable => "unreadable".into(),
    }
}

/// Returns blocks and the expected answers.
fn rows() -> Vec<(Value, &'static str)> {
    let words = |count: usize| "字".repeat(count);
    let plain = |count| json!({"type": "plain_text", "text": words(count)});
    let button = |id: &str| json!({"type": "button", "action_id": id, "text": plain(75)});
    let divider = json!({"type": "divider"});
    vec![
        (json!([{"type": "header", "text": plain(150)}]), "ok"),
        (
            json!([{"type": "header", "text": plain(151)}]),
            "invalid_blocks /blocks/0/text/text",
        ),
        (
            json!([{"type": "header", "text": plain(0)}]),
            "invalid_blocks /blocks/0/text/text",
        ),
        (
            json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]),
            "invalid_blocks /blocks/0/text/type",
        ),
        (json!([{"type": "section", "text": plain(3000)}]), "ok"),
        (
            json!([{"type": "section", "text": plain(3001)}]),
            "invalid_blocks /blocks/0/text/text",
        ),
        (json!([{"type": "section"}]), "invalid_blocks /blocks/0"),
        (
            json!([{"type": "section", "fields": []}]),
            "invalid_blocks /blocks/0/fields",
        ),
        (
            json!([{"type": "section", "fields": [plain(2001)]}]),
            "invalid_blocks /blocks/0/fields/0/text",
        ),
        (
            json!([{"type": "context", "elements": vec![plain(1); 11]}]),
            "invalid_blocks /blocks/0/elements",
        ),
        (
            json!([{"type": "actions", "elements": [button("a"), button("b")]}]),
            "ok",
        ),
        (
            json!([{"type": "actions", "elements": [button("a"), button("a")]}]),
            "invalid_blocks /blocks/0/elements/1/action_id",
        ),
        (
            json!([{"type": "image", "alt_text": "", "image_url": "https://x/y"}]),
            "ok",
        ),
        (
            json!([{"type": "image", "image_url": "https://x/y"}]),
            "invalid_blocks /blocks/0/alt_text",
        ),
        (
            json!([{"type": "image", "alt_text": "x"}]),
            "invalid_blocks /blocks/0",
        ),
        (
            json!([{"type": "image", "alt_text": "x", "slack_file": {"id": "F0123ABCD"}}]),
            "invalid_blocks /blocks/0/slack_file",
        ),
        (
            json!([{"type": "divider"}, {"type": "sction"}]),
            "invalid_blocks /blocks/1/type",
        ),
        (json!(vec![divider; 51]), "invalid_blocks /blocks"),
        (json!({}), "invalid_blocks /blocks"),
    ]
}

#[tokio::test]
async fn blocks_are_checked_as_slack_checks_them() {
    for (blocks, wanted) in rows() {
        // Each case has a fresh fake, so the rate limit does not matter.
        let (slack, client) = started().await;
        let given = post(&client, json!({"text": "x", "blocks": blocks.clone()})).await;
        assert_eq!(given, wanted, "{blocks}");
        assert_eq!(slack.messages().len(), usize::from(wanted == "ok"));
    }
}

#[tokio::test]
async fn token_and_channel_are_checked() {
    let (slack, client) = started().await;
    assert_eq!(post(&client, json!({})).await, "no_text");
    assert_eq!(
        post(&client, json!({"text": "x", "channel": "C0NOWHERE"})).await,
        "channel_not_found"
    );
    assert_eq!(
        post(&client, json!({"text": "x", "thread_ts": "1.2"})).await,
        "thread_not_found"
    );
    slack.set_access(CHANNEL, Access::Outside);
    assert_eq!(post(&client, json!({"text": "x"})).await, "not_in_channel");
    slack.set_access(CHANNEL, Access::Archived);
    assert_eq!(post(&client, json!({"text": "x"})).await, "is_archived");
    let http = fake::http();
    let other = SlackClient::new(&slack.url(), Secret::new("xoxb-2"), http);
    assert_eq!(post(&other, json!({"text": "x"})).await, "invalid_auth");
}

#[tokio::test]
async fn message_over_rate_limit_is_refused() {
    let (_slack, client) = started().await;
    let mut said = Vec::new();
    for _ in 0..8 {
        said.push(post(&client, json!({"text": "x"})).await);
    }
    assert_eq!(said[..4], ["ok", "ok", "ok", "ok"]);
    assert!(said.contains(&"ratelimited".to_owned()), "{said:?}");
}

#[tokio::test]
async fn file_can_be_shown_once_ready() {
    let (slack, client) = started().await;
    let message = |id: &str| json!({"text": "x", "blocks": [{"type": "image", "alt_text": "", "slack_file": {"id": id}}]});
    slack.set_ready_after(Duration::from_secs(3600));
    let form = |fields| Arguments::Form(fields);
    let ask = async |method, arguments| {
        let answer = client.call(method, arguments, Duration::from_secs(5)).await;
        ApiResponse::of(&answer.unwrap())
    };
    let begun = ask(
        "files.getUploadURLExternal",
        form(vec![("filename", "a.png".into()), ("length", "8".into())]),
    )
    .await;
    let ApiResponse::Ok(begun) = begun else {
        panic!("{begun:?}")
    };
    let id = begun.text("file_id").unwrap();
    let complete = json!({"files": [{"id": id}]}).to_string();
    let early = ask("files.completeUploadExternal", Arguments::Json(complete)).await;
    assert!(matches!(early, ApiResponse::Refused(problem) if problem.error == "file_not_found"));
    let json = Arguments::Json(r#"{"filename":"a","length":1}"#.into());
    let said = ask("files.getUploadURLExternal", json).await;
    assert!(matches!(said, ApiResponse::Refused(problem) if problem.error == "invalid_arguments"));

    slack.set_ready_after(Duration::from_millis(50));
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n");
    let id = client.upload("a.png", png.clone()).await.unwrap();
    assert_eq!(slack.file(&id), Some(png));
    assert_eq!(post(&client, message(&id)).await, "ok");
    let webp = Bytes::from_static(b"RIFF\x04\0\0\0WEBPVP8 ");
    let id = client.upload("a.webp", webp).await.unwrap();
    assert_eq!(
        post(&client, message(&id)).await,
        "invalid_blocks /blocks/0/slack_file"
    );
}

#[tokio::test]
async fn simulated_click_is_signed_and_parsed() {
    let (slack, client) = started().await;
    let button = json!({"type": "button", "action_id": "claim", "value": "v 1",
        "text": {"type": "plain_text", "text": "认领"}});
    let message = json!({"text": "x", "blocks": [{"type": "actions", "elements": [button]}]});
    assert_eq!(post(&client, message).await, "ok");
    let ts = slack.messages()[0].ts.clone();
    // The click goes to a server that records requests.
    let got = Arc::<Mutex<Vec<(HeaderMap, Bytes)>>>::default();
    let keep = Arc::clone(&got);
    let routes = Router::new().route(
        "/destinations/product/actions",
        post_to(move |headers: HeaderMap, body: Bytes| async move {
            lock(&keep).push((headers, body));
        }),
    );
    let relay = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), routes)
        .await
        .unwrap();
    let url = format!("{}/destinations/product/actions", relay.url());
    let press = Press {
        channel: CHANNEL,
        ts: &ts,
        action_id: "claim",
        user: "U0AMY",
        user_name: "Amy",
    };
    let now = Timestamp::from_millis(1_700_000_100_000);
    let answer = slack.press_button(&url, &press, now).await.unwrap();
    assert_eq!(answer.status, 200);
    let (headers, body) = lock(&got)[0].clone();
    let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let headers = crate::slack::SignatureHeaders {
        timestamp: header(crate::slack::TIMESTAMP_HEADER),
        signature: header(crate::slack::SIGNATURE_HEADER),
    };
    let unverified = Unverified {
        headers,
        body: &body,
    };
    let click = unverified
        .verify(&Secret::new("signing"), now)
        .unwrap()
        .click()
        .unwrap();
    assert_eq!(click.value.as_deref(), Some("v 1"));
    assert_eq!(click.message_ts.as_deref(), Some(ts.as_str()));
    assert_eq!(click.user.as_deref(), Some("U0AMY"));
    let none = Press {
        action_id: "other",
        ..press
    };
    let error = slack.press_button(&url, &none, now).await.unwrap_err();
    assert!(matches!(error, PressError::NoButton));
}
