//! A hot tier that could not be written, or an event that could not be applied: it is opened again
//! and brought up from the log, seldom if that keeps failing.
//!
//! Invariant: reads go on meanwhile, of as much as was replayed or of what was before; nothing is
//! written behind a gap.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use evenkeel_log::{FileSystem, OpenMode};
use evenkeel_store::{Kv, MemoryKv};

use super::{Engine, open_hot};
use crate::error::EngineError;
use crate::hot_store::HotStore;

/// At most two to the power of this many writes are refused between two trials.
const RESTS_MAX_LOG2: u32 = 6;
/// How much room is enough to try again.
const ROOM_BYTES_MAX: usize = 4 << 20;

/// A hot tier that must be opened again.
pub(super) struct HotFailure {
    reason: String,
    /// So many writes are refused before it is tried again.
    rests: u32,
    /// Whether reads are of a hot tier in memory, as it could not be opened.
    is_in_memory: bool,
}

impl Engine {
    /// Whether [`Engine::heal`] has something to do.
    pub fn needs_healing(&self) -> bool {
        self.hot_failure.is_some()
    }

    /// Opens the hot tier again if it could not be written or an event could not be applied,
    /// and brings it up from the log. Writing calls it, so that it goes on by itself as soon
    /// as, say, there is room on the disk again.
    ///
    /// # Errors
    /// [`EngineError::HotTierClosed`] while its cause lasts: nothing is written, reads go on.
    pub fn heal(&mut self) -> Result<(), EngineError> {
        if self.hot_failure.is_none() {
            return Ok(());
        }
        self.try_to_heal()
            .map_err(|error| EngineError::HotTierClosed {
                source: Box::new(error),
            })?;
        self.tell()
    }

    fn try_to_heal(&mut self) -> Result<(), EngineError> {
        let Some(failure) = &mut self.hot_failure else {
            return Ok(());
        };
        if failure.rests > 0 {
            failure.rests -= 1;
            return Err(EngineError::HotTierRests {
                failures: self.failures,
                writes: failure.rests,
                reason: failure.reason.clone(),
            });
        }
        let scans = self.hot.scans();
        let paused = scans.pause();
        let is_used = Arc::strong_count(&self.kv_users) > 1;
        if self.checkpointing || is_used || paused.is_none() {
            // They are of the hot tier that would be closed; their end is awaited.
            return Err(EngineError::HotTierInUse);
        }
        // As long as there is no room, what is open is better than what could be had.
        let files = self.machine.files.as_ref();
        probe_room(files, &self.project.store, self.limits.dirty_bytes)?;
        let was_in_memory = failure.is_in_memory;
        self.hot_failure = None;
        if let Err(error) = self.reopen_hot_tier(was_in_memory) {
            self.fail(error.to_string(), true);
            return Err(error);
        }
        match &self.hot_failure {
            None => Ok(()),
            // What was replayed could not be written.
            Some(failure) => Err(EngineError::HotTierRests {
                failures: self.failures,
                writes: failure.rests,
                reason: failure.reason.clone(),
            }),
        }
    }

    /// Takes note of a failure. The first one is made up for at once, each more lets twice as
    /// many writes pass before: what is tried keeps reads waiting, so it is tried seldom.
    pub(super) fn fail(&mut self, reason: String, is_in_memory: bool) {
        let rests = 1u32 << self.failures.min(RESTS_MAX_LOG2);
        self.failures += 1;
        self.hot_failure = Some(HotFailure {
            reason,
            rests: rests - 1,
            is_in_memory,
        });
    }

    /// Opens the hot tier again, and brings it up. If that fails, reads go on from what the log
    /// says: in memory, for which it is replayed once.
    fn reopen_hot_tier(&mut self, is_in_memory: bool) -> Result<(), EngineError> {
        if !is_in_memory {
            self.hot.close();
        }
        let opened = open_hot(&self.project, &self.machine);
        let brought_up = opened.and_then(|kv| self.bring_up(kv, is_in_memory));
        if brought_up.is_err() && !is_in_memory {
            self.bring_up(Arc::new(MemoryKv::new()), false)?;
        }
        brought_up
    }

    /// Everything that is logged, over a key-value store. If that fails, reads are of as much as
    /// was replayed, or, if they can go on with it, of what was before.
    pub(super) fn bring_up(&mut self, kv: Arc<dyn Kv>, can_go_on: bool) -> Result<(), EngineError> {
        let mut hot = HotStore::bring_up(kv, self.reader(), &self.catalog, self.limits)?;
        hot.raise_reached(&self.emitted_least);
        if self.defers_cold {
            hot.defer_cold();
        }
        let applied = hot.state().applied.clone();
        let before = (
            std::mem::replace(&mut self.hot, hot),
            std::mem::replace(&mut self.applied, applied),
        );
        self.applied_in_words = OnceLock::new();
        let replayed = self.replay();
        if replayed.is_err() && can_go_on {
            (self.hot, self.applied) = before;
            self.applied_in_words = OnceLock::new();
        }
        replayed
    }
}

/// Whether a file of so many bytes can be written to a directory.
fn probe_room(files: &dyn FileSystem, directory: &Path, bytes: usize) -> Result<(), EngineError> {
    let path = directory.join("room.tmp");
    // Of a process that died.
    let _ = files.remove(&path);
    let probe = || -> std::io::Result<()> {
        let file = files.open(&path, OpenMode::Create)?;
        file.write_at(0, &vec![0x5a; bytes.min(ROOM_BYTES_MAX)])?;
        file.sync_data()
    };
    let probed = probe();
    let removed = files.remove(&path);
    probed
        .and(removed)
        .map_err(|source| EngineError::Write { path, source })
}
