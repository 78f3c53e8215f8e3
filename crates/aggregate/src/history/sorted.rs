//! Entries that are in order already: a history of them, or its bytes, made at once.
//!
//! Invariant: both are what inserting one after the other gives.

use std::sync::Arc;

use evenkeel_types::DataType;

use super::block::{Block, Columnar};
use super::node::Node;
use super::{Entry, History};

impl History {
    /// A history of entries that come in order.
    ///
    /// # Panics
    /// If there is not one value of the right type (or missing) per column.
    pub fn of_sorted<'a>(
        types: Arc<[DataType]>,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Self {
        let mut history = History::new(types);
        let mut entries = entries.into_iter();
        let mut block = Block::new(&history.types);
        for entry in entries.by_ref().take(history.shape.block_entries) {
            history.check(&entry);
            block.insert(block.len(), &entry, &history.types);
        }
        history.root = Node::over(block).map(Arc::new);
        for entry in entries {
            history.insert(&entry);
        }
        history
    }
}

/// Encodes the entries of one key after the other, each time in the same memory.
#[derive(Debug)]
pub struct BlockEncoder {
    block: Columnar,
    scratch: Vec<i64>,
}

impl BlockEncoder {
    /// For entries with columns of these types.
    pub fn new(types: &[DataType]) -> Self {
        BlockEncoder {
            block: Columnar::new(types),
            scratch: Vec::new(),
        }
    }

    /// Appends the bytes of entries that come in order, at least one: [`History::encode`]'s.
    pub fn encode<'a>(&mut self, entries: impl IntoIterator<Item = Entry<'a>>, out: &mut Vec<u8>) {
        self.block.clear();
        for entry in entries {
            self.block.insert(self.block.len(), &entry);
        }
        self.block.encode(&mut self.scratch, out);
    }
}
