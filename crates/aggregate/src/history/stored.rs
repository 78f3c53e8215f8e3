//! Histories that are stored: their blocks' bytes, and trees over blocks that are read when
//! they are needed.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_types::DataType;
use evenkeel_types::bytes::MalformedBytes;

use super::block::Block;
use super::bounds::Bounds;
use super::cold::ColdPart;
use super::node::{Body, Node, Shape};
use super::source::{BlockSource, StoredNode};
use super::{Entry, History};

/// A part of a history, as a store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A block, or a node with all below it, that is stored as it is.
    Stored(StoredNode),
    /// Entries that the store does not keep, with what came late for their times.
    Cold(ColdPart),
    /// Ranks that are in memory only, between stored blocks or the ends.
    Loaded(Range<usize>),
}

impl History {
    /// A history over what its store does not keep any more, and behind it stored blocks and
    /// nodes, in order and without overlap in the order of events.
    pub fn over_stored(
        types: Arc<[DataType]>,
        cold: Option<ColdPart>,
        nodes: impl IntoIterator<Item = StoredNode>,
        source: &Arc<dyn BlockSource>,
    ) -> Self {
        let shape = Shape::default();
        let cold = cold.map(|part| Node::cold(part, &types, source));
        let stored = nodes
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
            root.each_part(&mut |node| {
                let end = start + node.length;
                match (node.stored_node(), &node.body, pieces.last_mut()) {
                    (Some(known), ..) => pieces.push(Piece::Stored(known.stored.clone())),
                    (None, Body::Cold(_), _) => pieces.push(Piece::Cold(ColdPart {
                        length: node.length,
                        bounds: node.bounds.clone(),
                    })),
                    (None, _, Some(Piece::Loaded(range))) => range.end = end,
                    (None, ..) => pieces.push(Piece::Loaded(start..end)),
                }
                start = end;
            });
        }
        pieces
    }

    /// The number of entries whose blocks are in memory.
    pub fn entries_in_memory(&self) -> usize {
        self.footprint().entries
    }

    /// What of it is in memory.
    pub fn footprint(&self) -> Footprint {
        let mut footprint = Footprint::default();
        if let Some(root) = &self.root {
            footprint.add(root);
        }
        footprint
    }
}

/// What of a history is in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Entries.
    pub entries: usize,
    /// Stored nodes that are known, whether what is below them is in memory or not.
    pub nodes: usize,
    /// Bytes of their summaries.
    pub summary_bytes: usize,
}

impl Footprint {
    fn add(&mut self, root: &Node) {
        root.each_part(&mut |node| {
            if let Some(known) = node.stored_node() {
                self.nodes += 1;
                self.summary_bytes += known.summary_bytes();
            }
            match &node.body {
                Body::Block(leaf) => self.entries += leaf.entries_in_memory(),
                Body::Cold(cold) => self.entries += cold.entries_in_memory(),
                Body::Branch(branch) => {
                    if let Some(below) = branch.loaded() {
                        self.add(below);
                    }
                }
                Body::Nodes(_) => {}
            }
        });
    }
}
