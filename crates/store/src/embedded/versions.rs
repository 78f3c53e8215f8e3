//! A look at the version files of the embedded store before it opens them.
//!
//! What it asserts of them it asserts while it holds a lock that its own end takes again: a
//! second panic, which would end the process and which nobody can catch. So what it would
//! assert is an error here first. Everything else in these files it checks by itself.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use crate::error::StoreError;

/// Sections of one byte that it knows one value of.
const ONLY: [(&[u8], u8); 2] = [(b"level_count", 7), (b"filter_hash_type", 0)];
/// Sections that it expects.
const EXPECTED: [&[u8]; 2] = [b"format_version", b"tree_type"];

/// Refuses a store with a version file that the embedded store would panic about.
pub(super) fn refuse_odd(database: &Path) -> Result<(), StoreError> {
    // What cannot be listed or opened is told by whoever needs it.
    let Ok(folders) = fs::read_dir(database.join("keyspaces")) else {
        return Ok(());
    };
    for folder in folders.flatten() {
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        for file in files {
            let name = file.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix('v'));
            if number.is_some_and(|number| number.parse::<u64>().is_ok()) {
                refuse_odd_file(&file.path())?;
            }
        }
    }
    Ok(())
}

fn refuse_odd_file(path: &Path) -> Result<(), StoreError> {
    let Ok(reader) = sfa::Reader::new(path) else {
        return Ok(());
    };
    let odd = |section: &[u8]| {
        Err(StoreError::Embedded {
            operation: "open",
            reason: format!(
                "its files are damaged: `{}` in `{}`",
                String::from_utf8_lossy(section),
                path.display()
            ),
        })
    };
    for name in EXPECTED {
        if reader.toc().section(name).is_none() {
            return odd(name);
        }
    }
    for (name, only) in ONLY {
        let mut bytes = Vec::new();
        let read = match reader.toc().section(name) {
            // One byte more than there should be.
            Some(section) => section
                .buf_reader(path)
                .and_then(|section| section.take(2).read_to_end(&mut bytes)),
            None => return odd(name),
        };
        if read.is_err() || bytes != [only] {
            return odd(name);
        }
    }
    Ok(())
}
