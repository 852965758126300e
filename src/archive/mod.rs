//! The bytes of images, kept in a folder by the hash of their content, and the signed links to them.
//!
//! An image with the id `abcdef…` is the file `ab/abcdef…`. Files are written under another name,
//! synced and renamed, so that a name always has its whole content, whatever dies when. Nobody but
//! the owner can read them.

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
    /// Opens the folder, making it if need be, for the owner's eyes only. Unfinished files that a
    /// process left behind more than an hour ago are removed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let folder = Arc::new(Folder::open(dir)?);
        Ok(Self { folder })
    }

    /// The folder for a command beside a running relay: nothing is made, for it would belong to whoever runs the
    /// command, and the relay could not use it.
    pub fn look(dir: &Path) -> io::Result<Self> {
        let folder = Arc::new(Folder::look(dir)?);
        Ok(Self { folder })
    }

    /// Keeps bytes under their hash: whole or not at all, on the disk when this returns.
    pub async fn put(&self, id: &ImageId, bytes: Bytes) -> io::Result<()> {
        let id = id.clone();
        self.blocking(move |folder| folder.put(&id, &bytes)).await
    }

    /// The bytes, if they are there. Bytes that are no longer what their id says are an error.
    pub async fn get(&self, id: &ImageId) -> io::Result<Option<Bytes>> {
        let id = id.clone();
        self.blocking(move |folder| folder.get(&id)).await
    }

    /// An image's file, to be read piece by piece, and its length. Bytes that are no longer what their id
    /// says are an error.
    pub async fn open_image(&self, id: &ImageId) -> io::Result<Option<(File, u64)>> {
        let id = id.clone();
        self.blocking(move |folder| folder.open_image(&id)).await
    }

    /// Removes the bytes; that they are not there is no error.
    pub async fn remove(&self, id: &ImageId) -> io::Result<()> {
        let id = id.clone();
        self.blocking(move |folder| folder.remove(&id)).await
    }

    /// Where the bytes of `id` are, or would be.
    pub fn path(&self, id: &ImageId) -> PathBuf {
        self.folder.path(id)
    }

    /// The images that are there for more than an hour, in no order: nobody is about to record
    /// one of them.
    pub async fn old_ids(&self) -> io::Result<Vec<ImageId>> {
        self.blocking(Folder::old_ids).await
    }

    /// Copies every image to `dir`, skipping what is there already. Tells how many were copied.
    pub async fn copy_to(&self, dir: &Path) -> io::Result<u64> {
        let dir = dir.to_owned();
        self.blocking(move |folder| folder.copy_to(&Folder::open(&dir)?))
            .await
    }

    /// Whether `bytes` more leave the disk enough room for the store: 512 MiB or 2 %, the larger.
    pub async fn has_room_for(&self, bytes: u64) -> io::Result<bool> {
        self.blocking(move |folder| folder.has_room_for(bytes))
            .await
    }

    /// Runs file work where it may block.
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
