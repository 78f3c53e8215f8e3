//! A stored summary node whose nodes below are read when they are needed.

use std::sync::{Arc, OnceLock};

use evenkeel_types::DataType;

use super::node::{Node, Shape};
use super::source::{BlockSource, Known, LazySummary, StoredNode};

#[derive(Clone, Debug)]
pub(super) struct Branch {
    stored: StoredNode,
    types: Arc<[DataType]>,
    source: Arc<dyn BlockSource>,
    summary: LazySummary,
    loaded: OnceLock<Arc<Node>>,
}

impl Branch {
    pub(super) fn new(
        stored: StoredNode,
        types: Arc<[DataType]>,
        source: Arc<dyn BlockSource>,
    ) -> Self {
        Branch {
            stored,
            types,
            source,
            summary: LazySummary::default(),
            loaded: OnceLock::new(),
        }
    }

    pub(super) fn stored(&self) -> Known<'_> {
        Known {
            stored: &self.stored,
            source: &self.source,
            summary: &self.summary,
        }
    }

    /// What is below, as a tree; read now if it has not been.
    pub(super) fn node(&self) -> &Node {
        self.loaded.get_or_init(|| Arc::new(self.load()))
    }

    /// The same, to be changed: then it is no stored node any more.
    pub(super) fn open(&mut self) -> Node {
        match self.loaded.take() {
            Some(node) => Arc::unwrap_or_clone(node),
            None => self.load(),
        }
    }

    pub(super) fn loaded(&self) -> Option<&Node> {
        self.loaded.get().map(AsRef::as_ref)
    }

    pub(super) fn forget_states(&mut self) {
        if let Some(node) = self.loaded.get_mut() {
            Arc::make_mut(node).forget_states();
        }
    }

    fn load(&self) -> Node {
        let StoredNode {
            number,
            level,
            length,
            bounds,
            ..
        } = &self.stored;
        if let Some(below) = self.source.below(&self.stored) {
            let fits = below.iter().all(|node| node.level + 1 == *level);
            let nodes = below
                .into_iter()
                .map(|node| Node::stored(node, &self.types, &self.source))
                .collect();
            match Node::tree(nodes, Shape::default().fan_out) {
                Some(node) if fits && node.length == *length && node.bounds == *bounds => {
                    return node;
                }
                _ => {
                    let why = "it is not the node of what stands above it";
                    self.source.damaged(Some(*number), why);
                }
            }
        }
        Node::blank(&self.types, *length, bounds)
    }
}
