//! Defines the keys of every section: name, type, meaning and default. Reader and schema follow from them. Relations
//! between keys are checked in `check`.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};
use tracing_subscriber::filter::LevelFilter;

use super::test_schema::{at, silences, times, with};
use super::values::Interval;
use crate::destination::RateLimit;
use crate::feishu::{Receive, Urgent};
use crate::model::Severity;
use crate::render::{Locale, Visibility};
use crate::rules;
use crate::telemetry::LogFormat;
use crate::toml_reader::{
    InFile, Key, Keys, Many, Named, Node, RawSecret, Size, keys, schema, schema_of, words,
};

keys! {
    /// The keys of the top level outside of sections
    pub(super) struct RawTop {
        /// Files with more [[rules]], [[tests]], [lists], [mentions] and [destinations], read in name order after this
        /// file
        include: Many<String>,
    }

    /// Where the relay listens
    pub(super) struct RawServer {
        /// The address that the relay listens on
        listen: SocketAddr = "127.0.0.1:8787",
        /// A separate address for /metrics and /status
        admin_listen: SocketAddr,
        /// The address at which chats reach the relay, for images and buttons
        public_url: String [schema::url()],
        /// The largest request body of an event
        max_body: Size = "1MiB",
        /// The maximum number of concurrent connections
        max_connections: u32 = 4096,
        /// The longest time a shutdown may take
        shutdown_grace: Duration = "20s",
        /// Accepts a configuration without apps, and a reload that removes every rule, every destination or one with
        /// waiting messages
        allow_empty: bool = false,
    }

    /// Outgoing connections
    pub(super) struct RawNetwork {
        /// An HTTP proxy for all outgoing connections except hosts of `NO_PROXY`; default: `HTTPS_PROXY` and
        /// `HTTP_PROXY`. A destination's own `proxy` has priority
        proxy: RawSecret,
    }

    /// The log, on stderr
    pub(super) struct RawLog {
        /// The lowest level that is logged
        level: LevelFilter = "info",
        /// The format: text for people, json for programs
        format: LogFormat = "text",
    }

    /// The operator of the relay
    pub(super) struct RawOperator {
        /// The destination for operator notices: failures that need somebody's attention
        notify: String,
    }

    /// The database
    pub(super) struct RawStore {
        /// The SQLite file: `sqlite:` and its path
        url: String = "sqlite:data/relay.db",
        /// The retention time of events and messages
        retain: Duration = "180d",
    }

    /// Images of reports
    pub(super) struct RawImages {
        /// The folder of the images
        store: String = "data/images",
        /// The retention time of images; default: `retain` of [store]
        retain: Duration,
        /// The lifetime of links to images; default: `retain`
        link_ttl: Duration,
        /// The largest image
        max_bytes: Size = "10MiB",
        /// The maximum size of all images together; the oldest are deleted first
        max_total: Size = "20GiB",
        /// The longest time that a message waits for its images (critical messages: at most 800ms); later
        /// images follow in a second message
        wait: Duration = "3s",
        /// Hosts that images are fetched from, over https, on any port; `*.x.com` matches any depth below x.com
        allow_hosts: Many<String>,
        /// Allows image hosts on your own network, also over http
        allow_private_addresses: bool = false,
    }

    /// The appearance of messages
    pub(super) struct RawTemplates {
        /// A folder whose files override the built-in templates of the same name
        dir: String,
        /// The time zone of messages
        timezone: TimeZone = "Asia/Shanghai",
        /// The language of messages
        locale: Locale = "zh",
    }

    /// A person or a group that can be mentioned
    pub(super) struct RawMention {
        /// Open ids `ou_…` or e-mail addresses
        feishu: Many<String>,
        /// User ids `U…` or `W…`, or user group ids `S…`
        slack: Many<String>,
    }

    /// A Feishu or Lark app whose events the relay receives
    pub(super) struct RawApp needs ["app_id"] {
        /// The app's id, `cli_…`
        app_id: String,
        /// How events are received: `webhook` needs a key or a token and a public address; `websocket`, the long
        /// connection, needs only the secret
        receive: Receive = "webhook",
        /// The app's Encrypt Key; a list during a rotation
        encrypt_key: Many<RawSecret>,
        /// The app's Verification Token; a list during a rotation
        verification_token: Many<RawSecret>,
        /// The app's App Secret: for the long connection, images, the app's own bot, buttons and backfill
        app_secret: RawSecret,
        /// The app's platform
        platform: Platform = "feishu",
        /// The base URL of the open API, for a private deployment
        base_url: String [schema::url()],
        /// The time zone of the times in feedback, which have no zone
        feedback_timezone: TimeZone = "+08:00",
        /// The interval for fetching feedback that was never pushed, if there is an app_secret; "off": never
        backfill: Interval = "1h",
    }

    /// A receiver of messages
    pub(super) struct RawCommon {
        /// The kind of destination
        kind: Kind,
        /// A stricter rate limit than the platform's, which is built in
        rate: RateLimit,
        /// The maximum number of concurrent sends
        concurrency: u32 = 4,
        /// The time limit of one send
        timeout: Duration = "10s",
        /// An HTTP proxy for this destination
        proxy: RawSecret,
        /// The time limit for retrying a message. After that the message is dead: it stays in the store and
        /// the operator is notified
        retry_for: Duration = "24h",
        /// The destination that gets a message if this one is stopped or has given up
        fallback: String,
        /// The time that this destination must fail before critical messages go to the fallback
        fallback_after: Duration,
        /// Messages that have waited longer, because the destination or the relay did not work, become one summary for each rule. Not for webhooks and files
        stale_after: Duration,
        /// Old names of this destination, whose waiting messages it takes over
        was: Many<String>,
        /// The language of this audience; default: `locale` of [templates]
        locale: Locale,
        /// The time zone of this audience; default: `timezone` of [templates]
        timezone: TimeZone,
        /// The parts of a report that this audience may see
        fields: RawFields,
    }

    /// The parts of a report that this audience may see
    pub(super) struct RawFields {
        /// The reporter's e-mail address or telephone number
        contact: Visibility = "full",
        /// The text that the reporter typed
        description: Visibility = "full",
        /// The page
        path: Visibility = "full",
        /// The reporter's tenant
        tenant: Visibility = "full",
        /// The reporter's ids
        user: Visibility = "full",
        /// The images
        images: Visibility = "full",
    }

    /// A group's custom bot in Feishu or Lark
    pub(super) struct RawFeishuBot needs ["kind", "url"] {
        /// The bot's URL, which is its secret
        url: RawSecret,
        /// Signs messages, if the bot checks signatures
        secret: RawSecret,
        /// The bot's keyword, which is added to every message
        keyword: String,
        /// The app of [apps] that uploads images for this bot
        upload_images_as: String,
    }

    /// An app's own bot in Feishu or Lark
    pub(super) struct RawFeishuApp needs ["kind", "app"] {
        /// The app of [apps] whose bot sends the messages; it needs an app_secret
        app: String,
        /// The chat, `oc_…`; the bot must be in it
        chat_id: String,
        /// Instead of a chat: one person, `ou_…`
        user: String,
        /// Also sends urgent notifications to the mentioned people (加急)
        urgent: Urgent,
        /// Whether cards have buttons
        buttons: bool = true,
    }

    /// An incoming webhook of Slack
    pub(super) struct RawSlackWebhook needs ["kind", "url"] {
        /// The webhook's URL, which is its secret
        url: RawSecret,
    }

    /// A Slack app's bot
    pub(super) struct RawSlackApp needs ["kind", "token", "channel"] {
        /// The Bot User OAuth Token, `xoxb-…`
        token: RawSecret,
        /// Verifies button clicks, which Slack signs
        signing_secret: RawSecret,
        /// The channel's id, `C…`, `G…` or `D…`
        channel: String,
        /// Whether messages have buttons; default: true if there is a signing_secret
        buttons: bool,
        /// The base URL of Slack's API, for tests or a proxy
        base_url: String [schema::url()] = crate::slack::BASE_URL,
    }

    /// Signed JSON for programs, by Standard Webhooks
    pub(super) struct RawWebhook needs ["kind", "url"] {
        /// The URL that messages are posted to
        url: RawSecret,
        /// Signing secrets, `whsec_…`, newest first; several during a rotation
        secret: Many<RawSecret>,
        /// Additional request headers
        headers: Named<RawSecret>,
        /// A template of templates/webhook that renders the body instead of the standard one
        body: String,
        /// With a body of your own: the part of the answer that means success, e.g.
        /// `{ pointer = "/errcode", equals = 0 }`; default: any 2xx
        success: RawSuccess,
    }

    /// The part of a webhook's answer that means success
    pub(super) struct RawSuccess needs ["pointer", "equals"] {
        /// The place in the answer's JSON, as a JSON pointer
        pointer: String [json!({ "type": "string", "pattern": "^/" })],
        /// The value there if the message was accepted
        equals: Node [json!({ "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }] })],
    }

    /// A file of JSON lines
    pub(super) struct RawFile needs ["kind", "path"] {
        /// The file; created if missing, and appended to
        path: String,
    }

    /// A test of the rules with sample events
    pub(super) struct RawTest needs ["name", "expect"] {
        /// The test's name
        name: String,
        /// The time of the test's clock, with the offset; default: the event's own time
        at: Node [at()],
        /// A file with an event, as `feedback-relay events sample` prints one
        event: String,
        /// For a change of status: files with the reports that the store would have
        feedback: Many<String>,
        /// Values that replace fields of the event, by Feishu's names
        with: Node [with()],
        /// In place of `event`: events over time, for tests of incidents. At most 10000
        events: Many<RawEvents>,
        /// With `events`: how long the clock runs, from `at` on; default: until the last event
        lasts @ "for": Duration,
        /// With `events`: silences that begin during the test
        silences: Many<Node> [silences()],
        /// The expected outcome
        expect: RawExpect,
    }

    /// A silence in a test: of a rule, of events that match the other keys, as in `match`, or of both
    pub(super) struct RawSilence needs ["for"] {
        /// The rule whose messages it mutes
        rule: String,
        /// When it begins, from `at` on
        after: Duration = "0s",
        /// How long it lasts; at most 30 days
        lasts @ "for": Duration,
    }

    /// An event that happens once or several times
    pub(super) struct RawEvents needs ["event"] {
        /// A file with an event, as `feedback-relay events sample` prints one
        event: String,
        /// How often it happens, each time as a new report
        times: Node [times()] = 1,
        /// The time between two of them
        every: Duration,
        /// When the first one happens, from `at` on
        after: Duration = "0s",
        /// Values that replace fields of the event, by Feishu's names
        with: Node [with()],
        /// For a change of status: files with the reports that the store would have
        feedback: Many<String>,
    }

    /// The expected outcome
    pub(super) struct RawExpect {
        /// Rules that must match; the other keys then apply to the messages of these rules
        rule: Many<String>,
        /// The exact set of destinations that must receive a message
        sent_to: Many<String>,
        /// The severity of the most severe message
        severity: Severity,
        /// The template of the most severe message
        template: String,
        /// Texts that every message must contain
        contains: Many<String>,
        /// Texts that no message may contain
        lacks: Many<String>,
        /// Whether the event must be left unrouted
        unrouted: bool,
        /// The number of messages to each destination while the clock runs, without edits; other destinations are
        /// not checked
        messages: Named<u32>,
        /// The number of edits of earlier messages at each destination
        edits: Named<u32>,
        /// The number of incidents that are opened
        incidents: u32,
        /// The number of reports of which `silences` mute messages
        suppressed: u32,
    }
}

/// A section whose keys are fixed.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    keys: &'static [Key],
    pub(super) schema: fn() -> Json,
}

impl Section {
    const fn of<T: Keys>(name: &'static str) -> Self {
        Self {
            name,
            meaning: T::MEANING,
            keys: T::KEYS,
            schema: schema_of::<T>,
        }
    }

    /// Returns whether the section has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }
}

/// The sections whose keys are fixed.
pub(super) const SECTIONS: &[Section] = &[
    Section::of::<RawServer>("server"),
    Section::of::<RawNetwork>("network"),
    Section::of::<RawLog>("log"),
    Section::of::<RawOperator>("operator"),
    Section::of::<RawStore>("store"),
    Section::of::<RawImages>("images"),
    Section::of::<RawTemplates>("templates"),
];

/// Returns every key of every table.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    let entries = [
        RawTop::KEYS,
        RawMention::KEYS,
        RawApp::KEYS,
        RawCommon::KEYS,
        RawFields::KEYS,
        RawFeishuBot::KEYS,
        RawFeishuApp::KEYS,
        RawSlackWebhook::KEYS,
        RawSlackApp::KEYS,
        RawWebhook::KEYS,
        RawSuccess::KEYS,
        RawFile::KEYS,
        RawTest::KEYS,
        RawEvents::KEYS,
        RawSilence::KEYS,
        RawExpect::KEYS,
        InFile::KEYS,
    ];
    let sections = SECTIONS.iter().map(|section| section.keys);
    sections.chain(entries).flatten().chain(rules::keys())
}

impl RawExpect {
    /// Returns whether nothing is expected.
    pub(super) const fn is_empty(&self) -> bool {
        self.rule.is_none()
            && self.sent_to.is_none()
            && self.severity.is_none()
            && self.template.is_none()
            && self.contains.is_none()
            && self.lacks.is_none()
            && self.unrouted.is_none()
            && self.messages.is_none()
            && self.edits.is_none()
            && self.incidents.is_none()
            && self.suppressed.is_none()
    }
}

/// `platform` of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Feishu,
    Lark,
}

/// `kind` of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    FeishuBot,
    SlackWebhook,
    Webhook,
    File,
    FeishuApp,
    SlackApp,
}

words! {
    LevelFilter {
        ERROR = "error",
        WARN = "warn",
        INFO = "info",
        DEBUG = "debug",
        TRACE = "trace",
    }
    LogFormat {
        Text = "text",
        Json = "json",
    }
    Locale {
        Zh = "zh",
        En = "en",
    }
    Receive {
        Webhook = "webhook",
        Websocket = "websocket",
    }
    Platform {
        Feishu = "feishu",
        Lark = "lark",
    }
    Urgent {
        App = "app",
        Sms = "sms",
        Phone = "phone",
    }
    Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
    Visibility {
        Full = "full",
        Mask = "mask",
        Drop = "drop",
    }
    Kind {
        FeishuBot = "feishu-bot",
        SlackWebhook = "slack-webhook",
        Webhook = "webhook",
        File = "file",
        FeishuApp = "feishu-app",
        SlackApp = "slack-app",
    }
}
