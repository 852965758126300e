//! Replaces values that a command does not need, so that the rest of the configuration can be read.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Secret keys of an app.
const APP: &[&str] = &["encrypt_key", "verification_token", "app_secret"];
/// Secret keys of a destination. A URL is a secret, because whoever knows it can post.
const DESTINATION: &[&str] = &["url", "secret", "token", "signing_secret", "proxy"];

/// Replaces every secret, set or not, so that none is read.
pub(super) fn for_secrets(top: &mut DeTable<'_>) {
    each(top, "apps", |app| replace(app, APP));
    each(top, "destinations", |destination| {
        replace(destination, DESTINATION);
        if let Some(DeValue::Table(headers)) = destination.get_mut("headers").map(Spanned::get_mut)
        {
            for value in headers.iter_mut().map(|(_, value)| value) {
                *value.get_mut() = DeValue::String("unset".into());
            }
        }
    });
    if let Some(DeValue::Table(network)) = top.get_mut("network").map(Spanned::get_mut) {
        replace(network, &["proxy"]);
    }
}

fn each<'i>(top: &mut DeTable<'i>, section: &str, edit: impl Fn(&mut DeTable<'i>)) {
    let Some(DeValue::Table(entries)) = top.get_mut(section).map(Spanned::get_mut) else {
        return;
    };
    for entry in entries.iter_mut().map(|(_, entry)| entry) {
        if let DeValue::Table(entry) = entry.get_mut() {
            edit(entry);
        }
    }
}

fn replace(entry: &mut DeTable<'_>, keys: &[&str]) {
    for key in keys {
        if let (Some(value), Some(text)) = (entry.get_mut(*key), of_key(key)) {
            *value.get_mut() = DeValue::String(text.into());
        }
    }
}

/// Returns a valid text for the key at `path`; `None` if the written value can stay.
pub(super) fn of_path(path: &str) -> Option<&'static str> {
    let key = path.rsplit('.').next().unwrap_or(path);
    of_key(key.split('[').next().unwrap_or(key))
}

/// Returns whether the value at `path` is an id, a secret or a URL, which have no blanks.
pub(super) fn is_token(path: &str) -> bool {
    let sections = ["apps.", "destinations.", "network.", "server."];
    sections.iter().any(|section| path.starts_with(section)) && of_path(path).is_some()
}

/// Returns whether the value at `path` is a header of a webhook.
pub(super) fn is_header(path: &str) -> bool {
    path.starts_with("destinations.") && path.split('.').nth(2) == Some("headers")
}

fn of_key(key: &str) -> Option<&'static str> {
    Some(match key {
        "url" | "base_url" | "public_url" => "https://unset.invalid",
        "proxy" => "http://unset.invalid",
        "secret" => "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "token" => "xoxb-unset",
        "encrypt_key" | "verification_token" | "app_secret" | "signing_secret" => "unset",
        "chat_id" => "oc_unset",
        "user" => "ou_unset",
        "channel" => "C000000000",
        _ => return None,
    })
}
