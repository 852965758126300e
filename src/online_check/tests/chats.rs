//! Tests of an app bot's chats and people.

use super::*;

async fn examined(to: To, answer: Reply) -> Report {
    examined_by(to, vec![token(), answer]).await
}

async fn examined_by(to: To, answers: Vec<Reply>) -> Report {
    let fake = Fake::start(answers);
    let mut report = report();
    let check = feishu_chat::Check {
        app: "shop".into(),
        client: Some(client(&fake)),
        to,
    };
    check.run(&mut report).await;
    assert_nothing_posted(&fake.got());
    report
}

#[tokio::test]
async fn a_bot_is_in_its_chat_or_what_to_do() {
    for (answer, standing, says) in [
        (data(r#"{"is_in_chat":true}"#), Good, "in the chat"),
        (data(r#"{"is_in_chat":false}"#), Failed, "群机器人"),
        (data("{}"), NotChecked, "does not say"),
        (code(232_011), Failed, "add the bot"),
        (code(232_006), Failed, "chat_id"),
        (code(232_009), Failed, "dissolved"),
        (code(232_010), Failed, "another tenant"),
        (code(232_025), Failed, "Add Features / 添加应用能力"),
        (
            code(99_991_672),
            NotChecked,
            "to have it checked, grant im:some:scope",
        ),
        (code(777), NotChecked, "777"),
    ] {
        let report = examined(To::Chat("oc_1".into()), answer).await;
        assert_is(&report, "chat", standing, says);
    }
}

#[tokio::test]
async fn dissolved_chat_is_reported_although_bot_is_member() {
    let inside = || data(r#"{"is_in_chat":true}"#);
    for (answer, standing, says) in [
        (data(r#"{"chat_status":"normal"}"#), Good, "in the chat"),
        (data(r#"{"chat_status":"dissolved"}"#), Failed, "dissolved"),
        (
            data(r#"{"chat_status":"dissolved_save"}"#),
            Failed,
            "dissolved",
        ),
        (code(232_009), Failed, "dissolved"),
        (code(777), Good, "in the chat"),
    ] {
        let report = examined_by(To::Chat("oc_1".into()), vec![token(), inside(), answer]).await;
        assert_is(&report, "chat", standing, says);
    }
}

#[tokio::test]
async fn a_person_is_known_to_the_app_or_what_to_do() {
    for (answer, standing, says) in [
        (
            data(r#"{"user":{"status":{"is_resigned":false}}}"#),
            Good,
            "knows",
        ),
        (
            data(r#"{"user":{"status":{"is_resigned":true}}}"#),
            Failed,
            "left",
        ),
        (code(99_992_351), Failed, "each app has its own"),
        (code(99_992_361), Failed, "belongs to another app"),
        (code(41050), NotChecked, "版本管理与发布"),
        (code(99_991_672), NotChecked, "grant"),
    ] {
        let report = examined(To::Person("ou_1".into()), answer).await;
        assert_is(&report, "person", standing, says);
    }
}

#[tokio::test]
async fn without_a_token_the_app_is_pointed_at() {
    let fake = Fake::start(vec![code(10014)]);
    let mut report = report();
    let check = feishu_chat::Check {
        app: "shop".into(),
        client: Some(client(&fake)),
        to: To::Chat("oc_1".into()),
    };
    check.run(&mut report).await;
    assert_is(&report, "chat", NotChecked, "see app shop");
}
