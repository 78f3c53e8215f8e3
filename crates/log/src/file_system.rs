//! The file operations that the log needs, behind a seam: the disk, and a memory that
//! models what a power cut leaves.
//!
//! Contract of every implementation: a write is durable once `sync_data` of its file has
//! returned; a creation, rename or removal is durable once `sync_directory` of its directory
//! has returned; until then either may be lost, in part, in any order. Nothing is buffered
//! above the operating system.

mod disk;
mod memory;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use disk::DiskFileSystem;
pub use memory::{Crash, MemoryFileSystem};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A file that must not exist yet, for reading and writing.
    Create,
}

/// Directories and names.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Creates a directory and those above it that are missing, and makes them durable.
    /// No error if it exists.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, sorted.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// Renames a file within its directory; replaces what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file within its directory to a name that no file has, in one step: of several
    /// who try, one succeeds, and the others change nothing and get `AlreadyExists`. A crash
    /// may leave the file under both names.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in the directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock that the file at `path` stands for, creating the file if
    /// need be. The operating system gives the lock back when its holder dies.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// What became of an attempt to take a lock.
#[derive(Debug)]
pub enum Lock {
    /// Ours until the guard is dropped.
    Taken(Box<dyn LockGuard>),
    /// Somebody else's.
    Held {
        /// The process that holds it, if it could be read.
        pid: Option<u32>,
    },
}

/// Holds a lock until it is dropped.
pub trait LockGuard: Send + Sync + fmt::Debug {}

/// An open file. Reads and writes name their place; there is no cursor.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads at most `buffer.len()` bytes; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `offset`, growing the file if need be. After an error any part
    /// of them may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file's content and length durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;
}
