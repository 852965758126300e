//! The JSON Schema of `relay.toml`, for editors: the meaning and values of every key.
//!
//! It is written by hand, not derived from the raw sections. Most of their types parse a text of their own form
//! (`"90s"`, `"50/s"`, `${VAR}`), which a derive macro cannot describe. Tests keep schema and reader consistent:
//! both have the same keys, and both refuse the same malformed values.

mod destinations;
mod rules;
#[cfg(test)]
mod tests;
mod values;

use serde_json::{Map, Value, json};

use self::values::{
    address, boolean, duration, list_of, many, named, often, path, secret, size, text, time_zone,
    url, whole, word,
};

/// A key: its name, its meaning and its values.
type Key = (&'static str, &'static str, Value);

/// Returns the whole schema.
pub fn schema() -> Value {
    let mut top = table("A configuration of feedback-relay", sections());
    let draft = json!("http://json-schema.org/draft-07/schema#");
    let members = top.as_object_mut().map(std::mem::take).unwrap_or_default();
    let head = [
        ("$schema".to_owned(), draft),
        ("title".to_owned(), json!("relay.toml")),
    ];
    Value::Object(head.into_iter().chain(members).collect())
}

/// Returns a section: its name, its meaning and its keys.
fn section(name: &'static str, meaning: &'static str, keys: Vec<Key>) -> Key {
    (name, meaning, table(meaning, keys))
}

fn sections() -> Vec<Key> {
    vec![
        (
            "include",
            "Files with more [[rules]], [[tests]], [lists], [mentions] and [destinations], read in name order after this file",
            many(text()),
        ),
        section("server", "Where the relay listens", server()),
        section("network", "Outgoing connections", network()),
        section("log", "The log, on stderr", log()),
        section("operator", "The operator of the relay", operator()),
        section("store", "The database", store()),
        section("images", "Images of reports", images()),
        section("templates", "The appearance of messages", templates()),
        (
            "app_names",
            "Names of apps that are not in [apps] but can have feedback, by app id",
            app_names(),
        ),
        (
            "mentions",
            "Names of people for `mention` in rules; \"all\" is everyone",
            named(mention()),
        ),
        (
            "lists",
            "Words that rules share: in `match` and `except`, \"@name\" means all words of a list",
            named(many(rules::word_of_list())),
        ),
        (
            "apps",
            "Feishu or Lark apps whose events the relay receives",
            named(app()),
        ),
        (
            "destinations",
            "The receivers of messages",
            named(destinations::one()),
        ),
        (
            "rules",
            "Which events go to which destinations: tried from top to bottom; the first match ends the search unless `continue = true`",
            list_of(rules::rule()),
        ),
        (
            "tests",
            "Tests of the rules with sample events; `check` runs them, `serve` does not read them",
            list_of(rules::test()),
        ),
    ]
}

/// Returns a table with these keys and no others.
fn table(description: &str, keys: Vec<Key>) -> Value {
    let properties: Map<String, Value> = keys
        .into_iter()
        .map(|(key, meaning, mut value)| {
            if let Some(members) = value.as_object_mut() {
                members.insert("description".to_owned(), meaning.into());
            }
            (key.to_owned(), value)
        })
        .collect();
    json!({
        "description": description,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Marks these keys of a table as required.
fn needing(mut table: Value, keys: &[&str]) -> Value {
    table["required"] = json!(keys);
    table
}

/// Adds the default of a value.
fn or(mut value: Value, default: impl Into<Value>) -> Value {
    value["default"] = default.into();
    value
}

fn server() -> Vec<Key> {
    vec![
        (
            "listen",
            "The address that the relay listens on",
            or(address(), "127.0.0.1:8787"),
        ),
        (
            "admin_listen",
            "A separate address for /metrics and /status",
            address(),
        ),
        (
            "public_url",
            "The address at which chats reach the relay, for images and buttons",
            url(),
        ),
        (
            "max_body",
            "The largest request body of an event",
            or(size(), "1MiB"),
        ),
        (
            "max_connections",
            "The maximum number of concurrent connections",
            or(whole(), 4096),
        ),
        (
            "shutdown_grace",
            "The longest time a shutdown may take",
            or(duration(), "20s"),
        ),
        (
            "allow_empty",
            "Accepts a configuration without apps, and a reload that removes every rule, every destination or one with waiting messages",
            or(boolean(), false),
        ),
    ]
}

fn log() -> Vec<Key> {
    let levels = word(["error", "warn", "info", "debug", "trace"]);
    vec![
        (
            "level",
            "The lowest level that is logged",
            or(levels, "info"),
        ),
        (
            "format",
            "The format: text for people, json for programs",
            or(word(["text", "json"]), "text"),
        ),
    ]
}

fn network() -> Vec<Key> {
    let meaning = "An HTTP proxy for all outgoing connections except hosts of `NO_PROXY`; default: `HTTPS_PROXY` and \
                   `HTTP_PROXY`. A destination's own `proxy` has priority";
    vec![("proxy", meaning, secret())]
}

fn operator() -> Vec<Key> {
    let meaning = "The destination for operator notices: failures that need somebody's attention";
    vec![("notify", meaning, text())]
}

fn store() -> Vec<Key> {
    vec![
        (
            "url",
            "The SQLite file: `sqlite:` and its path",
            or(text(), "sqlite:data/relay.db"),
        ),
        (
            "retain",
            "How long events and messages are kept",
            or(duration(), "180d"),
        ),
    ]
}

fn images() -> Vec<Key> {
    vec![
        (
            "store",
            "The folder of the images",
            or(path(), "data/images"),
        ),
        (
            "retain",
            "How long images are kept; default: `retain` of [store]",
            duration(),
        ),
        (
            "link_ttl",
            "How long links to images work; default: `retain`",
            duration(),
        ),
        ("max_bytes", "The largest image", or(size(), "10MiB")),
        (
            "max_total",
            "The maximum size of all images together; the oldest are deleted first",
            or(size(), "20GiB"),
        ),
        (
            "wait",
            "How long a message waits for its images (critical ones at most 800ms); later images follow in a second message",
            or(duration(), "3s"),
        ),
        (
            "allow_hosts",
            "Hosts that images are fetched from, over https, on any port; `*.x.com` matches any depth below x.com",
            many(text()),
        ),
        (
            "allow_private_addresses",
            "Allows image hosts on your own network, also over http",
            or(boolean(), false),
        ),
    ]
}

fn templates() -> Vec<Key> {
    vec![
        (
            "dir",
            "A folder whose files override the built-in templates of the same name",
            path(),
        ),
        (
            "timezone",
            "The time zone of messages",
            or(time_zone(), "Asia/Shanghai"),
        ),
        (
            "locale",
            "The language of messages",
            or(word(["zh", "en"]), "zh"),
        ),
    ]
}

fn app_names() -> Value {
    json!({
        "type": "object",
        "propertyNames": { "pattern": "^cli_[0-9A-Za-z]+$" },
        "additionalProperties": text(),
    })
}

fn mention() -> Value {
    let keys = vec![
        (
            "feishu",
            "Open ids `ou_…` or e-mail addresses",
            many(text()),
        ),
        (
            "slack",
            "User ids `U…` or `W…`, or user group ids `S…`",
            many(text()),
        ),
    ];
    table("A person or a group that can be mentioned", keys)
}

fn app() -> Value {
    let app = table(
        "A Feishu or Lark app whose events the relay receives",
        vec![
            ("app_id", "The app's id, `cli_…`", text()),
            (
                "receive",
                "How events are received: `webhook` needs a key or a token and a public address; `websocket`, the long connection, needs only the secret",
                or(word(["webhook", "websocket"]), "webhook"),
            ),
            (
                "encrypt_key",
                "The app's Encrypt Key; a list during a rotation",
                many(secret()),
            ),
            (
                "verification_token",
                "The app's Verification Token; a list during a rotation",
                many(secret()),
            ),
            (
                "app_secret",
                "The app's App Secret: for the long connection, images, the app's own bot, buttons and backfill",
                secret(),
            ),
            (
                "platform",
                "The app's platform",
                or(word(["feishu", "lark"]), "feishu"),
            ),
            (
                "base_url",
                "The base URL of the open API, for a private deployment",
                url(),
            ),
            (
                "feedback_timezone",
                "The time zone of its feedback, whose times have none",
                or(time_zone(), "+08:00"),
            ),
            (
                "backfill",
                "The interval for fetching feedback that was never pushed, if there is an app_secret; \"off\": never",
                or(often(), "1h"),
            ),
        ],
    );
    needing(app, &["app_id"])
}
