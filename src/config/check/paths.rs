//! Rejects paths that a shell or a URL would read differently from the file system.

use std::path::{Path, PathBuf};

use crate::archive::ArchiveLocation;
use crate::store::StoreLocation;

/// The relay's own files and folders, which nothing else may write to.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnFiles<'a> {
    /// The database.
    pub(super) store: &'a Path,
    /// The folder of images.
    pub(super) images: &'a Path,
    /// The configuration.
    pub(super) config: &'a Path,
}

impl<'a> OwnFiles<'a> {
    /// Collects the database, the folder of images and the configuration.
    pub(super) fn new(
        store: &'a StoreLocation,
        images: &'a ArchiveLocation,
        config: &'a Path,
    ) -> Self {
        let StoreLocation::Sqlite(store) = store;
        let ArchiveLocation::Folder(images) = images;
        Self {
            store,
            images,
            config,
        }
    }

    /// Returns the part of the relay that `path` belongs to, if any. Symbolic links are resolved.
    pub(super) fn owner(&self, path: &Path) -> Option<&'static str> {
        let path = real(path);
        let store = real(self.store);
        let beside = |suffix: &str| {
            let mut name = store.clone().into_os_string();
            name.push(suffix);
            path == Path::new(&name)
        };
        if ["", "-wal", "-shm", ".lock"].into_iter().any(beside) {
            Some("database")
        } else if path.starts_with(real(self.images)) {
            Some("folder of images")
        } else if path == real(self.config) {
            Some("configuration")
        } else {
            None
        }
    }
}

/// Returns the path with symbolic links resolved, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let whole = path.canonicalize().ok();
    let in_folder = || {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    whole.or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

/// Checks that a path names exactly one file. Fails if a shell or a database URL would read it differently.
pub(super) fn plain(path: &str) -> Result<(), &'static str> {
    if path == "~" || path.starts_with('~') && path.contains('/') {
        return Err("`~` is not expanded: write the whole path of the home folder");
    }
    if has_variable(path) {
        return Err("a variable is written `${NAME}`");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err("backslashes and control characters would be part of the file name");
    }
    if matches!(path.rsplit('/').next(), Some("." | "..")) {
        return Err("it is a folder");
    }
    if path.contains('?') {
        return Err("options after a `?` are not supported");
    }
    if path.starts_with("file:") {
        return Err("a path has no URL scheme");
    }
    if has_escape(path) {
        return Err("`%` and two digits would be part of the file name");
    }
    if path.trim() != path {
        return Err("there is white space around the path");
    }
    Ok(())
}

/// Returns whether the path contains a variable as a shell writes it: `$HOME`, or `%HOME%`.
fn has_variable(path: &str) -> bool {
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let mut dollars = path.split('$').skip(1);
    let mut percents = path.split('%').skip(1);
    dollars.any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_'))
        || path.matches('%').count() > 1 && percents.any(is_name)
}

/// Returns whether the path contains a URL escape like `%20`.
fn has_escape(path: &str) -> bool {
    let mut parts = path.split('%').skip(1);
    parts.any(|rest| {
        let mut digits = rest.chars().take(2);
        let hex = |digit: Option<char>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
        hex(digits.next()) && hex(digits.next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_the_file_of_that_name_or_is_refused() {
        for good in [
            "data/relay.db",
            "/var/lib/a b.db",
            "100%",
            "~user.db",
            "50% of it",
        ] {
            assert_eq!(plain(good), Ok(()), "{good}");
        }
        for bad in [
            "data/relay.db?mode=rwc",
            "~/relay.db",
            "my%20relay.db",
            "file:relay.db",
            " a.db",
            "~root/x.db",
            "$HOME/r.db",
            "%HOME%/r.db",
            "data\\relay.db",
            "data/a\nb.db",
            "data/.",
            "data/..",
        ] {
            assert!(plain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_of_the_relay_are_recognised_through_links() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("data/images")).unwrap();
        std::fs::write(at("relay.toml"), "").unwrap();
        std::os::unix::fs::symlink(at("data"), at("link")).unwrap();
        let own = OwnFiles {
            store: &at("data/relay.db"),
            images: &at("data/images"),
            config: &at("relay.toml"),
        };
        for (name, owner) in [
            ("data/relay.db", Some("database")),
            ("link/relay.db-wal", Some("database")),
            ("data/relay.db.lock", Some("database")),
            ("link/images/x", Some("folder of images")),
            ("data/../relay.toml", Some("configuration")),
            ("data/out.jsonl", None),
            ("data/relay.db.jsonl", None),
        ] {
            assert_eq!(own.owner(&at(name)), owner, "{name}");
        }
    }
}
