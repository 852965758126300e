//! Replaces values that a command does not need, so that the rest of the configuration can be read.

use std::hash::{DefaultHasher, Hash, Hasher};

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
        let Some(value) = entry.get_mut(*key) else {
            continue;
        };
        if let Some(text) = of_key(key, value.get_ref().as_str().unwrap_or_default()) {
            *value.get_mut() = DeValue::String(text.into());
        }
    }
}

/// Returns a valid text for the key at `path`, in place of `written`; `None` if that can stay.
pub(super) fn of_path(path: &str, written: &str) -> Option<String> {
    let key = path.rsplit('.').next().unwrap_or(path);
    of_key(key.split('[').next().unwrap_or(key), written)
}

/// Returns whether the value at `path` is an id, a secret or a URL, which have no blanks.
pub(super) fn is_token(path: &str) -> bool {
    let sections = ["apps.", "destinations.", "network.", "server."];
    sections.iter().any(|section| path.starts_with(section)) && of_path(path, "").is_some()
}

/// Returns whether the value at `path` is a header of a webhook.
pub(super) fn is_header(path: &str) -> bool {
    path.starts_with("destinations.") && path.split('.').nth(2) == Some("headers")
}

/// Values that were written alike stay alike, and others differ: destinations at one place share its rate limits.
fn of_key(key: &str, written: &str) -> Option<String> {
    let mut hasher = DefaultHasher::new();
    written.hash(&mut hasher);
    let mark = hasher.finish();
    Some(match key {
        "url" => format!("https://unset.invalid/{mark:x}"),
        "base_url" | "public_url" => "https://unset.invalid".to_owned(),
        "proxy" => "http://unset.invalid".to_owned(),
        "secret" => "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
        "token" => format!("xoxb-unset-{mark:x}"),
        "encrypt_key" | "verification_token" | "app_secret" | "signing_secret" => {
            "unset".to_owned()
        }
        "chat_id" => format!("oc_unset{mark:x}"),
        "user" => format!("ou_unset{mark:x}"),
        "channel" => format!("C{mark:016X}"),
        _ => return None,
    })
}
