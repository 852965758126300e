//! Checks names and the sections that define them: `[app_names]`, `[mentions]`, template files.

use std::collections::BTreeMap;

use toml::Spanned;

use super::known_urls;
use crate::config::keys::RawMention;
use crate::config::section::{self, check_name};
use crate::render::Mention;
use crate::toml_reader::{Diagnostics, Location, Table, codes, elements};

/// The longest name of an app, in characters.
const APP_NAME_CHARS_MAX: usize = 64;

pub(super) fn check_app_id(id: &str, at: &Location, out: &mut Diagnostics) {
    let rest = id.strip_prefix("cli_").unwrap_or_default();
    if known_urls::stands_in(rest) {
        let message = "this app id is a placeholder that was not replaced";
        let help = "Feishu's console shows it under Credentials & Basic Info";
        return out.add_with_help(codes::PLACEHOLDER, at, message, help);
    }
    if rest.is_empty() || !rest.chars().all(|c| c.is_ascii_alphanumeric()) {
        let message = "not an app id: it is `cli_` and letters and digits";
        let help = "Feishu's console shows it under Credentials & Basic Info";
        out.add_with_help(codes::BAD_APP_ID, at, message, help);
    }
}

/// Checks `[app_names]`: names by app id.
pub(super) fn app_names(section: Table, out: &mut Diagnostics) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let at = section.at;
    for (id, name) in section.entries {
        let place = at.key(id.get_ref(), name.span.clone());
        check_app_id(id.get_ref(), &at.key(id.get_ref(), id.span()), out);
        match name.text() {
            Some(text) if !text.trim().is_empty() && text.chars().count() <= APP_NAME_CHARS_MAX => {
                names.insert(id.get_ref().to_string(), text.to_owned());
            }
            Some(_) => {
                let message = "a name has from 1 to 64 characters";
                out.add(codes::WRONG_VALUE, &place, message);
            }
            None => out.wrong_type(&place, "a string", &name),
        }
    }
    names
}

/// Checks `[mentions]`.
pub(super) fn mentions(section: Table, out: &mut Diagnostics) -> BTreeMap<String, Mention> {
    let mut mentions = BTreeMap::new();
    for (name, entry) in section.tables(out) {
        let at = entry.at.clone();
        check_name(&name, &at, out);
        if name.get_ref() == "all" {
            let message = "`all` is reserved for everyone in the chat";
            out.add(codes::NAME_TAKEN, &at, message);
        }
        let raw: RawMention = section::read(entry, out);
        if raw.feishu.is_none() && raw.slack.is_none() && !out.concern(&at.path) {
            let message = format!("`{}` names nobody", at.path);
            let help = "write feishu = [\"ou_…\"] or slack = [\"U…\"], or both";
            out.add_with_help(codes::MISSING_KEY, &at, message, help);
        }
        let feishu = elements(raw.feishu);
        let slack = elements(raw.slack);
        let person = Mention::Person {
            name: name.get_ref().clone(),
            feishu: people(feishu, &at, "feishu", is_feishu, out),
            slack: people(slack, &at, "slack", is_slack, out),
        };
        mentions.insert(name.into_inner(), person);
    }
    mentions
}

fn people(
    written: Vec<Spanned<String>>,
    at: &Location,
    key: &str,
    is_one: fn(&str) -> bool,
    out: &mut Diagnostics,
) -> Vec<String> {
    for one in &written {
        if !is_one(one.get_ref()) {
            let help = match key {
                "feishu" => "write an open id `ou_…` or an e-mail address",
                _ => "write a user's id `U…` or `W…`, or a user group's `S…`",
            };
            let message = format!("not a person that {key} can mention");
            out.add_with_help(codes::BAD_MENTION, &at.key(key, one.span()), message, help);
        }
    }
    written.into_iter().map(Spanned::into_inner).collect()
}

/// Returns whether `id` is an open id or an e-mail address. Anything else could close the tag that a card puts it
/// in.
fn is_feishu(id: &str) -> bool {
    let word = |text: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
        !text.is_empty() && text.chars().all(letter)
    };
    match id.split_once('@') {
        Some((user, host)) => word(user) && word(host) && host.contains('.'),
        None => id.strip_prefix("ou_").is_some_and(word),
    }
}

fn is_slack(id: &str) -> bool {
    id.strip_prefix(['U', 'W', 'S'])
        .is_some_and(|rest| rest.len() >= 4 && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}
