//! What a store has of a key.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use evenkeel_aggregate::History;
use evenkeel_aggregate::history::{BlockSource, ColdPart, StoredNode, Summary};
use evenkeel_types::DataType;

use super::ENTRY_BYTES;
use super::directory::{Directory, decode_node};
use super::key::{self, RowKind, RowPrefix};
use super::reheat::{ColdNeed, ColdNeeds, Reheater};
use super::run::{Mark, Tail};
use super::states::states_of;
use crate::error::StoreError;
use crate::kv::{Kv, Snapshot, Space};

/// A delta run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) tail: Tail,
}

#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) directory: Directory,
    /// From the oldest on.
    pub(super) runs: Vec<Run>,
    /// The marks of all runs.
    pub(super) marks: Vec<Mark>,
    /// The bytes of all runs.
    pub(super) run_bytes: usize,
}

impl Stored {
    pub(super) fn load(
        snapshot: &dyn Snapshot,
        types: &Arc<[DataType]>,
        prefix: &[u8],
    ) -> Result<Self, StoreError> {
        let mut stored = Stored::default();
        snapshot.prefix(Space::Runs, prefix, &mut |row, value| {
            let malformed = |error| StoreError::malformed(Space::Runs, row, error);
            match key::kind(prefix, row) {
                Some(RowKind::Directory) => {
                    stored.directory = Directory::decode(value).map_err(malformed)?;
                }
                Some(RowKind::Run(number)) => {
                    let tail = Tail::decode(types, value).map_err(malformed)?;
                    stored.run_bytes += value.len();
                    stored.marks.extend(tail.marks.iter().cloned());
                    stored.runs.push(Run { number, tail });
                }
                None => {
                    return Err(StoreError::damaged(
                        Space::Runs,
                        row,
                        "it is no row of a key",
                    ));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(stored)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.directory.nodes.is_empty() && self.directory.cold.is_none() && self.runs.is_empty()
    }

    /// Where the sealed blocks are read from, and what left the store; none if there is
    /// neither.
    pub(super) fn source(
        &self,
        kv: &Arc<dyn Kv>,
        index: usize,
        prefix: &RowPrefix,
        reheater: &Arc<Reheater>,
    ) -> Option<Arc<KeySource>> {
        let Directory { cold, nodes, .. } = &self.directory;
        (!nodes.is_empty() || cold.is_some()).then(|| {
            Arc::new(KeySource {
                kv: Arc::clone(kv),
                index,
                reheater: Arc::clone(reheater),
                prefix: prefix.clone(),
                entries_read: AtomicUsize::new(0),
                bytes_read: AtomicUsize::new(0),
                known_read: AtomicUsize::new(0),
                need: OnceLock::new(),
                failure: OnceLock::new(),
            })
        })
    }

    /// The events; marks are not set yet.
    pub(super) fn history(
        &self,
        types: &Arc<[DataType]>,
        source: Option<&Arc<KeySource>>,
    ) -> History {
        let mut history = match source {
            None => History::new(Arc::clone(types)),
            Some(source) => {
                let source: Arc<dyn BlockSource> = Arc::clone(source) as Arc<dyn BlockSource>;
                let Directory { cold, nodes, .. } = &self.directory;
                let nodes = nodes.iter().cloned();
                History::over_stored(Arc::clone(types), cold.clone(), nodes, &source)
            }
        };
        for run in &self.runs {
            history.absorb(&run.tail.events);
        }
        history
    }
}

/// Reads what is right below a summary node of a key.
pub(super) fn read_below(
    kv: &dyn Kv,
    prefix: &[u8],
    node: &StoredNode,
) -> Result<Vec<StoredNode>, StoreError> {
    let row = key::block(prefix, node.number);
    let bytes = kv
        .get(Space::Blocks, &row)?
        .ok_or_else(|| StoreError::damaged(Space::Blocks, &row, "it is missing"))?;
    decode_node(&bytes, node.level).map_err(|e| StoreError::malformed(Space::Blocks, &row, e))
}

/// Reads the sealed blocks of one key, and what left the store.
#[derive(Debug)]
pub(super) struct KeySource {
    kv: Arc<dyn Kv>,
    index: usize,
    reheater: Arc<Reheater>,
    prefix: RowPrefix,
    entries_read: AtomicUsize,
    /// Of blocks, as they are stored: texts and order bytes are most of what is not counted
    /// by entries.
    bytes_read: AtomicUsize,
    /// Both together, when it was last asked whether there is more.
    known_read: AtomicUsize,
    /// What has to be brought back before this is of use.
    need: OnceLock<ColdNeed>,
    failure: OnceLock<(StoreError, String)>,
}

impl KeySource {
    pub(super) fn entries_read(&self) -> usize {
        self.entries_read.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_read(&self) -> usize {
        self.bytes_read.load(Ordering::Relaxed)
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether more was read since this was last asked.
    pub(super) fn has_read_more(&self) -> bool {
        let read = self.entries_read() + self.bytes_read();
        self.known_read.swap(read, Ordering::Relaxed) != read
    }

    fn fail(&self, error: &StoreError) {
        self.failure
            .get_or_init(|| (error.clone(), error.to_string()));
    }

    /// What has to be brought back before reads of this can be answered; none if nothing has,
    /// or that would not help.
    pub(super) fn needs(&self) -> Option<ColdNeeds> {
        let is_all = matches!(self.failed(), Some(StoreError::NotBroughtBack));
        let need = self.need.get().filter(|_| is_all)?;
        Some(ColdNeeds::one(&self.reheater, need.clone()))
    }

    /// Why a block could not be read.
    pub(super) fn failed(&self) -> Option<StoreError> {
        self.failure.get().map(|(error, _)| error.clone())
    }
}

impl BlockSource for KeySource {
    fn load(&self, block: &StoredNode) -> Option<Vec<u8>> {
        let key = key::block(&self.prefix, block.number);
        self.entries_read.fetch_add(block.length, Ordering::Relaxed);
        match self.kv.get(Space::Blocks, &key) {
            Ok(Some(bytes)) => {
                self.bytes_read.fetch_add(bytes.len(), Ordering::Relaxed);
                return Some(bytes);
            }
            Ok(None) => self.fail(&StoreError::damaged(Space::Blocks, &key, "it is missing")),
            Err(error) => self.fail(&error),
        }
        None
    }

    fn summary(&self, node: &StoredNode) -> Option<Summary> {
        let summary = states_of(self.kv.as_ref(), &self.prefix, node)
            .map_err(|error| self.fail(&error))
            .ok()?;
        let entries = summary.weight() / ENTRY_BYTES;
        self.entries_read.fetch_add(entries, Ordering::Relaxed);
        Some(summary)
    }

    fn below(&self, node: &StoredNode) -> Option<Vec<StoredNode>> {
        let below = read_below(self.kv.as_ref(), &self.prefix, node)
            .map_err(|error| self.fail(&error))
            .ok()?;
        // In memory one takes about as much as an entry or a few.
        self.entries_read.fetch_add(below.len(), Ordering::Relaxed);
        Some(below)
    }

    fn reheat(&self, part: &ColdPart) -> Option<History> {
        self.entries_read.fetch_add(part.length, Ordering::Relaxed);
        let need = ColdNeed {
            index: self.index,
            prefix: self.prefix.clone(),
            part: part.clone(),
        };
        match self.reheater.part(&need) {
            Ok(Some(entries)) => return Some(entries),
            Ok(None) => {
                self.need.get_or_init(|| need);
                self.fail(&StoreError::NotBroughtBack);
            }
            Err(error) => self.fail(&error),
        }
        None
    }

    fn damaged(&self, number: Option<u64>, why: &str) {
        let error = match number {
            Some(number) => {
                let key = key::block(&self.prefix, number);
                StoreError::damaged(Space::Blocks, &key, why)
            }
            None => StoreError::damaged(Space::Runs, &key::directory(&self.prefix), why),
        };
        self.fail(&error);
    }

    fn failure(&self) -> Option<&str> {
        self.failure.get().map(|(_, words)| words.as_str())
    }
}
