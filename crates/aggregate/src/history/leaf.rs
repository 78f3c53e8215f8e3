//! A leaf of the tree: a block in memory, or one that is stored and read when it is needed.

use std::sync::{Arc, OnceLock};

use evenkeel_types::DataType;

use super::History;
use super::block::Block;
use super::bounds::Bounds;
use super::cold::ColdPart;

/// Where stored blocks come from. One source serves one key.
///
/// A block that cannot be read is the source's to report: the history answers as if its
/// entries had no values, and whoever asked must ask the source whether it failed before
/// the answer is used.
pub trait BlockSource: Send + Sync + std::fmt::Debug {
    /// The bytes of a block ([`super::History::encode`]); `None` if they cannot be had, and
    /// then the source remembers why.
    fn load(&self, block: u64) -> Option<Vec<u8>>;

    /// The entries of a part that the store does not keep, exactly; `None` if they cannot be
    /// had, and then the source remembers why.
    fn reheat(&self, part: &ColdPart) -> Option<History>;

    /// A loaded block, or what came back of a part, was not what the key's directory says.
    fn damaged(&self, block: Option<u64>, why: &str);

    /// Why blocks could not be read; `None` if all could.
    fn failure(&self) -> Option<&str>;
}

/// A stored block, as a directory names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block's number, for [`BlockSource::load`].
    pub block: u64,
    /// The number of its entries; at least 1.
    pub length: usize,
    /// What it holds.
    pub bounds: Bounds,
}

#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Loaded(Block),
    Stored(Lazy),
}

#[derive(Clone, Debug)]
pub(super) struct Lazy {
    stored: StoredBlock,
    types: Arc<[DataType]>,
    source: Arc<dyn BlockSource>,
    loaded: OnceLock<Arc<Block>>,
}

impl Leaf {
    pub(super) fn stored(
        stored: StoredBlock,
        types: Arc<[DataType]>,
        source: Arc<dyn BlockSource>,
    ) -> Self {
        Leaf::Stored(Lazy {
            stored,
            types,
            source,
            loaded: OnceLock::new(),
        })
    }

    /// The block; read now if it has not been.
    pub(super) fn block(&self) -> &Block {
        match self {
            Leaf::Loaded(block) => block,
            Leaf::Stored(lazy) => lazy.loaded.get_or_init(|| Arc::new(lazy.load())),
        }
    }

    /// The block, to be changed.
    pub(super) fn block_mut(&mut self) -> &mut Block {
        if let Leaf::Stored(lazy) = self {
            let block = match lazy.loaded.take() {
                Some(block) => Arc::unwrap_or_clone(block),
                None => lazy.load(),
            };
            *self = Leaf::Loaded(block);
        }
        match self {
            Leaf::Loaded(block) => block,
            Leaf::Stored(_) => unreachable!("it was loaded above"),
        }
    }

    /// The number of the stored block that this leaf still is.
    pub(super) fn stored_block(&self) -> Option<&StoredBlock> {
        match self {
            Leaf::Loaded(_) => None,
            Leaf::Stored(lazy) => Some(&lazy.stored),
        }
    }

    /// The entries that are in memory.
    pub(super) fn entries_in_memory(&self) -> usize {
        match self {
            Leaf::Loaded(block) => block.len(),
            Leaf::Stored(lazy) => lazy.loaded.get().map_or(0, |block| block.len()),
        }
    }
}

impl Lazy {
    fn load(&self) -> Block {
        let StoredBlock {
            block,
            length,
            bounds,
        } = &self.stored;
        if let Some(bytes) = self.source.load(*block) {
            match Block::decode(&bytes, &self.types) {
                Ok(found) if found.len() == *length && found.bounds().as_ref() == Some(bounds) => {
                    return found;
                }
                Ok(_) => self
                    .source
                    .damaged(Some(*block), "it is not the block of the directory"),
                Err(error) => self.source.damaged(Some(*block), &error.to_string()),
            }
        }
        Block::blank(&self.types, *length, bounds)
    }
}
