//! The bytes of images, stored by the hash of their content, and the signed links to them.
//!
//! [`Archive`] knows no paths: an image is put, read, listed and removed by its id. The bytes are in a
//! folder (`files`). An object store becomes a second variant of [`ArchiveLocation`]; it then gets a
//! file beside `files` with the same methods, and `Archive` an enum of both.

mod files;
mod link;

pub use link::{LinkCheck, LinkSigner};

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use crate::model::ImageId;
use files::Folder;

/// The memory for each reader of an image, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// The place where images are stored. Code that works on the image files matches on this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveLocation {
    /// This folder.
    Folder(PathBuf),
}

impl fmt::Display for ArchiveLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => dir.display().fmt(f),
        }
    }
}

/// The stored images. Clones share them.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: Arc<Folder>,
}

/// The bytes of one image, read in pieces.
#[derive(Debug)]
pub struct ImageReader {
    file: tokio::fs::File,
    bytes: u64,
}

impl ImageReader {
    /// Returns the length of the image.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the next piece; `None` at the end.
    pub async fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        match self.file.read_buf(&mut piece).await? {
            0 => Ok(None),
            _ => Ok(Some(piece.freeze())),
        }
    }
}

impl Archive {
    /// Opens the archive for `serve`. A folder is created if needed, accessible only to the owner, and
    /// unfinished files older than an hour, left by other processes, are removed.
    pub fn open(location: &ArchiveLocation) -> io::Result<Self> {
        let ArchiveLocation::Folder(dir) = location;
        let folder = Arc::new(Folder::open(dir)?);
        Ok(Self { folder })
    }

    /// Opens the archive for a command beside a running relay, without creating it. A created folder
    /// would belong to the command's user, so the relay could not use it.
    pub fn open_for_command(location: &ArchiveLocation) -> io::Result<Self> {
        let ArchiveLocation::Folder(dir) = location;
        let folder = Arc::new(Folder::look(dir)?);
        Ok(Self { folder })
    }

    /// Stores bytes under their hash: entirely or not at all. They are on disk when this returns.
    pub async fn put(&self, id: &ImageId, bytes: Bytes) -> io::Result<()> {
        let id = id.clone();
        self.blocking(move |folder| folder.put(&id, &bytes)).await
    }

    /// Returns the bytes, if they exist. Bytes that no longer match their id are an error.
    pub async fn get(&self, id: &ImageId) -> io::Result<Option<Bytes>> {
        let id = id.clone();
        self.blocking(move |folder| folder.get(&id)).await
    }

    /// Returns a reader of an image, if it exists. Bytes that no longer match their id are an error.
    pub async fn reader(&self, id: &ImageId) -> io::Result<Option<ImageReader>> {
        let id = id.clone();
        let opened = self.blocking(move |folder| folder.open_image(&id)).await?;
        Ok(opened.map(|(file, bytes)| ImageReader {
            file: tokio::fs::File::from_std(file),
            bytes,
        }))
    }

    /// Removes the bytes; missing ones are ignored.
    pub async fn remove(&self, id: &ImageId) -> io::Result<()> {
        let id = id.clone();
        self.blocking(move |folder| folder.remove(&id)).await
    }

    /// Returns where people find the bytes of `id`, whether or not they exist.
    pub fn place_of(&self, id: &ImageId) -> String {
        self.folder.path(id).display().to_string()
    }

    /// Returns the images older than an hour, in no order. No worker is still about to record one of
    /// them.
    pub async fn old_ids(&self) -> io::Result<Vec<ImageId>> {
        self.blocking(Folder::old_ids).await
    }

    /// Copies every image to `other`, skipping those that exist there. Returns how many were copied.
    pub async fn copy_to(&self, other: &Self) -> io::Result<u64> {
        let mut copied = 0;
        for id in self.blocking(Folder::all_ids).await? {
            if other.contains(&id).await? {
                continue;
            }
            // Retention may have just removed it.
            if let Some(bytes) = self.get(&id).await? {
                other.put(&id, bytes).await?;
                copied += 1;
            }
        }
        Ok(copied)
    }

    async fn contains(&self, id: &ImageId) -> io::Result<bool> {
        let id = id.clone();
        self.blocking(move |folder| Ok(folder.path(&id).exists()))
            .await
    }

    /// Returns whether storing `bytes` more leaves enough room. A folder leaves disk space for the store:
    /// 512 MiB or 2 %, whichever is larger.
    pub async fn has_room_for(&self, bytes: u64) -> io::Result<bool> {
        self.blocking(move |folder| folder.has_room_for(bytes))
            .await
    }

    /// Runs file operations on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let folder = Arc::clone(&self.folder);
        tokio::task::spawn_blocking(move || work(&folder))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}
