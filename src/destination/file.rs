//! Writes JSON lines to a file: one object a line, with the delivery's id first, so that a repeat after a crash
//! is visible.
//!
//! The file is opened for each line, so that log rotation can move it. A line is delivered when it is on disk.
//! The file's lock serializes the relay's writers (those of an older configuration, and `try --send`).

use std::fs::{DirBuilder, File, FileType, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::answer::unsent;
use super::splice::splice;
use super::{Common, Destination, Message, Sent, ShowsImages};
use crate::model::{Form, Outcome};

/// A destination of kind `file`. See the module.
pub(super) struct JsonLines {
    common: Common,
    path: PathBuf,
    /// Held by the thread that writes, even after its caller has given up.
    writing: Arc<Mutex<()>>,
}

impl JsonLines {
    pub(super) fn new(common: Common, path: PathBuf) -> Self {
        Self {
            common,
            path,
            writing: Arc::default(),
        }
    }

    /// Appends a line after earlier ones have been written. A write beyond the time limit is abandoned.
    async fn append(&self, line: String) -> Outcome {
        let limit = self.common.timeout;
        let turn = Arc::clone(&self.writing).lock_owned();
        let Ok(turn) = tokio::time::timeout(limit, turn).await else {
            return Outcome::Retry {
                reason: format!("not written: {} is busy", self.path.display()),
            };
        };
        let path = self.path.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let result = append(&path, &line, limit);
            drop(turn);
            result
        });
        match tokio::time::timeout(limit, writing).await {
            Ok(Ok(Ok(()))) => Outcome::Delivered,
            // The system's own errors of this kind are about a disk.
            Ok(Ok(Err(error)))
                if error.kind() == io::ErrorKind::InvalidInput
                    && error.raw_os_error().is_none() =>
            {
                Outcome::Stop {
                    reason: format!("{}: {error}", self.path.display()),
                }
            }
            Ok(Ok(Err(error))) => Outcome::Retry {
                reason: format!("cannot write {}: {error}", self.path.display()),
            },
            Ok(Err(_)) | Err(_) => Outcome::Ambiguous {
                reason: format!("{} was not written in time", self.path.display()),
            },
        }
    }
}

#[async_trait]
impl Destination for JsonLines {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn forms(&self) -> &'static [Form] {
        &[Form::Full]
    }

    fn shows_images(&self) -> ShowsImages {
        ShowsImages::ByPath
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let Some(mut line) = splice(body.trim_end(), &format!(r#""id":"{}""#, message.key)) else {
            let reason = "the message is not a JSON object".into();
            return unsent(Outcome::Rejected { reason });
        };
        // In JSON a line break can only stand between tokens, where a space does as well.
        line = line.replace(['\n', '\r'], " ");
        line.push('\n');
        unsent(self.append(line).await)
    }
}

/// The reason for a path to another kind of file.
const WRITABLE_KINDS: &str = "the path must be a regular file or a character device";

/// Checks that lines can be appended to a file of this kind. Nothing can be appended to other kinds (a pipe, a
/// socket, a folder), and they may block until there is a reader.
pub(crate) fn takes_lines(kind: FileType) -> Result<(), &'static str> {
    let takes = kind.is_file() || kind.is_char_device();
    takes.then_some(()).ok_or(WRITABLE_KINDS)
}

/// The time between two tries to take a held lock. A blocking wait could not be cancelled.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// Takes the file's lock within `limit`.
fn lock(file: &File, limit: Duration) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < limit / 2 => {
                std::thread::sleep(LOCK_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another program holds its lock"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Appends a line and waits until it is on disk. `limit` is how long the caller waits.
fn append(path: &Path, line: &str, limit: Duration) -> io::Result<()> {
    let (mut file, made) = open(path)?;
    if !file.metadata()?.is_file() {
        // A device has neither an end nor a disk.
        return write(&mut file, line.as_bytes());
    }
    lock(&file, limit)?;
    let length = file.metadata()?.len();
    let torn = length > 0 && last_byte(&mut file)? != b'\n';
    let line = if torn {
        // A crash cut the last line. A line break ends it, so that this line is not appended to it.
        format!("\n{line}")
    } else {
        line.to_owned()
    };
    let written = write(&mut file, line.as_bytes()).and_then(|()| file.sync_data());
    if written.is_err() {
        // Removes the partial line. If this fails too, the next append ends it.
        file.set_len(length).ok();
    }
    written?;
    if made && let Some(folder) = path.parent() {
        // A new file survives a power failure only if its folder entry does.
        File::open(folder_or_here(folder))?.sync_all()?;
    }
    Ok(())
}

/// Opens the file, or creates it. Returns whether it was created.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let made = !path.try_exists()?;
    if made && let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder_or_here(folder))?;
    }
    let kind = match made {
        true => None,
        false => Some(path.metadata()?.file_type()),
    };
    if let Some(kind) = kind {
        takes_lines(kind).map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))?;
    }
    let file = OpenOptions::new()
        // The last byte of a regular file is read. A device may be writable but not readable.
        .read(kind.is_none_or(|kind| kind.is_file()))
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    Ok((file, made))
}

fn folder_or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

/// Writes all bytes in one call, so that lines of several writers never mix.
fn write(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let written = file.write(bytes)?;
    if written < bytes.len() {
        return Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "only part of the line was written",
        ));
    }
    Ok(())
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

#[cfg(test)]
mod tests;
