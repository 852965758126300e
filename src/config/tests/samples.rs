//! Checks that the shipped samples are valid and show every key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Folder;
use crate::archive::ArchiveLocation;
use crate::config::{Config, load_with_tests};
use crate::destination::{Common, KindSettings, Success};
use crate::feishu::{To, Urgent};
use crate::model::Secret;
use crate::render::{Locale, Mention, SentAs, Visibility};
use crate::store::StoreLocation;
use crate::telemetry::LogFormat;

const FULL: &str = include_str!("../../../docs/relay.full.toml");

const WHITE_SCREEN: &str = include_str!("../../../tests/events/white-screen.json");

const CRASH: &str = include_str!("../../../tests/events/crash.json");
const STATUS_CHANGED: &str = include_str!("../../../tests/events/status-changed.json");

const VARIABLES: &[(&str, &str)] = &[
    ("SHOP_ENCRYPT_KEY", "key 1"),
    ("SHOP_ENCRYPT_KEY_OLD", "key 2"),
    ("SHOP_VERIFICATION_TOKEN", "token"),
    ("SHOP_APP_SECRET", "app secret"),
    ("COUNTER_APP_SECRET", "another app secret"),
    (
        "ONCALL_BOT_URL",
        "https://open.feishu.cn/open-apis/bot/v2/hook/x",
    ),
    ("ONCALL_BOT_SECRET", "bot secret"),
    ("SLACK_BOT_TOKEN", "xoxb-1"),
    ("SLACK_SIGNING_SECRET", "signing secret"),
    ("OPS_URL", "https://hooks.slack.com/services/T0/B0/x"),
    (
        "WAREHOUSE_SECRET",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    ),
    (
        "WAREHOUSE_SECRET_OLD",
        "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=",
    ),
    ("WAREHOUSE_TOKEN", "bearer"),
    ("PROXY_URL", "http://proxy.example.com:3128"),
];

fn folder_of_images(path: impl Into<PathBuf>) -> ArchiveLocation {
    ArchiveLocation::Folder(path.into())
}

fn sqlite(path: impl Into<PathBuf>) -> StoreLocation {
    StoreLocation::Sqlite(path.into())
}

#[test]
fn the_short_sample_has_nothing_to_complain_of() {
    let loaded = load_with_tests(Path::new("relay.toml"), &Default::default());
    assert_eq!(loaded.report(), "");
    let config = loaded.config.unwrap();
    assert_eq!(config.store.location, sqlite("data/relay.db"));
    assert_eq!(config.archive, folder_of_images("data/images"));
    assert_eq!(config.rules_written.len(), 3);
    assert!(matches!(
        &config.destinations["archive"].kind,
        KindSettings::File { path } if path == Path::new("data/feedback.jsonl")
    ));
}

fn full() -> (Folder, Config) {
    let folder = Folder::new(FULL)
        .with(
            "rules.d/more.toml",
            "[[rules]]\nname = \"more\"\nmatch = { type = \"suggestion\" }\nsend_to = \"ops\"\n",
        )
        .with("templates/webhook/warehouse.hbs", "{}")
        .with("tests/events/white-screen.json", WHITE_SCREEN)
        .with("tests/events/crash.json", CRASH)
        .with("tests/events/status-changed.json", STATUS_CHANGED);
    let loaded = folder.load(VARIABLES);
    assert_eq!(loaded.report(), "");
    assert_eq!(loaded.tests.len(), 5);
    (folder, loaded.config.unwrap())
}

#[test]
fn every_key_of_the_sections_arrives() {
    let (folder, config) = full();
    let server = &config.server;
    assert_eq!(server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(server.admin_listen.unwrap().to_string(), "127.0.0.1:9001");
    assert_eq!(
        server.public_url.as_deref(),
        Some("https://relay.example.com")
    );
    assert_eq!((server.max_body, server.max_connections), (2 << 20, 1000));
    assert_eq!(server.shutdown_grace, Duration::from_secs(30));
    assert_eq!(
        config.log.level,
        tracing_subscriber::filter::LevelFilter::DEBUG
    );
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.notify, Some("ops".into()));
    assert_eq!(config.store.location, sqlite(folder.path("var/relay.db")));
    assert_eq!(config.store.retain, days(90));
    assert_eq!(config.archive, folder_of_images(folder.path("var/images")));
    let images = &config.images;
    assert_eq!((images.retain, images.link_ttl), (days(60), days(30)));
    assert_eq!(
        (images.bytes_max, images.total_bytes_max),
        (5 << 20, 10 << 30)
    );
    assert_eq!(images.wait, Duration::from_secs(2));
    assert_eq!(images.wait_critical, Duration::from_millis(800));
    assert_eq!(
        images.allow_hosts,
        ["*.byteimg.com", "pictures.example.com"]
    );
    assert!(images.allow_private_addresses);
    assert!(
        config
            .templates
            .has(crate::render::Family::Webhook, "warehouse.hbs")
    );
    assert_eq!(config.app_names["cli_9b445f5258795107"], "order");
    assert_eq!(config.app_names["cli_9f5343c580712544"], "shop");
    let Mention::Person { feishu, slack, .. } = &config.mentions["sre"] else {
        panic!("{:?}", config.mentions)
    };
    assert_eq!((feishu.len(), slack.len()), (2, 2));
    let app = &config.apps["shop"];
    let keys: Vec<_> = app.encrypt_keys.iter().map(|key| key.expose()).collect();
    assert_eq!(keys, ["key 1", "key 2"]);
    assert_eq!(app.verification_tokens[0].expose(), "token");
    assert_eq!(app.app_secret.as_ref().unwrap().expose(), "app secret");
    assert_eq!(app.base_url, "https://open.feishu.example.com");
    let offset = app.feedback_timezone.to_offset(jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(offset.seconds(), 9 * 3600);
    assert_eq!(config.backfill["shop"], Duration::from_secs(1800));
    let names: Vec<_> = config
        .rules_written
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!((names.len(), names[7]), (8, "more"));
}

fn errcode_is_zero() -> Success {
    Success {
        pointer: "/errcode".into(),
        equals: 0.into(),
    }
}

#[test]
fn every_key_of_the_destinations_arrives() {
    let (folder, config) = full();
    let chat = &config.destinations["oncall-chat"];
    assert!(chat.links);
    assert_eq!(
        chat.proxy.as_ref().unwrap().expose(),
        "http://proxy.example.com:3128"
    );
    let KindSettings::FeishuBot {
        url,
        secret,
        upload_images_as,
    } = &chat.kind
    else {
        panic!("{:?}", chat.kind)
    };
    assert!(url.expose().starts_with("https://open.feishu.cn"));
    assert_eq!(secret.as_ref().unwrap().expose(), "bot secret");
    assert_eq!(*upload_images_as, Some("shop".into()));
    common(&chat.common);
    let room = &config.destinations["war-room"];
    let of_shop = |to, urgent, buttons| KindSettings::FeishuApp {
        app: "shop".into(),
        to,
        urgent,
        buttons,
    };
    let chat = To::Chat("oc_a0553eda9014c201e6969b478895c230".into());
    assert_eq!(room.kind, of_shop(chat, Some(Urgent::App), false));
    assert_eq!(room.common.audience.sent, SentAs::JsonInString);
    assert_eq!(room.common.audience.bytes_max, Some(30 * 1024 - 512));
    let person = To::Person("ou_7d8a6e6df7621556ce0d21922b676706".into());
    let on_duty = &config.destinations["on-duty"];
    assert_eq!(on_duty.kind, of_shop(person, None, true));
    let warehouse = &config.destinations["warehouse"];
    assert_eq!(warehouse.common.audience.body.as_deref(), Some("warehouse"));
    assert_eq!(warehouse.common.audience.locale, Locale::En);
    assert_eq!(
        warehouse.common.audience.timezone.iana_name(),
        Some("Asia/Singapore")
    );
    let KindSettings::Webhook {
        url,
        secrets,
        headers,
        success,
    } = &warehouse.kind
    else {
        panic!("{:?}", warehouse.kind)
    };
    assert_eq!(url.expose(), "https://example.com/hooks/feedback");
    assert_eq!(secrets.len(), 2);
    assert_eq!(*success, Some(errcode_is_zero()));
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        headers,
        [("Authorization", "Bearer bearer"), ("X-Team", "data")]
    );
    assert!(matches!(
        &config.destinations["archive"].kind,
        KindSettings::File { path } if *path == folder.path("var/feedback.jsonl")
    ));
    assert!(matches!(
        config.destinations["ops"].kind,
        KindSettings::SlackWebhook { .. }
    ));
}

#[test]
fn every_key_of_a_slack_app_arrives() {
    let (_folder, config) = full();
    let wanted = KindSettings::SlackApp {
        token: Secret::new("xoxb-1"),
        signing_secret: Some(Secret::new("signing secret")),
        channel: "C0123456789".into(),
        buttons: false,
        base_url: "https://slack.example.com".into(),
    };
    assert_eq!(config.destinations["product"].kind, wanted);
}

/// Buttons are on if their clicks can be verified, unless they are turned off.
#[test]
fn a_slack_app_has_buttons_where_it_has_a_signing_secret() {
    let written = |more: &str| {
        let text = format!(
            "[destinations.a]\nkind = \"slack-app\"\ntoken = \"xoxb-1\"\nchannel = \"D0123ABCD\"\n{more}"
        );
        match &super::config(&text, &[]).destinations["a"].kind {
            KindSettings::SlackApp {
                buttons, base_url, ..
            } => {
                assert_eq!(base_url, "https://slack.com");
                *buttons
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(written("signing_secret = \"s\""));
    assert!(!written("signing_secret = \"s\"\nbuttons = false"));
    assert!(!written(""));
    assert!(!written("buttons = false"));
}

fn common(common: &Common) {
    let rate = common.rate.unwrap();
    assert_eq!((rate.count, rate.per), (50, Duration::from_secs(60)));
    assert_eq!(common.concurrency, 2);
    assert_eq!(common.timeout, Duration::from_secs(5));
    assert_eq!(common.retry_for, Duration::from_secs(12 * 3600));
    assert_eq!(common.fallback, Some("ops".into()));
    assert_eq!(common.fallback_after, Some(Duration::from_secs(300)));
    let audience = &common.audience;
    assert_eq!(audience.locale, Locale::Zh);
    assert_eq!(audience.timezone.iana_name(), Some("Asia/Tokyo"));
    assert_eq!(audience.keyword.as_deref(), Some("反馈"));
    let fields = audience.fields;
    assert_eq!(
        (fields.contact, fields.path),
        (Visibility::Mask, Visibility::Mask)
    );
    assert_eq!(
        (fields.user, fields.tenant),
        (Visibility::Drop, Visibility::Drop)
    );
    assert_eq!(
        (fields.description, fields.images),
        (Visibility::Full, Visibility::Drop)
    );
}

/// The sample lists exactly the variables that it needs.
#[test]
fn each_variable_is_needed_and_listed() {
    let header: Vec<&str> = FULL
        .lines()
        .take_while(|line| line.starts_with('#'))
        .collect();
    let header = header.join(" ");
    for (name, _) in VARIABLES {
        assert!(header.contains(name), "{name}");
        let others: Vec<_> = VARIABLES
            .iter()
            .filter(|(other, _)| other != name)
            .copied()
            .collect();
        assert!(Folder::new(FULL).report(&others).contains(name), "{name}");
    }
}

/// The defaults are those of the design's sample.
#[test]
fn defaults() {
    let config = super::config("[destinations.a]\nkind = \"file\"\npath = \"x\"", &[]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.server.max_connections, 4096);
    assert_eq!(config.server.shutdown_grace, Duration::from_secs(20));
    let StoreLocation::Sqlite(path) = &config.store.location;
    assert!(path.ends_with("data/relay.db"));
    assert_eq!(config.store.retain, days(180));
    assert_eq!(
        (config.images.retain, config.images.link_ttl),
        (days(180), days(180))
    );
    assert_eq!(config.images.bytes_max, 10 << 20);
    assert_eq!(config.images.total_bytes_max, 20 << 30);
    assert_eq!(config.images.wait, Duration::from_secs(3));
    assert_eq!(config.images.allow_hosts.len(), 3);
    let common = &config.destinations["a"].common;
    assert_eq!(common.concurrency, 4);
    assert_eq!(common.timeout, Duration::from_secs(10));
    assert_eq!(common.retry_for, days(1));
    assert_eq!(common.audience.timezone.iana_name(), Some("Asia/Shanghai"));
}

#[test]
fn defaults_of_the_schema_are_those_of_the_reader() {
    let written = |keys: &serde_json::Value| -> String {
        let keys = keys["properties"].as_object().unwrap().iter();
        let lines =
            keys.filter_map(|(key, schema)| Some(format!("{key} = {}\n", schema.get("default")?)));
        lines.collect()
    };
    let schema = crate::config::schema();
    let kinds = &schema["properties"]["destinations"]["additionalProperties"]["oneOf"];
    let file = "[destinations.a]\nkind = \"file\"\npath = \"x\"\n";
    let mut text = format!("{file}{}", written(&kinds[5]));
    for section in ["server", "log", "store", "images", "templates"] {
        let keys = written(&schema["properties"][section]);
        text.push_str(&format!("[{section}]\n{keys}"));
    }
    assert!(
        text.contains("retry_for") && text.contains("shutdown_grace"),
        "{text}"
    );
    let folder = Folder::new(file);
    let read = |text: &str| {
        std::fs::write(folder.path("relay.toml"), text).unwrap();
        let loaded = folder.load(&[("RELAY__SERVER__ALLOW_EMPTY", "true")]);
        let report = loaded.report();
        let config = loaded.config.unwrap_or_else(|| panic!("{report}"));
        let parts = (config.server, config.log, config.store, config.images);
        format!("{parts:?} {:?} {:?}", config.archive, config.destinations)
    };
    assert_eq!(read(&text), read(file));
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// A partly saved file, cut at any place, gives diagnostics and never a panic.
#[test]
fn any_beginning_of_the_sample_is_survived() {
    for end in (0..FULL.len())
        .filter(|&end| FULL.is_char_boundary(end))
        .step_by(97)
    {
        let text = FULL.get(..end).unwrap();
        let loaded = Folder::new(text).load(VARIABLES);
        let report = loaded.report();
        assert!(
            !report.contains("bearer") && !report.contains("key 1"),
            "{report}"
        );
        assert_eq!(
            loaded.to_json().as_array().unwrap().len(),
            loaded.diagnostics.len()
        );
    }
}
