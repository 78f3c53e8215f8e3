//! The machine's files.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{File, FileSystem, Lock, LockGuard, OpenMode};

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFileSystem;

impl FileSystem for DiskFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::Read)
            .create_new(mode == OpenMode::Create)
            .open(path)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        match create_one_directory(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.create_directory(path.parent().ok_or(e)?)?;
                // Once: where a parent is there and takes no directory, none will ever be.
                create_one_directory(path)?;
            }
            created => created?,
        }
        // Also if it was there: its creator may have been killed before it came to this.
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => self.sync_directory(Path::new(".")),
            Some(parent) => match self.sync_directory(parent) {
                // A directory that we may pass through but not list is not ours.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                other => other,
            },
            None => Ok(()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)?;
        fs::remove_file(from)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // The number is for people; the lock itself is the operating system's.
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Lock::Taken(Box::new(DiskLock { _file: file })))
            }
            Err(fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = match file.read_to_string(&mut text) {
                    Ok(_) => text.trim().parse().ok(),
                    Err(_) => None,
                };
                Ok(Lock::Held { pid })
            }
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }
}

/// Creates a directory whose parent is there, unless it is there itself.
fn create_one_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => DiskFileSystem.sync_directory(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

#[derive(Debug)]
struct DiskLock {
    /// Closing the file gives the lock back.
    _file: fs::File,
}

impl LockGuard for DiskLock {}

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
}

impl File for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_their_parents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        for _ in 0..2 {
            DiskFileSystem.create_directory(&path).unwrap();
            assert!(path.is_dir());
        }
        fs::write(folder.path().join("file"), "").unwrap();
        let below = folder.path().join("file/d");
        DiskFileSystem.create_directory(&below).unwrap_err();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn where_none_can_be_made_there_is_an_end() {
        let path = Path::new("/proc/evenkeel/store");
        let error = DiskFileSystem.create_directory(path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
