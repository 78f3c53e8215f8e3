//! A store that is open: registry, log, and what reads need in memory.
//!
//! One writer at a time (the log's lock); opening read-only beside it is possible. Opening
//! replays the log; nothing in memory is the only copy of anything. When that goes to the disk is
//! in `checkpoints`, and what happens if it cannot in `healing`.

mod checkpoints;
mod healing;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use evenkeel_log::{Clock, Log, LogReader, ReadOptions, RecoveryReport, Sequence};
use evenkeel_store::{Kv, MemoryKv, Reheats, Scans};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{
    Cut, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, VisibleAt,
};

use self::healing::HotFailure;
use crate::api::Change;
use crate::cold_tier::ColdTier;
use crate::definitions::{self, ChangePlan};
use crate::emission::{Backfilling, Emitter};
use crate::error::{EngineError, ErrorKind, chain};
use crate::forget::emitted_before;
use crate::group::Made;
use crate::hot_store::{Beside, Folder, HotStore, MemoryLimits, SpentBuild};
use crate::ingest::fetch_unless_known;
use crate::machine::Machine;
use crate::project::{DefinitionFile, Project};
use crate::push::Earlier;
use crate::reads::source_of;
use crate::registry::Registry;
use crate::segment::Unjudged;

/// Where the hot tier is, in the store's directory.
const HOT_DIRECTORY: &str = "hot";

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
    /// Sources that the registry may have otherwise than this engine: they take nothing.
    unsure: Vec<SourceId>,
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
    unjudged: Arc<Unjudged>,
    emitter: Emitter,
    /// Why nothing was emitted.
    emission_failure: Option<String>,
    /// Why some derived streams do not go on.
    emission_failures: BTreeMap<SourceId, String>,
    /// How far a backfill is that is under way.
    backfilling: Option<Backfilling>,
    /// How far streams were when somebody was forgotten: no hot tier knows better.
    emitted_least: BTreeMap<SourceId, u64>,
}

impl Engine {
    /// Opens a project's store for writing, creating it if need be.
    pub fn open(project: &Project) -> Result<Self, EngineError> {
        Self::open_on(project, Machine::default())
    }

    /// [`Engine::open`] for who emits itself ([`Emitter`]): what was logged and not emitted yet is
    /// left to it.
    pub fn open_to_serve(project: &Project) -> Result<Self, EngineError> {
        Self::open_to_serve_on(project, Machine::default())
    }

    /// [`Engine::open_to_serve`] on a machine of the caller's.
    pub fn open_to_serve_on(project: &Project, machine: Machine) -> Result<Self, EngineError> {
        let engine = Self::open_to_write(project, machine)?;
        let mut engine = engine.forget_asked()?;
        engine.tell()?;
        Ok(engine)
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
        let mut engine = Self::open_to_write(project, machine)?;
        engine.tell()?;
        engine.emit();
        Ok(engine)
    }

    pub(crate) fn open_to_write(project: &Project, machine: Machine) -> Result<Self, EngineError> {
        // Its name is durable too, else all that is in it would not be.
        machine
            .files
            .create_directory(&project.store)
            .map_err(|source| EngineError::Write {
                path: project.store.clone(),
                source,
            })?;
        Self::finish_forgetting(project, &machine)?;
        let (log, recovery) = Log::open(
            Arc::clone(&machine.files),
            &log_directory(&project.store),
            Arc::clone(&machine.clock),
            machine.log.clone(),
        )
        .map_err(EngineError::log)?;
        Self::build(project, machine, LogHandle::Writer(Arc::new(log)), recovery)
    }

    /// Opens a project's store to read: like a writer if nothing holds it, so that little is
    /// replayed; else beside whoever does, and so, too, where nothing can be written: the disk is
    /// read-only or full, or the store is somebody else's.
    ///
    /// # Errors
    /// [`EngineError::NoStore`]; as [`Engine::open`].
    pub fn open_to_read(project: &Project) -> Result<Self, EngineError> {
        Self::refuse_without_store(project)?;
        match Self::open(project) {
            Err(error) if error.kind() == ErrorKind::Busy || error.is_of_writing() => {
                Self::open_read_only(project)
            }
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
        Self::refuse_forgetting(project, &machine)?;
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
        let catalog = Arc::new(definitions::catalog_of(
            &registry,
            Some(project.functions.clone()),
        )?);
        let limits = MemoryLimits::of(project.limits.memory_bytes, machine.sealed_entries);
        let (reader, kv): (LogReader, Arc<dyn Kv>) = match &log {
            LogHandle::Writer(log) => {
                Folder::of(&project.store, &machine.stores).clear_unless_begun()?;
                ((***log).clone(), open_hot(project, &machine)?)
            }
            LogHandle::Reader(reader) => (reader.clone(), Arc::new(MemoryKv::new())),
        };
        ColdTier::of(project, &machine, registry.identity()).stand_behind(&reader, &catalog);
        let mut hot = HotStore::bring_up(kv, &reader, &catalog, limits)?;
        let emitted_least = match &log {
            LogHandle::Writer(_) => emitted_before(&project.store, reader.next_sequence().0)?,
            // Who reads beside a writer emits nothing.
            LogHandle::Reader(_) => BTreeMap::new(),
        };
        hot.raise_reached(&emitted_least);
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
            unsure: Vec::new(),
            failures: 0,
            untold: Vec::new(),
            recovery,
            checkpointing: false,
            defers_cold: false,
            kv_users: Arc::default(),
            spent_build: None,
            unjudged: Arc::default(),
            emitter: Emitter::default(),
            emission_failure: None,
            emission_failures: BTreeMap::new(),
            backfilling: None,
            emitted_least,
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

    /// Whether the hot tier is on disk. Beside a writer it is in memory.
    pub(crate) fn is_durable(&self) -> bool {
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
            if let Some(before) = before {
                return Ok(before);
            }
            let found = fetch_unless_known(&reader, &def, position, known)?;
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

    /// What was found of sources by questions about segments.
    pub(crate) fn unjudged(&self) -> &Arc<Unjudged> {
        &self.unjudged
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

    /// Whether the registry may have a source otherwise than this engine.
    pub(crate) fn is_unsure(&self, source: SourceId) -> bool {
        self.unsure.contains(&source)
    }

    /// Whether the registry is read, and has what this engine has.
    pub(crate) fn is_registry_known(&self) -> bool {
        let registry = Registry::open_in(Arc::clone(&self.machine.files), &self.project.store);
        registry.is_ok_and(|registry| registry.records() == self.registry.records())
    }

    /// A record that may be in the registry has sources otherwise: they take nothing until it is
    /// gone over to, or the store is opened again.
    pub(crate) fn unsure_of(&mut self, sources: Vec<SourceId>) {
        self.unsure.extend(sources);
    }

    /// Goes over to other definitions, for which what is new was built.
    pub(crate) fn go_over(&mut self, registry: Registry, beside: Beside) {
        self.registry = registry;
        self.unsure.clear();
        self.catalog = Arc::clone(beside.catalog());
        self.cold_tier().stand_behind(self.reader(), &self.catalog);
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

    /// Why nothing is emitted; none if what can be is.
    pub fn emission_failure(&self) -> Option<&str> {
        self.emission_failure.as_deref()
    }

    /// Why derived streams do not go on, by their ids; those that only wait for them aside.
    pub fn emission_failures(&self) -> &BTreeMap<SourceId, String> {
        &self.emission_failures
    }

    /// Whether something could not be emitted: it is tried again.
    pub fn is_emission_stuck(&self) -> bool {
        self.emission_failure.is_some() || !self.emission_failures.is_empty()
    }

    pub(crate) fn set_emission_failures(&mut self, failures: BTreeMap<SourceId, String>) {
        self.emission_failures = failures;
    }

    /// How far the backfill is that is under way, if one is.
    pub fn backfilling(&self) -> Option<&Backfilling> {
        self.backfilling.as_ref()
    }

    pub(crate) fn set_backfilling(&mut self, backfilling: Option<Backfilling>) {
        self.backfilling = backfilling;
    }

    /// Whether emissions go on, and if not, why.
    pub fn note_emission(&mut self, failure: Option<&EngineError>) {
        self.emission_failure = failure.map(|error| chain(error));
    }

    pub(crate) fn emitter(&self) -> &Emitter {
        &self.emitter
    }

    pub(crate) fn emitter_mut(&mut self) -> &mut Emitter {
        &mut self.emitter
    }

    /// Of derived streams the first record for which nothing was emitted yet, as far as known.
    pub(crate) fn reached(&self) -> &BTreeMap<SourceId, u64> {
        self.hot.reached()
    }

    pub(crate) fn set_reached(&mut self, reached: BTreeMap<SourceId, u64>) {
        self.hot.set_reached(reached);
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
        let host = self.catalog.host.clone();
        let now = self.machine.clock.now_micros();
        // What cannot be read back is not recorded.
        let catalog = match objects.is_empty() {
            true => definitions::catalog_of(&self.registry, host)?,
            false => definitions::catalog_of(&self.registry.with(now, objects.clone()), host)?,
        };
        // A stream that ends has emitted for what is logged before.
        self.emit();
        if !objects.is_empty() {
            let sources = objects.iter().filter_map(|object| object.source_id);
            let sources: Vec<SourceId> = sources.map(SourceId).collect();
            if let Err(error) = self.registry.append(now, objects) {
                // What could not be written to its end may be there all the same.
                if !self.is_registry_known() {
                    self.unsure_of(sources);
                }
                return Err(error);
            }
        }
        self.catalog = Arc::new(catalog);
        self.cold_tier().stand_behind(self.reader(), &self.catalog);
        self.checkpoint()?;
        self.bring_up(Arc::clone(self.hot.kv()), false)?;
        self.checkpoint()?;
        // Whatever was begun for a server is of other definitions now.
        Folder::of(&self.project.store, &self.machine.stores).clear()?;
        self.emit();
        Ok(changes)
    }
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
