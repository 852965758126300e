//! Compares the files that this process has open with the files at their paths.
//!
//! SQLite in WAL mode goes on writing to a file that was removed, moved or replaced, and reports success. Whatever is
//! committed then is gone for the next process. So nothing is acknowledged before this comparison.
//!
//! The files are only looked at, never opened: closing any descriptor of the database would drop SQLite's locks
//! (`fcntl(2)`, "record locks").

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::files;
use crate::store::StoreError;

/// Which file it is, whatever its name is now.
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

/// A file that is open, and the path where it was found.
#[derive(Debug)]
struct OpenedFile {
    path: PathBuf,
    id: FileId,
}

impl OpenedFile {
    /// Fails unless the path still leads to this file. Says why not.
    fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(found) if FileId::of(&found) == self.id => Ok(()),
            Ok(_another) => Err(format!("{path} is not the file that the relay has open")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("{path} was removed or moved away"))
            }
            Err(error) => Err(format!("{path} cannot be looked at: {error}")),
        }
    }
}

/// The files of an open store.
#[derive(Debug)]
pub(in crate::store::sqlite) struct FileWatch {
    database: OpenedFile,
    lock: Option<OpenedFile>,
    /// The log and its index, which SQLite makes anew with a new connection.
    log: Mutex<Vec<OpenedFile>>,
}

impl FileWatch {
    /// Watches the database that was opened as `typed`, and its lock file. `typed` may be a symbolic link.
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

    /// Watches the log of a new connection to the database at `path`, too.
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

    /// Fails unless the path still leads to the database that was opened first.
    pub(in crate::store::sqlite) fn check_database(&self) -> Result<(), StoreError> {
        self.database.check().map_err(|what| out_of_place(&what))
    }

    /// Fails unless all files are where they were opened.
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
