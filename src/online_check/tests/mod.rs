//! Tests how answers are interpreted, and that nothing is ever posted.

mod apps;
mod bots;
mod chats;
mod mentions;
mod places;
mod slack;

use std::sync::Arc;

use super::report::{CheckStatus, Finding, Report, Subject};
use super::*;
use crate::feishu::client::fake::{self, Fake, Got, Reply};
use crate::feishu::{App, FeishuClient, Receive, To};
use crate::model::{ManualClock, Secret, Timestamp};
use CheckStatus::{Failed, Good, NotChecked, Warning};

/// The time in `DATE`.
const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AN_HOUR_AGO: &str = "Sun, 06 Nov 1994 07:49:37 GMT";

fn report() -> Report {
    Report::new(Subject::Relay, Arc::new(ManualClock::new(NOW)))
}

/// Returns the configuration of this text.
fn config(text: &str) -> Config {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("relay.toml");
    std::fs::write(&file, format!("server.allow_empty = true\n{text}")).unwrap();
    let loaded = crate::config::load(&file, &BTreeMap::new());
    let report = loaded.report();
    loaded.config.expect(&report)
}

fn json(status: u16, body: &str) -> Reply {
    Reply::with(status, "date", DATE, body)
}

fn token() -> Reply {
    json(
        200,
        r#"{"code":0,"msg":"ok","tenant_access_token":"t-1","expire":7200}"#,
    )
}

fn data(data: &str) -> Reply {
    json(
        200,
        &format!(r#"{{"code":0,"msg":"success","data":{data}}}"#),
    )
}

fn code(code: i64) -> Reply {
    let msg = "Xiaoming typed; required: [im:some:scope].";
    json(400, &format!(r#"{{"code":{code},"msg":"{msg}"}}"#))
}

fn app(base_url: &str, receive: Receive) -> App {
    App {
        name: "shop".into(),
        app_id: "cli_9f5343c580712544".into(),
        receive,
        encrypt_keys: Vec::new(),
        verification_tokens: Vec::new(),
        app_secret: Some(Secret::new("app-secret-of-shop")),
        base_url: base_url.to_owned(),
        feedback_timezone: jiff::tz::TimeZone::UTC,
    }
}

fn client(fake: &Fake) -> FeishuClient {
    FeishuClient::new(&app(&fake.url(""), Receive::Webhook), fake::http())
}

/// Returns the findings of one check.
fn of<'a>(report: &'a Report, check: &str) -> Vec<&'a Finding> {
    report
        .findings
        .iter()
        .filter(|one| one.check == check)
        .collect()
}

/// Asserts the status of a check, and that its text or its advice contains `says`.
fn assert_is(report: &Report, check: &str, standing: CheckStatus, says: &str) {
    let found = of(report, check);
    let fits = |one: &&Finding| {
        let advice = one.advice.as_deref().unwrap_or_default();
        one.standing == standing && format!("{} {advice}", one.says).contains(says)
    };
    assert!(
        found.iter().any(fits),
        "{check} {standing:?} {says:?}: {:?}",
        report.findings
    );
    let failed = report.findings.iter().filter(|one| one.standing == Failed);
    for finding in failed {
        assert!(
            finding.advice.is_some(),
            "a failure names what to do: {finding:?}"
        );
    }
    // Answers to connection requests contain no reporter's text, so their messages may be shown in full.
    let told = report
        .findings
        .iter()
        .filter(|one| one.check != "connection");
    let shown = format!("{:?}", told.collect::<Vec<_>>());
    for secret in [
        "app-secret-of-shop",
        "t-1",
        "Xiaoming typed",
        "127.0.0.1",
        "xoxb",
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

/// Asserts that no message was posted: every request reads, gets a token, or has no message.
fn assert_nothing_posted(got: &[Got]) {
    for request in got {
        let (method, rest) = request.line.split_once(' ').unwrap();
        let path = rest.split([' ', '?']).next().unwrap();
        let reads = ["GET", "HEAD"].contains(&method);
        let asks = [
            "/auth.test",
            "/conversations.info",
            "/users.info",
            "/usergroups.list",
        ]
        .iter()
        .any(|method| path.ends_with(method))
            || path.ends_with("/tenant_access_token/internal")
            || path.ends_with("/callback/ws/endpoint")
            || path.ends_with("/users/batch_get_id");
        let empty = path.starts_with("/hook")
            && !request.text().contains("msg_type")
            && !request.text().contains("content")
            || path.starts_with("/services") && request.text() == r#"{"text":""}"#;
        assert!(reads || asks || empty, "{request:?}");
    }
}
