//! What a store has of a key, as a history sees it: stored nodes, and where they come from.

use std::sync::{Arc, OnceLock};

use super::History;
use super::bounds::Bounds;
use super::cold::ColdPart;
use super::summary::Summary;

/// Where stored nodes come from. One source serves one key.
///
/// What cannot be read is the source's to report: the history answers as if the entries had
/// no values, and whoever asked must ask the source whether it failed before the answer is
/// used.
pub trait BlockSource: Send + Sync + std::fmt::Debug {
    /// The bytes of a block ([`super::History::encode`]); `None` if they cannot be had, and
    /// then the source remembers why.
    fn load(&self, block: &StoredNode) -> Option<Vec<u8>>;

    /// What is in a row of states, of a node that has one; `None` if it cannot be had, and then
    /// the source remembers why.
    fn summary(&self, node: &StoredNode) -> Option<Summary>;

    /// The nodes right below one above blocks, in order; `None` if they cannot be had, and
    /// then the source remembers why.
    fn below(&self, node: &StoredNode) -> Option<Vec<StoredNode>>;

    /// The entries of a part that the store does not keep, exactly; `None` if they cannot be
    /// had, and then the source remembers why.
    fn reheat(&self, part: &ColdPart) -> Option<History>;

    /// What was loaded, or came back of a part, was not what stands above it. `number` is
    /// that of the stored node; `None`: what came back, or the key's directory.
    fn damaged(&self, number: Option<u64>, why: &str);

    /// Why something could not be read; `None` if all could.
    fn failure(&self) -> Option<&str>;
}

/// A block that is stored, or a summary node above blocks, as what stands above names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNode {
    /// Its number, for [`BlockSource`].
    pub number: u64,
    /// Levels of nodes below it: 0 is a block.
    pub level: u8,
    /// The number of its entries; at least 1.
    pub length: usize,
    /// The bytes of its blocks.
    pub bytes: usize,
    /// What it holds.
    pub bounds: Bounds,
    /// States of all its entries.
    pub summary: Stated,
}

/// States of all entries of a stored node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stated {
    /// They stand with the node's name.
    Here(Summary),
    /// They are in a row of this number, for [`BlockSource::summary`].
    Row(u64),
}

impl Default for Stated {
    fn default() -> Self {
        Stated::Here(Summary::default())
    }
}

impl Stated {
    /// About the bytes that they take where the name stands.
    pub fn weight(&self) -> usize {
        match self {
            Stated::Here(summary) => summary.weight(),
            Stated::Row(_) => 0,
        }
    }
}

/// A stored node's states, read when they are needed.
#[derive(Clone, Debug, Default)]
pub(super) struct LazySummary(OnceLock<Summary>);

impl LazySummary {
    /// What there is; nothing if it cannot be had.
    pub(super) fn get<'a>(
        &'a self,
        stored: &'a StoredNode,
        source: &Arc<dyn BlockSource>,
    ) -> &'a Summary {
        match &stored.summary {
            Stated::Here(summary) => summary,
            Stated::Row(_) => self
                .0
                .get_or_init(|| source.summary(stored).unwrap_or_default()),
        }
    }

    /// About the bytes of what was read.
    pub(super) fn weight(&self) -> usize {
        self.0.get().map_or(0, Summary::weight)
    }
}

/// A stored node that is known in memory.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) stored: &'a StoredNode,
    pub(super) source: &'a Arc<dyn BlockSource>,
    pub(super) summary: &'a LazySummary,
}

impl<'a> Known<'a> {
    /// States of all its entries; read now if they have not been.
    pub(super) fn summary(self) -> &'a Summary {
        self.summary.get(self.stored, self.source)
    }

    /// Whether there may be any, without reading them.
    pub(super) fn may_have_states(self) -> bool {
        match &self.stored.summary {
            Stated::Here(summary) => !summary.is_empty(),
            Stated::Row(_) => true,
        }
    }

    /// A state of it does not read.
    pub(super) fn damaged(self, why: &str) {
        let row = match self.stored.summary {
            Stated::Here(_) => None,
            Stated::Row(number) => Some(number),
        };
        self.source.damaged(row, why);
    }

    /// About the bytes of memory of its states.
    pub(super) fn summary_bytes(self) -> usize {
        self.stored.summary.weight() + self.summary.weight()
    }
}
