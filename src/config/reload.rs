//! Compares two configurations and describes what a reload changes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::Config;
use crate::model::AppName;

/// The differences of a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes that take effect immediately, e.g. `destination oncall-chat changed`.
    pub taken: Vec<String>,
    /// Keys whose new values take effect after a restart, e.g. `server.listen`.
    pub need_restart: Vec<&'static str>,
}

impl Changes {
    /// Returns whether there are no differences.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.need_restart.is_empty()
    }
}

/// Formats the changes as one line.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changed");
        }
        f.write_str(&self.taken.join(", "))?;
        if !self.need_restart.is_empty() {
            let between = if self.taken.is_empty() { "" } else { "; " };
            let keys = self.need_restart.join(", ");
            write!(f, "{between}after a restart only: {keys}")?;
        }
        Ok(())
    }
}

/// Returns why a reload from `old` to `new` is refused: it removes entries in use, as an emptied file does.
/// Deliveries that wait for a removed destination are not checked here; only the store knows them.
pub fn takes_away(old: &Config, new: &Config) -> Option<String> {
    if new.server.allow_empty {
        return None;
    }
    let files_gone = || {
        let before = old.included.matched.iter();
        let mut gone = before.filter(|(pattern, count)| {
            **count > 0 && new.included.matched.get(*pattern) == Some(&0)
        });
        gone.next().map(|(pattern, _)| pattern)
    };
    let file_emptied = || {
        let before = old.included.files.iter();
        let mut emptied = before.filter(|(file, had_content)| {
            **had_content && new.included.files.get(*file) == Some(&false)
        });
        emptied.next().map(|(file, _)| file.display())
    };
    let lost = if new.apps.is_empty() && !old.apps.is_empty() {
        "it has no apps any more".to_owned()
    } else if new.destinations.is_empty() && !old.destinations.is_empty() {
        "it has no destinations any more".to_owned()
    } else if new.rules_written.is_empty() && !old.rules_written.is_empty() {
        "it has no rules any more".to_owned()
    } else if let Some(pattern) = files_gone() {
        format!("no file matches `include = {pattern:?}` any more")
    } else if let Some(file) = file_emptied() {
        format!("the included file {file} is empty")
    } else if new.templates_dir.is_some()
        && new.templates.sources().is_empty()
        && !old.templates.sources().is_empty()
    {
        "the templates folder is empty".to_owned()
    } else {
        return None;
    };
    Some(format!("{lost}; {FORCE}"))
}

/// Help: how to make the relay accept such a reload.
pub const FORCE: &str = "write `server.allow_empty = true` if this is meant";

/// Returns what is different in `new`. Contains names only, because some values are secrets.
pub fn changes(old: &Config, new: &Config) -> Changes {
    Changes {
        taken: taken(old, new),
        need_restart: need_restart(old, new),
    }
}

fn need_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        (old.server.listen != new.server.listen, "server.listen"),
        (
            old.server.admin_listen != new.server.admin_listen,
            "server.admin_listen",
        ),
        (
            old.server.max_connections != new.server.max_connections,
            "server.max_connections",
        ),
        (old.log.format != new.log.format, "log.format"),
        (old.store.location != new.store.location, "store.url"),
        (old.archive != new.archive, "images.store"),
    ]
    .into_iter()
    .filter_map(|(differs, key)| differs.then_some(key))
    .collect()
}

fn taken(old: &Config, new: &Config) -> Vec<String> {
    let mut taken = Vec::new();
    let mut section = |same: bool, name: &str| {
        if !same {
            taken.push(format!("{name} changed"));
        }
    };
    let mut server = new.server.clone();
    server.listen = old.server.listen;
    server.admin_listen = old.server.admin_listen;
    server.max_connections = old.server.max_connections;
    server.allow_empty = old.server.allow_empty;
    section(old.server == server, "server");
    section(old.proxies == new.proxies, "network");
    section(old.log.level == new.log.level, "log.level");
    section(old.notify == new.notify, "operator");
    section(old.store.retain == new.store.retain, "store.retain");
    section(old.images == new.images, "images");
    section(
        old.templates.sources() == new.templates.sources(),
        "templates",
    );
    section(old.app_names == new.app_names, "app names");
    section(old.mentions == new.mentions, "mentions");
    section(old.lists == new.lists, "lists");
    entries("app", &old.apps, &new.apps, &mut taken);
    // New and removed apps are already listed.
    let both = |app: &AppName| old.apps.contains_key(app) && new.apps.contains_key(app);
    let changed = old.apps.keys().filter(|app| both(app));
    let changed = changed.filter(|app| old.backfill.get(*app) != new.backfill.get(*app));
    taken.extend(changed.map(|app| format!("backfill of {app} changed")));
    entries(
        "destination",
        &old.destinations,
        &new.destinations,
        &mut taken,
    );
    rules(old, new, &mut taken);
    let digests = |config: &Config| -> BTreeMap<String, String> {
        let digests = config.digests.iter();
        digests
            .map(|one| (format!("{:?}", one.name), one.written.clone()))
            .collect()
    };
    entries("digest", &digests(old), &digests(new), &mut taken);
    taken
}

fn entries<K: Ord + fmt::Display, V: PartialEq>(
    what: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    taken: &mut Vec<String>,
) {
    for (name, value) in new {
        match old.get(name) {
            None => taken.push(format!("{what} {name} added")),
            Some(before) if before != value => taken.push(format!("{what} {name} changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(name));
    taken.extend(gone.map(|name| format!("{what} {name} removed")));
}

fn rules(old: &Config, new: &Config, taken: &mut Vec<String>) {
    let by_name = |config: &Config| -> BTreeMap<String, u64> {
        let rules = config.rules_written.iter();
        rules
            .map(|rule| (format!("{:?}", rule.name), rule.fingerprint))
            .collect()
    };
    entries("rule", &by_name(old), &by_name(new), taken);
    let order = |config: &Config, other: &Config| -> Vec<String> {
        let others: HashSet<&String> = other.rules_written.iter().map(|rule| &rule.name).collect();
        let in_both = |name: &String| others.contains(name);
        let names = config.rules_written.iter().map(|rule| rule.name.clone());
        names.filter(in_both).collect()
    };
    if order(old, new) != order(new, old) {
        taken.push("rules reordered".to_owned());
    }
}
