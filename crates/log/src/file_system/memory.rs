//! Files in memory that know what a power cut leaves of them.
//!
//! Follows FoundationDB's `AsyncFileNonDurable` and redb's crash tests: a write is pending
//! until its file is synced, a creation, rename or removal until its directory is, and a
//! crash keeps none, all, or a seeded part of what is pending. Operations are counted, so
//! that a test can cut the power or inject an error at every single one.

mod pending;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::pending::{Content, DataOperation, Dice, NameOperation, put, resize};
use super::{File, FileSystem, Lock, LockGuard, OpenMode};

pub use self::pending::Crash;

/// A file system in memory. Clones share the same files.
#[derive(Clone, Debug, Default)]
pub struct MemoryFileSystem {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What a process sees.
    names: BTreeMap<PathBuf, usize>,
    /// What a power cut leaves at least.
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameOperation>,
    directories: BTreeSet<PathBuf>,
    contents: Vec<Content>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    fault: Option<Fault>,
    capacity_bytes: Option<u64>,
    ignore_data_syncs: bool,
    ignore_directory_syncs: bool,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    PowerOff { at: u64 },
    Error { at: u64, kind: io::ErrorKind },
}

impl MemoryFileSystem {
    /// An empty file system.
    pub fn new() -> Self {
        MemoryFileSystem::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations were asked for so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Cuts the power at operation `at` (counted from 0 since creation): it and all later
    /// ones fail and do nothing, except that a write may have begun.
    pub fn power_off_at(&self, at: u64) {
        self.state().fault = Some(Fault::PowerOff { at });
    }

    /// Fails operation `at` (counted from 0 since creation) with `kind`, once. A write that
    /// fails has written its first half. A sync of a file that fails drops what it should
    /// have written: it is still read, but no later sync makes it durable (as Linux does).
    pub fn fail_at(&self, at: u64, kind: io::ErrorKind) {
        self.state().fault = Some(Fault::Error { at, kind });
    }

    /// Bounds the sum of all files' lengths: a write beyond it fails with `StorageFull`
    /// after what still fits. `None`: no bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Takes faults and bounds back: what is asked from now on is done.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.capacity_bytes = None;
    }

    /// Makes every sync of a file a lie: it answers that all is well and makes nothing
    /// durable. For the negative control of a durability test.
    pub fn ignore_data_syncs(&self) {
        self.state().ignore_data_syncs = true;
    }

    /// The same for directories.
    pub fn ignore_directory_syncs(&self) {
        self.state().ignore_directory_syncs = true;
    }

    /// What a machine finds after the power was cut now: a new file system without locks,
    /// faults and pending operations. This one is left as it is.
    pub fn crash(&self, crash: Crash) -> MemoryFileSystem {
        let state = self.state();
        let mut dice = Dice::new(crash);
        let mut names = state.durable_names.clone();
        for operation in &state.pending_names {
            if dice.keeps() {
                operation.apply(&mut names);
            }
        }
        let mut contents = Vec::with_capacity(state.contents.len());
        for content in &state.contents {
            let mut left = content.durable.clone();
            for operation in &content.pending {
                operation.survive(&mut dice, &mut left);
            }
            contents.push(Content {
                current: left.clone(),
                durable: left,
                pending: Vec::new(),
            });
        }
        MemoryFileSystem {
            state: Arc::new(Mutex::new(State {
                durable_names: names.clone(),
                names,
                directories: state.directories.clone(),
                contents,
                ..State::default()
            })),
        }
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// What a process reads from a file now, if it exists.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let id = *state.names.get(path)?;
        Some(state.contents[id].current.clone())
    }

    /// Puts a file there, durably, whatever was there before: damage by the hand of a test.
    pub fn set_content(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.contents.len();
        state.contents.push(Content {
            current: bytes.clone(),
            durable: bytes,
            pending: Vec::new(),
        });
        state.names.insert(path.to_owned(), id);
        state.durable_names.insert(path.to_owned(), id);
    }
}

impl State {
    /// Counts an operation; whether it may go on.
    fn begin(&mut self) -> io::Result<()> {
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            Some(Fault::PowerOff { at }) if now >= at => Err(io::Error::other("the power is off")),
            Some(Fault::Error { at, kind }) if now == at => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn change(&mut self, operation: NameOperation) {
        operation.apply(&mut self.names);
        self.pending_names.push(operation);
    }

    fn write(&mut self, id: usize, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.contents[id].current, offset, bytes);
        self.contents[id].pending.push(DataOperation::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("`{}` does not exist", path.display()),
    )
}

impl FileSystem for MemoryFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.begin()?;
        let id = match (state.names.get(path), mode) {
            (Some(_), OpenMode::Create) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(&id), _) => id,
            (None, OpenMode::Create) => {
                if !path.parent().is_some_and(|d| state.directories.contains(d)) {
                    return Err(not_found(path));
                }
                let id = state.contents.len();
                state.contents.push(Content::default());
                state.change(NameOperation::Create(path.to_owned(), id));
                id
            }
            (None, _) => return Err(not_found(path)),
        };
        Ok(Arc::new(MemoryFile {
            file_system: self.clone(),
            id,
            writable: mode != OpenMode::Read,
        }))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        for directory in path.ancestors() {
            state.directories.insert(directory.to_owned());
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.begin()?;
        if !state.directories.contains(directory) {
            return Err(not_found(directory));
        }
        Ok(state
            .names
            .keys()
            .filter(|path| path.parent() == Some(directory))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if !state.names.contains_key(from) {
            return Err(not_found(from));
        }
        state.change(NameOperation::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if !state.names.contains_key(from) {
            return Err(not_found(from));
        }
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.change(NameOperation::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if !state.names.contains_key(path) {
            return Err(not_found(path));
        }
        state.change(NameOperation::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        if state.ignore_directory_syncs {
            return Ok(());
        }
        let pending = std::mem::take(&mut state.pending_names);
        for operation in pending {
            if operation.directory() == Some(path) {
                operation.apply(&mut state.durable_names);
            } else {
                state.pending_names.push(operation);
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut state = self.state();
        state.begin()?;
        if !state.locks.insert(path.to_owned()) {
            return Ok(Lock::Held {
                pid: Some(std::process::id()),
            });
        }
        Ok(Lock::Taken(Box::new(MemoryLock {
            file_system: self.clone(),
            path: path.to_owned(),
        })))
    }
}

#[derive(Debug)]
struct MemoryLock {
    file_system: MemoryFileSystem,
    path: PathBuf,
}

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.file_system.state().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct MemoryFile {
    file_system: MemoryFileSystem,
    id: usize,
    writable: bool,
}

impl MemoryFile {
    fn writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl File for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.file_system.state();
        state.begin()?;
        let content = &state.contents[self.id].current;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let length = buffer.len().min(content.len() - start);
        buffer[..length].copy_from_slice(&content[start..start + length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writable()?;
        let mut state = self.file_system.state();
        if let Err(e) = state.begin() {
            // The write that the power cut or the error met had begun.
            let at = match state.fault {
                Some(Fault::PowerOff { at } | Fault::Error { at, .. }) => at,
                None => u64::MAX,
            };
            if state.operations == at + 1 {
                state.write(self.id, offset, &bytes[..bytes.len() / 2]);
            }
            return Err(e);
        }
        if let Some(capacity) = state.capacity_bytes {
            let used: usize = state
                .names
                .values()
                .map(|&id| state.contents[id].current.len())
                .sum();
            let own = state.contents[self.id].current.len() as u64;
            let grows = (offset + bytes.len() as u64).saturating_sub(own);
            let room = capacity.saturating_sub(used as u64);
            if grows > room {
                let over = usize::try_from(grows - room).unwrap_or(usize::MAX);
                let fits = bytes.len().saturating_sub(over);
                state.write(self.id, offset, &bytes[..fits]);
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        state.write(self.id, offset, bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.file_system.state();
        if let Err(e) = state.begin() {
            if let Some(Fault::Error { .. }) = state.fault {
                state.contents[self.id].pending.clear();
            }
            return Err(e);
        }
        if !state.ignore_data_syncs {
            let Content {
                durable, pending, ..
            } = &mut state.contents[self.id];
            for operation in pending.drain(..) {
                operation.apply(durable);
            }
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.writable()?;
        let mut state = self.file_system.state();
        state.begin()?;
        let content = &mut state.contents[self.id];
        resize(&mut content.current, length);
        content.pending.push(DataOperation::Truncate(length));
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.file_system.state();
        state.begin()?;
        Ok(state.contents[self.id].current.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file() -> (MemoryFileSystem, Arc<dyn File>) {
        let fs = MemoryFileSystem::new();
        fs.create_directory(Path::new("/d")).unwrap();
        let file = fs.open(Path::new("/d/a"), OpenMode::Create).unwrap();
        (fs, file)
    }

    #[test]
    fn unsynced_names_and_bytes_are_lost() {
        let (fs, file) = with_file();
        file.write_at(0, b"one").unwrap();
        file.sync_data().unwrap();
        assert!(fs.crash(Crash::LoseUnsynced).paths().is_empty());
        fs.sync_directory(Path::new("/d")).unwrap();
        file.write_at(3, b"two").unwrap();
        let lost = fs.crash(Crash::LoseUnsynced);
        assert_eq!(lost.content(Path::new("/d/a")).unwrap(), b"one");
        let kept = fs.crash(Crash::KeepUnsynced);
        assert_eq!(kept.content(Path::new("/d/a")).unwrap(), b"onetwo");
    }

    #[test]
    fn a_rename_waits_for_its_directory() {
        let (fs, _) = with_file();
        fs.sync_directory(Path::new("/d")).unwrap();
        fs.rename(Path::new("/d/a"), Path::new("/d/b")).unwrap();
        let names = |fs: &MemoryFileSystem| fs.list(Path::new("/d")).unwrap();
        assert_eq!(names(&fs.crash(Crash::LoseUnsynced)), ["a"]);
        fs.sync_directory(Path::new("/d")).unwrap();
        assert_eq!(names(&fs.crash(Crash::LoseUnsynced)), ["b"]);
    }

    #[test]
    fn tearing_reaches_parts_of_a_write() {
        let (fs, file) = with_file();
        fs.sync_directory(Path::new("/d")).unwrap();
        file.write_at(0, &[1; 2048]).unwrap();
        let torn = |seed| {
            let left = fs.crash(Crash::Tear { seed });
            left.content(Path::new("/d/a")).unwrap()
        };
        let images: BTreeSet<_> = (0..64).map(torn).collect();
        assert!(images.contains(&vec![1; 2048]));
        assert!(images.contains(&Vec::new()));
        assert!(images.iter().any(|i| i.contains(&0) && i.contains(&1)));
        assert_eq!(torn(7), torn(7));
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (fs, file) = with_file();
        fs.set_capacity(Some(4));
        let error = file.write_at(0, b"123456").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.length().unwrap(), 4);
        file.write_at(1, b"xyz").unwrap();
        fs.set_capacity(None);
        file.write_at(4, b"56").unwrap();
        assert_eq!(fs.content(Path::new("/d/a")).unwrap(), b"1xyz56");
    }

    #[test]
    fn faults_hit_the_operation_they_name() {
        let (fs, file) = with_file();
        fs.fail_at(fs.operations() + 1, io::ErrorKind::StorageFull);
        file.sync_data().unwrap();
        assert!(file.write_at(0, b"ab").is_err());
        assert_eq!(file.length().unwrap(), 1);
        fs.power_off_at(fs.operations());
        assert!(file.length().is_err() && file.sync_data().is_err());
    }
}
