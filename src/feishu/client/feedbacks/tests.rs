use jiff::civil::date;

use super::super::fake::{Fake, Reply};
use super::super::tests::{client, token};
use super::*;
use crate::feishu::{Found, read_body};
use crate::model::{Content, Feedback};

const DAYS: Days = Days {
    from: date(2026, 2, 28),
    to: date(2026, 3, 3),
};

fn page(data: &str) -> Reply {
    Reply::of(
        200,
        format!(r#"{{"code":0,"msg":"success","data":{data}}}"#),
    )
}

fn refusal(code: i64) -> Reply {
    Reply::of(400, format!(r#"{{"code":{code},"msg":"told by 王小明"}}"#))
}

async fn list(fake: &Fake, token: Option<&PageToken>) -> Result<FeedbackPage, ListError> {
    client(fake).list_feedbacks("cli_9f11", DAYS, token).await
}

#[tokio::test]
async fn list_call_sends_days_and_page_token() {
    for (given, back) in [("\"a/b+c=\"", "a%2Fb%2Bc%3D"), ("42", "42")] {
        let first = format!(r#"{{"feedback_list":[],"has_more":true,"page_token":{given}}}"#);
        let last = r#"{"has_more":false,"page_token":""}"#;
        let fake = Fake::start(vec![
            token("t-one"),
            page(&first),
            token("t-two"),
            page(last),
        ]);
        let next = list(&fake, None).await.unwrap().next;
        assert!(next.is_some(), "{given}");
        assert_eq!(list(&fake, next.as_ref()).await.unwrap().next, None);
        let lines: Vec<String> = fake.got().into_iter().map(|got| got.line).collect();
        let asked = "GET /open-apis/application/v6/applications/cli_9f11/feedbacks\
                     ?user_id_type=open_id&page_size=100&from_date=2026-02-28&to_date=2026-03-03";
        assert_eq!(lines[1], format!("{asked} HTTP/1.1"));
        assert_eq!(lines[3], format!("{asked}&page_token={back} HTTP/1.1"));
    }
}

async fn set(fake: &Fake, feedback_id: &str) -> Result<(), ApiError> {
    client(fake)
        .set_feedback_status("cli_9f11", feedback_id, 1, "ou_84aa")
        .await
}

#[test]
fn listed_item_becomes_created_event() {
    let text = r#"{"code":0,"data":{"has_more":false,"feedback_list":[
        {"feedback_id":7057888018203574291123,"app_id":"cli_9f11","feedback_time":"2026-03-01 10:30:12",
         "user_id":"ou_84aa","fault_type":2,"status":"2","images":["https://x/1"],"contact":null,
         "operator_id":"ou_op","description":"\"白屏\" \ud83d"},
        {"description":"no id"}, 5,
        {"feedback_id":"9","user_id":{"union_id":"on_1"}}]}}"#;
    let read = read_page(&json::mend(text), "cli_sub", &TimeZone::UTC).unwrap();
    assert_eq!((read.items.len(), read.unreadable), (2, 2));
    assert_eq!(read.items[0].status, Some(2));
    assert_eq!(read.items[0].operator, Some(Private::new("ou_op")));
    let app = super::super::tests::app("http://x", None);
    let reading = read.items[0].clone().into_reading(&app);
    assert_eq!(reading.id.as_str(), "7057888018203574291123");
    // The acting person can be erased without the reporter, so their id is not in the report.
    assert!(!reading.body.expose().contains("ou_op"));
    let feedback = Some(("cli_9f11".into(), "7057888018203574291123".into()));
    assert_eq!(reading.feedback, feedback);
    let Found::Event(event) = reading.found else {
        panic!("it is an event");
    };
    // The stored body gives the same content.
    let again = read_body(reading.body.expose(), &app.name, &app.feedback_timezone).unwrap();
    assert_eq!(*event, again);
    let said = feedback_of(&event.content);
    assert_eq!(event.created_at, said.reported_at);
    assert_eq!(said.user.open_id, Some(Private::new("ou_84aa")));
    assert_eq!(said.description, Some(Private::new("\"白屏\" \u{fffd}")));
    assert_eq!((said.faults.len(), said.images.len()), (1, 1));
    assert_eq!(
        said.reported_at.unwrap().to_string(),
        "2026-03-01T10:30:12.000Z"
    );
    let second = read.items[1].clone().into_reading(&app);
    assert_eq!(second.feedback, Some((app.app_id, "9".into())));
    let Found::Event(event) = second.found else {
        panic!("it is an event");
    };
    let user = &feedback_of(&event.content).user;
    assert_eq!(user.union_id, Some(Private::new("on_1")));
}

fn feedback_of(content: &Content) -> &Feedback {
    match content {
        Content::Created(feedback) => feedback,
        Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => {
            panic!("it is new feedback")
        }
    }
}

#[tokio::test]
async fn status_call_has_query_and_no_body() {
    let fake = Fake::start(vec![token("t-one"), page("{}")]);
    assert_eq!(set(&fake, "7057888018203574291").await, Ok(()));
    let got = &fake.got()[1];
    assert_eq!(
        got.line,
        "PATCH /open-apis/application/v6/applications/cli_9f11/feedbacks/7057888018203574291\
         ?user_id_type=open_id&status=1&operator_id=ou_84aa HTTP/1.1"
    );
    assert_eq!((got.text(), got.has("content-type")), ("", false));
}

#[tokio::test]
async fn list_codes_give_expected_errors() {
    for (code, kind, word) in [
        (210_500, "retry", "page token"),
        (210_502, "rejected", "page size"),
        (210_503, "stop", "app_id"),
        (210_504, "stop", "tenant"),
        (210_505, "stop", "self-built"),
        (210_506, "stop", "app_id"),
        (210_508, "stop", "may not"),
        (99_991_672, "stop", FEEDBACK_SCOPE),
        (99_991_679, "stop", FEEDBACK_SCOPE),
        (99_991_400, "slow down", "rate"),
        (210_599, "retry", "unknown"),
    ] {
        let fake = Fake::start(vec![token("t-one"), refusal(code)]);
        let error = set(&fake, "1").await.unwrap_err();
        let found = match &error {
            ApiError::Retry { .. } => "retry",
            ApiError::SlowDown { .. } => "slow down",
            ApiError::Stop { .. } => "stop",
            ApiError::InFront { .. } => "in front",
            ApiError::Rejected { .. } => "rejected",
        };
        let reason = error.to_string();
        assert_eq!(found, kind, "{code}: {reason}");
        assert!(reason.contains(word) && !reason.contains('王'), "{reason}");
    }
}

#[tokio::test]
async fn expired_page_token_is_reported_and_bad_list_is_retried() {
    let fake = Fake::start(vec![token("t-one"), refusal(210_500)]);
    assert_eq!(list(&fake, None).await, Err(ListError::PageTokenExpired));
    for data in ["[]", r#"{"has_more":true,"page_token":""}"#] {
        let fake = Fake::start(vec![token("t-one"), page(data)]);
        let error = list(&fake, None).await.unwrap_err();
        assert!(matches!(error, ListError::Api(ApiError::Retry { .. })));
    }
}

#[tokio::test]
async fn page_may_exceed_message_response_limit() {
    let item = format!(
        r#"{{"feedback_id":"1","description":"{}"}}"#,
        "x".repeat(30_000)
    );
    let items = vec![item; 10].join(",");
    let fake = Fake::start(vec![
        token("t-one"),
        page(&format!(r#"{{"feedback_list":[{items}]}}"#)),
    ]);
    assert_eq!(list(&fake, None).await.unwrap().items.len(), 10);
}

#[tokio::test]
async fn unsafe_id_is_not_sent() {
    let fake = Fake::start(vec![token("t-one")]);
    for id in ["..", "a/b", "a?b", "", "a%2e", "编号"] {
        let refused = set(&fake, id).await;
        assert!(matches!(refused, Err(ApiError::Rejected { .. })), "{id}");
    }
    assert!(fake.got().is_empty());
}

#[tokio::test(start_paused = true)]
async fn calls_are_limited_to_five_a_second() {
    let pace = Pace::default();
    let began = Instant::now();
    for _ in 0..6 {
        pace.turn().await;
    }
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(5)).await;
    pace.turn().await;
    assert_eq!(began.elapsed(), Duration::from_secs(6));
}
