//! What an engine stands on: the clock, the files, and the key-value stores of hot tiers.
//!
//! Owns the seams through which an open store touches its machine, and nothing of what is
//! done with them. Whoever replaces all of them runs an engine under a seed; backup, doctor
//! and the log of served answers work on a disk whatever is put here.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use evenkeel_log::{Clock, DiskFileSystem, FileSystem, LogOptions, SystemClock};
use evenkeel_store::{EmbeddedKv, Kv, SEALED_ENTRIES, StoreError};

use crate::emission::{COMMIT_BYTES, EVALUATED_MAX, PIECE_RECORDS, PLACES_MAX};

/// See the module.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The files of log and registry.
    pub files: Arc<dyn FileSystem>,
    /// Where hot tiers are kept.
    pub stores: Arc<dyn KvStores>,
    /// Numbers of the log.
    pub log: LogOptions,
    /// Entries of a sealed block, as a rule.
    pub sealed_entries: usize,
    /// Triggers that a derived stream evaluates for one commit, about: then others have their turn.
    pub evaluated_max: usize,
    /// Bytes of its emissions of one commit, about.
    pub commit_bytes: usize,
    /// Places of its trigger's events that are held of what one record changes; what is behind them is searched for
    /// again.
    pub places_max: usize,
    /// Records that emissions are made for at a time; fewer where others wait for their turn.
    pub piece_records: usize,
}

impl Default for Machine {
    /// This machine's clock and disk, with the usual numbers.
    fn default() -> Self {
        Machine {
            clock: Arc::new(SystemClock),
            files: Arc::new(DiskFileSystem),
            stores: Arc::new(EmbeddedStores),
            log: LogOptions::default(),
            sealed_entries: SEALED_ENTRIES,
            evaluated_max: EVALUATED_MAX,
            commit_bytes: COMMIT_BYTES,
            places_max: PLACES_MAX,
            piece_records: PIECE_RECORDS,
        }
    }
}

/// Key-value stores by their directories.
pub trait KvStores: Send + Sync + fmt::Debug {
    /// Opens a store, creating it if there is none. It uses about `memory_bytes`.
    ///
    /// # Errors
    /// If it cannot be opened; if it is damaged.
    fn open(&self, directory: &Path, memory_bytes: u64) -> Result<Arc<dyn Kv>, StoreError>;

    /// Whether something was written to a store in a directory, so that who began it may go on.
    fn is_begun(&self, _directory: &Path) -> bool {
        false
    }

    /// Removes a store; none may have it open. No error if there is none.
    ///
    /// # Errors
    /// If something of it stays.
    fn remove(&self, directory: &Path) -> io::Result<()>;
}

/// Embedded stores on the disk.
#[derive(Debug)]
struct EmbeddedStores;

impl KvStores for EmbeddedStores {
    fn open(&self, directory: &Path, memory_bytes: u64) -> Result<Arc<dyn Kv>, StoreError> {
        // What it has lost is replayed from the log: its state says from where on.
        let (kv, _) = EmbeddedKv::open(directory, memory_bytes)?;
        Ok(Arc::new(kv))
    }

    fn is_begun(&self, directory: &Path) -> bool {
        EmbeddedKv::is_begun(directory)
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
