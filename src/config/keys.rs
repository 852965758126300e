//! Defines the raw sections: keys and types are checked here, relations between keys are not.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::values::{Address, Interval, Many, Period, Rate, RawSecret, Size, Zone};
use crate::feishu::{self, Urgent};
use crate::model::Severity;
use crate::render::{Locale, Visibility};
use crate::telemetry::LogFormat;

/// An optional key and its span.
pub(super) type Field<T> = Option<Spanned<T>>;

/// Defines sections whose keys are all optional, so that each key can be read separately.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            $(pub(super) $key: $type,)*
        }
    )*};
}

sections! {
    /// `[server]`
    RawServer {
        listen: Field<Address>,
        admin_listen: Field<Address>,
        public_url: Field<String>,
        max_body: Field<Size>,
        max_connections: Field<u32>,
        shutdown_grace: Field<Period>,
        allow_empty: Field<bool>,
    }
    /// `[network]`
    RawNetwork {
        proxy: Field<RawSecret>,
    }
    /// `[log]`
    RawLog {
        level: Field<Level>,
        format: Field<Format>,
    }
    /// `[operator]`
    RawOperator {
        notify: Field<String>,
    }
    /// `[store]`
    RawStore {
        url: Field<String>,
        retain: Field<Period>,
    }
    /// `[images]`
    RawImages {
        store: Field<String>,
        retain: Field<Period>,
        link_ttl: Field<Period>,
        max_bytes: Field<Size>,
        max_total: Field<Size>,
        wait: Field<Period>,
        allow_hosts: Option<Many<Spanned<String>>>,
        allow_private_addresses: Field<bool>,
    }
    /// `[templates]`
    RawTemplates {
        dir: Field<String>,
        timezone: Field<Zone>,
        locale: Field<Language>,
    }
    /// An entry of `[mentions]`
    RawMention {
        feishu: Option<Many<Spanned<String>>>,
        slack: Option<Many<Spanned<String>>>,
    }
    /// `[apps.NAME]`
    RawApp {
        app_id: Field<String>,
        receive: Field<Receive>,
        encrypt_key: Option<Many<Spanned<RawSecret>>>,
        verification_token: Option<Many<Spanned<RawSecret>>>,
        app_secret: Field<RawSecret>,
        platform: Field<Platform>,
        base_url: Field<String>,
        feedback_timezone: Field<Zone>,
        backfill: Field<Interval>,
    }
    /// The keys of every `[destinations.NAME]`
    RawCommon {
        kind: Field<Kind>,
        rate: Field<Rate>,
        concurrency: Field<u32>,
        timeout: Field<Period>,
        proxy: Field<RawSecret>,
        retry_for: Field<Period>,
        fallback: Field<String>,
        fallback_after: Field<Period>,
        was: Option<Many<Spanned<String>>>,
        locale: Field<Language>,
        timezone: Field<Zone>,
    }
    /// `fields` of a destination
    RawFields {
        contact: Option<VisibilityKey>,
        description: Option<VisibilityKey>,
        path: Option<VisibilityKey>,
        tenant: Option<VisibilityKey>,
        user: Option<VisibilityKey>,
        images: Option<VisibilityKey>,
    }
    /// `kind = "feishu-bot"`
    RawFeishuBot {
        url: Field<RawSecret>,
        secret: Field<RawSecret>,
        keyword: Field<String>,
        upload_images_as: Field<String>,
    }
    /// `kind = "feishu-app"`
    RawFeishuApp {
        app: Field<String>,
        chat_id: Field<String>,
        user: Field<String>,
        urgent: Field<How>,
        buttons: Field<bool>,
    }
    /// `kind = "slack-webhook"`
    RawSlackWebhook {
        url: Field<RawSecret>,
    }
    /// `kind = "slack-app"`
    RawSlackApp {
        token: Field<RawSecret>,
        signing_secret: Field<RawSecret>,
        channel: Field<String>,
        buttons: Field<bool>,
        base_url: Field<String>,
    }
    /// `kind = "webhook"`
    RawWebhook {
        url: Field<RawSecret>,
        secret: Option<Many<Spanned<RawSecret>>>,
        headers: BTreeMap<Spanned<String>, Spanned<RawSecret>>,
        body: Field<String>,
    }
    /// `success` of a webhook
    RawSuccess {
        pointer: Field<String>,
        equals: Field<toml::Value>,
    }
    /// `kind = "file"`
    RawFile {
        path: Field<String>,
    }
    /// An entry of `[[tests]]`; `at`, `with` and `expect` are taken before
    RawTest {
        name: Field<String>,
        event: Field<String>,
        feedback: Option<Many<Spanned<String>>>,
    }
    /// `expect` of a test
    RawExpect {
        rule: Option<Many<Spanned<String>>>,
        sent_to: Option<Many<Spanned<String>>>,
        severity: Field<Urgency>,
        template: Field<String>,
        contains: Option<Many<Spanned<String>>>,
        unrouted: Field<bool>,
    }
}

/// Defines a value that is one of a fixed set of words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        pub(super) enum $name {
            $(#[serde(rename = $word)] $variant,)*
        }
    )*};
}

words! {
    /// `log.level`
    Level { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace", }
    /// `log.format`
    Format { Text = "text", Json = "json", }
    /// `locale`
    Language { Zh = "zh", En = "en", }
    /// `receive` of an app
    Receive { Webhook = "webhook", Websocket = "websocket", }
    /// `platform` of an app
    Platform { Feishu = "feishu", Lark = "lark", }
    /// `urgent` of a `feishu-app`
    How { App = "app", Sms = "sms", Phone = "phone", }
    /// `severity` that a test expects
    Urgency { Info = "info", Warning = "warning", Critical = "critical", }
    /// An entry of `fields`
    VisibilityKey { Full = "full", Mask = "mask", Drop = "drop", }
    /// `kind` of a destination. Kinds that are not built are refused with their own message.
    Kind {
        FeishuBot = "feishu-bot",
        SlackWebhook = "slack-webhook",
        Webhook = "webhook",
        File = "file",
        FeishuApp = "feishu-app",
        SlackApp = "slack-app",
    }
}

impl From<Receive> for feishu::Receive {
    fn from(receive: Receive) -> Self {
        match receive {
            Receive::Webhook => Self::Webhook,
            Receive::Websocket => Self::Websocket,
        }
    }
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

impl From<How> for Urgent {
    fn from(how: How) -> Self {
        match how {
            How::App => Self::App,
            How::Sms => Self::Sms,
            How::Phone => Self::Phone,
        }
    }
}

impl From<Urgency> for Severity {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Info => Self::Info,
            Urgency::Warning => Self::Warning,
            Urgency::Critical => Self::Critical,
        }
    }
}

impl From<Language> for Locale {
    fn from(language: Language) -> Self {
        match language {
            Language::Zh => Self::Zh,
            Language::En => Self::En,
        }
    }
}

impl From<VisibilityKey> for Visibility {
    fn from(sight: VisibilityKey) -> Self {
        match sight {
            VisibilityKey::Full => Self::Full,
            VisibilityKey::Mask => Self::Mask,
            VisibilityKey::Drop => Self::Drop,
        }
    }
}
