//! Tests of commands that need no secret, with a file whose variables are not set.

use std::collections::BTreeMap;

use super::{Folder, environment};
use crate::config::{Needs, listen, load_for};
use crate::model::DestinationName;

const ALL_BY_VARIABLES: &str = r#"
server.listen = "127.0.0.1:5"
server.public_url = "${PUBLIC_URL}"
operator.notify = "${NOTIFY}"
log.level = "${LEVEL}"
[apps.shop]
app_id = "${APP_ID}"
encrypt_key = ["${KEY}", "${OLD_KEY}"]
verification_token = { file = "/nowhere/token" }
app_secret = "${APP_SECRET}"
[destinations.bot]
kind = "feishu-bot"
url = "https://open.feishu.cn/open-apis/bot/v2/hook/${BOT}"
secret = "${BOT_SECRET}"
proxy = "${PROXY}"
rate = "${RATE}"
[destinations.room]
kind = "feishu-app"
app = "shop"
chat_id = "${CHAT}"
[destinations.slack]
kind = "slack-app"
token = "${TOKEN}"
signing_secret = "${SIGNING}"
channel = "${CHANNEL}"
[destinations.hook]
kind = "webhook"
url = "${HOOK}"
secret = ["${HOOK_SECRET}"]
headers = { Authorization = "Bearer ${HOOK_TOKEN}" }
[[rules]]
name = "own"
match = { tenant = "${TENANT}" }
send_to = "bot"
"#;

#[test]
fn store_command_needs_no_variable_but_those_of_the_store() {
    let folder = Folder::new(ALL_BY_VARIABLES);
    let load = |needs, variables: &[_]| {
        load_for(needs, &folder.path("relay.toml"), &environment(variables))
    };
    let loaded = load(Needs::StoreOnly, &[]);
    let report = loaded.report();
    let config = loaded.config.expect(&report);
    let names: Vec<String> = config
        .destinations
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["bot", "hook", "room", "slack"]);
    assert_eq!(config.apps.len(), 1);
    assert!(load(Needs::All, &[]).config.is_none());
    assert!(load(Needs::NoSecrets, &[]).config.is_none());
    let rest = [
        ("PUBLIC_URL", "https://relay.example.com"),
        ("NOTIFY", "bot"),
        ("LEVEL", "info"),
        ("APP_ID", "cli_1"),
        ("RATE", "5/s"),
        ("CHAT", "oc_1"),
        ("CHANNEL", "C0123456789"),
        ("TENANT", "x"),
    ];
    let loaded = load(Needs::NoSecrets, &rest);
    let report = loaded.report();
    assert_eq!(loaded.config.expect(&report).destinations.len(), 4);
}

/// The estimated waits of `destinations list` need to know which destinations share a limit.
#[test]
fn destinations_at_one_place_are_recognised_without_their_secrets() {
    let bot = |name: &str, url: &str| {
        format!("[destinations.{name}]\nkind = \"feishu-bot\"\nurl = \"{url}\"\n")
    };
    let chat = |name: &str, chat: &str| {
        format!(
            "[destinations.{name}]\nkind = \"feishu-app\"\napp = \"shop\"\nchat_id = \"{chat}\"\n"
        )
    };
    let text = [
        "[apps.shop]\napp_id = \"cli_1\"\nencrypt_key = \"${KEY}\"\napp_secret = \"${SECRET}\"\n"
            .to_owned(),
        bot("a", "${ONE}"),
        bot("b", "${ONE}"),
        bot("c", "${OTHER}"),
        chat("d", "${CHAT}"),
        chat("e", "${CHAT}"),
        chat("f", "${OTHER_CHAT}"),
    ]
    .concat();
    let folder = Folder::new(&text);
    let environment = BTreeMap::new();
    let loaded = load_for(Needs::StoreOnly, &folder.path("relay.toml"), &environment);
    let report = loaded.report();
    let destinations = loaded.config.expect(&report).destinations;
    let key = |name: &str| {
        destinations[&DestinationName::from(name)].paces()[0]
            .key
            .clone()
    };
    for [one, same, other] in [["a", "b", "c"], ["d", "e", "f"]] {
        assert_eq!(key(one), key(same));
        assert_ne!(key(one), key(other));
    }
}

#[test]
fn store_command_needs_the_variables_of_the_store() {
    for text in [
        "store.url = \"sqlite:${DIR}/relay.db\"",
        "images.store = \"${DIR}\"",
    ] {
        let folder = Folder::new(text);
        let load = |variables| {
            let file = folder.path("relay.toml");
            load_for(Needs::StoreOnly, &file, &environment(variables))
        };
        let loaded = load(&[]);
        assert!(loaded.config.is_none());
        assert!(loaded.report().contains("E010"));
        assert!(load(&[("DIR", "data")]).config.is_some());
    }
}

#[test]
fn wrong_key_is_an_error_for_a_store_command_too() {
    let folder =
        Folder::new(format!("{ALL_BY_VARIABLES}sevrity = \"info\"\n").replace("${TENANT}", "x"));
    let file = folder.path("relay.toml");
    assert!(
        load_for(Needs::StoreOnly, &file, &BTreeMap::new())
            .config
            .is_none()
    );
}

#[test]
fn health_check_reads_the_address_alone() {
    let folder = Folder::new(ALL_BY_VARIABLES);
    let address = listen(&folder.path("relay.toml"), &BTreeMap::new());
    assert_eq!(address, Some("127.0.0.1:5".parse().unwrap()));
}
