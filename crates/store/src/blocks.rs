//! The events of every key of every index: what is newer than the last checkpoint in memory,
//! the rest in a store, and what was read of it in a cache.
//!
//! Per key the store has one *directory* of sealed blocks (in the order of events, without
//! overlap), those of long keys below summary nodes, and a few *delta runs*, one per checkpoint that found new events of the key.
//! Runs merge geometrically (about 8, 64, 512 entries; the log-structured merge of O'Neil et
//! al., "The Log-Structured Merge-Tree", 1996, per key), and from [`SEALED_ENTRIES`] on they
//! become sealed blocks. A read opens only the sealed blocks that it needs.
//!
//! Single writer; reads borrow. A checkpoint is begun ([`Blocks::begin`]) and ended
//! ([`Blocks::end`]) by the writer; the work between needs no access to this.

mod brought;
mod checkpoint;
mod directory;
pub(crate) mod examine;
mod examine_cold;
mod examine_tree;
mod fresh;
mod horizon;
mod kept;
mod key;
mod key_cache;
mod keys;
mod listing;
mod reheat;
mod run;
mod seal;
mod short_key;
mod states;
mod stored;

use std::sync::Arc;

use evenkeel_aggregate::history::Footprint;
use evenkeel_aggregate::{Aggregates, Entry, History};
use evenkeel_types::{DataType, Value};
use rustc_hash::FxHashMap;

pub use brought::Brought;
pub use checkpoint::{BlockCheckpoint, Spent, Written};
pub use horizon::Horizon;
pub use kept::{
    KEY_BYTES_MAX as KEPT_KEY_BYTES_MAX, KeptCounts, KeptReads, KeptRow, NewRow, RowShape,
};
pub use key::bucket_of;
pub use keys::{KeyList, ListedKey};
pub use listing::KeyOrder;
pub use reheat::{ColdEvents, ColdNeeds, Collect, NothingCold, Reheats};

use crate::error::StoreError;
use crate::kv::{Kv, Snapshot};
use brought::Reheated;
use checkpoint::{Garbage, IndexCheckpoint, RunCounts};
use fresh::Tails;
use kept::KeptRows;
use key::RowPrefix;
use key_cache::KeyCache;
use reheat::Reheater;
use stored::{KeySource, Stored};

/// Of the bytes of the cache one part in so many may be rows that readers keep.
const KEPT_PART: u64 = 4;
/// Entries of a sealed block, as a rule.
pub const SEALED_ENTRIES: usize = 512;
/// About the bytes of a key in memory, whatever it has: nodes, places in maps, the pieces of
/// its first block.
const KEY_BYTES: usize = 600;
/// About the bytes of an entry in memory besides its order bytes and values.
const ENTRY_BYTES: usize = 64;
/// About the bytes in memory of a stored block or node that is named.
const NODE_BYTES: usize = 256;
/// About the bytes of a value in memory.
const VALUE_BYTES: usize = 12;

/// An index: the events of one source by one key.
#[derive(Clone, Debug)]
pub struct IndexSpec {
    /// Its number in the store: given once, never again.
    pub number: u32,
    /// The types of its columns.
    pub types: Arc<[DataType]>,
    /// The calls that are read over it: of them summaries are stored.
    pub aggregates: Arc<Aggregates>,
}

/// Numbers.
#[derive(Clone, Copy, Debug)]
pub struct BlocksOptions {
    /// About the bytes that the cache may hold.
    pub cache_bytes: u64,
    /// Entries of a sealed block.
    pub sealed_entries: usize,
    /// Blocks or nodes below a summary node; at least 2.
    pub fan_out: usize,
}

impl BlocksOptions {
    /// The usual numbers, and a cache of so many bytes.
    pub fn with_cache(cache_bytes: u64) -> Self {
        BlocksOptions {
            cache_bytes,
            sealed_entries: SEALED_ENTRIES,
            fan_out: directory::FAN_OUT,
        }
    }
}

#[derive(Debug)]
struct Index {
    spec: IndexSpec,
    /// Newer than the last checkpoint that was begun.
    tails: Tails,
    /// What the checkpoint writes that is under way; else empty.
    frozen: Arc<Tails>,
    /// Whether the store had nothing of it when it was opened: no run of a key need be looked for
    /// that was not counted.
    was_empty: bool,
}

impl Index {
    fn new(spec: IndexSpec, was_empty: bool) -> Self {
        Index {
            spec,
            tails: Tails::default(),
            frozen: Arc::default(),
            was_empty,
        }
    }

    /// Goes over to other calls over the same columns.
    fn adopt(&mut self, spec: IndexSpec) {
        if spec.aggregates.summary_ids() != self.spec.aggregates.summary_ids() {
            self.tails.forget_states();
        }
        self.spec = spec;
    }
}

/// What was read of a key, with everything newer.
#[derive(Clone, Debug)]
struct Cached {
    history: History,
    source: Option<Arc<KeySource>>,
    weight: u64,
    /// Of its runs, as they are stored.
    run_bytes: u64,
}

impl Cached {
    /// How many levels [`Cached::touch`] has.
    const LEVELS: usize = History::TOUCHED_LEVELS;

    /// Whether something of it could not be read.
    fn has_failed(&self) -> bool {
        self.source.as_ref().is_some_and(|s| s.failed().is_some())
    }

    /// See [`History::touch`].
    fn touch(&self, level: usize) -> usize {
        self.history.touch(level)
    }
}

/// Where the history of a key that was read gets its blocks from.
#[derive(Clone, Debug)]
pub struct KeyReads(Arc<KeySource>);

impl KeyReads {
    /// What has to be brought back before what was read of it is of use; none if nothing has.
    pub fn needs(&self) -> Option<ColdNeeds> {
        self.0.needs()
    }
}

/// What was in memory of a key.
#[derive(Debug)]
pub struct AtHand(Option<Cached>);

/// The scans that bring events back.
#[derive(Clone, Debug)]
pub struct Scans(Arc<Reheated>);

impl Scans {
    /// Waits for the end of the scan that is under way, if any is.
    pub fn wait_for_end(&self) {
        drop(self.0.turn());
    }

    /// Keeps scans from beginning as long as the answer is held; none if one is under way.
    pub fn pause(&self) -> Option<std::sync::MutexGuard<'_, ()>> {
        self.0.try_turn()
    }
}

/// What is left over when blocks go over to others.
#[derive(Debug)]
#[expect(dead_code, reason = "it is only dropped")]
pub struct Replaced(Option<Blocks>, Vec<Index>, kept::Tables);

/// See the module.
#[derive(Debug)]
pub struct Blocks {
    kv: Arc<dyn Kv>,
    /// The rows as of the last checkpoint that ended.
    snapshot: Arc<dyn Snapshot>,
    indexes: Vec<Index>,
    cache: Arc<KeyCache>,
    kept: KeptRows,
    reheated: Arc<Reheated>,
    reheater: Arc<Reheater>,
    /// Where the search for what may leave goes on, by index: behind these block rows.
    swept: Vec<Option<Vec<u8>>>,
    sealed_entries: usize,
    fan_out: usize,
    dirty_bytes: usize,
    /// What the checkpoint writes that is under way, or that failed.
    frozen_bytes: usize,
    /// About how many runs a key has, by hash of the key.
    run_counts: Arc<RunCounts>,
    /// Sealed blocks that nothing names any more, removed by the next checkpoint: a read
    /// under way may still open one.
    garbage: Garbage,
}

impl Blocks {
    /// The blocks in a store, of these indexes, in this order. What left the store comes
    /// from `cold`.
    pub fn open(
        kv: Arc<dyn Kv>,
        indexes: impl IntoIterator<Item = IndexSpec>,
        cold: Arc<dyn ColdEvents>,
        options: BlocksOptions,
    ) -> Result<Self, StoreError> {
        let snapshot = kv.snapshot();
        let garbage = Garbage::read(snapshot.as_ref())?;
        let specs: Vec<IndexSpec> = indexes.into_iter().collect();
        let cache = Arc::new(KeyCache::new(options.cache_bytes));
        let reheated = Arc::new(Reheated::new(Arc::downgrade(&cache)));
        let reheater = Reheater::new(
            Arc::clone(&kv),
            cold,
            specs.clone(),
            Arc::clone(&reheated),
            options.cache_bytes / 4,
        );
        let indexes = specs.into_iter().map(|spec| {
            let was_empty = RunCounts::is_without(snapshot.as_ref(), spec.number)?;
            Ok(Index::new(spec, was_empty))
        });
        let indexes: Vec<Index> = indexes.collect::<Result<_, StoreError>>()?;
        Ok(Blocks {
            kv,
            swept: vec![None; indexes.len()],
            reheated,
            reheater: Arc::new(reheater),
            indexes,
            cache,
            kept: KeptRows::new(options.cache_bytes / KEPT_PART),
            sealed_entries: options.sealed_entries,
            fan_out: options.fan_out,
            dirty_bytes: 0,
            frozen_bytes: 0,
            run_counts: Arc::new(RunCounts::at_start(snapshot.as_ref())?),
            garbage,
            snapshot,
        })
    }

    /// Goes over to other indexes, in this order: those of before stay, those that were built
    /// elsewhere are taken with what they have in memory; their rows are in this store already.
    /// What nobody wants is forgotten, not removed. Answers what is left over, to be given back
    /// when nobody waits for it.
    ///
    /// # Panics
    /// If a checkpoint is under way here or there.
    pub fn switch(
        &mut self,
        specs: impl IntoIterator<Item = IndexSpec>,
        cold: Arc<dyn ColdEvents>,
        mut built: Option<Blocks>,
    ) -> Replaced {
        let specs: Vec<IndexSpec> = specs.into_iter().collect();
        self.swept = vec![None; specs.len()];
        self.reheater = Arc::new(Reheater::new(
            Arc::clone(&self.kv),
            cold,
            specs.clone(),
            Arc::clone(&self.reheated),
            self.cache.weight_max() / 4,
        ));
        let mut known: FxHashMap<u32, Index> = FxHashMap::default();
        let mut add = |indexes: Vec<Index>| {
            for index in indexes {
                assert!(index.frozen.is_empty(), "no checkpoint is under way");
                known.entry(index.spec.number).or_insert(index);
            }
        };
        add(std::mem::take(&mut self.indexes));
        if let Some(built) = &mut built {
            self.dirty_bytes += built.dirty_bytes;
            add(std::mem::take(&mut built.indexes));
        }
        // States are kept by the numbers of calls, which are those of a plan.
        self.cache.clear();
        let rows = self.kept.clear();
        self.cache.leave(0);
        self.reheated.forget_all();
        self.indexes = specs
            .into_iter()
            .map(|spec| match known.remove(&spec.number) {
                Some(mut index) => {
                    index.adopt(spec);
                    index.was_empty = false;
                    index
                }
                None => Index::new(spec, false),
            })
            .collect();
        // Who built them counted for itself.
        self.run_counts = Arc::new(RunCounts::unknown());
        self.snapshot = self.kv.snapshot();
        Replaced(built, known.into_values().collect(), rows)
    }

    /// About the bytes in memory that are newer than the last checkpoint that was begun.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// About the bytes in memory that a checkpoint writes now.
    pub fn frozen_bytes(&self) -> usize {
        self.frozen_bytes
    }

    /// The rows as of the last checkpoint that ended.
    pub fn snapshot(&self) -> &Arc<dyn Snapshot> {
        &self.snapshot
    }

    /// What was brought back since the store was opened.
    pub fn reheats(&self) -> Reheats {
        self.reheated.counts()
    }

    /// From now on reads that need what left the store fail, and say what they need
    /// ([`KeyReads::needs`]): it is brought back without a hold on this.
    pub fn defer_cold(&self) {
        self.reheated.defer();
    }

    /// Whether reads say what they need, and do not fetch it themselves.
    pub fn defers(&self) -> bool {
        self.reheated.is_deferred()
    }

    /// Scans, to be kept from.
    pub fn scans(&self) -> Scans {
        Scans(Arc::clone(&self.reheated))
    }

    /// Adds an event of a key to an index.
    pub fn insert(&mut self, index: usize, key: &[u8], entry: &Entry<'_>) {
        let Index { spec, tails, .. } = &mut self.indexes[index];
        self.dirty_bytes += tails.insert(key, entry, &spec.types);
        self.kept.forget(index, key);
        if self.cache.is_used() {
            let prefix = key::row_prefix(spec.number, key);
            self.cache.change(&prefix, |cached| {
                cached.history.insert(entry);
                cached.weight += bytes_of(entry) as u64;
            });
        }
    }

    /// Marks the entry of a key with this place as contested.
    pub fn contest(&mut self, index: usize, key: &[u8], time: i64, order: &[u8]) {
        let Index { spec, tails, .. } = &mut self.indexes[index];
        self.dirty_bytes += tails.contest(key, time, order, &spec.types);
        self.kept.forget(index, key);
        let prefix = key::row_prefix(spec.number, key);
        self.cache.change(&prefix, |cached| {
            cached.history.contest(time, order);
        });
    }

    /// The events of a key; none if there are none. Blocks are read as the history is used:
    /// see [`evenkeel_aggregate::history::BlockSource`].
    pub fn history(&self, index: usize, key: &[u8]) -> Result<Option<History>, StoreError> {
        let found = self.events(index, key)?;
        Ok(found.map(|(history, _)| history))
    }

    /// [`Blocks::history`], and where it reads from.
    pub fn events(
        &self,
        index: usize,
        key: &[u8],
    ) -> Result<Option<(History, Option<KeyReads>)>, StoreError> {
        let found = self.cached(index, key)?;
        Ok(found.map(|cached| (cached.history, cached.source.map(KeyReads))))
    }

    /// What is in memory of many keys: to be given back to [`Blocks::events_at_hand`] as long as
    /// nothing is inserted.
    pub fn at_hand<'k>(
        &self,
        index: usize,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Vec<AtHand> {
        let number = self.indexes[index].spec.number;
        let prefixes = keys.into_iter().map(|key| key::row_prefix(number, key));
        let prefixes: Vec<RowPrefix> = prefixes.collect();
        let found = self.cache.get_all(&prefixes);
        found.into_iter().map(AtHand).collect()
    }

    /// Entries of these keys are about to be inserted: what is kept of them is brought closer, for all of them at
    /// once. Nothing depends on it.
    pub fn expect_inserts<'k>(&self, index: usize, keys: impl IntoIterator<Item = &'k [u8]>) {
        if self.cache.is_used() {
            let number = self.indexes[index].spec.number;
            let prefixes = keys.into_iter().map(|key| key::row_prefix(number, key));
            let prefixes: Vec<RowPrefix> = prefixes.collect();
            self.cache.touch_all(&prefixes);
        }
    }

    /// [`Blocks::events`] of a key, with what was in memory of it.
    pub fn events_at_hand(
        &self,
        index: usize,
        key: &[u8],
        at_hand: AtHand,
    ) -> Result<Option<(History, Option<KeyReads>)>, StoreError> {
        match at_hand.0 {
            Some(cached) if !cached.has_failed() => {
                let prefix = || key::row_prefix(self.indexes[index].spec.number, key);
                let cached = self.reweighed(prefix, cached);
                Ok(Some((cached.history, cached.source.map(KeyReads))))
            }
            _ => self.events(index, key),
        }
    }

    fn cached(&self, index: usize, key: &[u8]) -> Result<Option<Cached>, StoreError> {
        let Index {
            spec,
            tails,
            frozen,
            ..
        } = &self.indexes[index];
        let prefix = key::row_prefix(spec.number, key);
        if let Some(cached) = self.cache.get(&prefix[..]) {
            if !cached.has_failed() {
                return Ok(Some(self.reweighed(|| prefix, cached)));
            }
            // What could not be read once may be read now.
            self.cache.remove(&prefix[..]);
        }
        let stored = Stored::load(self.snapshot.as_ref(), &spec.types, &prefix)?;
        let newer = [frozen.get(key), tails.get(key)];
        let newer = newer.map(|fresh| Some(fresh?.tail(&spec.types)));
        if stored.is_empty() && newer.iter().all(Option::is_none) {
            return Ok(None);
        }
        let source = stored.source(&self.kv, index, &prefix, &self.reheater);
        let mut history = stored.history(&spec.types, source.as_ref());
        let marks = stored.marks.iter();
        for tail in newer.iter().flatten() {
            history.absorb(&tail.events);
        }
        for mark in marks.chain(newer.iter().flatten().flat_map(|tail| &tail.marks)) {
            history.contest(mark.time, &mark.order);
        }
        let cached = Cached {
            weight: weight_of(&history) + stored.run_bytes as u64,
            run_bytes: stored.run_bytes as u64,
            history,
            source,
        };
        self.cache.insert(prefix, cached.clone());
        Ok(Some(cached))
    }

    /// A cached history; its weight is brought up to date if much of it was read meanwhile.
    fn reweighed(&self, prefix: impl FnOnce() -> RowPrefix, mut cached: Cached) -> Cached {
        let source = cached.source.as_ref();
        let entries = source.map_or(0, |s| s.entries_read()) as u64;
        let bytes = source.map_or(0, |s| s.bytes_read()) as u64;
        if entries * entry_bytes(cached.history.types().len(), 0) as u64 + bytes > cached.weight {
            let weight = weight_of(&cached.history) + cached.run_bytes + bytes;
            if weight > cached.weight {
                cached.weight = weight;
                self.cache.insert(prefix(), cached.clone());
            }
        }
        cached
    }

    /// Counts what was read of a key for what it weighs in memory. After each read, as only then it
    /// is known.
    pub fn weigh(&self, reads: &KeyReads) {
        let source = &reads.0;
        if source.has_read_more() {
            self.cache.change(source.prefix(), |cached| {
                let is_it = |own: &Arc<KeySource>| Arc::ptr_eq(own, source);
                if cached.source.as_ref().is_some_and(is_it) {
                    let read = cached.run_bytes + source.bytes_read() as u64;
                    cached.weight = cached.weight.max(weight_of(&cached.history) + read);
                }
            });
        }
    }

    /// A look at rows that readers keep.
    pub fn kept_rows(&self) -> KeptReads<'_> {
        self.kept.reads()
    }

    /// Keeps rows that were made of what is inserted now, until their keys get events in the
    /// indexes of the shape.
    pub fn keep_rows<'k>(&self, shape: &RowShape, rows: impl IntoIterator<Item = NewRow<'k>>) {
        self.cache.leave(self.kept.keep(shape, rows));
    }

    /// What readers keep.
    pub fn kept_counts(&self) -> KeptCounts {
        self.kept.counts()
    }

    /// Begins a checkpoint of everything that was inserted up to now. `horizons` has for each
    /// index what may leave the store, if anything may.
    ///
    /// # Panics
    /// If one was begun and has not ended.
    pub fn begin(&mut self, horizons: &[Option<Horizon>]) -> BlockCheckpoint {
        self.frozen_bytes = std::mem::take(&mut self.dirty_bytes);
        let indexes = self
            .indexes
            .iter_mut()
            .enumerate()
            .map(|(position, index)| {
                assert!(index.frozen.is_empty(), "one checkpoint at a time");
                // As many come again: a map that grows moves everything, while reads wait.
                let tails = Tails::for_keys(index.tails.len());
                index.frozen = Arc::new(std::mem::replace(&mut index.tails, tails));
                IndexCheckpoint {
                    position,
                    spec: index.spec.clone(),
                    tails: Arc::clone(&index.frozen),
                    was_empty: index.was_empty,
                    horizon: horizons.get(position).cloned().flatten(),
                    swept: self.swept[position].take(),
                }
            })
            .collect();
        BlockCheckpoint {
            kv: Arc::clone(&self.kv),
            snapshot: Arc::clone(&self.snapshot),
            indexes,
            run_counts: Arc::clone(&self.run_counts),
            reheater: Arc::clone(&self.reheater),
            sealed_entries: self.sealed_entries,
            fan_out: self.fan_out,
            garbage: std::mem::take(&mut self.garbage),
        }
    }

    /// Ends a checkpoint whose batch was written: from now on reads find it in the store. What
    /// it answers is for whoever has the time to drop it.
    pub fn end(&mut self, mut written: Written) -> Spent {
        for index in &mut self.indexes {
            index.frozen = Arc::default();
        }
        self.frozen_bytes = 0;
        for prefix in &written.moved {
            self.cache.remove(&prefix[..]);
            // Marks, or more events, have gone into its cold part.
            self.reheated.forget(prefix);
        }
        self.garbage = written.garbage;
        self.swept = written.swept;
        self.reheated.begin_small();
        let before = std::mem::replace(&mut self.snapshot, self.kv.snapshot());
        written.spent.1 = Some(before);
        written.spent
    }
}

/// About the bytes of an entry in memory.
fn entry_bytes(width: usize, order_bytes: usize) -> usize {
    ENTRY_BYTES + order_bytes + width * VALUE_BYTES
}

/// The same of one that is at hand, with its texts.
fn bytes_of(entry: &Entry<'_>) -> usize {
    let texts = entry.values.iter().map(|value| match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    });
    entry_bytes(entry.values.len(), entry.order.len()) + texts.sum::<usize>()
}

/// About the bytes of a history, but for texts and order bytes.
fn weight_of(history: &History) -> u64 {
    let Footprint {
        entries,
        nodes,
        summary_bytes,
    } = history.footprint();
    let entries = entries * entry_bytes(history.types().len(), 0);
    (KEY_BYTES + nodes * NODE_BYTES + summary_bytes + entries) as u64
}
