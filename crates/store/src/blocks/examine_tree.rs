//! Whether what a directory names is there: every block and node below it, with the bounds
//! and the states that stand above them. States are made again from the blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_aggregate::history::{BlockSource, ColdPart, Stated, StoredNode, Summary};

use super::directory::{Directory, above, decode_node};
use super::examine::{Examined, Finding, IndexShape, reason_of};
use super::key::{self, Parts};
use super::states;
use crate::error::RowPlace;
use crate::kv::{Snapshot, Space};

/// Looks at the trees of keys.
pub(super) struct Trees<'a> {
    pub(super) snapshot: &'a dyn Snapshot,
    /// Rows of blocks and nodes that directories name.
    pub(super) named: BTreeSet<Vec<u8>>,
    /// Prefixes of keys of which something above blocks cannot be read, so that what is below
    /// it has no name.
    pub(super) broken: BTreeSet<Vec<u8>>,
}

/// One key.
struct Tree<'a, 'b> {
    trees: &'a mut Trees<'b>,
    parts: Parts<'a>,
    shape: &'a IndexShape,
    examined: &'a mut Examined,
    nothing: Arc<dyn BlockSource>,
}

impl Trees<'_> {
    /// Looks at everything that a directory, whose row is given, names.
    pub(super) fn examine(
        &mut self,
        row: &[u8],
        parts: Parts<'_>,
        directory: &Directory,
        shape: &IndexShape,
        examined: &mut Examined,
    ) {
        let mut tree = Tree {
            trees: self,
            parts,
            shape,
            examined,
            nothing: Arc::new(Nothing),
        };
        tree.nodes(Space::Runs, row, &directory.nodes);
    }
}

impl Tree<'_, '_> {
    /// Looks at nodes in order, which a row names. Answers with every state that there can
    /// be; none if not everything could be read.
    fn nodes(&mut self, space: Space, row: &[u8], nodes: &[StoredNode]) -> Option<Vec<StoredNode>> {
        for pair in nodes.windows(2) {
            if pair[1].bounds.first_time < pair[0].bounds.last_time {
                let reason = format!(
                    "what is in block {} is not behind what is in block {}",
                    pair[1].number, pair[0].number
                );
                self.find(space, row, reason);
            }
        }
        let mut whole = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(made) = self.node(node) else {
                continue;
            };
            self.check_states(space, row, node, &made);
            whole.push(made);
        }
        (whole.len() == nodes.len()).then_some(whole)
    }

    /// Looks whether the states of a node, which a row names, are those that were made.
    fn check_states(&mut self, space: Space, row: &[u8], node: &StoredNode, made: &StoredNode) {
        let Stated::Here(made) = &made.summary else {
            return;
        };
        let own_row;
        let (space, row, found) = match &node.summary {
            Stated::Here(summary) => (space, row, Ok(summary.clone())),
            Stated::Row(number) => {
                own_row = key::block(self.parts.prefix, *number);
                let found = self.get(&own_row).and_then(|bytes| {
                    let summary = states::decode(&bytes);
                    summary.map_err(|e| e.to_string())
                });
                self.trees.named.insert(own_row.clone());
                (Space::Blocks, own_row.as_slice(), found)
            }
        };
        match found {
            Err(reason) => self.find(space, row, reason),
            Ok(summary) => {
                let is_wrong = |(id, state): (_, &[u8])| made.get(id).is_some_and(|m| m != state);
                if summary.iter().any(is_wrong) {
                    let reason = format!(
                        "a state of block {} in it is not that of its events",
                        node.number
                    );
                    self.find(space, row, reason);
                }
            }
        }
    }

    fn get(&self, row: &[u8]) -> Result<Vec<u8>, String> {
        match self.trees.snapshot.get(Space::Blocks, row) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err("it is missing".to_owned()),
            Err(error) => Err(reason_of(&error)),
        }
    }

    /// Looks at a block or node and at what is below it.
    fn node(&mut self, node: &StoredNode) -> Option<StoredNode> {
        let row = key::block(self.parts.prefix, node.number);
        let found = self
            .get(&row)
            .and_then(|bytes| self.read(node, &row, &bytes));
        let found = found.unwrap_or_else(|reason| {
            if node.level > 0 {
                self.trees.broken.insert(self.parts.prefix.to_vec());
            }
            self.find(Space::Blocks, &row, reason);
            None
        });
        self.trees.named.insert(row);
        found
    }

    fn read(
        &mut self,
        node: &StoredNode,
        row: &[u8],
        bytes: &[u8],
    ) -> Result<Option<StoredNode>, String> {
        let columns = Arc::clone(&self.shape.columns);
        let history = if node.level == 0 {
            let history = History::decode(columns, bytes).map_err(|e| e.to_string())?;
            if history.len() != node.length || history.bounds() != Some(&node.bounds) {
                return Err("it is not the block of the directory".to_owned());
            }
            self.examined.entries += history.len() as u64;
            history
        } else {
            let below = decode_node(bytes, node.level).map_err(|e| e.to_string())?;
            let expected = above(node.number, &below, node.summary.clone());
            let Some(below) = self.nodes(Space::Blocks, row, &below) else {
                return Ok(None);
            };
            if expected != *node {
                return Err("it is not the node of what stands above it".to_owned());
            }
            History::over_stored(columns, None, below, &self.nothing)
        };
        let all = 0..history.len();
        // As if they took nothing, so that every state is there.
        let summary = history.summarise(all, &self.shape.aggregates, usize::MAX, &|_| true);
        Ok(Some(StoredNode {
            summary: Stated::Here(summary),
            ..node.clone()
        }))
    }

    fn find(&mut self, space: Space, row: &[u8], reason: String) {
        self.examined.findings.push(Finding {
            index: Some(self.parts.index),
            key: self.parts.key.map(<[u8]>::to_vec),
            place: RowPlace {
                space,
                key: row.to_vec(),
            },
            reason,
        });
    }
}

/// Has nothing: where every state is at hand.
#[derive(Debug)]
struct Nothing;

impl BlockSource for Nothing {
    fn load(&self, _: &StoredNode) -> Option<Vec<u8>> {
        None
    }

    fn summary(&self, _: &StoredNode) -> Option<Summary> {
        None
    }

    fn below(&self, _: &StoredNode) -> Option<Vec<StoredNode>> {
        None
    }

    fn reheat(&self, _: &ColdPart) -> Option<History> {
        None
    }

    fn damaged(&self, _: Option<u64>, _: &str) {}

    fn failure(&self) -> Option<&str> {
        None
    }
}
