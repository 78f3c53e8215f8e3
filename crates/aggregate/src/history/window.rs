//! Windows as ranges of ranks: what a frame read at a time covers of a history.
//!
//! Ranks count all entries, seen or not. A window given by events (ROWS, SESSION, RETAIN)
//! walks back from its end over the kept runs of whole nodes and opens a block only where
//! the answer lies inside it.

use std::ops::Range;

use evenkeel_types::{Extent, Frame};

use super::Visibility;
use super::block::Block;
use super::fold::Reader;
use super::node::{Body, Node};
use crate::aggregates::WhereId;
use crate::formula::Slots;
use crate::frame;

impl<V: Visibility + ?Sized> Reader<'_, V> {
    /// The ranks that the window read at `t` covers.
    pub(super) fn window(
        &self,
        root: &Node,
        frame: &Frame,
        retain: Option<i64>,
        t: i64,
    ) -> Range<usize> {
        let up_to_t = || root.rank_of_time(t, !frame.exclude_group);
        let range = match (&frame.extent, frame::instants(frame, t)) {
            (_, Some(instants)) => {
                if instants.first > instants.last {
                    return 0..0;
                }
                root.rank_of_time(instants.first, false)..root.rank_of_time(instants.last, true)
            }
            (Extent::Rows { start, end }, None) => {
                let up_to = up_to_t();
                let Some(newest) = self.entry_back(root, up_to, *end) else {
                    return 0..0;
                };
                let oldest = start.and_then(|start| self.entry_back(root, up_to, start));
                oldest.unwrap_or(0)..newest + 1
            }
            (Extent::Session { gap }, None) => {
                let up_to = up_to_t();
                self.chain_start(root, up_to, t, *gap)..up_to
            }
            (_, None) => 0..up_to_t(),
        };
        let Some(retain) = retain else { return range };
        let everything = Reader {
            condition: WhereId::ALL,
            ..*self
        };
        let alive = everything.chain_start(root, root.rank_of_time(t, true), t, retain);
        range.start.max(alive)..range.end
    }

    /// The rank of the entry number `back` (the last is number 0) among the first `end`
    /// that are visible and pass the condition.
    fn entry_back(&self, root: &Node, end: usize, back: u64) -> Option<usize> {
        // More than all entries there can be.
        let mut back = usize::try_from(back).unwrap_or(usize::MAX);
        self.entry_back_in(root, end, false, &mut back)
    }

    fn entry_back_in(
        &self,
        node: &Node,
        end: usize,
        all_visible: bool,
        back: &mut usize,
    ) -> Option<usize> {
        if end == 0 || (!all_visible && self.visibility.sees_none(&node.bounds)) {
            return None;
        }
        let all_visible = all_visible || self.visibility.sees_all(&node.bounds);
        if end == node.length && all_visible {
            let count = self.run(node).count;
            if *back >= count {
                *back -= count;
                return None;
            }
        }
        match &node.body {
            Body::Block(leaf) => {
                let slots = self.passing(leaf.block(), 0..end, all_visible);
                if *back >= slots.len() {
                    *back -= slots.len();
                    return None;
                }
                Some(slots.get(slots.len() - 1 - *back))
            }
            Body::Cold(cold) => self.entry_back_in(cold.node(), end, all_visible, back),
            Body::Branch(branch) => self.entry_back_in(branch.node(), end, all_visible, back),
            Body::Nodes(children) => {
                for (child, part, start) in children.overlapping(0..end).rev() {
                    let found = self.entry_back_in(child, part.end, all_visible, back);
                    if let Some(rank) = found {
                        return Some(start + rank);
                    }
                }
                None
            }
        }
    }

    /// Walks back from `t` over those of the first `end` entries that are visible and pass
    /// the condition, as long as no gap is longer than `gap`. The rank from which on they
    /// belong to that run; `end` if none does.
    fn chain_start(&self, root: &Node, end: usize, t: i64, gap: i64) -> usize {
        let mut chain = Chain {
            earliest: t,
            gap,
            start: end,
            broken: false,
        };
        self.chain_back(root, 0, end, false, &mut chain);
        chain.start
    }

    fn chain_back(
        &self,
        node: &Node,
        before: usize,
        end: usize,
        all_visible: bool,
        chain: &mut Chain,
    ) {
        if end == 0 || (!all_visible && self.visibility.sees_none(&node.bounds)) {
            return;
        }
        let all_visible = all_visible || self.visibility.sees_all(&node.bounds);
        if end == node.length && all_visible {
            let run = self.run(node);
            if run.count == 0 {
                return;
            }
            if run.gap_max <= chain.gap && chain.reaches(run.last) {
                chain.earliest = run.first;
                chain.start = before;
                return;
            }
        }
        match &node.body {
            Body::Block(leaf) => {
                let block = leaf.block();
                for slot in self.passing(block, 0..end, all_visible).iter().rev() {
                    let time = block.time(slot);
                    if !chain.reaches(time) {
                        chain.broken = true;
                        return;
                    }
                    chain.earliest = time;
                    chain.start = before + slot;
                }
            }
            Body::Cold(cold) => self.chain_back(cold.node(), before, end, all_visible, chain),
            Body::Branch(branch) => {
                self.chain_back(branch.node(), before, end, all_visible, chain);
            }
            Body::Nodes(children) => {
                for (child, part, start) in children.overlapping(0..end).rev() {
                    self.chain_back(child, before + start, part.end, all_visible, chain);
                    if chain.broken {
                        return;
                    }
                }
            }
        }
    }

    /// Those slots of a range that are visible and pass the condition.
    pub(super) fn passing(&self, block: &Block, range: Range<usize>, all_visible: bool) -> Slots {
        let slots = if all_visible {
            Slots::Range(range)
        } else {
            Slots::List(
                range
                    .filter(|&slot| self.visibility.sees(&block.view(slot)))
                    .map(|slot| slot as u32)
                    .collect(),
            )
        };
        self.aggregates
            .filter(self.condition, block.values(), slots)
    }
}

/// A run of events that is being followed back in time.
struct Chain {
    /// The time of its first event so far; at the start, the time of the read.
    earliest: i64,
    gap: i64,
    /// The rank that it starts at so far.
    start: usize,
    broken: bool,
}

impl Chain {
    fn reaches(&self, time: i64) -> bool {
        self.earliest.saturating_sub(time) <= self.gap
    }
}
