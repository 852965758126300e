//! The files of a store: accessible only to their owner, and locked by the one serving relay.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How many symbolic links are followed, like Linux (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

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

/// Returns `path` with `suffix` appended to the file name.
pub(in crate::store::sqlite) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates the folder of the store if it does not exist.
pub(in crate::store::sqlite) fn make_folder(path: &Path) -> io::Result<()> {
    match folder(path) {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

fn folder(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

/// Creates a file that must not exist.
pub(in crate::store::sqlite) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Returns the file that `path` leads to, because SQLite keeps its log beside that file. Only links in
/// the last component are followed; the rest stays as typed.
pub(in crate::store::sqlite) fn follow_link(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(target) => path = folder(&path).unwrap_or(Path::new("")).join(target),
            Err(_no_link) => return Ok(path),
        }
    }
    Err(io::Error::other("it is a symbolic link that leads nowhere"))
}

/// Creates an empty database file if it does not exist. SQLite gives `-wal` and `-shm` the same mode.
pub(in crate::store::sqlite) fn ensure(path: &Path) -> io::Result<FileId> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    // A file created manually may be open to others. If it belongs to another user, it is used
    // unchanged.
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).ok();
    Ok(FileId::of(&file.metadata()?))
}

/// Returns the path of the lock file of the store at `path`.
pub(in crate::store::sqlite) fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

/// Explains why a file or folder at `path` could not be opened. For permission errors, it names the folder
/// that exists and its owner. A typical cause is an earlier command run as administrator.
pub fn explain_access(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    let folder = path.ancestors().find_map(|folder| {
        let named = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        let found = std::fs::metadata(named).ok()?;
        found.is_dir().then_some((named, found))
    });
    match folder {
        Some((folder, found)) => format!(
            "{error}; its folder {} belongs to user {} (mode {:03o}), and this is user {}: `chown` the folder and its contents",
            folder.display(),
            found.uid(),
            found.mode() & 0o777,
            rustix::process::geteuid().as_raw(),
        ),
        None => error.to_string(),
    }
}

/// Takes the lock of the store at `path`, held while the file is open. Returns `None` if another process
/// has it.
pub(in crate::store::sqlite) fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(lock_path(path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns whether a file begins like a database, or is empty. SQLite treats an empty file as a new
/// database.
pub(in crate::store::sqlite) fn looks_like_a_database(path: &Path) -> io::Result<bool> {
    let mut start = Vec::with_capacity(MAGIC.len());
    File::open(path)?.take(16).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == MAGIC)
}

/// Syncs the folder, so that the name of a new file survives a power cut.
pub(in crate::store::sqlite) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path).unwrap_or(Path::new(".")))?.sync_all()
}
