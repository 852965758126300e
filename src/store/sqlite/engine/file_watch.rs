//! Compares the open files of this process with the files at their paths.
//!
//! SQLite in WAL mode keeps writing to a file that was removed, moved or replaced, and reports success.
//! The next process does not see such commits. So events are acknowledged only after this comparison.
//!
//! The same file may also be emptied or overwritten (`: > relay.db-wal`). Detected are an empty database and
//! a log that lacks its header.
//!
//! Only the files' metadata is read, and the log; no file is opened. Closing any descriptor of the database
//! would drop SQLite's locks (`fcntl(2)`, "record locks"). SQLite does not lock the log file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::files;
use crate::store::StoreError;

/// The smallest page of a database, in bytes. An open database has at least one page, because the first
/// page records the WAL mode.
const PAGE_BYTES_MIN: u64 = 512;

/// The first bytes of a log; the lowest bit is the byte order of its checksums. Source: SQLite's "WAL-mode
/// File Format".
const LOG_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

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
    /// Checks that the path still leads to this file, and returns its metadata. Returns the reason if not.
    fn check(&self) -> Result<Metadata, String> {
        let path = self.path.display();
        match std::fs::metadata(&self.path) {
            Ok(found) if FileId::of(&found) == self.id => Ok(found),
            Ok(_another) => Err(format!("{path} is not the file that the relay has open")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("{path} was removed or moved away"))
            }
            Err(error) => Err(format!("cannot read the metadata of {path}: {error}")),
        }
    }
}

/// The log of the writer's connection.
#[derive(Debug, Default)]
struct Log {
    /// The log and its index.
    files: Vec<OpenedFile>,
    /// The log; `None` before the first connection.
    opened: Option<Arc<File>>,
}

impl Log {
    /// Checks that the log is empty or begins like a log. SQLite writes each commit at its offset. So if
    /// another program has emptied the log, it begins with a hole after the next commit, and the next
    /// process ignores all of it.
    fn check_header(&self) -> Result<(), String> {
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        let mut start = [0; 4];
        match opened.read_at(&mut start, 0) {
            Ok(0) => Ok(()),
            Ok(_) if LOG_MAGIC.contains(&start) => Ok(()),
            Ok(_) => Err("the log (-wal) was emptied or overwritten by another program".into()),
            Err(error) => Err(format!("cannot read the log (-wal): {error}")),
        }
    }
}

/// The files of an open store.
#[derive(Debug)]
pub(in crate::store::sqlite) struct FileWatch {
    database: OpenedFile,
    lock: Option<OpenedFile>,
    /// SQLite may recreate these files with a new connection.
    log: Mutex<Log>,
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
    pub(in crate::store::sqlite) fn set_log(&self, path: &Path, log: &Arc<File>) -> io::Result<()> {
        let mut files = vec![OpenedFile {
            path: files::beside(path, "-wal"),
            id: FileId::of(&log.metadata()?),
        }];
        let index = files::beside(path, "-shm");
        if let Ok(found) = std::fs::metadata(&index) {
            files.push(OpenedFile {
                path: index,
                id: FileId::of(&found),
            });
        }
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Log {
            files,
            opened: Some(Arc::clone(log)),
        };
        Ok(())
    }

    /// Checks that the path still leads to the database opened first, and that it was not emptied.
    pub(in crate::store::sqlite) fn check_database(&self) -> Result<(), StoreError> {
        let found = self.database.check().map_err(|what| out_of_place(&what))?;
        if found.len() < PAGE_BYTES_MIN {
            let path = self.database.path.display();
            return Err(out_of_place(&format!(
                "{path} was emptied by another program"
            )));
        }
        Ok(())
    }

    /// Checks that the log was not emptied or overwritten. Otherwise moving it would damage the database.
    pub(in crate::store::sqlite) fn check_log(&self) -> Result<(), StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.check_header().map_err(|what| out_of_place(&what))
    }

    /// Checks that all files are where they were opened, and were not emptied.
    pub(in crate::store::sqlite) fn check(&self) -> Result<(), StoreError> {
        self.check_database()?;
        self.check_log()?;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for file in self.lock.iter().chain(&log.files) {
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
