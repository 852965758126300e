//! The inputs of every check.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::Needs;

/// The inputs of every check.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The configuration file.
    pub(super) file: &'a Path,
    /// Its text.
    pub(super) source: &'a str,
    /// Where strings start that contained `${…}`.
    pub(super) expanded: HashSet<usize>,
    /// The environment variables.
    pub(super) environment: &'a BTreeMap<String, String>,
    /// Which values the command needs.
    pub(super) needs: Needs,
}

impl Context<'_> {
    /// Resolves a path relative to the configuration file's folder.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        folder.join(written)
    }
}
