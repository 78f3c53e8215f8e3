//! Files that were being written when their process was killed.
//!
//! Invariant: only who holds the lake removes them, as nobody else is writing then; what cannot be
//! removed now is removed by who holds it next.

use std::path::Path;

use evenkeel_log::FileSystem;

use crate::file_store::{LOG_DIRECTORY, TEMPORARY};

/// Removes them from a table's directory and from that of its log.
pub(crate) fn remove(files: &dyn FileSystem, table: &Path) {
    for directory in [table.join(LOG_DIRECTORY), table.to_owned()] {
        // No directory, no files.
        let names = files.list(&directory).unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(TEMPORARY)) {
            // No version names it, so its room is all that it takes.
            let _ = files.remove(&directory.join(name));
        }
    }
}
