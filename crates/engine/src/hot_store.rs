//! What reads need: the indexes of a plan and what tells the versions of an identity apart,
//! in memory and checkpointed to a key-value store.
//!
//! One atomic batch per checkpoint carries new events of every key, identities, and the cut
//! and the log's place that they stand for; so a store is always as of one cut, and what is
//! newer is replayed from the log. Single writer; reads borrow.

mod beside;
mod bring_up;
mod cold;
mod read;
mod recorded;
mod state;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_store::{
    Batch, BlockCheckpoint, Blocks, BlocksOptions, Horizon, IndexSpec, KeyList, Kv, MemoryKv,
    Reheats, Scans, Space, Spent, StoreError, Written,
};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{
    Cut, LoggedEvent, Operation, Position, SourceCut, SourceId, Value, VisibleAt,
};
use evenkeel_view::{IndexId, IndexPlan, Plan, ReadError, Store};

use crate::group::Made;
use crate::ledger::{Ledger, LedgerCheckpoint, LedgerId, SpentLayer};
use crate::source_state::{Applied, SourceState};
use crate::watermarks::Mark;
use cold::NoLog;
use state::identity_digest;

pub(crate) use beside::{Beside, Folder, SpentBuild};
pub(crate) use bring_up::MemoryLimits;
pub(crate) use cold::ColdLog;
pub use cold::{LoggedEvents, NotRead};
pub(crate) use read::HotRead;
use recorded::EntryMemory;
pub(crate) use recorded::Recorded;
pub(crate) use state::{SourceCounts, StoreState, index_digest};

/// How long before the newest time events stay at hand where nothing is declared and the lake has them:
/// 32 days, microseconds.
const RETENTION_DEFAULT: i64 = 32 * 86_400_000_000;
/// So long before the edges of windows that end now, too: a read as of two days ago is as quick.
const BEFORE_EDGES: i64 = 2 * 86_400_000_000;

/// Everything that reads need. See the module.
#[derive(Debug)]
pub struct HotStore {
    kv: Arc<dyn Kv>,
    plan: Arc<Plan>,
    /// The indexes of each source.
    of_source: BTreeMap<SourceId, Vec<IndexId>>,
    sources: BTreeMap<SourceId, SourceState>,
    blocks: Blocks,
    log: Arc<dyn LoggedEvents>,
    /// See [`HotStore::let_go_before`].
    forced_horizon: Option<i64>,
    /// What the lake is known to have: nothing else leaves that no retention was declared for.
    covered: Cut,
    /// As of the last checkpoint that ended.
    state: StoreState,
    /// Of derived streams the first record for which nothing was emitted yet.
    reached: BTreeMap<SourceId, u64>,
    /// While indexes are built: the state without them, which is what checkpoints say.
    unfinished: Option<StoreState>,
    memory: EntryMemory,
}

/// A checkpoint under way: to be written without a hold on the store.
#[derive(Debug)]
pub struct Checkpoint {
    kv: Arc<dyn Kv>,
    blocks: BlockCheckpoint,
    ledgers: Vec<LedgerCheckpoint>,
    number: u64,
    state: StoreState,
    /// By index: its digest, and how little of it stays, if anything may leave.
    spans: Vec<(String, Option<i64>)>,
}

/// A checkpoint that is durable.
#[derive(Debug)]
#[must_use]
pub struct CheckpointWritten {
    blocks: Written,
    ledgers: Vec<SpentLayer>,
    state: StoreState,
}

/// What a checkpoint has written, still in memory: to be dropped without a hold on the store, as
/// that takes a while.
#[derive(Debug)]
#[expect(dead_code, reason = "it is only dropped")]
pub struct SpentCheckpoint(Spent, Vec<SpentLayer>);

impl Checkpoint {
    /// Writes it, durably or not at all. Afterwards it has no hold on the key-value store, which
    /// may be opened again.
    ///
    /// # Errors
    /// Of the store, which then must be opened again.
    pub fn write(self) -> Result<CheckpointWritten, StoreError> {
        let mut batch = Batch::default();
        let blocks = self.blocks.write(self.number, &mut batch)?;
        for ledger in &self.ledgers {
            ledger.write(&mut batch);
        }
        let mut state = self.state;
        for &index in blocks.cold() {
            if let Some((digest, Some(span))) = self.spans.get(index) {
                state.let_go(digest, *span);
            }
        }
        state.put(&mut batch);
        self.kv.write(batch)?;
        Ok(CheckpointWritten {
            blocks,
            ledgers: self
                .ledgers
                .into_iter()
                .map(LedgerCheckpoint::into_spent)
                .collect(),
            state,
        })
    }
}

impl HotStore {
    /// An empty store in memory for a plan, that takes events of these sources.
    pub fn in_memory(plan: Arc<Plan>, sources: impl IntoIterator<Item = Arc<SourceDef>>) -> Self {
        let numbers = BlocksOptions::with_cache(0);
        Self::in_memory_over(plan, sources, Arc::new(NoLog), numbers)
    }

    /// The same, from which events may leave that a log has.
    pub fn in_memory_over(
        plan: Arc<Plan>,
        sources: impl IntoIterator<Item = Arc<SourceDef>>,
        log: Arc<dyn LoggedEvents>,
        numbers: BlocksOptions,
    ) -> Self {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let mut state = StoreState::default();
        state.number_indexes(&plan);
        Self::over(kv, plan, sources, log, state, numbers)
            .expect("a store in memory has no trouble")
    }

    /// The store for a plan over what was checkpointed. Every index of the plan has a number
    /// in the state, and its events up to the state's cut are there.
    pub(crate) fn over(
        kv: Arc<dyn Kv>,
        plan: Arc<Plan>,
        sources: impl IntoIterator<Item = Arc<SourceDef>>,
        log: Arc<dyn LoggedEvents>,
        state: StoreState,
        numbers: BlocksOptions,
    ) -> Result<Self, StoreError> {
        let sources: Vec<Arc<SourceDef>> = sources.into_iter().collect();
        let mut of_source: BTreeMap<SourceId, Vec<IndexId>> = BTreeMap::new();
        let mut specs = Vec::with_capacity(plan.indexes().len());
        for (number, index) in plan.indexes().iter().enumerate() {
            of_source
                .entry(index.source().id)
                .or_default()
                .push(IndexId(number));
            specs.push(IndexSpec {
                number: state.index(&index_digest(index)).unwrap_or(u32::MAX),
                types: index.types().into(),
                aggregates: Arc::clone(index.aggregates()),
            });
        }
        let cold = ColdLog::new(
            Arc::clone(&kv),
            Arc::clone(&plan),
            &sources,
            &state,
            Arc::clone(&log),
        );
        let blocks = Blocks::open(Arc::clone(&kv), specs, Arc::new(cold), numbers)?;
        let sources = sources
            .into_iter()
            .map(|def| {
                let counts = state.source(def.id);
                let snapshot = Arc::clone(blocks.snapshot());
                let ledger = Ledger::new(state.ledger(def.id), snapshot, counts.times());
                let state = SourceState::new(def, counts.entries, counts.greatest_time, ledger);
                (state.program().def().id, state)
            })
            .collect();
        Ok(HotStore {
            kv,
            plan,
            of_source,
            sources,
            blocks,
            log,
            forced_horizon: None,
            covered: Cut::empty(),
            reached: state.emitted.clone(),
            state,
            unfinished: None,
            memory: EntryMemory::default(),
        })
    }

    /// Lets go of the key-value store, so that it can be opened again: nothing is left.
    pub(crate) fn close(&mut self) {
        *self = Self::in_memory(Arc::clone(&self.plan), []);
    }

    /// From now on events before a time may leave from every index, whatever reads and
    /// definitions say: no answer depends on what has left.
    pub fn let_go_before(&mut self, time: i64) {
        self.forced_horizon = Some(time);
    }

    /// What the lake is known to have.
    pub(crate) fn set_covered(&mut self, covered: Cut) {
        self.covered = covered;
    }

    /// The store as it is after the process died: what was checkpointed, and no more.
    ///
    /// # Errors
    /// If what was checkpointed cannot be read.
    pub fn reopen(&self, numbers: BlocksOptions) -> Result<Self, StoreError> {
        let sources = self.sources.values().map(|s| Arc::clone(s.program().def()));
        let state = StoreState::read(self.kv.as_ref())?;
        Self::over(
            Arc::clone(&self.kv),
            Arc::clone(&self.plan),
            sources,
            Arc::clone(&self.log),
            state,
            numbers,
        )
    }

    /// The plan that it is for.
    pub(crate) fn shared_plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// What the recorder knows of a source.
    pub fn source(&self, id: SourceId) -> Option<&SourceState> {
        self.sources.get(&id)
    }

    /// As of the last checkpoint that ended.
    pub(crate) fn state(&self) -> &StoreState {
        &self.state
    }

    pub(crate) fn reached(&self) -> &BTreeMap<SourceId, u64> {
        &self.reached
    }

    /// Streams have come that far, at least.
    pub(crate) fn raise_reached(&mut self, least: &BTreeMap<SourceId, u64>) {
        for (stream, record) in least {
            let known = self.reached.entry(*stream).or_default();
            *known = (*record).max(*known);
        }
    }

    pub(crate) fn set_reached(&mut self, reached: BTreeMap<SourceId, u64>) {
        self.reached = reached;
    }

    pub(crate) fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// About the bytes in memory that a checkpoint writes now.
    pub(crate) fn frozen_bytes(&self) -> usize {
        let ledgers = self.sources.values().map(|s| s.ledger.frozen_bytes());
        self.blocks.frozen_bytes() + ledgers.sum::<usize>()
    }

    /// About the bytes in memory that are newer than the last checkpoint that was begun.
    pub fn dirty_bytes(&self) -> usize {
        let ledgers = self.sources.values().map(|s| s.ledger.dirty_bytes());
        self.blocks.dirty_bytes() + ledgers.sum::<usize>()
    }

    /// Events of a source with these rows are about to be applied: what is in memory of their keys is brought
    /// closer. Nothing depends on it.
    pub(crate) fn expect<'r>(
        &self,
        source: SourceId,
        rows: impl Iterator<Item = &'r [Value]> + Clone,
    ) {
        let ids = self.of_source.get(&source).map_or(&[][..], Vec::as_slice);
        let Some(state) = self.sources.get(&source) else {
            return;
        };
        for id in ids {
            let key_columns = self.plan.indexes()[id.0].key_columns();
            let keys = rows.clone();
            let keys = keys.filter_map(|row| state.program().key(row, key_columns));
            let keys: Vec<Vec<u8>> = keys.collect();
            self.blocks
                .expect_inserts(id.0, keys.iter().map(Vec::as_slice));
        }
    }

    /// Applies an event of the log: from now on reads see it. Events of one partition come in
    /// their order. `fetch` gives an earlier event of the same source at a position.
    ///
    /// # Errors
    /// If the store, or an earlier event, cannot be read; then the store must be opened again.
    pub fn apply<E: From<StoreError>>(
        &mut self,
        logged: &LoggedEvent,
        fetch: impl Fn(Position) -> Result<LoggedEvent, E>,
    ) -> Result<Option<Applied>, E> {
        self.apply_made(logged, None, fetch)
    }

    /// [`HotStore::apply`] of an event of which something was made by its source's definition.
    pub(crate) fn apply_made<E: From<StoreError>>(
        &mut self,
        logged: &LoggedEvent,
        made: Option<Made>,
        fetch: impl Fn(Position) -> Result<LoggedEvent, E>,
    ) -> Result<Option<Applied>, E> {
        let Some(state) = self.sources.get_mut(&logged.source) else {
            return Ok(None);
        };
        let (row, marks, is_first) = match made {
            Some(Made {
                mut row,
                marks,
                is_first,
            }) => {
                let slot = state.program().def().visible_at_slot();
                row[slot] = Value::Timestamp(logged.visible_at().0);
                (row, marks, is_first)
            }
            None => (state.program().row(logged), None, false),
        };
        let applied = state.apply(logged, &row, marks, is_first, &fetch)?;
        let program = state.program();
        let ids = self
            .of_source
            .get(&logged.source)
            .map_or(&[][..], Vec::as_slice);
        let recorded = Recorded {
            program,
            logged,
            row: &row,
            entry: applied.entry,
            contested: applied.contested,
        };
        let blocks = &mut self.blocks;
        recorded.each_entry(&self.plan, ids, &mut self.memory, |id, key, entry| {
            blocks.insert(id.0, key, entry);
        });
        for &position in &applied.newly_contested {
            let earlier = fetch(position)?;
            let row = program.row(&earlier);
            let order = program.order(&earlier, &row);
            let time = earlier.event.event_time.0;
            for &id in ids {
                let key_columns = self.plan.indexes()[id.0].key_columns();
                // A removal is in no index.
                if earlier.event.operation != Operation::Remove
                    && let Some(key) = program.key(&row, key_columns)
                {
                    // The order ends with the log position, so that it names one entry.
                    self.blocks.contest(id.0, &key, time, &order);
                }
            }
        }
        Ok(Some(applied))
    }

    /// Applies an event again, to some indexes that did not have it: for indexes that are
    /// built later. `entry` is its number in its source.
    pub(crate) fn apply_to(
        &mut self,
        indexes: &[IndexId],
        logged: &LoggedEvent,
        entry: u64,
    ) -> Result<(), StoreError> {
        let Some(state) = self.sources.get(&logged.source) else {
            return Ok(());
        };
        let contested = state.ledger.contested(entry)?.is_some();
        let program = state.program();
        let row = program.row(logged);
        let recorded = Recorded {
            program,
            logged,
            row: &row,
            entry,
            contested,
        };
        let blocks = &mut self.blocks;
        recorded.each_entry(&self.plan, indexes, &mut self.memory, |id, key, entry| {
            blocks.insert(id.0, key, entry);
        });
        Ok(())
    }

    /// Where it was taken down last how far the times of events had come.
    pub(crate) fn marked_until(&self) -> u64 {
        self.state.marks.end()
    }

    /// Takes down how far the times of events have come, all of which are before record number
    /// `next_sequence`.
    pub(crate) fn mark(&mut self, next_sequence: u64) {
        let sources = self.sources.iter();
        self.state.marks.add(Mark {
            record: next_sequence,
            greatest: sources
                .map(|(id, source)| (*id, source.greatest_time()))
                .collect(),
        });
    }

    /// Begins a checkpoint of everything applied: up to `cut`, which is what the log has
    /// before record number `next_sequence`.
    pub(crate) fn begin_checkpoint(&mut self, cut: &Cut, next_sequence: u64) -> Checkpoint {
        self.state.checkpoint += 1;
        let number = self.state.checkpoint;
        let spans = match self.unfinished {
            // What is being built is whole until it is named.
            Some(_) => vec![None; self.plan.indexes().len()],
            None => self.spans(),
        };
        let state = match &mut self.unfinished {
            Some(old) => {
                old.checkpoint = number;
                old.clone()
            }
            None => self.state_at(cut, next_sequence),
        };
        let horizons = self.horizons(&spans);
        Checkpoint {
            kv: Arc::clone(&self.kv),
            blocks: self.blocks.begin(&horizons),
            ledgers: self
                .sources
                .values_mut()
                .map(|s| s.ledger.begin())
                .collect(),
            number,
            state,
            spans: self
                .plan
                .indexes()
                .iter()
                .map(index_digest)
                .zip(spans)
                .collect(),
        }
    }

    /// How long before the newest time events stay at hand, by index; `None`: for ever.
    fn spans(&self) -> Vec<Option<i64>> {
        let indexes = self.plan.indexes().iter();
        indexes
            .map(|index| {
                let source = self.sources.get(&index.source().id)?;
                let def = source.program().def();
                let may_leave = def.hot_retention.is_some() || self.is_covered(def.id);
                span(def, index).filter(|_| may_leave)
            })
            .collect()
    }

    /// Whether the lake is known to have events of a source.
    fn is_covered(&self, source: SourceId) -> bool {
        self.covered.iter().any(|(covered, ..)| covered == source)
    }

    /// What may leave, by index.
    fn horizons(&self, spans: &[Option<i64>]) -> Vec<Option<Horizon>> {
        let indexes = self.plan.indexes().iter();
        indexes
            .zip(spans)
            .map(|(index, span)| {
                if let Some(time) = self.forced_horizon {
                    return Some(Horizon::before(time));
                }
                let source = self.sources.get(&index.source().id)?;
                let newest = source.greatest_time()?.0;
                // An event may be dated ahead of the time of reads, and come late.
                let def = source.program().def();
                let margin = def.max_future.saturating_add(def.lateness.micros);
                let is_declared = def.hot_retention.is_some();
                Some(Horizon {
                    before: newest.saturating_sub(margin).saturating_sub((*span)?),
                    within: (!is_declared).then(|| self.covered.of_source(def.id)),
                })
            })
            .collect()
    }

    /// The keys of an index, as they are now.
    pub(crate) fn keys(&self, index: IndexId) -> KeyList {
        let plan = &self.plan().indexes()[index.0];
        let types = plan.source().row_types();
        let key_types = plan.key_columns().iter().map(|&slot| types[slot].clone());
        self.blocks.keys(index.0, key_types.collect())
    }

    /// From now on reads that need what left say so, and do not bring it back themselves.
    pub(crate) fn defer_cold(&self) {
        self.blocks.defer_cold();
    }

    /// Whether who reads brings what is needed without a hold on the engine.
    pub(crate) fn defers(&self) -> bool {
        self.blocks.defers()
    }

    pub(crate) fn scans(&self) -> Scans {
        self.blocks.scans()
    }

    /// What was brought back from the log since the store was opened.
    pub fn reheats(&self) -> Reheats {
        self.blocks.reheats()
    }

    fn state_at(&self, cut: &Cut, next_sequence: u64) -> StoreState {
        let sources = self.sources.iter().map(|(id, source)| {
            let counts = SourceCounts {
                identity: identity_digest(source.program().def()),
                entries: source.len(),
                greatest_time: source.greatest_time(),
                times: source.ledger.times_known().map(RangeInclusive::into_inner),
                ledger: Some(source.ledger.id()).filter(|l| *l != LedgerId::first_of(*id)),
            };
            (*id, counts)
        });
        let mut state = self.state.clone();
        state.applied = cut.clone();
        state.next_sequence = next_sequence;
        state.sources = sources.collect();
        state.emitted = self.reached.clone();
        state
    }

    /// Ends a checkpoint.
    pub(crate) fn end_checkpoint(&mut self, written: CheckpointWritten) -> SpentCheckpoint {
        let spent = self.blocks.end(written.blocks);
        for source in self.sources.values_mut() {
            source.ledger.end(self.blocks.snapshot());
        }
        if self.unfinished.is_none() {
            self.state = written.state;
        }
        SpentCheckpoint(spent, written.ledgers)
    }
}

/// How long before the newest time the events of an index stay at hand; `None`: for ever.
pub(crate) fn span(source: &SourceDef, index: &IndexPlan) -> Option<i64> {
    let back = index.look_back()?;
    Some(match source.hot_retention {
        Some(retention) => retention.max(back),
        None => RETENTION_DEFAULT.max(back.saturating_add(BEFORE_EDGES)),
    })
}

/// [`span`] of every index of a plan, by digest.
fn wanted_spans(plan: &Plan, catalog: &Catalog) -> BTreeMap<String, Option<i64>> {
    let indexes = plan.indexes().iter();
    let spans = indexes.map(|index| {
        let source = catalog.source_by_id(index.source().id);
        let span = source.and_then(|source| span(source, index));
        (index_digest(index), span)
    });
    spans.collect()
}

/// Where the rows of an index are: spaces, and how their keys begin.
fn index_rows(number: u32) -> [(Space, Vec<u8>); 2] {
    let mut prefix = 0u16.to_be_bytes().to_vec();
    prefix.extend(number.to_be_bytes());
    [Space::Runs, Space::Blocks].map(|space| (space, prefix.clone()))
}

fn read_error(error: StoreError) -> ReadError {
    let words = error.to_string();
    let cause = match error {
        StoreError::Cold { source } => Some(source),
        _ => None,
    };
    ReadError { words, cause }
}

impl Store for HotStore {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn history(&self, index: IndexId, key: &[u8]) -> Result<Option<History>, ReadError> {
        self.blocks.history(index.0, key).map_err(read_error)
    }

    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, ReadError> {
        match self.sources.get(&source) {
            Some(state) => state.holds(entry, cut, known_at).map_err(read_error),
            None => Ok(false),
        }
    }
}
