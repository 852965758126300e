//! Makes a consistent copy of store and images while the relay runs.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveLocation};
use crate::store::{Store, StoreError, StoreLocation};
use crate::view::BackupView;

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder could not be created.
    #[error("failed to create the folder {}: {error}", .folder.display())]
    Create { folder: PathBuf, error: io::Error },
    /// The existing folder could not be inspected.
    #[error("failed to inspect {}: {error}", .folder.display())]
    Inspect { folder: PathBuf, error: io::Error },
    /// The target is a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Other users can access the existing folder.
    #[error(
        "other users can access {}, and a backup contains what reporters typed; \
         use a new folder, or `chmod 700` this one", .0.display()
    )]
    Accessible(PathBuf),
    /// The folder contains a store already.
    #[error("{} already exists; a backup overwrites nothing", .0.display())]
    Exists(PathBuf),
    /// The store could not be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The images could not be copied.
    #[error("failed to copy the images: {0}")]
    Images(io::Error),
}

/// Copies store and images to `folder`, which is created if missing. The store goes first, so that every image in the
/// copied store is already in the images folder.
pub async fn run(
    store: &Store,
    images: &ArchiveLocation,
    folder: &Path,
) -> Result<BackupView, BackupError> {
    let copied_store = prepare(folder)?;
    let copied_images = folder.join("images");
    let target = StoreLocation::Sqlite(copied_store.clone());
    store.backup(&target).await?;
    let copied = copy_images(images, &copied_images)
        .await
        .map_err(BackupError::Images)?;
    Ok(BackupView {
        store: copied_store,
        images: copied_images,
        images_copied: copied,
    })
}

async fn copy_images(from: &ArchiveLocation, folder: &Path) -> io::Result<u64> {
    let target = Archive::open(&ArchiveLocation::Folder(folder.to_owned()))?;
    Archive::open_for_command(from)?.copy_to(&target).await
}

/// Creates the folder, or checks that an existing one is private and has no store. Returns the path of the copied
/// store.
fn prepare(folder: &Path) -> Result<PathBuf, BackupError> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_private(folder)?,
        Err(error) => {
            let folder = folder.to_owned();
            return Err(BackupError::Create { folder, error });
        }
    }
    let store = folder.join("relay.db");
    // A dangling symbolic link counts too, because writing would follow it.
    if store.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(store));
    }
    Ok(store)
}

fn check_private(folder: &Path) -> Result<(), BackupError> {
    let known = std::fs::metadata(folder).map_err(|error| BackupError::Inspect {
        folder: folder.to_owned(),
        error,
    })?;
    if !known.is_dir() {
        return Err(BackupError::NotAFolder(folder.to_owned()));
    }
    if known.permissions().mode() & 0o077 != 0 {
        return Err(BackupError::Accessible(folder.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn refusal(folder: &Path) -> String {
        prepare(folder).unwrap_err().to_string()
    }

    #[test]
    fn a_new_folder_is_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new");
        assert_eq!(prepare(&folder).unwrap(), folder.join("relay.db"));
        assert_eq!(mode(&folder), 0o700);
        assert!(prepare(&folder).is_ok(), "an empty private folder will do");
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("relay.db")).unwrap();
        assert!(refusal(folder.path()).contains("overwrites nothing"));
    }

    #[test]
    fn folder_accessible_to_others_is_refused_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o750)).unwrap();
        assert!(refusal(folder.path()).contains("chmod 700"));
        assert_eq!(mode(folder.path()), 0o750);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refusal(&file).contains("not a folder"));
    }
}
