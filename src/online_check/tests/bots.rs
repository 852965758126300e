//! Tests of custom bots.

use super::*;

async fn examined(replies: Vec<Reply>, secret: Option<&str>, keyword: bool) -> (Report, Vec<Got>) {
    let fake = Fake::start(replies);
    let mut report = report();
    let check = feishu_bot::Check {
        http: fake::http(),
        url: Secret::new(fake.url("/hook/secret-path")),
        secret: secret.map(Secret::new),
        keyword,
        timeout: CALL_TIMEOUT,
    };
    check.run(&mut report).await;
    assert_nothing_posted(&fake.got());
    (report, fake.got())
}

fn says(code: i64) -> Reply {
    json(
        200,
        &format!(r#"{{"code":{code},"data":{{}},"msg":"Xiaoming typed"}}"#),
    )
}

#[tokio::test]
async fn a_signature_is_good_only_if_a_wrong_one_is_refused() {
    let (report, got) = examined(vec![says(19002), says(19021)], Some("demo"), true).await;
    assert_is(&report, "bot", Good, "there");
    assert_is(&report, "signature", Good, "accepts the relay's signature");
    let [ours, wrong] = <[Got; 2]>::try_from(got).unwrap();
    let (ours, wrong): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(&ours.body).unwrap(),
        serde_json::from_slice(&wrong.body).unwrap(),
    );
    assert_eq!(ours["timestamp"], "784111777");
    let sign = crate::feishu::custom_bot::sign(&Secret::new("demo"), 784_111_777);
    assert_eq!(ours["sign"], sign);
    assert_ne!(wrong["sign"], sign);

    let (report, _) = examined(vec![says(19002), says(19002)], Some("demo"), true).await;
    assert_is(
        &report,
        "signature",
        NotChecked,
        "a request without a message",
    );
    let (report, got) = examined(vec![says(19002)], None, false).await;
    assert_is(&report, "signature", NotChecked, "set `secret`");
    assert_is(&report, "keyword", NotChecked, "set `keyword`");
    assert_eq!((got.len(), got[0].text()), (1, "{}"));
}

#[tokio::test]
async fn what_each_code_means() {
    let late = Reply::with(200, "date", AN_HOUR_AGO, r#"{"code":19021}"#);
    for (reply, secret, check, standing, text) in [
        (says(19001), None, "bot", Failed, "群机器人"),
        (says(19021), None, "signature", Failed, "set `secret`"),
        (
            says(19021),
            Some("demo"),
            "signature",
            Failed,
            "compare `secret`",
        ),
        (
            late,
            Some("demo"),
            "signature",
            Failed,
            "clock is 3600 s off",
        ),
        (says(19022), None, "bot", Failed, "IP allow list"),
        (says(19024), None, "keyword", Failed, "requires a keyword"),
        (says(11232), None, "bot", NotChecked, "try again"),
        (says(0), None, "bot", Warning, "check `url`"),
        (
            json(200, r#"{"code":9499,"msg":"too many request"}"#),
            None,
            "bot",
            NotChecked,
            "try again",
        ),
        (says(777), None, "bot", NotChecked, "unknown"),
        (json(404, "x"), None, "bot", Failed, "HTTP 404"),
        (json(502, "x"), None, "bot", NotChecked, "HTTP 502"),
        (Reply::CloseAtOnce, None, "bot", Failed, "cannot be reached"),
    ] {
        let (report, _) = examined(vec![reply], secret, false).await;
        assert_is(&report, check, standing, text);
    }
}

/// The words would be quoted if they were not a part of the URL.
#[tokio::test]
async fn quoted_page_hides_the_address_of_the_bot() {
    let fake = Fake::start(vec![json(
        404,
        "<html><title>page not found: network-gateway</title>",
    )]);
    let mut report = report();
    let check = feishu_bot::Check {
        http: fake::http(),
        url: Secret::new(fake.url("/hook/network-gateway")),
        secret: None,
        keyword: false,
        timeout: CALL_TIMEOUT,
    };
    check.run(&mut report).await;
    assert_is(&report, "bot", Failed, "page not found");
    let shown = format!("{:?}", report.findings);
    assert!(!shown.contains("gateway"), "{shown}");
}
