//! Writing what is new: runs, merged runs, sealed blocks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use evenkeel_aggregate::history::BlockEncoder;
use evenkeel_types::DataType;
use evenkeel_types::bytes::{ByteReader, put_bytes, put_varint};
use xxhash_rust::xxh3::xxh3_64;

use super::IndexSpec;
use super::directory::Directory;
use super::fresh::{FreshOf, Tails};
use super::horizon::Horizon;
use super::key::{self, RowKind, RowPrefix};
use super::reheat::Reheater;
use super::run::Tail;
use super::stored::{Stored, read_below};
use crate::error::StoreError;
use crate::kv::{Batch, Kv, Snapshot, Space};

/// The row with the blocks that the next checkpoint removes.
const GARBAGE: &[u8] = b"garbage";
/// Runs of a key before they are merged.
const RUNS_MAX: u8 = 8;
/// A run of fewer entries is small.
const SMALL_RUN: usize = 64;
/// Keys of an index that a checkpoint searches for what may leave.
const SWEPT_KEYS: usize = 256;

/// How many runs a key has, when nobody has counted them.
const UNKNOWN: u8 = u8::MAX;

/// About how many runs each key has: a byte by hash. Keys that share one merge sooner.
#[derive(Debug)]
pub(super) struct RunCounts(Box<[AtomicU8]>);

impl RunCounts {
    /// Of an empty store.
    fn none() -> Self {
        Self::all(0)
    }

    /// Of a store of which nothing is known: runs are counted when a key is first written.
    pub(super) fn unknown() -> Self {
        Self::all(UNKNOWN)
    }

    /// Whether no key of an index has a run or a directory.
    pub(super) fn is_without(snapshot: &dyn Snapshot, index: u32) -> Result<bool, StoreError> {
        let (first, end) = key::of_index(index);
        let mut is_without = true;
        snapshot.range(Space::Runs, &first, &end, &mut |_, _| {
            is_without = false;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(is_without)
    }

    /// Of a store.
    pub(super) fn at_start(snapshot: &dyn Snapshot) -> Result<Self, StoreError> {
        let mut counts = Self::none();
        snapshot.prefix(Space::Runs, &[], &mut |_, _| {
            counts = Self::unknown();
            Ok(ControlFlow::Break(()))
        })?;
        Ok(counts)
    }

    fn all(count: u8) -> Self {
        RunCounts((0..1 << 18).map(|_| AtomicU8::new(count)).collect())
    }

    fn of(&self, prefix: &[u8]) -> &AtomicU8 {
        &self.0[xxh3_64(prefix) as usize % self.0.len()]
    }
}

/// Row keys of blocks that nothing names any more.
#[derive(Debug, Default)]
pub(super) struct Garbage(Vec<Vec<u8>>);

impl Garbage {
    pub(super) fn extend(&mut self, rows: impl IntoIterator<Item = Vec<u8>>) {
        self.0.extend(rows);
    }

    pub(super) fn read(snapshot: &dyn Snapshot) -> Result<Self, StoreError> {
        let Some(bytes) = snapshot.get(Space::Meta, GARBAGE)? else {
            return Ok(Garbage::default());
        };
        let malformed = |error| StoreError::malformed(Space::Meta, GARBAGE, error);
        let mut reader = ByteReader::new(&bytes);
        let count = reader.count("blocks to remove").map_err(malformed)?;
        let keys = (0..count)
            .map(|_| reader.bytes("a block to remove").map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()
            .map_err(malformed)?;
        Ok(Garbage(keys))
    }

    pub(super) fn contains(&self, row: &[u8]) -> bool {
        self.0.iter().any(|key| key == row)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(self.0.len() as u64, &mut out);
        self.0.iter().for_each(|key| put_bytes(key, &mut out));
        out
    }
}

/// A checkpoint under way: what was new when it was begun.
#[derive(Debug)]
pub struct BlockCheckpoint {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) snapshot: Arc<dyn Snapshot>,
    pub(super) indexes: Vec<IndexCheckpoint>,
    pub(super) reheater: Arc<Reheater>,
    pub(super) sealed_entries: usize,
    pub(super) fan_out: usize,
    pub(super) run_counts: Arc<RunCounts>,
    pub(super) garbage: Garbage,
}

/// What a checkpoint has of one index.
#[derive(Debug)]
pub(super) struct IndexCheckpoint {
    pub(super) position: usize,
    pub(super) spec: IndexSpec,
    pub(super) tails: Arc<Tails>,
    /// See [`super::Index::was_empty`].
    pub(super) was_empty: bool,
    /// What is behind it may leave.
    pub(super) horizon: Option<Horizon>,
    /// Where the search for what may leave goes on.
    pub(super) swept: Option<Vec<u8>>,
}

/// What the end of a checkpoint must know of its writing.
#[derive(Debug)]
#[must_use]
pub struct Written {
    /// Keys whose blocks are others now.
    pub(super) moved: Vec<RowPrefix>,
    pub(super) garbage: Garbage,
    pub(super) swept: Vec<Option<Vec<u8>>>,
    /// The indexes of keys that have a cold part now.
    pub(super) cold: BTreeSet<usize>,
    pub(super) spent: Spent,
}

impl Written {
    /// The indexes from which anything is known to have left, by their order.
    pub fn cold(&self) -> &BTreeSet<usize> {
        &self.cold
    }
}

/// What was written, still in memory, and the rows as of before. It is large, and so is what the
/// store keeps for those rows: it is dropped where nobody waits.
#[derive(Debug, Default)]
pub struct Spent(Vec<Arc<Tails>>, pub(super) Option<Arc<dyn Snapshot>>);

impl BlockCheckpoint {
    /// Adds the changes to a batch. `number` is larger than that of every checkpoint before.
    pub fn write(&self, number: u64, batch: &mut Batch) -> Result<Written, StoreError> {
        for key in &self.garbage.0 {
            batch.remove(Space::Blocks, key.clone());
        }
        let mut written = Written {
            moved: Vec::new(),
            garbage: Garbage::default(),
            swept: Vec::new(),
            cold: BTreeSet::new(),
            spent: Spent::default(),
        };
        for index in &self.indexes {
            // In the order of keys, so that equal stores write equal bytes.
            let mut tails: Vec<_> = index
                .tails
                .iter()
                .map(|(key, fresh)| (key::row_prefix(index.spec.number, key), fresh))
                .collect();
            tails.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let moved_before = written.moved.len();
            let mut encoder = BlockEncoder::new(&index.spec.types);
            for (prefix, fresh) in tails {
                let encoder = &mut encoder;
                self.write_key(index, encoder, prefix, fresh, number, batch, &mut written)?;
            }
            let swept = self.sweep(index, moved_before, batch, &mut written)?;
            written.swept.push(swept);
            written.spent.0.push(Arc::clone(&index.tails));
        }
        batch.put(Space::Meta, GARBAGE.to_vec(), written.garbage.encode());
        Ok(written)
    }

    /// Lets what may leave go of some keys more, whether anything new is there of them or
    /// not. Answers where to go on.
    fn sweep(
        &self,
        index: &IndexCheckpoint,
        moved_before: usize,
        batch: &mut Batch,
        written: &mut Written,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(horizon) = &index.horizon else {
            return Ok(None);
        };
        let (first, end) = key::of_index(index.spec.number);
        let mut from = index.swept.clone().unwrap_or(first);
        let sealed = written.moved.len();
        for _ in 0..SWEPT_KEYS {
            let mut found = None;
            self.snapshot
                .range(Space::Blocks, &from, &end, &mut |row, _| {
                    found = key::of_block(row).map(RowPrefix::from);
                    Ok(ControlFlow::Break(()))
                })?;
            let Some(prefix) = found else {
                return Ok(None);
            };
            from = key::behind_blocks(&prefix);
            // Those are done.
            if written.moved[moved_before..sealed]
                .binary_search(&prefix)
                .is_ok()
            {
                continue;
            }
            let row = key::directory(&prefix);
            let Some(bytes) = self.snapshot.get(Space::Runs, &row)? else {
                continue;
            };
            let mut directory = Directory::decode(&bytes)
                .map_err(|e| StoreError::malformed(Space::Runs, &row, e))?;
            let gone =
                directory.let_go(horizon, &|node| read_below(self.kv.as_ref(), &prefix, node))?;
            if !gone.is_empty() {
                let rows = gone.into_iter().map(|number| key::block(&prefix, number));
                written.garbage.extend(rows);
                directory.settle(&prefix, batch);
                let ids = Arc::clone(&directory.ids);
                batch.put(Space::Runs, row, directory.encode(&ids));
                written.cold.insert(index.position);
                written.moved.push(prefix);
            }
        }
        Ok(Some(from))
    }

    #[expect(clippy::too_many_arguments, reason = "one key's part of a checkpoint")]
    fn write_key(
        &self,
        index: &IndexCheckpoint,
        encoder: &mut BlockEncoder,
        prefix: RowPrefix,
        fresh: FreshOf<'_>,
        number: u64,
        batch: &mut Batch,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let spec = &index.spec;
        let count = self.run_counts.of(&prefix);
        let known = match count.load(Ordering::Relaxed) {
            // What was written of the index since would have been counted.
            UNKNOWN if index.was_empty => 0,
            UNKNOWN => self.runs_of(&prefix)?,
            known => known,
        };
        let runs = known.saturating_add(1);
        if runs < RUNS_MAX && fresh.len() < self.sealed_entries {
            count.store(runs, Ordering::Relaxed);
            let run = fresh.encode(encoder);
            batch.put(Space::Runs, key::run(&prefix, number), run);
            return Ok(());
        }
        let tail = &*fresh.tail(&spec.types);
        let stored = Stored::load(self.snapshot.as_ref(), &spec.types, &prefix)?;
        let entries: usize = stored.runs.iter().map(|r| r.tail.events.len()).sum();
        let left = if entries + tail.events.len() >= self.sealed_entries {
            self.seal(index, &prefix, &stored, tail, number, batch, written)?;
            written.moved.push(prefix.clone());
            1
        } else {
            merge_small(&spec.types, &prefix, &stored, tail, number, batch)
        };
        count.store(left, Ordering::Relaxed);
        Ok(())
    }

    /// How many runs a key has in the store.
    fn runs_of(&self, prefix: &[u8]) -> Result<u8, StoreError> {
        let mut runs = 0;
        self.snapshot.prefix(Space::Runs, prefix, &mut |row, _| {
            runs += u8::from(matches!(key::kind(prefix, row), Some(RowKind::Run(_))));
            Ok(match runs < RUNS_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        Ok(runs)
    }
}

/// Merges the small runs with what is new. Answers how many runs are left.
fn merge_small(
    types: &Arc<[DataType]>,
    prefix: &[u8],
    stored: &Stored,
    tail: &Tail,
    number: u64,
    batch: &mut Batch,
) -> u8 {
    let mut merged = Tail::new(types);
    let mut left = 1;
    for run in &stored.runs {
        if run.tail.events.len() < SMALL_RUN {
            batch.remove(Space::Runs, key::run(prefix, run.number));
            merged.absorb(&run.tail);
        } else {
            left += 1;
        }
    }
    merged.absorb(tail);
    batch.put(Space::Runs, key::run(prefix, number), merged.encode());
    left
}
