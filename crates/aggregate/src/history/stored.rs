//! Histories that are stored: their blocks' bytes, and trees over blocks that are read when
//! they are needed.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_types::DataType;
use evenkeel_types::bytes::MalformedBytes;

use super::block::Block;
use super::bounds::Bounds;
use super::cold::ColdPart;
use super::leaf::{BlockSource, StoredBlock};
use super::node::{Body, Node, Shape};
use super::{Entry, History};

/// A part of a history, as a store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A block that is stored as it is.
    Stored(StoredBlock),
    /// Entries that the store does not keep, with what came late for their times.
    Cold(ColdPart),
    /// Ranks that are in memory only, between stored blocks or the ends.
    Loaded(Range<usize>),
}

impl History {
    /// A history over what its store does not keep any more, and behind it stored blocks, in
    /// order and without overlap in the order of events.
    pub fn over_stored(
        types: Arc<[DataType]>,
        cold: Option<ColdPart>,
        blocks: impl IntoIterator<Item = StoredBlock>,
        source: &Arc<dyn BlockSource>,
    ) -> Self {
        let shape = Shape::default();
        let cold = cold.map(|part| Node::cold(part, &types, source));
        let stored = blocks
            .into_iter()
            .map(|stored| Node::stored(stored, &types, source));
        let leaves = cold.into_iter().chain(stored).collect();
        History {
            root: Node::tree(leaves, shape.fan_out).map(Arc::new),
            shape,
            types,
            source: Some(Arc::clone(source)),
        }
    }

    /// Where blocks that are not in memory come from; `None` if all are. Whoever used the
    /// history asks it for its failure before the answer is used.
    pub fn source(&self) -> Option<&Arc<dyn BlockSource>> {
        self.source.as_ref()
    }

    /// The bytes of the entries of some ranks, and their bounds; `None` of no ranks.
    ///
    /// # Panics
    /// If the ranks are beyond the length.
    pub fn encode(&self, ranks: Range<usize>) -> Option<(Vec<u8>, Bounds)> {
        let root = self.root.as_ref()?;
        let mut bytes = Vec::new();
        if let Body::Block(leaf) = &root.body
            && ranks == (0..root.length)
        {
            leaf.block().encode(&self.types, &mut bytes);
            return Some((bytes, root.bounds.clone()));
        }
        let mut block = Block::new(&self.types);
        for rank in ranks {
            block.push(&root.entry(rank), &self.types);
        }
        block.encode(&self.types, &mut bytes);
        Some((bytes, block.bounds()?))
    }

    /// The history of [`History::encode`]'s bytes.
    ///
    /// # Errors
    /// Where the bytes are no block of columns of these types.
    pub fn decode(types: Arc<[DataType]>, bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let block = Block::decode(bytes, &types)?;
        Ok(History {
            types,
            shape: Shape::default(),
            root: Node::over(block).map(Arc::new),
            source: None,
        })
    }

    /// Inserts all entries of another history with the same columns.
    pub fn absorb(&mut self, other: &History) {
        if self.is_empty() {
            self.root.clone_from(&other.root);
            self.source.clone_from(&other.source);
            return;
        }
        for entry in other.iter() {
            let order = entry.order();
            self.insert(&Entry {
                time: order.time,
                order: order.order,
                position: entry.position(),
                visible_at: entry.visible_at(),
                contested: entry.contested(),
                id: entry.id(),
                values: &entry.row(),
            });
        }
    }

    /// The history in pieces, in order.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut start = 0;
        if let Some(root) = &self.root {
            root.each_leaf(&mut |node| {
                let end = start + node.length;
                match (&node.body, pieces.last_mut()) {
                    (Body::Cold(_), _) => pieces.push(Piece::Cold(ColdPart {
                        length: node.length,
                        bounds: node.bounds.clone(),
                    })),
                    (Body::Block(leaf), last) => match (leaf.stored_block(), last) {
                        (Some(stored), _) => pieces.push(Piece::Stored(stored.clone())),
                        (None, Some(Piece::Loaded(range))) => range.end = end,
                        (None, _) => pieces.push(Piece::Loaded(start..end)),
                    },
                    (Body::Nodes(_), _) => {}
                }
                start = end;
            });
        }
        pieces
    }

    /// The number of entries whose blocks are in memory.
    pub fn entries_in_memory(&self) -> usize {
        let mut entries = 0;
        if let Some(root) = &self.root {
            root.each_leaf(&mut |node| {
                entries += match &node.body {
                    Body::Block(leaf) => leaf.entries_in_memory(),
                    Body::Cold(cold) => cold.entries_in_memory(),
                    Body::Nodes(_) => 0,
                };
            });
        }
        entries
    }
}
