//! Sealing the runs of a key: what is new becomes blocks, blocks that it fell into are made
//! again, and nodes above.
//!
//! Invariant: what is written of a key in one batch is a whole tree. A node's row is written
//! once; who changes what is below it gives it up and makes another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use evenkeel_aggregate::history::{Piece, Stated, StoredNode, SummaryId};
use evenkeel_aggregate::{Aggregates, History};

use super::checkpoint::{BlockCheckpoint, IndexCheckpoint, Written};
use super::directory::{Below, Directory, above, encode_node};
use super::key::{self, RowPrefix};
use super::run::Tail;
use super::states::{push_rows, states_of};
use super::stored::{Stored, read_below};
use crate::error::StoreError;
use crate::kv::{Batch, Kv, Space};

/// What a history becomes when it is sealed.
struct Sealed {
    directory: Directory,
    /// Blocks that are not stored yet, by number.
    fresh: BTreeMap<u64, Vec<u8>>,
    /// Numbers of the blocks and nodes that stay as they are.
    kept: BTreeSet<u64>,
    /// What stays a run.
    rest: Tail,
}

impl BlockCheckpoint {
    /// Makes sealed blocks of all runs; what does not fill one at the end stays a run.
    #[expect(clippy::too_many_arguments, reason = "one key's part of a checkpoint")]
    pub(super) fn seal(
        &self,
        index: &IndexCheckpoint,
        prefix: &RowPrefix,
        stored: &Stored,
        tail: &Tail,
        number: u64,
        batch: &mut Batch,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let spec = &index.spec;
        let source = stored.source(&self.kv, index.position, prefix, &self.reheater);
        let mut history = stored.history(&spec.types, source.as_ref());
        history.absorb(&tail.events);
        for mark in stored.marks.iter().chain(&tail.marks) {
            history.contest(mark.time, &mark.order);
        }
        let next_number = stored.directory.next_number;
        let Sealed {
            mut directory,
            mut fresh,
            kept,
            rest,
        } = self.cut(&history, index, next_number, prefix)?;
        let below: Below<'_> = &|node| read_below(self.kv.as_ref(), prefix, node);
        let mut gone = Vec::new();
        for node in &stored.directory.nodes {
            push_changed(node, &kept, below, &mut gone)?;
        }
        if let Some(horizon) = &index.horizon {
            for number in directory.let_go(horizon, below)? {
                // What leaves at once is not written.
                if fresh.remove(&number).is_none() {
                    gone.push(number);
                }
            }
        }
        if directory.cold.is_some() {
            written.cold.insert(index.position);
        }
        let summaries = Summaries {
            history: &history,
            aggregates: &spec.aggregates,
            kv: self.kv.as_ref(),
            prefix,
        };
        summaries.make(&mut directory, stored, &mut gone)?;
        summaries.group(&mut directory, self.fan_out, batch, &mut gone)?;
        directory.settle(prefix, batch);
        // Nothing may be written that was not read right.
        if let Some(failure) = source.as_ref().and_then(|s| s.failed()) {
            return Err(failure);
        }
        for run in &stored.runs {
            batch.remove(Space::Runs, key::run(prefix, run.number));
        }
        for (block, bytes) in fresh {
            batch.put(Space::Blocks, key::block(prefix, block), bytes);
        }
        let gone = gone.into_iter().map(|number| key::block(prefix, number));
        written.garbage.extend(gone);
        let bytes = directory.encode(spec.aggregates.summary_ids());
        batch.put(Space::Runs, key::directory(prefix), bytes);
        if !rest.events.is_empty() {
            batch.put(Space::Runs, key::run(prefix, number), rest.encode());
        }
        Ok(())
    }

    /// Cuts what is in memory of a history into blocks.
    fn cut(
        &self,
        history: &History,
        index: &IndexCheckpoint,
        next_number: u64,
        prefix: &[u8],
    ) -> Result<Sealed, StoreError> {
        let types = &index.spec.types;
        let mut sealed = Sealed {
            directory: Directory {
                next_number,
                ..Directory::default()
            },
            fresh: BTreeMap::new(),
            kept: BTreeSet::new(),
            rest: Tail::new(types),
        };
        let pieces = history.pieces();
        let last = pieces.len().wrapping_sub(1);
        for (i, piece) in pieces.into_iter().enumerate() {
            match piece {
                Piece::Stored(node) => {
                    sealed.kept.insert(node.number);
                    sealed.directory.nodes.push(node);
                }
                Piece::Cold(part) => sealed.directory.cold = Some(part),
                Piece::Loaded(ranks) => {
                    let (blocks, end) = if i == last {
                        let blocks = ranks.len() / self.sealed_entries;
                        (blocks, ranks.start + blocks * self.sealed_entries)
                    } else {
                        (ranks.len().div_ceil(self.sealed_entries), ranks.end)
                    };
                    sealed.add_blocks(history, ranks.start..end, blocks);
                    if let Some((bytes, _)) = history.encode(end..ranks.end) {
                        sealed.rest.events = History::decode(Arc::clone(types), &bytes)
                            .map_err(|e| StoreError::malformed(Space::Runs, prefix, e))?;
                    }
                }
            }
        }
        Ok(sealed)
    }
}

impl Sealed {
    /// Makes so many blocks of some ranks.
    fn add_blocks(&mut self, history: &History, ranks: Range<usize>, blocks: usize) {
        let (start, entries) = (ranks.start, ranks.len());
        for n in 0..blocks {
            let part = start + entries * n / blocks..start + entries * (n + 1) / blocks;
            let length = part.len();
            let Some((bytes, bounds)) = history.encode(part) else {
                continue;
            };
            let number = self.directory.next_number;
            self.directory.next_number += 1;
            self.directory.nodes.push(StoredNode {
                number,
                level: 0,
                length,
                bytes: bytes.len(),
                bounds,
                summary: Stated::default(),
            });
            self.fresh.insert(number, bytes);
        }
    }
}

/// Makes the states of what is written.
struct Summaries<'a> {
    history: &'a History,
    aggregates: &'a Aggregates,
    kv: &'a dyn Kv,
    prefix: &'a [u8],
}

impl Summaries<'_> {
    /// Makes the states of new blocks, and those of new calls of blocks and nodes above blocks
    /// that are there.
    fn make(
        &self,
        directory: &mut Directory,
        stored: &Stored,
        gone: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let ids = self.aggregates.summary_ids();
        let is_current = stored.directory.ids == *ids;
        let mut rank = directory.cold.as_ref().map_or(0, |cold| cold.length);
        for node in &mut directory.nodes {
            let ranks = rank..rank + node.length;
            rank = ranks.end;
            // A row has what was to be made when the directory was written.
            if node.level > 1 || (is_current && matches!(node.summary, Stated::Row(_))) {
                continue;
            }
            let known = states_of(self.kv, self.prefix, node)?;
            if ids.iter().all(|id| known.is_made(id)) {
                continue;
            }
            if let Stated::Row(number) = node.summary {
                gone.push(number);
            }
            let made = self
                .history
                .summarise(ranks, self.aggregates, node.bytes, &|_| true);
            node.summary = Stated::Here(made);
        }
        Ok(())
    }

    /// Puts neighbours below nodes, with the states of all of them.
    fn group(
        &self,
        directory: &mut Directory,
        fan_out: usize,
        batch: &mut Batch,
        gone: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let mut next_number = directory.next_number;
        let mut failed = None;
        directory.group(fan_out, &mut |mut below, rank| {
            for node in &mut below {
                match states_of(self.kv, self.prefix, node) {
                    Ok(summary) => {
                        if let Stated::Row(number) = node.summary {
                            gone.push(number);
                        }
                        node.summary = Stated::Here(summary);
                    }
                    Err(error) => failed = Some(error),
                }
            }
            let mut node = above(next_number, &below, Stated::default());
            next_number += 1;
            let ranks = rank..rank + node.length;
            // Right above blocks they are read for what they do not have; further up that
            // would be too many.
            let has = |node: &StoredNode, id: &SummaryId| match &node.summary {
                Stated::Here(summary) => summary.get(id).is_some(),
                Stated::Row(_) => false,
            };
            let wanted = |id: &SummaryId| node.level == 1 || below.iter().all(|node| has(node, id));
            let made = self
                .history
                .summarise(ranks, self.aggregates, node.bytes, &wanted);
            node.summary = Stated::Here(made);
            let row = key::block(self.prefix, node.number);
            let bytes = encode_node(&below, self.aggregates.summary_ids());
            batch.put(Space::Blocks, row, bytes);
            node
        });
        directory.next_number = next_number;
        failed.map_or(Ok(()), Err)
    }
}

/// Adds the numbers of the rows of what is not kept of a node and of what is below it.
fn push_changed(
    node: &StoredNode,
    kept: &BTreeSet<u64>,
    below: Below<'_>,
    numbers: &mut Vec<u64>,
) -> Result<(), StoreError> {
    if kept.contains(&node.number) {
        return Ok(());
    }
    push_rows(node, numbers);
    if node.level > 0 {
        for node in below(node)? {
            push_changed(&node, kept, below, numbers)?;
        }
    }
    Ok(())
}
