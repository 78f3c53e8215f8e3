//! A leaf of the tree: a block in memory, or one that is stored and read when it is needed.

use std::sync::{Arc, OnceLock};

use evenkeel_types::DataType;

use super::block::Block;
use super::source::{BlockSource, Known, LazySummary, StoredNode};

#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Loaded(Block),
    Stored(Lazy),
}

#[derive(Clone, Debug)]
pub(super) struct Lazy {
    stored: StoredNode,
    types: Arc<[DataType]>,
    source: Arc<dyn BlockSource>,
    summary: LazySummary,
    loaded: OnceLock<Arc<Block>>,
}

impl Leaf {
    pub(super) fn stored(
        stored: StoredNode,
        types: Arc<[DataType]>,
        source: Arc<dyn BlockSource>,
    ) -> Self {
        Leaf::Stored(Lazy {
            stored,
            types,
            source,
            summary: LazySummary::default(),
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

    /// The stored block that this leaf still is.
    pub(super) fn stored_block(&self) -> Option<Known<'_>> {
        match self {
            Leaf::Loaded(_) => None,
            Leaf::Stored(lazy) => Some(Known {
                stored: &lazy.stored,
                source: &lazy.source,
                summary: &lazy.summary,
            }),
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
        let StoredNode {
            number,
            length,
            bounds,
            ..
        } = &self.stored;
        if let Some(bytes) = self.source.load(&self.stored) {
            match Block::decode(&bytes, &self.types) {
                Ok(found) if found.len() == *length && found.bounds().as_ref() == Some(bounds) => {
                    return found;
                }
                Ok(_) => self
                    .source
                    .damaged(Some(*number), "it is not the block of the directory"),
                Err(error) => self.source.damaged(Some(*number), &error.to_string()),
            }
        }
        Block::blank(&self.types, *length, bounds)
    }
}
