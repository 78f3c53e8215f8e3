//! Indexes that are built beside a hot tier that goes on, and sources whose events are told
//! apart otherwise (a column is widened), with their ledgers: in a key-value store of their
//! own, from the log, until they have caught up; then their rows are copied, and what is newer
//! is handed over in memory. What a process that died had built is gone on with.
//!
//! Invariant: the hot tier that is in use is touched by [`HotStore::adopt`] alone. Rows that
//! were copied before are of indexes and ledgers that no state names; whoever gives their
//! numbers again removes them first.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_log::{LogReader, ReadOptions, Sequence};
use evenkeel_store::{Batch, IndexSpec, Kv, Replaced, Space};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, Offset, SourceId};
use evenkeel_view::{IndexId, Plan};

use super::bring_up::{fits, remove_rows};
use super::state::{StoreState, identity_digest};
use super::{ColdLog, HotStore, MemoryLimits, index_digest, index_rows, wanted_spans};
use crate::error::EngineError;
use crate::ingest::fetch;
use crate::ledger::Ledger;
use crate::machine::KvStores;
use crate::source_state::SourceState;

/// Where it is built, in the store's directory.
const FOLDER: &str = "hot.beside";
/// Rows that are copied in one batch.
const COPIED_ROWS: usize = 10_000;
/// After so many events it is said how far it is.
const STEP: u64 = 1_024;

/// Is told how many events are built, and may stop it.
pub(crate) type Reach<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Indexes under way.
pub(crate) struct Beside {
    /// None where nothing has to be built, whatever events come.
    building: Option<Building>,
    /// Where the rows of all new indexes and ledgers are, also of those without events.
    rows: Vec<(Space, Vec<u8>)>,
    /// The sources that are built whole: their events are told apart otherwise.
    changed: Vec<SourceId>,
    /// The indexes of which more is wanted than is at hand: they are built again.
    short: Vec<String>,
    plan: Arc<Plan>,
    catalog: Arc<Catalog>,
    limits: MemoryLimits,
}

struct Building {
    hot: HotStore,
    new: Vec<IndexId>,
    applied: Cut,
    /// Everything that is not built is in the log from here on.
    from: u64,
    /// A record that the log will have next, and the log's ends before it.
    mark: Option<(u64, Cut)>,
    /// Whether the rows are in the other store; what is newer stays in memory.
    is_copied: bool,
    built: u64,
    /// Dropped last: the store in it is closed by then.
    folder: InUse,
}

/// Where indexes are built; what is there is removed when this is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    stores: Arc<dyn KvStores>,
}

impl Folder {
    /// That of a store.
    pub(crate) fn of(store: &Path, stores: &Arc<dyn KvStores>) -> Self {
        Folder {
            path: store.join(FOLDER),
            stores: Arc::clone(stores),
        }
    }

    /// Removes what nobody can go on with.
    pub(crate) fn clear_unless_begun(&self) -> Result<(), EngineError> {
        match self.stores.is_begun(&self.path) {
            true => Ok(()),
            false => self.clear(),
        }
    }

    /// What a process that died had built for indexes and ledgers of the same numbers; none if there is
    /// nothing of it.
    fn begun(
        &self,
        (numbered, wanted): (&StoreState, &[SourceId]),
        (log, catalog): (&LogReader, &Catalog),
        memory_bytes: u64,
    ) -> Option<(Arc<dyn Kv>, StoreState)> {
        if !self.stores.is_begun(&self.path) {
            return None;
        }
        // What cannot be read is built again.
        let kv = self.stores.open(&self.path, memory_bytes).ok()?;
        let state = StoreState::read(kv.as_ref()).ok()?;
        let is_it = state.is_begun_for(numbered, wanted) && fits(&state, log, catalog);
        is_it.then_some((kv, state))
    }

    /// Removes what is there.
    pub(crate) fn clear(&self) -> Result<(), EngineError> {
        self.stores
            .remove(&self.path)
            .map_err(|source| EngineError::Write {
                path: self.path.clone(),
                source,
            })
    }
}

/// What is left of what was built and of what it took the place of. To give it back takes
/// time: memory is freed, a store closed, its folder removed.
pub(crate) struct SpentBuild {
    _blocks: Replaced,
    _sources: Vec<SourceState>,
    /// Dropped last: the store in it is closed by then.
    _folder: Option<InUse>,
}

/// A folder in use.
struct InUse {
    folder: Folder,
    /// Whether who builds the same goes on with what is there.
    stays: bool,
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.stays {
            // If it is there all the same, the next one that builds removes it.
            let _ = self.folder.clear();
        }
    }
}

impl HotStore {
    /// Begins to build what a catalog needs and this does not have.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub(crate) fn beside(
        &self,
        folder: Folder,
        catalog: Arc<Catalog>,
        log: &LogReader,
        limits: MemoryLimits,
    ) -> Result<Beside, EngineError> {
        let plan = Arc::new(Plan::of(&catalog).map_err(EngineError::signature)?);
        let changed: Vec<SourceId> = self
            .sources
            .iter()
            .filter(|(id, state)| {
                let known = identity_digest(state.program().def());
                let def = catalog.source_by_id(**id);
                def.is_some_and(|def| identity_digest(def) != known)
            })
            .map(|(id, _)| *id)
            .collect();
        let mut state = self.state.clone();
        let short = state.short(&wanted_spans(&plan, &catalog));
        state.forget(&short);
        let new = state.number_anew(&plan, &changed);
        let new: Vec<IndexId> = new.into_iter().map(IndexId).collect();
        let mut rows: Vec<(Space, Vec<u8>)> = new
            .iter()
            .filter_map(|id| state.index(&index_digest(&plan.indexes()[id.0])))
            .flat_map(index_rows)
            .collect();
        rows.extend(changed.iter().flat_map(|id| state.ledger(*id).rows()));
        // Of a source without events the first may come until this is adopted.
        let may_have_events =
            |id: &IndexId| self.sources.contains_key(&plan.indexes()[id.0].source().id);
        let is_needed = !changed.is_empty() || new.iter().any(may_have_events);
        let wanted = (new, changed.as_slice());
        if !is_needed {
            folder.clear()?;
        }
        let building = is_needed
            .then(|| Building::begin(folder, &plan, &catalog, log, &state, wanted, limits))
            .transpose()?;
        Ok(Beside {
            building,
            rows,
            changed,
            short,
            plan,
            catalog,
            limits,
        })
    }

    /// Goes over to a catalog: from now on reads find what was built, and rows are told apart
    /// by it. No checkpoint may be under way, and what was built has everything that this has.
    /// Answers what is left over.
    pub(crate) fn adopt(&mut self, beside: Beside) -> SpentBuild {
        let Beside {
            mut building,
            changed,
            short,
            plan,
            catalog,
            ..
        } = beside;
        let short = self.state.forget(&short);
        self.state.leaving.extend(short);
        self.state.number_anew(&plan, &changed);
        // Their rows are needed until a checkpoint says that they are gone.
        let gone = self.state.forget_indexes(&plan);
        self.state.leaving.extend(gone);
        if let Some(building) = &building {
            // A run has the number of its checkpoint: none is given twice.
            let built = building.hot.state.checkpoint;
            self.state.checkpoint = self.state.checkpoint.max(built);
        }
        let mut of_source: BTreeMap<SourceId, Vec<IndexId>> = BTreeMap::new();
        let mut specs = Vec::with_capacity(plan.indexes().len());
        for (number, index) in plan.indexes().iter().enumerate() {
            let ids = of_source.entry(index.source().id).or_default();
            ids.push(IndexId(number));
            specs.push(IndexSpec {
                number: self.state.index(&index_digest(index)).unwrap_or(u32::MAX),
                types: index.types().into(),
                aggregates: Arc::clone(index.aggregates()),
            });
        }
        let defs: Vec<Arc<SourceDef>> = catalog.sources.values().cloned().collect();
        let (kv, log) = (Arc::clone(&self.kv), Arc::clone(&self.log));
        let cold = ColdLog::new(kv, Arc::clone(&plan), &defs, &self.state, log);
        let mut built = building
            .as_mut()
            .map_or_else(BTreeMap::new, |b| std::mem::take(&mut b.hot.sources));
        built.retain(|id, _| changed.contains(id));
        let (blocks, folder) = building.map(|b| (b.hot.blocks, b.folder)).unzip();
        let blocks = self.blocks.switch(specs, Arc::new(cold), blocks);
        let replaced = self.redefine(&catalog, built);
        (self.plan, self.of_source) = (plan, of_source);
        SpentBuild {
            _blocks: blocks,
            _sources: replaced,
            _folder: folder,
        }
    }

    /// Takes the definitions of sources, and of those that were built whole what was built.
    /// Answers what was in their place.
    fn redefine(
        &mut self,
        catalog: &Catalog,
        mut built: BTreeMap<SourceId, SourceState>,
    ) -> Vec<SourceState> {
        let snapshot = self.blocks.snapshot();
        let mut replaced = Vec::new();
        for def in catalog.sources.values() {
            let whole = built.remove(&def.id).map(|mut state| {
                state.ledger.move_to(snapshot);
                state
            });
            let new = || {
                let ledger = Ledger::new(self.state.ledger(def.id), Arc::clone(snapshot), None);
                SourceState::new(Arc::clone(def), 0, None, ledger)
            };
            let known = self.sources.entry(def.id).or_insert_with(new);
            match whole {
                Some(whole) => replaced.push(std::mem::replace(known, whole)),
                None => known.redefine(Arc::clone(def)),
            }
        }
        replaced
    }
}

impl Building {
    fn begin(
        folder: Folder,
        plan: &Arc<Plan>,
        catalog: &Catalog,
        log: &LogReader,
        numbered: &StoreState,
        (new, changed): (Vec<IndexId>, &[SourceId]),
        limits: MemoryLimits,
    ) -> Result<Self, EngineError> {
        let memory_bytes = limits.cache_bytes / 4;
        let of_new = new.iter().map(|id| plan.indexes()[id.0].source().id);
        let wanted: Vec<SourceId> = of_new.chain(changed.iter().copied()).collect();
        let begun = folder.begun((numbered, &wanted), (log, catalog), memory_bytes);
        let (kv, state) = match begun {
            Some(begun) => begun,
            None => {
                folder.clear()?;
                let kv = folder.stores.open(&folder.path, memory_bytes)?;
                (kv, numbered.emptied())
            }
        };
        let applied = state.applied.clone();
        let sources: Vec<Arc<SourceDef>> = catalog
            .sources
            .values()
            .filter(|def| wanted.contains(&def.id))
            .cloned()
            .collect();
        let mut hot = HotStore::over(
            kv,
            Arc::clone(plan),
            sources,
            Arc::new(log.clone()),
            state,
            limits.blocks(memory_bytes),
        )?;
        for ids in hot.of_source.values_mut() {
            ids.retain(|id| new.contains(id));
        }
        Ok(Building {
            hot,
            new,
            applied,
            from: 0,
            mark: None,
            is_copied: false,
            built: 0,
            folder: InUse {
                folder,
                stays: false,
            },
        })
    }

    fn sources(&self) -> Vec<SourceId> {
        self.hot.sources.keys().copied().collect()
    }

    fn build(
        &mut self,
        log: &LogReader,
        catalog: &Catalog,
        dirty_bytes: usize,
        cut: &Cut,
        reach: Reach<'_>,
    ) -> Result<(), EngineError> {
        let (next, ends) = self
            .mark
            .take()
            .unwrap_or_else(|| (log.next_sequence().0, log.ends()));
        let options = ReadOptions {
            sources: Some(self.sources()),
            from: Sequence(self.from),
            after: self.applied.clone(),
            until: Some(cut.clone()),
            ..ReadOptions::default()
        };
        for logged in log.read(options) {
            let mut logged = logged.map_err(EngineError::log)?;
            let Some(def) = catalog.source_by_id(logged.source) else {
                continue;
            };
            def.schema
                .upgrade(&mut logged)
                .map_err(|reason| EngineError::schema(def, reason))?;
            let (source, position) = (logged.source, logged.position);
            self.hot
                .apply(&logged, |position| fetch(log, def, position))?;
            let end = Offset(position.offset.0 + 1);
            self.applied.set_end(source, position.partition, end);
            self.built += 1;
            if self.built.is_multiple_of(STEP) && reach(self.built).is_break() {
                return Err(EngineError::Stopped);
            }
            // What is written now would not be copied any more.
            if !self.is_copied && self.hot.dirty_bytes() > dirty_bytes {
                self.hot.checkpoint(&self.applied.clone(), 0)?;
            }
        }
        for (source, partition, end) in cut.iter() {
            if self.hot.sources.contains_key(&source) {
                self.applied.set_end(source, partition, end);
            }
        }
        // Everything before the mark is built; if not, the mark stays for the next round.
        if cut.covers(&ends) {
            self.from = next;
        } else {
            self.mark = Some((next, ends));
        }
        Ok(())
    }

    /// Copies the rows of what was built; then there is nothing in memory.
    fn copy_to(
        &mut self,
        kv: &dyn Kv,
        rows: &[(Space, Vec<u8>)],
        reach: Reach<'_>,
    ) -> Result<(), EngineError> {
        // The second one removes the blocks that the first has replaced.
        for _ in 0..2 {
            self.hot.checkpoint(&self.applied.clone(), 0)?;
        }
        self.is_copied = true;
        let from = self.hot.kv.snapshot();
        for (space, prefix) in rows {
            let mut batch = Batch::default();
            let mut failed = None;
            from.prefix(*space, prefix, &mut |key, value| {
                batch.put(*space, key.to_vec(), value.to_vec());
                if batch.len() < COPIED_ROWS {
                    return Ok(ControlFlow::Continue(()));
                }
                kv.write(std::mem::take(&mut batch))?;
                if reach(self.built).is_break() {
                    failed = Some(EngineError::Stopped);
                    return Ok(ControlFlow::Break(()));
                }
                Ok(ControlFlow::Continue(()))
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if !batch.is_empty() {
                kv.write(batch)?;
            }
        }
        Ok(())
    }
}

impl Beside {
    /// The catalog that it is built for.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Events of a cut that it needs and that are not built.
    pub(crate) fn behind(&self, cut: &Cut) -> u64 {
        let Some(building) = &self.building else {
            return 0;
        };
        cut.iter()
            .filter(|(source, ..)| building.hot.sources.contains_key(source))
            .map(|(source, partition, end)| {
                let built = building.applied.end(source, partition);
                end.0.saturating_sub(built.0)
            })
            .sum()
    }

    /// Builds from the log what it needs of a cut.
    pub(crate) fn build(
        &mut self,
        log: &LogReader,
        cut: &Cut,
        reach: Reach<'_>,
    ) -> Result<(), EngineError> {
        let dirty_bytes = self.limits.dirty_bytes / 4;
        match &mut self.building {
            Some(building) => building.build(log, &self.catalog, dirty_bytes, cut, reach),
            None => Ok(()),
        }
    }

    /// Copies what was built to the store of the hot tier that will adopt it.
    pub(crate) fn copy_to(&mut self, kv: &dyn Kv, reach: Reach<'_>) -> Result<(), EngineError> {
        // Who gave up after copying left rows, and no state has taken their numbers.
        remove_rows(kv, self.rows.iter().cloned())?;
        match &mut self.building {
            Some(building) => building.copy_to(kv, &self.rows, reach),
            None => Ok(()),
        }
    }

    /// Keeps what is built for who begins with the same again.
    pub(crate) fn keep(&mut self) {
        if let Some(building) = self.building.as_mut().filter(|b| !b.is_copied) {
            let applied = building.applied.clone();
            building.folder.stays = building.hot.checkpoint(&applied, 0).is_ok();
        }
    }

    /// How many indexes are built.
    pub(crate) fn indexes(&self) -> usize {
        self.building.as_ref().map_or(0, |b| b.new.len())
    }
}
