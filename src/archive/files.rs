//! The folder of the archive. Every function here blocks.
//!
//! An image with the id `abcdef…` is the file `ab/abcdef…`. Files are written under another name, synced
//! and renamed. So a final name always has its whole content, even after a crash. Only the owner can
//! read the files.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::model::ImageId;

/// The subfolder where files are written before they are renamed. It is on the same disk, so that a
/// rename does not copy.
const UNFINISHED: &str = "unfinished";
/// Files older than this are not in use, because storing and recording an image takes only seconds.
const IN_HAND_MAX: Duration = Duration::from_secs(60 * 60);
/// Free bytes that images leave on their disk, because the store may share it.
const FREE_BYTES_MIN: u64 = 512 * 1024 * 1024;
/// The same limit as a percentage of the disk.
const FREE_PERCENT_MIN: u64 = 2;

/// An opened folder.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    written: AtomicU64,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        // Make the path absolute, because its users may have another working directory.
        let dir = std::path::absolute(dir)?;
        let unfinished = dir.join(UNFINISHED);
        make_dir(&unfinished)?;
        // A folder of another user (e.g. the root of a volume) is used with its permissions unchanged.
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).ok();
        for entry in fs::read_dir(&unfinished)? {
            let entry = entry?;
            if is_old(&entry) {
                remove_file(&entry.path())?;
            }
        }
        Ok(Self {
            dir,
            written: AtomicU64::new(0),
        })
    }

    /// Opens the folder without creating or changing anything.
    pub(super) fn look(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: std::path::absolute(dir)?,
            written: AtomicU64::new(0),
        })
    }

    pub(super) fn path(&self, id: &ImageId) -> PathBuf {
        let name = id.as_str();
        let level = name.get(..2).unwrap_or(name);
        self.dir.join(level).join(name)
    }

    pub(super) fn put(&self, id: &ImageId, bytes: &[u8]) -> io::Result<()> {
        if ImageId::of(bytes) != *id {
            return Err(damaged(id));
        }
        let path = self.path(id);
        // A file with the right name and another size was damaged after writing, so replace it.
        if fs::metadata(&path).is_ok_and(|there| there.len() == bytes.len() as u64) {
            return Ok(());
        }
        let level = path.parent().unwrap_or(&self.dir);
        if !level.is_dir() {
            make_dir(level)?;
            sync_dir(&self.dir)?;
        }
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.dir.join(UNFINISHED).join(format!(
            "{}-{}-{number}",
            id.as_str(),
            std::process::id()
        ));
        let written = write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &path));
        if written.is_err() {
            // Report the first failure. A remaining file is removed at a later start.
            remove_file(&unfinished).ok();
        }
        written?;
        sync_dir(level)
    }

    pub(super) fn get(&self, id: &ImageId) -> io::Result<Option<Bytes>> {
        let bytes = match fs::read(self.path(id)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if ImageId::of(&bytes) != *id {
            return Err(damaged(id));
        }
        Ok(Some(bytes.into()))
    }

    /// Opens a file for reading from its start, after checking that its bytes match its name.
    pub(super) fn open_image(&self, id: &ImageId) -> io::Result<Option<(File, u64)>> {
        let mut file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if ImageId::of_pieces(|piece| file.read(piece))? != *id {
            return Err(damaged(id));
        }
        let bytes = file.stream_position()?;
        file.rewind()?;
        Ok(Some((file, bytes)))
    }

    pub(super) fn remove(&self, id: &ImageId) -> io::Result<()> {
        remove_file(&self.path(id))
    }

    /// Returns the images whose files satisfy `wanted`.
    fn ids(&self, wanted: impl Fn(&fs::DirEntry) -> bool) -> io::Result<Vec<ImageId>> {
        let mut ids = Vec::new();
        let levels = match fs::read_dir(&self.dir) {
            Ok(levels) => levels,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(ids),
            Err(error) => return Err(error),
        };
        for level in levels {
            let level = level?;
            if level.file_name() == UNFINISHED || !level.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(level.path())? {
                let file = file?;
                let name = file.file_name();
                let Some(id) = name.to_str().and_then(|name| name.parse::<ImageId>().ok()) else {
                    continue;
                };
                if wanted(&file) {
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }

    pub(super) fn old_ids(&self) -> io::Result<Vec<ImageId>> {
        self.ids(is_old)
    }

    pub(super) fn all_ids(&self) -> io::Result<Vec<ImageId>> {
        self.ids(|_file| true)
    }

    pub(super) fn has_room_for(&self, bytes: u64) -> io::Result<bool> {
        let disk = rustix::fs::statvfs(&self.dir)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let total = disk.f_blocks.saturating_mul(disk.f_frsize);
        Ok(leaves_room(free, total, bytes))
    }
}

fn leaves_room(free: u64, total: u64, bytes: u64) -> bool {
    let kept_free = FREE_BYTES_MIN.max(total / 100 * FREE_PERCENT_MIN);
    kept_free
        .checked_add(bytes)
        .is_some_and(|needed| free >= needed)
}

fn damaged(id: &ImageId) -> io::Error {
    let reason = format!("image {id} is damaged: its bytes do not match its hash");
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Syncs a folder, because a rename is only on disk after that.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|file| file.modified());
    // A time in the future is unreliable, so leave such a file alone.
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > IN_HAND_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Archive, ArchiveLocation};

    fn open(dir: PathBuf) -> Archive {
        Archive::open(&ArchiveLocation::Folder(dir)).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn stored_image_is_returned_and_private_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let archive = open(dir.path().join("a/images"));
        let bytes = Bytes::from_static(b"picture");
        let id = ImageId::of(&bytes);
        assert_eq!(archive.get(&id).await.unwrap(), None);
        archive.put(&id, bytes.clone()).await.unwrap();
        assert_eq!(archive.get(&id).await.unwrap(), Some(bytes));
        let path = archive.folder.path(&id);
        let level = id.as_str().split_at(2).0;
        assert!(path.ends_with(format!("{level}/{id}")));
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&dir.path().join("a/images")), 0o700);
        let mut reader = archive.reader(&id).await.unwrap().unwrap();
        assert_eq!(reader.bytes(), 7);
        assert_eq!(reader.next_piece().await.unwrap().unwrap(), "picture");
        assert_eq!(reader.next_piece().await.unwrap(), None);
        archive.remove(&id).await.unwrap();
        archive.remove(&id).await.unwrap();
        assert!(archive.reader(&id).await.unwrap().is_none());
        assert_eq!(archive.get(&id).await.unwrap(), None);
    }

    #[test]
    fn repeated_put_keeps_good_file_and_replaces_cut_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let id = ImageId::of(b"picture");
        folder.put(&id, b"picture").unwrap();
        let made = fs::metadata(folder.path(&id)).unwrap().modified().unwrap();
        folder.put(&id, b"picture").unwrap();
        assert_eq!(
            fs::metadata(folder.path(&id)).unwrap().modified().unwrap(),
            made
        );
        fs::write(folder.path(&id), b"pic").unwrap();
        assert_eq!(folder.get(&id).unwrap_err().kind(), ErrorKind::InvalidData);
        let opened = folder.open_image(&id).unwrap_err();
        assert_eq!(opened.kind(), ErrorKind::InvalidData);
        folder.put(&id, b"picture").unwrap();
        assert_eq!(folder.get(&id).unwrap().unwrap(), "picture");
        let (mut file, bytes) = folder.open_image(&id).unwrap().unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!((read.as_str(), bytes), ("picture", 7));
        assert!(folder.put(&id, b"other").is_err());
        assert_eq!(
            fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count(),
            0
        );
    }

    #[test]
    fn open_removes_only_old_unfinished_files() {
        let dir = tempfile::tempdir().unwrap();
        Folder::open(dir.path()).unwrap();
        let (old, young) = (
            dir.path().join("unfinished/old"),
            dir.path().join("unfinished/young"),
        );
        fs::write(&young, b"").unwrap();
        let file = File::create(&old).unwrap();
        let made = file.metadata().unwrap().modified().unwrap();
        file.set_modified(made - IN_HAND_MAX - Duration::from_secs(1))
            .unwrap();
        Folder::open(dir.path()).unwrap();
        assert!(!old.exists() && young.exists());
    }

    #[tokio::test]
    async fn a_copy_holds_every_image_and_is_made_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let archive = open(dir.path().join("from"));
        for bytes in ["one", "two", "three"] {
            let bytes = Bytes::from(bytes);
            archive.put(&ImageId::of(&bytes), bytes).await.unwrap();
        }
        fs::write(dir.path().join("from/unfinished/half"), b"x").unwrap();
        let copy = open(dir.path().join("to"));
        assert_eq!(archive.old_ids().await.unwrap(), []);
        let two = File::open(archive.folder.path(&ImageId::of(b"two"))).unwrap();
        let made = two.metadata().unwrap().modified().unwrap();
        two.set_modified(made - IN_HAND_MAX - Duration::from_secs(1))
            .unwrap();
        assert_eq!(archive.old_ids().await.unwrap(), [ImageId::of(b"two")]);
        assert_eq!(archive.copy_to(&copy).await.unwrap(), 3);
        assert_eq!(archive.copy_to(&copy).await.unwrap(), 0);
        assert_eq!(
            copy.get(&ImageId::of(b"two")).await.unwrap().unwrap(),
            "two"
        );
    }

    #[test]
    fn images_leave_room_for_the_store() {
        const GIB: u64 = 1024 * 1024 * 1024;
        assert!(leaves_room(GIB, 10 * GIB, 1));
        assert!(leaves_room(FREE_BYTES_MIN + 5, 10 * GIB, 5));
        assert!(!leaves_room(FREE_BYTES_MIN + 5, 10 * GIB, 6));
        assert!(!leaves_room(19 * GIB, 1000 * GIB, 1));
        assert!(!leaves_room(u64::MAX, u64::MAX, u64::MAX));
    }
}
