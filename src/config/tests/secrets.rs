//! Tests that no secret is shown, whatever mistake is near it.

use super::Folder;

/// Placed wherever a secret can be.
const MARKER: &str = "hunter2hunter2";

/// Every secret of this file is valid; tests replace `BROKEN` with a mistake.
const FILE: &str = r#"
[apps.shop]
app_id = "cli_1"
encrypt_key = ["hunter2hunter2", "${KEY}"] # hunter2hunter2
verification_token = 'hunter2hunter2'
app_secret = { file = "secret" }
BROKEN

[destinations.bot]
kind = "feishu-bot"
url = "https://user:hunter2hunter2@open.feishu.cn/open-apis/bot/v2/hook/hunter2hunter2"
secret = """
hunter2hunter2"""
proxy = "http://user:hunter2hunter2@proxy"

[destinations.lake]
kind = "webhook"
url = "https://example.com/hunter2hunter2"
secret = ["whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="]
headers = { Authorization = "Bearer hunter2hunter2" }
"#;

fn folder(broken: &str) -> Folder {
    Folder::new(FILE.replace("BROKEN", broken)).with("secret", format!("{MARKER}\n"))
}

#[test]
fn secrets_arrive_and_debug_does_not_show_them() {
    let loaded = folder("").load(&[("KEY", MARKER)]);
    let config = loaded.config.as_ref().unwrap();
    let app = &config.apps["shop"];
    assert_eq!(app.encrypt_keys.len(), 2);
    assert_eq!(app.encrypt_keys[1].expose(), MARKER);
    assert_eq!(app.app_secret.as_ref().unwrap().expose(), MARKER);
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", loaded.diagnostics).contains("hunter2"));
    assert!(!loaded.to_json().to_string().contains("hunter2"));
    assert!(!loaded.report().contains("hunter2"), "{}", loaded.report());
}

#[test]
fn no_mistake_shows_a_secret() {
    for wrong in [
        "app_secret_ = \"hunter2hunter2\"",
        "platform = \"hunter2hunter2\"",
        "receive = [\"hunter2hunter2\"]",
        "feedback_timezone = \"hunter2hunter2\"",
        "base_url = \"https://user:hunter2hunter2@x\"",
        "base_url = \"hunter2hunter2\"",
        "app_secret = \"hunter2hunter2",
        "app_id = \"hunter2hunter2\"",
        "platform = \"${hunter2hunter2-}\"",
        "platform = \"${hunter2hunter2\"",
        "[server]\npublic_url = { a = \"hunter2hunter2\" }",
        "[server]\nmax_connections = \"hunter2hunter2\"",
        "[server]\nlisten = \"hunter2hunter2, expected hunter2hunter2\"",
        "[store]\nurl = \"postgres://u:hunter2hunter2@h/d\"",
        "[store]\nurl = \"hunter2hunter2\"",
        "[images]\nallow_hosts = \"hunter2hunter2!\"",
        "[mentions]\nsre = { slack = \"hunter2hunter2\" }",
        "[destinations.x]\nkind = \"slack-webhook\"\nurl = \"hunter2hunter2\"",
        "[destinations.x]\nkind = \"webhook\"\nurl = \"x:hunter2hunter2\"\nsecret = \"hunter2hunter2\"",
        "[destinations.x]\nkind = \"webhook\"\nurl = 5\nheaders = { a = \"hunter2hunter2\\n\" }",
        "[destinations.x]\nkind = \"slack-webhook\"\nproxy = \"hunter2hunter2\"\nurl = {}",
        "[destinations.x]\nkind = \"hunter2hunter2\"\nsecret = \"hunter2hunter2\"",
    ] {
        let folder = folder(wrong);
        let loaded = folder.load(&[("KEY", MARKER)]);
        assert!(loaded.config.is_none(), "{wrong}");
        for line in loaded.report().lines() {
            // Text at a key that holds no secret may be shown.
            let open = [
                "platform =",
                "receive =",
                "feedback_timezone =",
                "app_id =",
                "kind =",
                "listen =",
                "max_connections =",
                "allow_hosts =",
            ];
            let shown = line.split_once("| ").map_or(line, |(_, shown)| shown);
            if !open.iter().any(|key| shown.starts_with(key)) {
                assert!(!line.contains("hunter2"), "{wrong}:\n{}", loaded.report());
            }
        }
        assert!(!loaded.to_json().to_string().contains("hunter2"), "{wrong}");
        assert!(
            !format!("{:?}", loaded.diagnostics).contains("hunter2"),
            "{wrong}"
        );
    }
}
