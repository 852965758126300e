//! Warns of folders that other users of this machine can access. The relay uses them nevertheless.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::archive::ArchiveLocation;
use crate::config::Config;
use crate::store::StoreLocation;

/// Checks the folders of the store and of the images.
pub(super) fn warn_of_open(config: &Config) {
    let ArchiveLocation::Folder(images) = &config.archive;
    let StoreLocation::Sqlite(path) = &config.store.location;
    let store = path.parent().unwrap_or(Path::new(""));
    let here = Path::new(".");
    let store = if store.as_os_str().is_empty() {
        here
    } else {
        store
    };
    for folder in [store, images] {
        let Ok(found) = std::fs::metadata(folder) else {
            continue;
        };
        if let Some(said) = judge(found.permissions().mode()) {
            let mode = format!("{:04o}", found.permissions().mode() & 0o7777);
            tracing::warn!(folder = %folder.display(), mode, "{said}");
        }
    }
}

/// Returns a warning if others can access a folder with this mode.
fn judge(mode: u32) -> Option<&'static str> {
    if mode & 0o002 != 0 {
        return Some(
            "every user of this machine can replace the files in this folder; run `chmod 700` on it",
        );
    }
    let others = mode & 0o077 != 0;
    others.then_some("other users can enter this folder, which contains reporters' texts; run `chmod 700` on it unless that is intended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_warning_depends_on_mode() {
        assert_eq!(judge(0o700), None);
        assert!(judge(0o2770).is_some_and(|said| said.contains("enter")));
        assert!(judge(0o1777).is_some_and(|said| said.contains("replace")));
    }
}
