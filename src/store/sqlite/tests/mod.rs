//! Tests specific to the SQLite store: its file, its writing thread and its statements.

mod ids;
mod opening;
mod places;
mod plans;
mod reading;
mod writing;

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::store::conformance::{self, LEASE, TestDatabase};
use crate::store::{Settings, StoreLocation};

/// A database file in a folder of its own. Clones share it.
#[derive(Clone)]
pub(in crate::store) struct Folder(Arc<tempfile::TempDir>);

impl Folder {
    pub(in crate::store) fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("data/relay.db")
    }
}

impl TestDatabase for Folder {
    fn settings(&self) -> Settings {
        Settings {
            location: StoreLocation::Sqlite(self.file()),
            retain: Duration::from_secs(180 * 86_400),
        }
    }

    fn traces_of(&self, marker: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.file().parent().unwrap()).unwrap();
        files
            .map(|file| file.unwrap().path())
            .filter(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).contains(marker))
            .map(|file| file.display().to_string())
            .collect()
    }
}

/// The bench of the conformance tests, with its files.
struct Bench {
    bench: conformance::Bench,
    dir: Arc<tempfile::TempDir>,
}

impl Bench {
    fn new() -> Self {
        let folder = Folder::new();
        Self {
            bench: conformance::Bench::on(Box::new(folder.clone())),
            dir: folder.0,
        }
    }

    fn path(&self) -> PathBuf {
        Folder(Arc::clone(&self.dir)).file()
    }

    /// Returns the store's files that contain `marker`.
    fn files_with(&self, marker: &str) -> Vec<String> {
        self.traces_of(marker)
    }
}

impl Deref for Bench {
    type Target = conformance::Bench;

    fn deref(&self) -> &Self::Target {
        &self.bench
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.bench
    }
}

impl super::super::Store {
    /// Returns how often the readers were used.
    pub(crate) fn reads(&self) -> usize {
        let calls = &self.database.readers.calls;
        calls.load(std::sync::atomic::Ordering::SeqCst)
    }
}
