//! Implements `backup`: a consistent copy of store and images while the relay runs.

use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::context::{Context, Exit, Failure, block_on};
use crate::archive::{Archive, ArchiveLocation};
use crate::config::{Config, Needs};
use crate::store::{Store, StoreLocation};

const EXAMPLES: &str = "\
Examples:
  feedback-relay backup /var/backups/relay-2026-03-01

The folder is created if missing, readable by its owner only, because the copy contains what reporters typed.
To restore, stop the relay and move relay.db and images to the places in relay.toml.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The target folder; must not contain a relay.db
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Copies the store first, so that every image in the copied store is already in the images folder.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let journal = prepare(&args.folder)?;
    let images = args.folder.join("images");
    let copied = block_on(copy(&store, &config, &journal, &images))?;
    if args.json {
        context.out.json(&json!({
            "store": journal.display().to_string(),
            "images": images.display().to_string(),
            "images_copied": copied,
        }));
    } else {
        context
            .out
            .line(&format!("store copied to {}", journal.display()));
        let images_word = if copied == 1 { "image" } else { "images" };
        context.out.line(&format!(
            "{copied} {images_word} copied to {}",
            images.display()
        ));
    }
    Ok(Exit::Done)
}

async fn copy(
    store: &Store,
    config: &Config,
    journal: &Path,
    images: &Path,
) -> Result<u64, Failure> {
    let target = StoreLocation::Sqlite(journal.to_owned());
    store.backup(&target).await?;
    let pictures = |error| Failure::of("failed to copy the images", error);
    let archive = Archive::open_for_command(&config.archive).map_err(pictures)?;
    let target = ArchiveLocation::Folder(images.to_owned());
    let target = Archive::open(&target).map_err(pictures)?;
    archive.copy_to(&target).await.map_err(pictures)
}

/// Creates the folder, or checks that an existing one is private and has no store. Returns the path of the copied
/// store.
fn prepare(folder: &Path) -> Result<PathBuf, Failure> {
    let shown = folder.display();
    let made = std::fs::DirBuilder::new().mode(0o700).create(folder);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_private(folder)?,
        Err(error) => {
            return Err(Failure::of(
                format!("failed to create the folder {shown}"),
                error,
            ));
        }
    }
    let journal = folder.join("relay.db");
    // A dangling symbolic link counts too, because writing would follow it.
    if journal.symlink_metadata().is_ok() {
        return Err(Failure::Failed(format!(
            "{} already exists; a backup overwrites nothing",
            journal.display()
        )));
    }
    Ok(journal)
}

fn check_private(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let known = std::fs::metadata(folder);
    let known = known.map_err(|error| Failure::of(format!("failed to inspect {shown}"), error))?;
    if !known.is_dir() {
        return Err(Failure::Failed(format!("{shown} is not a folder")));
    }
    if known.permissions().mode() & 0o077 != 0 {
        return Err(Failure::Failed(format!(
            "other users can access {shown}, and a backup contains what reporters typed; \
             use a new folder, or `chmod 700` this one"
        )));
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
        match prepare(folder).unwrap_err() {
            Failure::Failed(reason) => reason,
            other => panic!("{other:?}"),
        }
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
