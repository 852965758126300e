//! The bytes of images, stored in a folder by the hash of their content, and the signed links to them.
//!
//! An image with the id `abcdef…` is the file `ab/abcdef…`. Files are written under another name, synced
//! and renamed. So a final name always has its whole content, even after a crash. Only the owner can
//! read the files.

mod files;
mod link;

pub use link::{LinkCheck, LinkSigner};

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::model::ImageId;
use files::Folder;

/// A folder of images. Clones share it.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: Arc<Folder>,
}

impl Archive {
    /// Opens the folder, creating it if needed, accessible only to the owner. Removes unfinished files
    /// older than an hour, left by other processes.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let folder = Arc::new(Folder::open(dir)?);
        Ok(Self { folder })
    }

    /// Opens the folder for a command beside a running relay, without creating it. A created folder
    /// would belong to the command's user, so the relay could not use it.
    pub fn look(dir: &Path) -> io::Result<Self> {
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

    /// Opens an image's file for reading in pieces, and returns its length. Bytes that no longer match
    /// their id are an error.
    pub async fn open_image(&self, id: &ImageId) -> io::Result<Option<(File, u64)>> {
        let id = id.clone();
        self.blocking(move |folder| folder.open_image(&id)).await
    }

    /// Removes the bytes; missing files are ignored.
    pub async fn remove(&self, id: &ImageId) -> io::Result<()> {
        let id = id.clone();
        self.blocking(move |folder| folder.remove(&id)).await
    }

    /// Returns the path of the bytes of `id`, whether or not they exist.
    pub fn path(&self, id: &ImageId) -> PathBuf {
        self.folder.path(id)
    }

    /// Returns the images older than an hour, in no order. No worker is still about to record one of
    /// them.
    pub async fn old_ids(&self) -> io::Result<Vec<ImageId>> {
        self.blocking(Folder::old_ids).await
    }

    /// Copies every image to `dir`, skipping those that exist there. Returns how many were copied.
    pub async fn copy_to(&self, dir: &Path) -> io::Result<u64> {
        let dir = dir.to_owned();
        self.blocking(move |folder| folder.copy_to(&Folder::open(&dir)?))
            .await
    }

    /// Returns whether storing `bytes` more leaves enough disk space for the store: 512 MiB or 2 %,
    /// whichever is larger.
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
