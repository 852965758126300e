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
            "Files with more [[rules]], [[tests]], [lists], [mentions] and [destinations], taken in name order after the ones here",
            many(text()),
        ),
        section("server", "Where the relay listens", server()),
        section("network", "How the relay reaches out", network()),
        section("log", "What is logged, on stderr", log()),
        section("operator", "Who runs the relay", operator()),
        section("store", "The store", store()),
        section("images", "Pictures of reports", images()),
        section("templates", "How messages look", templates()),
        (
            "app_names",
            "Names by app ids, for apps that feedback can be about and that are not in [apps]",
            app_names(),
        ),
        (
            "mentions",
            "Names for people, for `mention` in rules; \"all\" is everyone",
            named(mention()),
        ),
        (
            "lists",
            "Words that rules share: in `match` and `except`, \"@name\" stands for all words of a list",
            named(many(rules::word_of_list())),
        ),
        (
            "apps",
            "Feishu or Lark apps whose events come in",
            named(app()),
        ),
        (
            "destinations",
            "Where messages go",
            named(destinations::one()),
        ),
        (
            "rules",
            "Who hears of what: from top to bottom, and the first match ends it unless `continue = true`",
            list_of(rules::rule()),
        ),
        (
            "tests",
            "What the rules must make of events; `check` runs them, `serve` does not read them",
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
            "Where everything is served",
            or(address(), "127.0.0.1:8787"),
        ),
        (
            "admin_listen",
            "If set, /metrics and /status are served here instead",
            address(),
        ),
        ("public_url", "How chats reach the pictures", url()),
        (
            "max_body",
            "The largest body of an event, on the wire",
            or(size(), "1MiB"),
        ),
        (
            "max_connections",
            "How many connections at once",
            or(whole(), 4096),
        ),
        (
            "shutdown_grace",
            "How long a stop may take",
            or(duration(), "20s"),
        ),
        (
            "allow_empty",
            "Takes a configuration without an app, and a reload that takes away every rule, every destination or one for which messages wait",
            or(boolean(), false),
        ),
    ]
}

fn log() -> Vec<Key> {
    let levels = word(["error", "warn", "info", "debug", "trace"]);
    vec![
        ("level", "From which level on", or(levels, "info")),
        (
            "format",
            "For people or for programs",
            or(word(["text", "json"]), "text"),
        ),
    ]
}

fn network() -> Vec<Key> {
    let meaning = "An HTTP proxy for everything that goes out, but for hosts of `NO_PROXY`. Else `HTTPS_PROXY` and \
                   `HTTP_PROXY` count. A destination's own `proxy` wins";
    vec![("proxy", meaning, secret())]
}

fn operator() -> Vec<Key> {
    let meaning = "The destination that is told what stopped, died, is in danger or was refused";
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
            "The folder where pictures are kept",
            or(path(), "data/images"),
        ),
        (
            "retain",
            "How long they are kept; default: as the store",
            duration(),
        ),
        (
            "link_ttl",
            "How long links to them work; default: as `retain`",
            duration(),
        ),
        ("max_bytes", "The largest picture", or(size(), "10MiB")),
        (
            "max_total",
            "All pictures together; the oldest go first",
            or(size(), "20GiB"),
        ),
        (
            "wait",
            "How long a message waits for its pictures (critical ones at most 800ms); late ones follow it",
            or(duration(), "3s"),
        ),
        (
            "allow_hosts",
            "Hosts that pictures are fetched from, by https, on any port; `*.x.com` is any depth below x.com",
            many(text()),
        ),
        (
            "allow_private_addresses",
            "True only where the image host is on your own network; then http too",
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
            "The zone of times that people are shown",
            or(time_zone(), "Asia/Shanghai"),
        ),
        (
            "locale",
            "The language people are shown",
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
            "User ids `U…` or `W…`, or user groups' ids `S…`",
            many(text()),
        ),
    ];
    table("A person or a group, where they can be mentioned", keys)
}

fn app() -> Value {
    let app = table(
        "A Feishu or Lark app whose events come in",
        vec![
            ("app_id", "Its id, `cli_…`", text()),
            (
                "receive",
                "`webhook` needs a key or a token and a public address; `websocket`, the long connection, only the secret",
                or(word(["webhook", "websocket"]), "webhook"),
            ),
            (
                "encrypt_key",
                "Its Encrypt Key; a list while one is rotated",
                many(secret()),
            ),
            (
                "verification_token",
                "Its Verification Token; a list while one is rotated",
                many(secret()),
            ),
            (
                "app_secret",
                "Its App Secret: for the long connection, pictures, its own bot, buttons and backfill",
                secret(),
            ),
            (
                "platform",
                "Which platform it is on",
                or(word(["feishu", "lark"]), "feishu"),
            ),
            ("base_url", "The open API, for a private deployment", url()),
            (
                "feedback_timezone",
                "The zone of the times in its feedback, which carry none",
                or(time_zone(), "+08:00"),
            ),
            (
                "backfill",
                "How often to ask for feedback that was never pushed, where there is an app_secret; \"off\": never",
                or(often(), "1h"),
            ),
        ],
    );
    needing(app, &["app_id"])
}
