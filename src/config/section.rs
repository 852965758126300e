//! Reads sections whole: keys that nobody knows are reported with what was probably meant.

use super::hints;
use crate::toml_reader::{Diagnostics, Key, Keys, Table};

/// Reads all remaining keys. Reports keys that `T` does not know.
pub(super) fn read<T: Keys>(table: Table, out: &mut Diagnostics) -> T {
    read_beside(table, &[], out)
}

/// Like [`read`], where `others` are keys that were taken before.
pub(super) fn read_beside<T: Keys>(mut table: Table, others: &[Key], out: &mut Diagnostics) -> T {
    let read = table.read(out);
    let known = T::KEYS.iter().chain(others).map(|key| key.name);
    refuse(table, &known.collect::<Vec<_>>(), out);
    read
}

/// Reports all remaining keys; `known` are suggested.
pub(super) fn refuse(table: Table, known: &[&str], out: &mut Diagnostics) {
    for (key, _) in table.entries {
        let at = table.at.key(key.get_ref(), key.span());
        hints::unknown_key(key.get_ref(), known, &at, out);
    }
}
