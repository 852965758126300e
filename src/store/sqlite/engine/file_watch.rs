//! Compares the open files of this process with the files at their paths.
//!
//! SQLite in WAL mode keeps writing to a file that was removed, moved or replaced, and reports success.
//! The next process does not see such commits. So events are acknowledged only after this comparison.
//!
//! Only the files' metadata is read; they are never opened. Closing any descriptor of the database would
//! drop SQLite's locks (`fcntl(2)`, "record locks").

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::files;
use crate::store::StoreError;

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(in crate::store::sqlite) fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
        }
    }
}

/// An open file and its path.
#[derive(Debug)]
struct OpenedFile {
    path: PathBuf,
    id: FileId,
}

impl OpenedFile {
    /// Checks that the path still leads to this file. Returns the reason if not.
    fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(found) if FileId::of(&found) == self.id => Ok(()),
            Ok(_another) => Err(format!("{path} is not the file that the relay has open")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("{path} was removed or moved away"))
            }
            Err(error) => Err(format!("cannot read the metadata of {path}: {error}")),
        }
    }
}

/// The files of an open store.
#[derive(Debug)]
pub(in crate::store::sqlite) struct FileWatch {
    database: OpenedFile,
    lock: Option<OpenedFile>,
    /// The log and its index. SQLite may recreate them with a new connection.
    log: Mutex<Vec<OpenedFile>>,
}

impl FileWatch {
    /// Watches the database that was opened as `typed`, and its lock file. `typed` may be a symbolic
    /// link.
    pub(in crate::store::sqlite) fn new(
        typed: &Path,
        database: FileId,
        lock: Option<(PathBuf, FileId)>,
    ) -> Self {
        Self {
            database: OpenedFile {
                path: typed.to_owned(),
                id: database,
            },
            lock: lock.map(|(path, id)| OpenedFile { path, id }),
            log: Mutex::default(),
        }
    }

    /// Also watches the log of a new connection to the database at `path`.
    pub(in crate::store::sqlite) fn set_log(&self, path: &Path, log: FileId) {
        let mut files = vec![OpenedFile {
            path: files::beside(path, "-wal"),
            id: log,
        }];
        let index = files::beside(path, "-shm");
        if let Ok(found) = std::fs::metadata(&index) {
            files.push(OpenedFile {
                path: index,
                id: FileId::of(&found),
            });
        }
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Checks that the path still leads to the database opened first.
    pub(in crate::store::sqlite) fn check_database(&self) -> Result<(), StoreError> {
        self.database.check().map_err(|what| out_of_place(&what))
    }

    /// Checks that all files are where they were opened.
    pub(in crate::store::sqlite) fn check(&self) -> Result<(), StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let files = std::iter::once(&self.database)
            .chain(&self.lock)
            .chain(log.iter());
        for file in files {
            file.check().map_err(|what| out_of_place(&what))?;
        }
        Ok(())
    }
}

fn out_of_place(what: &str) -> StoreError {
    StoreError::Unavailable(format!(
        "{what}; put the same file back, or stop the relay, restore the files and start it"
    ))
}
