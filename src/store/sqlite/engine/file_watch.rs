//! Compares the open files of this process with the files at their paths.
//!
//! SQLite in WAL mode keeps writing to a file that was removed, moved or replaced, and reports success.
//! The next process does not see such commits. So events are acknowledged only after this comparison.
//!
//! The same file may also be emptied or overwritten (`: > relay.db-wal`, `cp backup.db relay.db`). Detected
//! are:
//!
//! - an empty database;
//! - a log without its header, or shorter than its index says;
//! - a database that was written without a checkpoint. In WAL mode only checkpoints write to it, of any
//!   process, and the index of the log shows them. A foreign write during a checkpoint is not detected.
//!
//! Of the database only the metadata is read, because closing any descriptor of it would drop SQLite's locks
//! (`fcntl(2)`, "record locks"). SQLite does not lock the log file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{self, FileId};
use super::log_index::{LogIndex, LogState};
use crate::store::StoreError;

/// The smallest page of a database, in bytes. An open database has at least one page, because the first
/// page records the WAL mode.
const PAGE_BYTES_MIN: u64 = 512;

/// The first bytes of a log; the lowest bit is the byte order of its checksums. Source: SQLite's "WAL-mode
/// File Format".
const LOG_MAGIC: [[u8; 4]; 2] = [[0x37, 0x7f, 0x06, 0x82], [0x37, 0x7f, 0x06, 0x83]];

const EMPTIED: &str = "the log (-wal) was emptied or overwritten by another program";

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

/// The metadata that every write to a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Version {
    fn of(file: &Metadata) -> Self {
        Self {
            bytes: file.len(),
            seconds: file.mtime(),
            nanoseconds: file.mtime_nsec(),
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
    /// The index and its identity; `None` before the first connection.
    index: Option<(LogIndex, FileId)>,
    /// The database at the latest comparison, and the log just before.
    seen: Option<(Version, LogState)>,
    /// Whether the database was written without a checkpoint. The connections have parts of both versions, so
    /// only a restart helps.
    overwritten: bool,
}

impl Log {
    fn state(&self) -> Option<LogState> {
        self.index.as_ref().and_then(|(index, _id)| index.state())
    }

    /// Compares the database with the latest comparison. `state` is the log's state before its metadata was
    /// read, so that a checkpoint which has begun meanwhile is known at the next comparison as well.
    fn compare(&mut self, found: &Metadata, state: Option<LogState>) {
        let Some(state) = state else { return };
        let version = Version::of(found);
        if let Some((before, log)) = self.seen
            && before != version
        {
            let now = self.state().unwrap_or(state);
            self.overwritten |= !now.is_moved_since(&log);
        }
        self.seen = Some((version, state));
    }

    fn check(&self) -> Result<(), String> {
        self.check_length()?;
        self.check_header()
    }

    /// Checks that the log has all pages that its index lists.
    fn check_length(&self) -> Result<(), String> {
        let (Some(opened), Some(before)) = (&self.opened, self.state()) else {
            return Ok(());
        };
        let found = opened
            .metadata()
            .map_err(|error| format!("cannot read the metadata of the log (-wal): {error}"))?;
        // The log is shortened right after its index, so the index is compared again.
        if found.len() < before.bytes_min() && self.state() == Some(before) {
            return Err(EMPTIED.into());
        }
        Ok(())
    }

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
            Ok(_) => Err(EMPTIED.into()),
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
        let index = files::beside(path, "-shm");
        let index_id = FileId::of(&std::fs::metadata(&index)?);
        let files = vec![
            OpenedFile {
                path: files::beside(path, "-wal"),
                id: FileId::of(&log.metadata()?),
            },
            OpenedFile {
                path: index.clone(),
                id: index_id,
            },
        ];
        let mut held = self.log();
        // While connections use an index, it stays open. A different index means that they have closed.
        if held.index.as_ref().is_none_or(|(_, id)| *id != index_id) {
            held.index = Some((LogIndex::open(&index)?, index_id));
            held.seen = None;
        }
        held.files = files;
        held.opened = Some(Arc::clone(log));
        Ok(())
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for the database at its path. If this process is the relay, compares the database with the
    /// latest comparison; commands are too short for that.
    fn look(&self, log: &mut Log) -> Result<Metadata, String> {
        let state = log.state();
        let found = self.database.check()?;
        if self.lock.is_some() {
            log.compare(&found, state);
        }
        Ok(found)
    }

    fn check_overwritten(&self, log: &Log) -> Result<(), StoreError> {
        if !log.overwritten {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was overwritten by another program; stop the relay, delete the -wal and -shm files, restore a backup and start it",
            self.database.path.display()
        )))
    }

    /// Checks that the path still leads to the database opened first, and that it was not emptied or
    /// overwritten.
    pub(in crate::store::sqlite) fn check_database(&self) -> Result<(), StoreError> {
        let mut log = self.log();
        let found = self.look(&mut log).map_err(|what| out_of_place(&what))?;
        if found.len() < PAGE_BYTES_MIN {
            let path = self.database.path.display();
            return Err(out_of_place(&format!(
                "{path} was emptied by another program"
            )));
        }
        self.check_overwritten(&log)
    }

    /// Checks that neither the database nor the log was emptied or overwritten. A checkpoint would then
    /// damage the database further. Files that were moved away pass, because this process still has them
    /// open.
    pub(in crate::store::sqlite) fn check_contents(&self) -> Result<(), StoreError> {
        let mut log = self.log();
        // Only a database at its path can be compared.
        self.look(&mut log).ok();
        self.check_overwritten(&log)?;
        log.check().map_err(|what| out_of_place(&what))
    }

    /// Runs a checkpoint, unless a file was overwritten. The files are compared right before and after it,
    /// because foreign writes during a checkpoint look like its own.
    pub(in crate::store::sqlite) fn checkpoint<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        self.check_contents().ok()?;
        let done = run();
        // The next comparison reports the error.
        self.check_contents().ok();
        Some(done)
    }

    /// Checks that all files are where they were opened, and were not emptied or overwritten.
    pub(in crate::store::sqlite) fn check(&self) -> Result<(), StoreError> {
        self.check_database()?;
        let log = self.log();
        log.check().map_err(|what| out_of_place(&what))?;
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
