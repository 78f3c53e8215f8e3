//! The events that a window holds, one by one: for people who ask what made a value.

use std::ops::Range;

use super::Visibility;
use super::block::EntryView;
use super::fold::Reader;
use super::node::{Body, Node};
use crate::aggregates::SpecId;

/// The events that one aggregate call finds in its window.
#[derive(Clone, Debug, Default)]
pub struct Members<'a> {
    /// How many events are inside the frame: visible, and passing WHERE.
    pub inside: usize,
    /// How many of them pass the call's FILTER; without one, all.
    pub counted: usize,
    /// The newest of those that are counted, newest first.
    pub newest: Vec<EntryView<'a>>,
}

impl<V: Visibility + ?Sized> Reader<'_, V> {
    /// Adds the entries of a range of ranks, from its end, of which at most `limit` are
    /// listed.
    pub(super) fn members<'n>(
        &self,
        node: &'n Node,
        range: Range<usize>,
        spec: SpecId,
        limit: usize,
        found: &mut Members<'n>,
    ) {
        if range.is_empty() || self.visibility.sees_none(&node.bounds) {
            return;
        }
        match &node.body {
            Body::Block(leaf) => {
                let block = leaf.block();
                let all_visible = self.visibility.sees_all(&node.bounds);
                let inside = self.passing(block, range, all_visible);
                found.inside += inside.len();
                let counted = self.aggregates.spec(spec).counted(block.values(), inside);
                found.counted += counted.len();
                let room = limit - found.newest.len();
                let newest = counted.iter().rev().take(room);
                found.newest.extend(newest.map(|slot| block.view(slot)));
            }
            Body::Cold(cold) => self.members(cold.node(), range, spec, limit, found),
            Body::Branch(branch) => self.members(branch.node(), range, spec, limit, found),
            Body::Nodes(children) => {
                for (child, part, _) in children.overlapping(range).rev() {
                    self.members(child, part, spec, limit, found);
                }
            }
        }
    }
}
