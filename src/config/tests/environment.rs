//! Tests of `RELAY__…` variables, which override the file.

use super::{Folder, config};
use crate::destination::KindSettings;

const SHOP: &str = r#"
[server]
listen = "127.0.0.1:1"
max_connections = 5

[images]
allow_hosts = ["a.example.com", "b.example.com"]

[apps.my-shop]
app_id = "cli_1"
verification_token = "${TOKEN:-t}"

[destinations.data-lake]
kind = "webhook"
url = "https://example.com/"
headers = { "X-Team" = "data" }
"#;

#[test]
fn values_are_replaced_and_get_the_type_their_key_needs() {
    let config = config(
        SHOP,
        &[
            ("RELAY__SERVER__LISTEN", "[::1]:2"),
            ("RELAY__SERVER__MAX_CONNECTIONS", "77"),
            ("RELAY__SERVER__MAX_BODY", "2048"),
            ("RELAY__IMAGES__ALLOW_PRIVATE_ADDRESSES", "true"),
            ("RELAY__IMAGES__ALLOW_HOSTS", "c.example.com"),
            ("RELAY__LOG__LEVEL", "debug"),
            ("RELAY__APPS__MY_SHOP__APP_ID", "cli_2"),
            ("RELAY__APPS__MY_SHOP__VERIFICATION_TOKEN", "12345"),
            ("RELAY__DESTINATIONS__DATA_LAKE__HEADERS__X_TEAM", "true"),
            ("RELAY__DESTINATIONS__DATA_LAKE__FIELDS__CONTACT", "drop"),
            ("UNRELATED", "x"),
        ],
    );
    assert_eq!(config.server.listen.to_string(), "[::1]:2");
    assert_eq!(config.server.max_connections, 77);
    assert_eq!(config.server.max_body, 2048);
    assert!(config.images.allow_private_addresses);
    assert_eq!(config.images.allow_hosts, ["c.example.com"]);
    assert_eq!(
        config.log.level,
        tracing_subscriber::filter::LevelFilter::DEBUG
    );
    let app = &config.apps["my-shop"];
    assert_eq!(app.app_id, "cli_2");
    assert_eq!(app.verification_tokens[0].expose(), "12345");
    let lake = &config.destinations["data-lake"];
    assert_eq!(
        lake.common.audience.fields.contact,
        crate::render::Visibility::Drop
    );
    let KindSettings::Webhook { headers, .. } = &lake.kind else {
        panic!("{:?}", lake.kind)
    };
    assert_eq!(headers[0].0, "X-Team");
    assert_eq!(headers[0].1.expose(), "true");
}

#[test]
fn a_section_can_be_the_environments_alone() {
    let config = config(
        "",
        &[
            ("RELAY__APPS__SHOP__APP_ID", "cli_1"),
            ("RELAY__APPS__SHOP__ENCRYPT_KEY", "of ${braces}"),
        ],
    );
    // Values that a shell has expanded are not expanded again.
    assert_eq!(config.apps["shop"].encrypt_keys[0].expose(), "of ${braces}");
}

#[test]
fn a_secret_of_the_environment_can_be_in_a_file() {
    let folder = Folder::new(SHOP).with("key", "from the file\n");
    let loaded = folder.load(&[("RELAY__APPS__MY_SHOP__APP_SECRET__FILE", "key")]);
    let config = loaded.config.as_ref().unwrap();
    let secret = config.apps["my-shop"].app_secret.as_ref().unwrap();
    assert_eq!(secret.expose(), "from the file");
}

#[test]
fn what_is_wrong_is_named_by_its_variable() {
    let report =
        Folder::new(format!("{SHOP}\n[[rules]]\nname = \"all\"\nsend_to = []\n")).report(&[
            ("RELAY__SERVER__LISTEN", "hunter2"),
            ("RELAY__SERVER__MAX_CONNECTIONS", "many hunter2"),
            ("RELAY__SERVER__LISTN", "hunter2"),
            ("RELAY__SERVER____PORT", "hunter2"),
            ("RELAY__SERVRE__LISTEN", "hunter2"),
            ("RELAY__STORE", "hunter2"),
            ("RELAY_SERVER_LISTEN", "hunter2"),
            ("RELAY__LOG__FORMAT", "\"json\""),
            ("RELAY__SERVER_PUBLIC_URL", "hunter2"),
            ("RELAY__APPS__MY_SHOP__ENCRYPT_KEY", ""),
            ("RELAY__RULES__0__NAME", "hunter2"),
        ]);
    assert!(!report.contains("hunter2"), "{report}");
    insta::assert_snapshot!(report);
}
