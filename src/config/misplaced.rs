//! Reports keys that TOML assigns to another table than the author meant.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::SECTIONS;
use crate::toml_reader::{Diagnostics, Location, codes, from_environment};

/// Sections whose keys are names that the user chooses.
const NAMED: &[&str] = &["app_names", "mentions", "lists", "apps", "destinations"];

/// Reports `server.admin_listen = …` or `include = …` below a table header, where TOML assigns it to that table, and
/// removes it.
pub(super) fn take_out(top: &mut DeTable<'_>, out: &mut Diagnostics) {
    for (key, value) in top.iter_mut() {
        let at = Location::default().key(key.get_ref(), value.span());
        below(value, &at, out);
    }
}

fn below(value: &mut Spanned<DeValue<'_>>, at: &Location, out: &mut Diagnostics) {
    match value.get_mut() {
        DeValue::Table(table) => in_table(table, at, out),
        DeValue::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let at = at.index(index, item.span());
                below(item, &at, out);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
}

fn in_table(table: &mut DeTable<'_>, at: &Location, out: &mut Diagnostics) {
    let mut strangers = Vec::new();
    for (key, value) in table.iter_mut() {
        let place = at.key(key.get_ref(), key.span());
        match Misplaced::find(key.get_ref(), value.get_ref(), &at.path) {
            Some(misplaced) if !from_environment(&key.span()) => {
                misplaced.report(&at.path, &place, out);
                strangers.push(key.clone());
            }
            Some(_) | None => below(value, &place, out),
        }
    }
    for key in strangers {
        table.remove(&key);
    }
}

/// A key of the top level that is below a table header.
struct Misplaced {
    /// The key as it is written.
    written: String,
    /// The same key under its own table header; `None` if that is impossible.
    instead: Option<String>,
}

impl Misplaced {
    /// Returns the key of the top level that `name` in the table `within` was meant to be.
    fn find(name: &str, value: &DeValue<'_>, within: &str) -> Option<Self> {
        if let Some(key) = section_key(name, value) {
            return Some(Self {
                written: format!("{name}.{key}"),
                instead: Some(format!("`{key} = …` below [{name}]")),
            });
        }
        let is_named = NAMED.contains(&name) && !has_chosen_tables(within);
        match value {
            DeValue::Table(table) if is_named => {
                let key = table.keys().next()?.get_ref();
                let is_entry = matches!(name, "apps" | "destinations");
                Some(Self {
                    written: format!("{name}.{key}"),
                    instead: Some(match is_entry {
                        true => format!("its keys below [{name}.{key}]"),
                        false => format!("`{key} = …` below [{name}]"),
                    }),
                })
            }
            DeValue::String(_) | DeValue::Array(_)
                if name == "include" && !has_chosen_keys(within) =>
            {
                Some(Self {
                    written: name.to_owned(),
                    instead: None,
                })
            }
            _ => None,
        }
    }

    fn report(&self, within: &str, at: &Location, out: &mut Diagnostics) {
        let message = format!(
            "`{}` is below a table header, so TOML reads it as a key of `{within}`",
            self.written
        );
        let above = "write it above the first [table] of the file";
        let help = match &self.instead {
            Some(instead) => format!("{above}, or {instead}"),
            None => above.to_owned(),
        };
        out.add_with_help(codes::UNKNOWN_KEY, at, message, help);
    }
}

/// Returns whether the user chooses the names of tables in the table at `path`.
fn has_chosen_tables(path: &str) -> bool {
    matches!(path, "mentions" | "apps" | "destinations")
}

/// Returns whether the user chooses the keys of the table at `path`.
fn has_chosen_keys(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    has_chosen_tables(path) || matches!(last, "lists" | "app_names" | "labels" | "headers" | "with")
}

/// Returns the first key of `value`, if all its keys belong to the section `name`.
fn section_key(name: &str, value: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = value else {
        return None;
    };
    let section = SECTIONS.iter().find(|section| section.name == name)?;
    let first = table.keys().next()?;
    let all_known = table.keys().all(|key| section.has(key.get_ref()));
    all_known.then(|| first.get_ref().to_string())
}

/// Returns the section that has a key of this name, if it is the only one.
pub(super) fn section_of(key: &str) -> Option<&'static str> {
    // Apps and destinations have these keys too.
    if ENTRY_KEYS.contains(&key) || matches!(key, "locale" | "timezone") {
        return None;
    }
    let mut sections = SECTIONS.iter().filter(|section| section.has(key));
    match (sections.next(), sections.next()) {
        (Some(section), None) => Some(section.name),
        _ => None,
    }
}

/// Returns the variable that `name` was probably meant to be: `RELAY__SERVER__LISTEN` for `RELAY_SERVER_LISTEN`.
pub(super) fn variable(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let start = ["FEEDBACK_RELAY_", "RELAY_"];
    let rest = start.iter().find_map(|start| upper.strip_prefix(start))?;
    let rest = rest.trim_start_matches('_').to_lowercase();
    let of_section = SECTIONS.iter().find_map(|section| {
        let key = rest.strip_prefix(section.name)?.strip_prefix('_')?;
        let key = key.trim_start_matches('_');
        section.has(key).then(|| format!("{}__{key}", section.name))
    });
    let of_entry = || {
        ["apps", "destinations"].iter().find_map(|section| {
            let entry = rest.strip_prefix(section)?.strip_prefix('_')?;
            let entry = entry.trim_start_matches('_');
            let (name, key) = ENTRY_KEYS.iter().find_map(|key| {
                let name = entry.strip_suffix(key)?.trim_end_matches('_');
                (!name.is_empty() && entry.len() > name.len() + key.len()).then_some((name, key))
            })?;
            Some(format!("{section}__{name}__{key}"))
        })
    };
    let meant = of_section.or_else(of_entry)?;
    let meant = format!("RELAY__{}", meant.to_uppercase());
    (meant != name).then_some(meant)
}

/// Keys of apps and destinations that are often set by variables. A key that ends in another comes before it.
const ENTRY_KEYS: &[&str] = &[
    "verification_token",
    "signing_secret",
    "encrypt_key",
    "app_secret",
    "app_id",
    "base_url",
    "chat_id",
    "channel",
    "secret",
    "token",
    "proxy",
    "url",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_that_is_nearly_right_is_known() {
        for (name, meant) in [
            ("RELAY_SERVER_LISTEN", Some("RELAY__SERVER__LISTEN")),
            ("RELAY__SERVER_LISTEN", Some("RELAY__SERVER__LISTEN")),
            ("RELAY_SERVER__LISTEN", Some("RELAY__SERVER__LISTEN")),
            ("relay__server__listen", Some("RELAY__SERVER__LISTEN")),
            ("FEEDBACK_RELAY_LOG_LEVEL", Some("RELAY__LOG__LEVEL")),
            (
                "FEEDBACK_RELAY__IMAGES__MAX_BYTES",
                Some("RELAY__IMAGES__MAX_BYTES"),
            ),
            (
                "RELAY_APPS_MY_SHOP_APP_SECRET",
                Some("RELAY__APPS__MY_SHOP__APP_SECRET"),
            ),
            (
                "RELAY_DESTINATIONS_OPS_URL",
                Some("RELAY__DESTINATIONS__OPS__URL"),
            ),
            ("RELAY__SERVER__LISTEN", None),
            // Kubernetes sets these for a service called `relay` or `relay-server`.
            ("RELAY_SERVER_PORT", None),
            ("RELAY_SERVER_SERVICE_HOST", None),
            ("RELAY_PORT_8787_TCP", None),
            ("PATH", None),
        ] {
            assert_eq!(variable(name).as_deref(), meant, "{name}");
        }
    }

    #[test]
    fn key_of_one_section_leads_there() {
        assert_eq!(section_of("admin_listen"), Some("server"));
        assert_eq!(section_of("retain"), None, "two sections have it");
        assert_eq!(section_of("url"), None, "destinations have it");
        assert_eq!(section_of("nonsense"), None);
    }
}
