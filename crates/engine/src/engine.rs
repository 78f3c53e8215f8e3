//! A store that is open: registry, log, and what reads need in memory.
//!
//! One writer at a time (the log's lock); opening read-only beside it is possible. Opening
//! replays the log; nothing in memory is the only copy of anything.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use evenkeel_log::{
    Clock, FileSystem, Log, LogReader, OpenMode, ReadOptions, RecoveryReport, Sequence,
};
use evenkeel_store::{Kv, MemoryKv, Reheats, Scans, StoreError};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{
    Cut, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, VisibleAt,
};

use crate::api::Change;
use crate::cold_tier::ColdTier;
use crate::definitions::{self, ChangePlan};
use crate::error::{EngineError, ErrorKind};
use crate::group::Made;
use crate::hot_store::{
    Beside, Checkpoint, CheckpointWritten, Folder, HotStore, MemoryLimits, SpentBuild,
    SpentCheckpoint,
};
use crate::ingest::fetch;
use crate::machine::Machine;
use crate::project::{DefinitionFile, Project};
use crate::push::Earlier;
use crate::reads::source_of;
use crate::registry::Registry;

/// Where the hot tier is, in the store's directory.
const HOT_DIRECTORY: &str = "hot";
/// At most two to the power of this many writes are refused between two trials.
const RESTS_MAX_LOG2: u32 = 6;
/// How much room is enough to try again.
const ROOM_BYTES_MAX: usize = 4 << 20;

/// A hot tier that must be opened again.
struct HotFailure {
    reason: String,
    /// So many writes are refused before it is tried again.
    rests: u32,
    /// Whether reads are of a hot tier in memory, as it could not be opened.
    is_in_memory: bool,
}

enum LogHandle {
    Writer(Arc<Log>),
    Reader(LogReader),
}

/// See the module.
pub struct Engine {
    project: Project,
    machine: Machine,
    registry: Registry,
    catalog: Arc<Catalog>,
    log: LogHandle,
    hot: HotStore,
    limits: MemoryLimits,
    /// Everything applied; behind the log's ends between an append and its apply.
    applied: Cut,
    /// The same in words, once somebody asked.
    applied_in_words: OnceLock<Arc<str>>,
    /// Why the hot tier must be opened again before anything is written.
    hot_failure: Option<HotFailure>,
    /// Failures of the hot tier since a checkpoint was written.
    failures: u32,
    /// Payloads that lost a conflict and have no dead letter yet, or are not known to have one.
    /// No checkpoint stands for them: what it stands for is not replayed.
    untold: Vec<(SourceId, Position)>,
    recovery: RecoveryReport,
    /// Whether a checkpoint was begun and has not ended.
    checkpointing: bool,
    /// Whether reads do not bring back themselves what left the hot tier.
    defers_cold: bool,
    /// Who uses the key-value store without a hold on this has one: it is not opened again
    /// meanwhile.
    kv_users: Arc<()>,
    spent_build: Option<SpentBuild>,
}

impl Engine {
    /// Opens a project's store for writing, creating it if need be.
    pub fn open(project: &Project) -> Result<Self, EngineError> {
        Self::open_on(project, Machine::default())
    }

    /// [`Engine::open`] with a clock of the caller's.
    pub fn open_with(project: &Project, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        Self::open_on(
            project,
            Machine {
                clock,
                ..Machine::default()
            },
        )
    }

    /// [`Engine::open`] on a machine of the caller's.
    pub fn open_on(project: &Project, machine: Machine) -> Result<Self, EngineError> {
        // Its name is durable too, else all that is in it would not be.
        machine
            .files
            .create_directory(&project.store)
            .map_err(|source| EngineError::Write {
                path: project.store.clone(),
                source,
            })?;
        let (log, recovery) = Log::open(
            Arc::clone(&machine.files),
            &log_directory(&project.store),
            Arc::clone(&machine.clock),
            machine.log.clone(),
        )
        .map_err(EngineError::log)?;
        let mut engine = Self::build(project, machine, LogHandle::Writer(Arc::new(log)), recovery)?;
        engine.tell()?;
        Ok(engine)
    }

    /// Opens a project's store to read: like a writer if nothing holds it, so that little is
    /// replayed; else beside whoever does.
    ///
    /// # Errors
    /// [`EngineError::NoStore`]; as [`Engine::open`].
    pub fn open_to_read(project: &Project) -> Result<Self, EngineError> {
        Self::refuse_without_store(project)?;
        match Self::open(project) {
            Err(error) if error.kind() == ErrorKind::Busy => Self::open_read_only(project),
            opened => opened,
        }
    }

    /// Opens a project's store for reading, beside a command that may be writing to it.
    ///
    /// # Errors
    /// [`EngineError::NoStore`]; as [`Engine::open`], but never that the store is in use.
    pub fn open_read_only(project: &Project) -> Result<Self, EngineError> {
        Self::refuse_without_store(project)?;
        let machine = Machine::default();
        let directory = log_directory(&project.store);
        let (log, recovery) =
            LogReader::open(Arc::clone(&machine.files), &directory).map_err(EngineError::log)?;
        Self::build(project, machine, LogHandle::Reader(log), recovery)
    }

    /// Whether a project's store was made: by a first `apply`.
    pub fn has_store(project: &Project) -> bool {
        log_directory(&project.store).is_dir()
    }

    pub(crate) fn refuse_without_store(project: &Project) -> Result<(), EngineError> {
        if Self::has_store(project) {
            return Ok(());
        }
        Err(EngineError::NoStore {
            path: project.store.clone(),
        })
    }

    fn build(
        project: &Project,
        machine: Machine,
        log: LogHandle,
        recovery: RecoveryReport,
    ) -> Result<Self, EngineError> {
        let registry = Registry::open_in(Arc::clone(&machine.files), &project.store)?;
        let catalog = Arc::new(definitions::catalog_of(&registry)?);
        let limits = MemoryLimits::of(project.limits.memory_bytes, machine.sealed_entries);
        let (reader, kv): (LogReader, Arc<dyn Kv>) = match &log {
            LogHandle::Writer(log) => {
                Folder::of(&project.store, &machine.stores).clear()?;
                ((***log).clone(), open_hot(project, &machine)?)
            }
            LogHandle::Reader(reader) => (reader.clone(), Arc::new(MemoryKv::new())),
        };
        let hot = HotStore::bring_up(kv, &reader, &catalog, limits)?;
        let mut engine = Engine {
            project: project.clone(),
            machine,
            registry,
            catalog,
            log,
            applied: hot.state().applied.clone(),
            applied_in_words: OnceLock::new(),
            hot,
            limits,
            hot_failure: None,
            failures: 0,
            untold: Vec::new(),
            recovery,
            checkpointing: false,
            defers_cold: false,
            kv_users: Arc::default(),
            spent_build: None,
        };
        engine.replay()?;
        Ok(engine)
    }

    /// Applies what is logged and not yet applied.
    fn replay(&mut self) -> Result<(), EngineError> {
        let options = ReadOptions {
            from: Sequence(self.hot.state().next_sequence),
            after: self.applied.clone(),
            ..ReadOptions::default()
        };
        for logged in self.reader().clone().read(options) {
            let logged = logged.map_err(EngineError::log)?;
            self.apply_logged(logged, None, &Earlier::default())?;
            // If it fails, what is applied is in memory all the same.
            let _ = self.checkpoint_if_due();
        }
        Ok(())
    }

    /// Begins a checkpoint of everything applied, if it is due: to be written without a hold on
    /// the engine, then ended. One at a time.
    pub fn begin_checkpoint_if_due(&mut self) -> Option<Checkpoint> {
        if self.is_checkpoint_due() {
            self.begin_checkpoint_now()
        } else {
            None
        }
    }

    /// Whether half of what may be new is: time for a checkpoint. The other half is for what
    /// comes while it is written; when that is full too, whoever writes must wait for its end.
    pub fn is_checkpoint_due(&self) -> bool {
        self.hot.dirty_bytes() > self.limits.dirty_bytes / 2
    }

    /// About the bytes in memory that no checkpoint has, and those that one writes now.
    pub fn unwritten_bytes(&self) -> (usize, usize) {
        (self.hot.dirty_bytes(), self.hot.frozen_bytes())
    }

    fn can_begin_checkpoint(&self) -> bool {
        self.is_durable() && self.hot_failure.is_none() && !self.checkpointing
    }

    /// The same however little is new; none if one is under way.
    pub fn begin_checkpoint_now(&mut self) -> Option<Checkpoint> {
        let can = self.can_begin_checkpoint() && self.untold.is_empty();
        can.then(|| self.begin_checkpoint())
    }

    /// Whether a checkpoint was begun and has not ended.
    pub(crate) fn is_checkpointing(&self) -> bool {
        self.checkpointing
    }

    fn begin_checkpoint(&mut self) -> Checkpoint {
        let reader = self.reader();
        // Where the log goes on, if everything before is applied. It is asked before the ends
        // are: what somebody appends in between is behind it.
        let next = reader.next_sequence().0;
        let next_sequence = if self.applied.covers(&reader.ends()) {
            next
        } else {
            self.hot.state().next_sequence
        };
        let applied = self.applied.clone();
        self.checkpointing = true;
        self.hot.begin_checkpoint(&applied, next_sequence)
    }

    /// Ends a checkpoint that was written.
    pub fn end_checkpoint(&mut self, written: CheckpointWritten) -> SpentCheckpoint {
        self.checkpointing = false;
        self.failures = 0;
        self.hot.end_checkpoint(written)
    }

    /// Tells that a checkpoint could not be written: reads go on, and before anything more is
    /// written the hot tier is opened again ([`Engine::heal`]).
    pub fn checkpoint_failed(&mut self, error: &StoreError) {
        self.checkpointing = false;
        self.fail(error.to_string(), false);
    }

    /// A checkpoint of everything applied, all at once: what is opened next has nothing to
    /// replay.
    pub fn checkpoint(&mut self) -> Result<(), EngineError> {
        self.heal()?;
        if self.is_durable() && !self.checkpointing && self.hot.dirty_bytes() > 0 {
            self.tell()?;
            let checkpoint = self.begin_checkpoint();
            self.finish_checkpoint(checkpoint)?;
        }
        Ok(())
    }

    /// [`Engine::checkpoint`], if as much is new as may be.
    pub(crate) fn checkpoint_if_due(&mut self) -> Result<(), EngineError> {
        if !self.can_begin_checkpoint() || self.hot.dirty_bytes() <= self.limits.dirty_bytes {
            return Ok(());
        }
        self.tell()?;
        match self.begin_checkpoint_now() {
            Some(checkpoint) => self.finish_checkpoint(checkpoint),
            None => Ok(()),
        }
    }

    fn finish_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), EngineError> {
        match checkpoint.write() {
            Ok(written) => {
                self.end_checkpoint(written);
                Ok(())
            }
            Err(error) => {
                self.checkpoint_failed(&error);
                Err(error.into())
            }
        }
    }

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
    fn fail(&mut self, reason: String, is_in_memory: bool) {
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
    fn bring_up(&mut self, kv: Arc<dyn Kv>, can_go_on: bool) -> Result<(), EngineError> {
        let hot = HotStore::bring_up(kv, self.reader(), &self.catalog, self.limits)?;
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

    /// Whether the hot tier is on disk. Beside a writer it is in memory.
    fn is_durable(&self) -> bool {
        matches!(self.log, LogHandle::Writer(_))
    }

    /// Applies one logged event; the position of the payload that lost, if it conflicts. `made`
    /// is what was made of it when it was judged, if it was just now; earlier events that are
    /// known need not be read again.
    pub(crate) fn apply_logged(
        &mut self,
        mut logged: LoggedEvent,
        made: Option<Made>,
        known: &Earlier,
    ) -> Result<Option<Position>, EngineError> {
        let reader = self.reader().clone();
        let Position { partition, offset } = logged.position;
        let end = Offset(offset.0 + 1);
        let Some(def) = self.catalog.source_by_id(logged.source).cloned() else {
            self.set_applied(logged.source, partition, end);
            return Ok(None);
        };
        // A source may have changed since.
        let made = made.filter(|_| logged.schema_version == def.schema.version());
        def.schema
            .upgrade(&mut logged)
            .map_err(|reason| EngineError::schema(&def, reason))?;
        // What an identity held before is asked for twice: for its payload, and for its places.
        let last: RefCell<Option<LoggedEvent>> = RefCell::new(None);
        let earlier = |position| {
            let before = last
                .borrow()
                .as_ref()
                .filter(|l| l.position == position)
                .cloned();
            if let Some(known) = known.get(&(def.id, position)).cloned().or(before) {
                return Ok(known);
            }
            let found = fetch(&reader, &def, position)?;
            *last.borrow_mut() = Some(found.clone());
            Ok(found)
        };
        let applied = self
            .hot
            .apply_made(&logged, made, earlier)
            // What comes later must not be applied behind a gap.
            .inspect_err(|error: &EngineError| self.fail(error.to_string(), false))?;
        self.set_applied(logged.source, partition, end);
        let loser = applied.and_then(|a| a.loser);
        if self.is_durable() {
            self.untold
                .extend(loser.map(|loser| (logged.source, loser)));
        }
        Ok(loser)
    }

    /// The dead letters of these losers are logged.
    pub(crate) fn forget_told(&mut self, losers: &[(SourceId, Position)]) {
        self.untold.retain(|loser| !losers.contains(loser));
    }

    /// Whether a conflict was applied whose dead letter could not be logged: no checkpoint is
    /// begun before [`Engine::tell`].
    pub fn is_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    fn set_applied(&mut self, source: SourceId, partition: Partition, end: Offset) {
        self.applied.set_end(source, partition, end);
        self.applied_in_words = OnceLock::new();
    }

    /// Logs the dead letters of conflicts that have none: a process that died did not log
    /// them, or their events are replayed.
    ///
    /// # Errors
    /// If the log cannot be read or written.
    pub fn tell(&mut self) -> Result<(), EngineError> {
        // Once each, however often it was replayed.
        let mut losers: BTreeMap<SourceId, BTreeSet<Position>> = BTreeMap::new();
        for (source, position) in &self.untold {
            losers.entry(*source).or_default().insert(*position);
        }
        for (source, losers) in losers {
            let Some(def) = self.catalog.source_by_id(source).cloned() else {
                continue;
            };
            let mut logged = BTreeSet::new();
            let letters = self.reader().dead_letters(source);
            for letter in letters.map_err(EngineError::log)? {
                logged.extend(letter.map_err(EngineError::log)?.letter.position);
            }
            let missing: Vec<Position> =
                losers.into_iter().filter(|p| !logged.contains(p)).collect();
            self.log_conflicts(&def, &missing)?;
        }
        self.untold.clear();
        Ok(())
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Everything that is defined.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn shared_catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What opening the log found.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Now, by the engine's clock.
    pub fn now(&self) -> EventTime {
        EventTime(self.machine.clock.now_micros())
    }

    /// From now on reads that need what left the hot tier are refused with
    /// [`EngineError::Cold`], which brings it back without a hold on the engine: for who
    /// lets others wait while it reads.
    pub fn defer_cold_reads(&mut self) {
        self.defers_cold = true;
        self.hot.defer_cold();
    }

    /// The scans that bring back what left the hot tier: none is under way when it is opened
    /// again.
    pub fn scans(&self) -> Scans {
        self.hot.scans()
    }

    /// What had left the hot tier and was brought back from the log, since the store was
    /// opened.
    pub fn reheats(&self) -> Reheats {
        self.hot.reheats()
    }

    /// The log, to read.
    pub fn reader(&self) -> &LogReader {
        match &self.log {
            LogHandle::Writer(log) => log,
            LogHandle::Reader(reader) => reader,
        }
    }

    /// The log, to append without a hold on the engine: [`crate::push`].
    ///
    /// # Errors
    /// If the store is open for reading only.
    pub fn writer(&self) -> Result<Arc<Log>, EngineError> {
        match &self.log {
            LogHandle::Writer(log) => Ok(Arc::clone(log)),
            LogHandle::Reader(_) => Err(EngineError::ReadOnly {
                path: self.project.store.clone(),
            }),
        }
    }

    /// The log, to write.
    pub(crate) fn log(&self) -> Result<&Log, EngineError> {
        match &self.log {
            LogHandle::Writer(log) => Ok(log.as_ref()),
            LogHandle::Reader(_) => Err(EngineError::ReadOnly {
                path: self.project.store.clone(),
            }),
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// To be held by who uses the key-value store of the hot tier without a hold on this.
    pub(crate) fn kv_users(&self) -> &Arc<()> {
        &self.kv_users
    }

    pub(crate) fn cold_tier(&self) -> ColdTier {
        ColdTier::of(&self.project, &self.machine, self.registry.identity())
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn memory_limits(&self) -> MemoryLimits {
        self.limits
    }

    /// Goes over to other definitions, for which what is new was built.
    pub(crate) fn go_over(&mut self, registry: Registry, beside: Beside) {
        self.registry = registry;
        self.catalog = Arc::clone(beside.catalog());
        self.spent_build = Some(self.hot.adopt(beside));
    }

    /// What is left of what was built beside this and of what it took the place of: to be
    /// dropped without a hold on it.
    pub fn take_spent(&mut self) -> impl Sized + use<> {
        self.spent_build.take()
    }

    pub(crate) fn hot(&self) -> &HotStore {
        &self.hot
    }

    /// The time that the next append will have, at the earliest.
    pub(crate) fn timeline(&self) -> VisibleAt {
        let now = VisibleAt(self.machine.clock.now_micros());
        self.reader().timeline().map_or(now, |last| last.max(now))
    }

    /// The cut of everything applied.
    pub fn cut(&self) -> Cut {
        self.applied.clone()
    }

    /// [`Engine::cut`] in the words of [`Engine::format_cut`].
    pub fn cut_in_words(&self) -> Arc<str> {
        let words = || self.format_cut(&self.applied).into();
        Arc::clone(self.applied_in_words.get_or_init(words))
    }

    pub(crate) fn applied(&self) -> &Cut {
        &self.applied
    }

    /// The first offset of a partition that is not applied.
    pub fn applied_end(&self, source: SourceId, partition: Partition) -> Offset {
        self.applied.end(source, partition)
    }

    /// A source by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn source(&self, name: &str) -> Result<Arc<SourceDef>, EngineError> {
        self.source_def(name)
    }

    pub(crate) fn source_def(&self, name: &str) -> Result<Arc<SourceDef>, EngineError> {
        source_of(&self.catalog, name)
    }

    /// What applying these files would change.
    pub fn plan(&self, files: &[DefinitionFile]) -> Result<ChangePlan, EngineError> {
        self.offline().plan(files)
    }

    /// Applies a plan: records it, and makes the new definitions readable.
    pub fn apply(&mut self, plan: ChangePlan) -> Result<Vec<Change>, EngineError> {
        let ChangePlan {
            changes, objects, ..
        } = plan;
        // Only who may write the log may change the registry.
        self.log()?;
        self.heal()?;
        if !objects.is_empty() {
            self.registry
                .append(self.machine.clock.now_micros(), objects)?;
        }
        self.catalog = Arc::new(definitions::catalog_of(&self.registry)?);
        self.checkpoint()?;
        self.bring_up(Arc::clone(self.hot.kv()), false)?;
        self.checkpoint()?;
        Ok(changes)
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

pub(crate) fn hot_directory(store: &Path) -> PathBuf {
    store.join(HOT_DIRECTORY)
}

pub(crate) fn log_directory(store: &Path) -> PathBuf {
    store.join("log")
}

/// The key-value store of a project.
fn open_hot(project: &Project, machine: &Machine) -> Result<Arc<dyn Kv>, EngineError> {
    let path = hot_directory(&project.store);
    let memory_bytes = project.limits.memory_bytes / 4;
    Ok(machine.stores.open(&path, memory_bytes)?)
}

#[cfg(test)]
mod tests {
    use evenkeel_types::Value;

    use super::*;
    use crate::push::{PushedRow, Pusher, Write};

    const DEFINITIONS: &str = "
        CREATE ENTITY driver (driver BIGINT);
        CREATE STREAM rides (id STRING, driver BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
        CREATE FEATURE VIEW stats ENTITY driver AS
        SELECT driver, count(*) OVER (ALL HISTORY) AS rides FROM rides;";
    const CONFLICTS: i64 = 300;

    /// As far as opening comes before it logs what is missing; then the process dies.
    fn replay_and_die(project: &Project) -> u64 {
        let machine = Machine::default();
        let (log, recovery) = Log::open(
            Arc::clone(&machine.files),
            &log_directory(&project.store),
            Arc::clone(&machine.clock),
            machine.log.clone(),
        )
        .unwrap();
        let log = LogHandle::Writer(Arc::new(log));
        let engine = Engine::build(project, machine, log, recovery).unwrap();
        engine.hot.state().checkpoint
    }

    #[test]
    fn a_loser_has_its_letter_before_a_checkpoint_stands_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
        write("a.sql", DEFINITIONS).unwrap();
        // Every few conflicts make a checkpoint due.
        write("evenkeel.toml", "[limits]\nmemory_bytes = 40000\n").unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let source = engine.source("rides").unwrap();
        let id = source.id;
        let rows = (0..CONFLICTS)
            .flat_map(|n| [(n, 0), (n, 1)])
            .map(|(n, driver)| PushedRow {
                values: Ok(vec![
                    Value::from(format!("ride {n}").as_str()),
                    Value::BigInt(driver),
                    Value::Timestamp(n),
                ]),
                producer: None,
            });
        let write = Write::Push {
            source,
            rows: rows.collect(),
        };
        let judged = Pusher::default().judge(&engine, vec![write]);
        // Dies between the append and everything else.
        drop(judged.append(&engine.writer().unwrap()).unwrap());
        drop(engine);
        let before = replay_and_die(&project);
        assert!(before > 2, "{before} checkpoints");
        replay_and_die(&project);
        let engine = Engine::open(&project).unwrap();
        let letters = engine.reader().dead_letters(id).unwrap();
        let mut told: Vec<u64> = letters
            .map(|l| l.unwrap().letter.position.unwrap().offset.0)
            .collect();
        told.sort_unstable();
        let lost: Vec<u64> = (0..CONFLICTS.unsigned_abs()).map(|n| 2 * n + 1).collect();
        assert_eq!(told, lost);
    }
}
