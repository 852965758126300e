//! Tests of apps: credentials, permissions and long connection.

use super::*;

async fn examined(app: App, needs: feishu_app::Needs, platforms: Platforms) -> Report {
    let mut report = report();
    let check = feishu_app::Check {
        client: Some(FeishuClient::new(&app, fake::http())),
        connecting: (app.receive == Receive::Websocket)
            .then(|| FeishuClient::new(&app, fake::http())),
        app,
        needs,
        platforms,
        direct: fake::http(),
    };
    check.run(&mut report).await;
    report
}

async fn answered(replies: Vec<Reply>, receive: Receive, needs: feishu_app::Needs) -> Report {
    let fake = Fake::start(replies);
    let app = app(&fake.url(""), receive);
    let report = examined(app, needs, Platforms::default()).await;
    assert_nothing_posted(&fake.got());
    report
}

fn plain() -> feishu_app::Needs {
    feishu_app::Needs::default()
}

/// Returns the needs of a `feishu-app` destination with urgent notifications.
fn speaking() -> feishu_app::Needs {
    let config = config(
        "[apps.shop]\napp_id = \"cli_9f5343c580712544\"\nverification_token = \"t\"\napp_secret = \"s\"\n\
         [destinations.room]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"oc_1\"\nurgent = \"app\"\n",
    );
    let other = feishu_app::Needs::of(&"other".into(), config.destinations.values());
    assert_eq!(other, plain());
    feishu_app::Needs::of(&"shop".into(), config.destinations.values())
}

#[tokio::test]
async fn rejected_credentials_name_the_page_and_end_the_check() {
    for refused in [10003, 10014, 99_991_543] {
        let report = answered(vec![code(refused)], Receive::Websocket, speaking()).await;
        assert_is(&report, "token", Failed, "凭证与基础信息");
        assert_eq!(report.findings.len(), 1);
    }
    for (answer, standing, says) in [
        (code(99_991_401), Failed, "IP allow list"),
        (
            code(99_991_662),
            Failed,
            "Version Management & Release / 版本管理与发布",
        ),
        (code(99_991_400), NotChecked, "try again"),
        (code(777), Failed, "code 777"),
        (json(502, "<html>"), Failed, "base_url"),
        (Reply::CloseAfterRequest, Failed, "cannot be reached"),
    ] {
        let report = answered(vec![answer], Receive::Webhook, plain()).await;
        assert_is(&report, "token", standing, says);
        assert_eq!(report.findings.len(), 1);
    }
}

#[tokio::test]
async fn credentials_of_the_other_platform_are_known_by_it() {
    let (feishu, lark) = (Fake::start(vec![code(10014)]), Fake::start(vec![token()]));
    let platforms = Platforms {
        feishu: feishu.url(""),
        lark: lark.url(""),
        slack: Vec::new(),
    };
    let here = app(&feishu.url(""), Receive::Webhook);
    let report = examined(here, plain(), platforms.clone()).await;
    assert_is(
        &report,
        "token",
        Failed,
        "write `platform = \"lark\"` in [apps.shop]",
    );
    assert_nothing_posted(&lark.got());

    let gone = Platforms {
        lark: feishu.url("/x"),
        ..platforms
    };
    let here = app(&feishu.url(""), Receive::Webhook);
    let report = examined(here, plain(), gone).await;
    assert_is(&report, "token", Failed, "by Lark too");
}

#[tokio::test]
async fn a_long_connection_is_asked_for_and_not_opened() {
    let offered = data(r#"{"URL":"ws://127.0.0.1:1/ws?service_id=7&ticket=x"}"#);
    let good = answered(
        vec![token(), offered, token(), data("{}")],
        Receive::Websocket,
        plain(),
    )
    .await;
    assert_is(&good, "connection", Good, "offers");
    assert_is(&good, "feedback", Good, "can be read");
    // The connection uses another client, and is checked even if the other calls fail.
    let offered = data(r#"{"URL":"ws://127.0.0.1:1/ws?service_id=7&ticket=x"}"#);
    let replies = vec![Reply::CloseAfterRequest, offered];
    let alone = answered(replies, Receive::Websocket, plain()).await;
    assert_is(&alone, "token", Failed, "cannot be reached");
    assert_is(&alone, "connection", Good, "offers");
    for (answer, says) in [
        (code(1_000_040_351), "check `platform`"),
        (code(1_000_040_350), "too many"),
        (code(514), "凭证与基础信息"),
        (code(777), "事件与回调"),
        (json(500, "x"), "HTTP 500"),
    ] {
        let replies = vec![token(), answer, token(), data("{}")];
        let report = answered(replies, Receive::Websocket, plain()).await;
        assert_is(&report, "connection", Failed, says);
    }
}

#[tokio::test]
async fn a_permission_that_lacks_is_named_with_its_page() {
    for (answer, standing, says) in [
        (data("{}"), Good, "can be read"),
        (
            code(99_991_672),
            Failed,
            "grant im:some:scope at Permissions & Scopes / 权限管理",
        ),
        (
            json(400, r#"{"code":99991672}"#),
            Failed,
            "application:application.feedback.feedback_info",
        ),
        (code(210_505), NotChecked, "code 210505"),
        (code(99_991_663), Failed, "platform"),
        (code(2200), NotChecked, "try again"),
        (json(404, "404 page not found"), NotChecked, "HTTP 404"),
    ] {
        // The last two requests follow only if the first token was rejected.
        let replies = vec![token(), token(), answer.clone(), token(), answer];
        let report = answered(replies, Receive::Webhook, plain()).await;
        assert_is(&report, "feedback", standing, says);
    }
}

#[tokio::test]
async fn granted_permissions_are_compared_with_needed_ones() {
    let scope =
        |name: &str, status: u8| format!(r#"{{"scope_name":"{name}","grant_status":{status}}}"#);
    let granted = |scopes: &[String]| data(&format!(r#"{{"scopes":[{}]}}"#, scopes.join(",")));
    let ask = async |answer| {
        let replies = vec![token(), token(), data("{}"), answer];
        answered(replies, Receive::Webhook, speaking()).await
    };
    let report = ask(granted(&[
        scope("im:message", 1),
        scope("im:resource:upload", 2),
    ]))
    .await;
    assert_is(
        &report,
        "scopes",
        Good,
        "im:message is granted, to send messages",
    );
    assert_is(
        &report,
        "scopes",
        Failed,
        "have the administrator approve it",
    );
    assert_is(&report, "scopes", Failed, "grant im:message.urgent at");
    assert_eq!(of(&report, "scopes").len(), 3);
    for answer in [granted(&[]), data("{}"), code(777), json(404, "x")] {
        let report = ask(answer).await;
        assert!(
            of(&report, "scopes")
                .iter()
                .all(|one| one.standing == NotChecked)
        );
    }
    assert_is(&ask(code(212_100)).await, "scopes", Failed, "not installed");
}
