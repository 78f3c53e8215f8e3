//! The high-water mark beside an embedded store: the number of the last checkpoint that was
//! acknowledged, in a small file of its own, so that a store that comes back older says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::StoreError;

const MAGIC: &[u8; 8] = b"EVKHMRK1";

pub(crate) fn io_error(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> StoreError {
    let path: PathBuf = path.to_owned();
    move |error| StoreError::Io {
        operation,
        path,
        reason: error.to_string(),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error("sync", path))
}

/// Writes a mark: beside it, synced, renamed over it.
pub(crate) fn write(path: &Path, checkpoint: u64) -> Result<(), StoreError> {
    let beside = path.with_extension("tmp");
    let mut bytes = MAGIC.to_vec();
    bytes.extend(checkpoint.to_le_bytes());
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    File::create(&beside)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .map_err(io_error("write", &beside))?;
    fs::rename(&beside, path).map_err(io_error("rename", &beside))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// The mark; 0 if there is none, or none that reads.
pub(crate) fn read(path: &Path) -> u64 {
    let Ok(bytes) = fs::read(path) else { return 0 };
    let Some((body, sum)) = bytes.split_last_chunk::<8>() else {
        return 0;
    };
    if xxh3_64(body) != u64::from_le_bytes(*sum) {
        return 0;
    }
    body.strip_prefix(MAGIC)
        .and_then(|number| number.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_damaged_one_claims_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark");
        assert_eq!(read(&path), 0);
        write(&path, 7).unwrap();
        write(&path, 8).unwrap();
        assert_eq!(read(&path), 8);
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path), 0);
    }
}
