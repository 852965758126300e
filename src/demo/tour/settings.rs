//! The relay's `relay.toml`, read again whenever the page or an editor changes it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::{self, Config};
use crate::model::Current;

/// The configuration file of the demo.
#[derive(Debug)]
pub(super) struct Settings {
    file: PathBuf,
    read: Mutex<Read>,
    /// The relay's active configuration.
    config: Current<Config>,
}

/// The file as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) text: String,
    /// The output of `check`; empty if there are no findings.
    pub(super) report: String,
    /// Whether the relay uses this version; otherwise it uses an older one.
    pub(super) in_force: bool,
    /// How often the file was read.
    pub(super) version: u64,
}

impl Settings {
    /// Reads the file, which must be valid.
    pub(super) fn open(file: PathBuf) -> io::Result<Self> {
        let text = std::fs::read_to_string(&file)?;
        let mut loaded = config::load(&file, &BTreeMap::new());
        let config = loaded.config.take();
        let config = config.ok_or_else(|| io::Error::other(loaded.report()))?;
        let read = Read {
            text,
            report: loaded.report(),
            in_force: true,
            version: 1,
        };
        Ok(Self {
            file,
            read: Mutex::new(read),
            config: Current::new(config),
        })
    }

    /// Returns the active configuration.
    pub(super) fn config(&self) -> Current<Config> {
        self.config.clone()
    }

    /// Returns the path of the file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the file as last read.
    pub(super) fn read(&self) -> Read {
        self.lock().clone()
    }

    /// Writes the file.
    pub(super) fn write(&self, text: &str) -> io::Result<()> {
        std::fs::write(&self.file, text)
    }

    /// Reads the file again. Returns whether it has changed.
    pub(super) fn look(&self) -> io::Result<bool> {
        let text = std::fs::read_to_string(&self.file)?;
        let mut read = self.lock();
        if text == read.text {
            return Ok(false);
        }
        // Like a relay at SIGHUP: either all changes apply or none.
        let mut loaded = config::load(&self.file, &BTreeMap::new());
        let config = loaded.config.take();
        *read = Read {
            text,
            report: loaded.report(),
            in_force: config.is_some(),
            version: read.version + 1,
        };
        if let Some(config) = config {
            self.config.set(config);
        }
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tour::folder::Folder;

    const GOOD: &str = "[apps.shop]\napp_id = \"cli_9f5343c580712544\"\nverification_token = { file = \"token\" }\n\
                        receive = \"webhook\"\n[destinations.here]\nkind = \"file\"\npath = \"here.jsonl\"\n\
                        [[rules]]\nname = \"all\"\nsend_to = \"here\"\n";

    #[test]
    fn invalid_configuration_is_reported_and_old_one_stays() {
        let folder = Folder::make().unwrap();
        folder.write("token", "x").unwrap();
        folder.write("relay.toml", GOOD).unwrap();
        let settings = Settings::open(folder.file("relay.toml")).unwrap();
        let rules = || settings.config().get().rules_written.len();
        let wrong = GOOD.replace("\"here\"\n", "\"there\"\n");
        settings.write(&wrong).unwrap();
        assert!(settings.look().unwrap());
        let saved = settings.read();
        assert!(
            !saved.in_force && saved.report.contains("did you mean \"here\"?"),
            "{saved:?}"
        );
        assert_eq!((rules(), saved.version), (1, 2));
        // Simulates a change by an editor.
        let more = format!("{GOOD}[[rules]]\nname = \"more\"\nsend_to = []\n");
        folder.write("relay.toml", &more).unwrap();
        assert!(settings.look().unwrap());
        assert!(settings.read().in_force);
        assert_eq!((rules(), settings.read().version), (2, 3));
        assert!(!settings.look().unwrap());
        assert_eq!(settings.read().version, 3, "nothing changed");
    }
}
