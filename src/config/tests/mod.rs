//! Tests of whole files, through [`load`].

mod complaints;
mod connections;
mod environment;
mod included;
mod needs;
mod reload;
mod rule_tests;
mod samples;
mod secrets;
mod single;
mod types;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Config, Loaded, load_with_tests};

/// A folder with a `relay.toml` and the other files of a test.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new(relay: impl AsRef<[u8]>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.with("relay.toml", relay)
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, variables: &[(&str, &str)]) -> Loaded {
        load_with_tests(&self.path("relay.toml"), &environment(variables))
    }

    /// Returns the report without this folder's name.
    pub(super) fn report(&self, variables: &[(&str, &str)]) -> String {
        let folder = format!("{}/", self.0.path().display());
        self.load(variables).report().replace(&folder, "")
    }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Returns the configuration of a text without errors.
#[track_caller]
fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    let mut variables = variables.to_vec();
    if !text.contains("[apps") {
        variables.push(("RELAY__SERVER__ALLOW_EMPTY", "true"));
    }
    let loaded = Folder::new(text).load(&variables);
    let report = loaded.report();
    loaded.config.unwrap_or_else(|| panic!("{report}"))
}
