//! Tests of `[mentions]`.

use super::*;
use crate::slack::SlackClient;

async fn examined((feishu, slack): (&[&str], &[&str]), replies: Vec<Reply>, asks: bool) -> Report {
    let fake = Fake::start(replies);
    let mut report = report();
    let bot = SlackClient::new(&fake.url(""), Secret::new("xoxb-1"), fake::http());
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    let check = super::super::mentions::Check {
        name: "sre".into(),
        feishu: owned(feishu),
        slack: owned(slack),
        apps: if asks {
            vec![("shop".into(), client(&fake))]
        } else {
            Vec::new()
        },
        bots: if asks { vec![bot] } else { Vec::new() },
    };
    check.run(&mut report).await;
    assert_nothing_posted(&fake.got());
    let shown = format!("{:?}", report.findings);
    for person in feishu.iter().chain(slack) {
        assert!(!shown.contains(person), "{shown}");
    }
    report
}

#[tokio::test]
async fn open_ids_and_addresses_are_looked_up() {
    let user = data(r#"{"user":{}}"#);
    let found = data(
        r#"{"user_list":[{"email":"Li@example.com","user_id":"ou_7"},{"email":"wu@example.com"}]}"#,
    );
    let replies = vec![token(), user, code(99_992_361), found];
    let feishu = ["ou_1", "li@example.com", "ou_2", "wu@example.com"];
    let report = examined((&feishu, &[]), replies, true).await;
    assert_is(&report, "feishu", Failed, "number 3, asked as app shop");
    assert_is(&report, "feishu", Warning, "number 4");
    assert_eq!(report.findings.len(), 2);

    let replies = vec![token(), code(99_991_672)];
    let report = examined((&["ou_1", "ou_2"], &[]), replies, true).await;
    assert_is(&report, "feishu", NotChecked, "grant im:some:scope");
    assert_eq!(report.findings.len(), 1, "said once for all");
    let report = examined((&["ou_1"], &["U1"]), vec![token()], false).await;
    assert_is(&report, "feishu", NotChecked, "app_secret");
    assert_is(&report, "slack", NotChecked, "slack-app");
}

#[tokio::test]
async fn slack_s_people_and_groups_are_looked_up() {
    let replies = vec![
        json(200, r#"{"ok":true,"user":{"deleted":false}}"#),
        json(200, r#"{"ok":true,"user":{"deleted":true}}"#),
        json(200, r#"{"ok":false,"error":"user_not_found"}"#),
        json(200, r#"{"ok":true,"usergroups":[{"id":"S1"}]}"#),
    ];
    let report = examined((&[], &["U1", "U2", "S1", "U3", "S2"]), replies, true).await;
    assert_is(&report, "slack", Failed, "number 2 is deactivated");
    assert_is(&report, "slack", Failed, "number 4 is not a member");
    assert_is(&report, "slack", Failed, "number 5 is not a group");
    assert_eq!(report.findings.len(), 3);

    let lacking = json(
        200,
        r#"{"ok":false,"error":"missing_scope","needed":"users:read"}"#,
    );
    let report = examined((&[], &["U1", "U2"]), vec![lacking], true).await;
    assert_is(&report, "slack", NotChecked, "grant users:read");
    assert_eq!(report.findings.len(), 1, "said once for all");
}
