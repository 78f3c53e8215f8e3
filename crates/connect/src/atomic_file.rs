//! Files that appear whole or not at all: written under another name in the same directory,
//! synced, renamed, the directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{ConnectError, FileAction};

/// Tells files apart that one process writes at the same time.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that is being written. Dropped without [`AtomicFile::commit`], it leaves nothing.
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl AtomicFile {
    /// Begins a file; nothing has its name before [`AtomicFile::commit`].
    ///
    /// # Errors
    /// If there is no such directory, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, ConnectError> {
        let directory = directory_of(path);
        if !directory.is_dir() {
            return Err(ConnectError::NoDirectory {
                path: path.to_owned(),
            });
        }
        let name = path.file_name().ok_or_else(|| {
            let source = io::Error::from(io::ErrorKind::InvalidFilename);
            ConnectError::io(FileAction::Create, path)(source)
        })?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!(
            ".{}.{}-{number}.tmp",
            name.to_string_lossy(),
            std::process::id()
        ));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(ConnectError::io(FileAction::Create, path))?;
        Ok(AtomicFile {
            path: path.to_owned(),
            temporary,
            writer: Some(BufWriter::with_capacity(1 << 16, file)),
        })
    }

    /// Makes the file appear under its path, in place of what was there.
    ///
    /// # Errors
    /// If the system refuses; then there is nothing of it.
    pub fn commit(mut self) -> Result<(), ConnectError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let result = self.publish(writer);
        if result.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        result
    }

    fn publish(&self, writer: BufWriter<File>) -> Result<(), ConnectError> {
        let file = writer
            .into_inner()
            .map_err(|e| ConnectError::io(FileAction::Write, &self.path)(e.into_error()))?;
        file.sync_all()
            .map_err(ConnectError::io(FileAction::Sync, &self.path))?;
        drop(file);
        fs::rename(&self.temporary, &self.path)
            .map_err(ConnectError::io(FileAction::Rename, &self.path))?;
        let directory = directory_of(&self.path);
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(ConnectError::io(FileAction::Sync, directory))
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_seen_before_the_commit_and_nothing_is_left_without() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.csv");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"newer").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none/x.csv");
        assert!(matches!(
            AtomicFile::create(&path).err(),
            Some(ConnectError::NoDirectory { path: found }) if found == path
        ));
    }
}
