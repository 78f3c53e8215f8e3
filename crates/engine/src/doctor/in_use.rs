//! A store that a server holds, looked at while it is read and written.
//!
//! Invariant: the hot tier is seen as of one checkpoint, which is one atomic batch, and the log
//! up to what was acknowledged when it is opened, later; so both fit each other. What is in
//! memory and not checkpointed yet is not looked at; rows that the server has in its caches
//! are read from there, not from the disk.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use evenkeel_log::{DiskFileSystem, LogReader};
use evenkeel_store::{ExamineUntil, Kv, Snapshot, Space, StoreError, Visit};

use super::{
    Examination, HotTier, WATCH_EVERY, Watch, beside, hot_damage, hot_rows, log_damage, read_log,
    registry, stand_lake_behind,
};
use crate::engine::{Engine, hot_directory, log_directory};
use crate::error::EngineError;
use crate::hot_store::StoreState;
use crate::project::Project;

/// What is needed of an engine in use. See the module.
pub struct InUse {
    project: Project,
    kv: Arc<dyn Kv>,
    snapshot: Arc<dyn Snapshot>,
    /// As long as it is there, the hot tier is not opened again.
    _users: Arc<()>,
}

impl Engine {
    /// What the doctor needs to look at this store while it is used.
    pub fn in_use(&self) -> InUse {
        let kv = Arc::clone(self.hot().kv());
        InUse {
            project: self.project().clone(),
            snapshot: kv.snapshot(),
            kv,
            _users: Arc::clone(self.kv_users()),
        }
    }
}

impl InUse {
    /// Looks at the store, with no hold on the engine.
    ///
    /// # Errors
    /// If something cannot be read, and not because it is damaged; [`EngineError::Stopped`].
    pub fn examine(self, watch: &Watch<'_>) -> Result<Examination, EngineError> {
        let mut examination = Examination::default();
        let store = &self.project.store;
        let directory = log_directory(store);
        let log = LogReader::open(Arc::new(DiskFileSystem), &directory).map_err(EngineError::log);
        // After the log: whatever is in it was defined before.
        let (catalog, identity) = registry(&self.project, &mut examination)?;
        beside(&self.project, &mut examination)?;
        let log = match log {
            Ok((log, _)) => log,
            Err(error) => {
                let damage = log_damage(&error).ok_or(error)?;
                examination.damages.push(damage);
                return Ok(examination);
            }
        };
        stand_lake_behind(&self.project, identity, &log, &catalog);
        read_log(&log, &catalog, &mut examination, watch)?;
        let place = hot_directory(store).display().to_string();
        match StoreState::read_from(self.snapshot.as_ref()) {
            Ok(state) => {
                let hot = HotTier {
                    place,
                    kv: self.kv,
                    snapshot: self.snapshot,
                    state,
                };
                hot_rows(hot, &log, &catalog, &mut examination, watch)?;
            }
            Err(error) => {
                let damage = hot_damage(place, error.to_string());
                examination.damages.push(damage);
            }
        }
        Ok(examination)
    }
}

/// A snapshot whose examination can be watched and ended.
pub(super) struct Watched<'w> {
    snapshot: Arc<dyn Snapshot>,
    watch: &'w Watch<'w>,
    rows: AtomicU64,
    stopped: AtomicBool,
}

impl<'w> Watched<'w> {
    pub(super) fn new(snapshot: Arc<dyn Snapshot>, watch: &'w Watch<'w>) -> Self {
        Watched {
            snapshot,
            watch,
            rows: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Whether it was ended: then not all rows were seen.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn refuse_if_stopped(&self) -> Result<(), EngineError> {
        if self.is_stopped() {
            return Err(EngineError::Stopped);
        }
        Ok(())
    }
}

impl fmt::Debug for Watched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot.fmt(f)
    }
}

impl Snapshot for Watched<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot.get(space, key)
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.snapshot.range(space, from, to, visit)
    }

    fn examine_until(&self, space: Space, visit: &mut ExamineUntil<'_>) -> Result<(), StoreError> {
        self.snapshot.examine_until(space, &mut |key, value| {
            let rows = self.rows.fetch_add(1, Ordering::Relaxed) + 1;
            if rows.is_multiple_of(WATCH_EVERY) && (self.watch)("rows", rows).is_break() {
                self.stopped.store(true, Ordering::Relaxed);
            }
            if self.is_stopped() {
                return ControlFlow::Break(());
            }
            visit(key, value)
        })
    }

    fn prefix(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.snapshot.prefix(space, prefix, visit)
    }
}
