//! The result of a backup.

use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// A copy of store and images.
#[derive(Clone, Debug, Serialize)]
pub struct BackupView {
    /// The copied store.
    #[serde(serialize_with = "shown")]
    pub store: PathBuf,
    /// The folder of the copied images.
    #[serde(serialize_with = "shown")]
    pub images: PathBuf,
    /// How many images were copied.
    pub images_copied: u64,
}

/// Serializes a path as text; what is not Unicode in it is replaced.
fn shown<S: Serializer>(path: &std::path::Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}
