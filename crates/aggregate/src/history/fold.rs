//! One pass over a range of ranks for all calls that share it, and the states and runs
//! that it keeps on the way.

use std::ops::Range;

use super::cache::Kept;
use super::node::{Body, Node, Run};
use super::source::Known;
use super::{Visibility, summary};
use crate::aggregates::{Aggregates, SpecId, WhereId};
use crate::formula::Slots;
use crate::state::State;

/// A state of at most this many bytes is kept wherever anything is.
const STATE_BYTES_SMALL: usize = 1024;
/// A larger state is kept if it takes at most one part in this many of its entries' bytes.
const STATE_SHARE_MAX: usize = 8;
/// About the bytes of an entry.
const ENTRY_BYTES: usize = 64;

/// A read under one WHERE condition.
pub(super) struct Reader<'a, V: ?Sized> {
    pub(super) aggregates: &'a Aggregates,
    pub(super) condition: WhereId,
    pub(super) visibility: &'a V,
    /// Blocks of fewer entries keep nothing.
    pub(super) keeping_entries: usize,
}

impl<V: Visibility + ?Sized> Reader<'_, V> {
    /// Adds the visible entries of a range of ranks to the states of calls.
    pub(super) fn fold(
        &self,
        root: &Node,
        range: Range<usize>,
        wanted: &mut [(SpecId, &mut State)],
    ) {
        self.fold_in(root, range, false, wanted);
    }

    fn fold_in(
        &self,
        node: &Node,
        range: Range<usize>,
        all_visible: bool,
        wanted: &mut [(SpecId, &mut State)],
    ) {
        if range.is_empty() || (!all_visible && self.visibility.sees_none(&node.bounds)) {
            return;
        }
        let all_visible = all_visible || self.visibility.sees_all(&node.bounds);
        let whole = range.len() == node.length;
        match &node.body {
            Body::Block(leaf) => {
                if whole && all_visible && self.keeps(node) {
                    for (spec, state) in wanted {
                        self.merge_whole(node, *spec, state);
                    }
                    return;
                }
                let block = leaf.block();
                let slots = self.passing(block, range, all_visible);
                for (spec, state) in wanted {
                    self.aggregates
                        .spec(*spec)
                        .add(state, block.values(), &slots, |slot| block.order(slot));
                }
            }
            Body::Cold(_) | Body::Branch(_) | Body::Nodes(_) if whole && all_visible => {
                for (spec, state) in wanted {
                    self.merge_whole(node, *spec, state);
                }
            }
            Body::Cold(cold) => self.fold_in(cold.node(), range, all_visible, wanted),
            Body::Branch(branch) => self.fold_in(branch.node(), range, all_visible, wanted),
            Body::Nodes(children) => {
                for (child, part, _) in children.overlapping(range) {
                    self.fold_in(child, part, all_visible, wanted);
                }
            }
        }
    }

    /// Whether a node is large enough to keep anything.
    fn keeps(&self, node: &Node) -> bool {
        match &node.body {
            Body::Block(_) if node.length >= self.keeping_entries => true,
            Body::Block(leaf) => leaf.stored_block().is_some_and(Known::may_have_states),
            Body::Cold(_) | Body::Branch(_) | Body::Nodes(_) => true,
        }
    }

    /// Merges the state of all entries of a node, from what is kept or computed now and
    /// kept, if it pays.
    fn merge_whole(&self, node: &Node, spec: SpecId, state: &mut State) {
        let aggregator = self.aggregates.aggregator(spec);
        if !self.keeps(node) {
            return self.add_rest(node, spec, 0, state);
        }
        match node.states.get(spec.index()) {
            Some(Kept {
                covered,
                state: Some(kept),
            }) => {
                aggregator.merge(state, kept);
                return self.add_rest(node, spec, *covered, state);
            }
            Some(Kept { state: None, .. }) => return self.add_rest(node, spec, 0, state),
            None => {}
        }
        if let Some(stored) = self.stored_state(node, spec) {
            aggregator.merge(state, &stored);
            let kept = Kept {
                covered: node.length,
                state: Some(stored),
            };
            node.states.keep(spec.index(), kept);
            return;
        }
        let mut whole = aggregator.empty();
        self.add_rest(node, spec, 0, &mut whole);
        whole.compact();
        aggregator.merge(state, &whole);
        let pays = whole.weight() <= STATE_BYTES_SMALL
            || whole.weight() <= node.length * ENTRY_BYTES / STATE_SHARE_MAX;
        node.states.keep(
            spec.index(),
            Kept {
                covered: node.length,
                state: pays.then_some(whole),
            },
        );
    }

    /// The state of all entries of a node that is stored with it.
    fn stored_state(&self, node: &Node, spec: SpecId) -> Option<State> {
        let known = node.stored_node()?;
        let bytes = known.summary().get(self.aggregates.state_id(spec))?;
        match self.aggregates.aggregator(spec).decode(bytes) {
            Ok(state) => Some(state),
            Err(error) => {
                known.damaged(&error.to_string());
                None
            }
        }
    }

    /// Adds all entries of a node but the first `covered`.
    fn add_rest(&self, node: &Node, spec: SpecId, covered: usize, state: &mut State) {
        if covered >= node.length {
            return;
        }
        match &node.body {
            Body::Block(leaf) => {
                let block = leaf.block();
                let slots = self.passing(block, covered..block.len(), true);
                self.aggregates
                    .spec(spec)
                    .add(state, block.values(), &slots, |slot| block.order(slot));
            }
            Body::Cold(cold) if covered == 0 => self.merge_whole(cold.node(), spec, state),
            Body::Cold(cold) => self.add_rest(cold.node(), spec, covered, state),
            Body::Branch(branch) if covered == 0 => self.merge_whole(branch.node(), spec, state),
            Body::Branch(branch) => self.add_rest(branch.node(), spec, covered, state),
            Body::Nodes(children) => {
                for (child, part, _) in children.overlapping(covered..node.length) {
                    if part.start == 0 {
                        self.merge_whole(child, spec, state);
                    } else {
                        self.add_rest(child, spec, part.start, state);
                    }
                }
            }
        }
    }

    /// The run of all entries of a node that pass the condition.
    pub(super) fn run(&self, node: &Node) -> Run {
        let index = self.condition.index();
        if let Some(kept) = node.runs.get(index) {
            let rest = self.run_of(node, kept.covered..node.length);
            return kept.state.then(rest);
        }
        let run = match self.stored_run(node) {
            Some(run) => run,
            None => self.run_within(node, 0..node.length),
        };
        if self.keeps(node) {
            node.runs.keep(
                index,
                Kept {
                    covered: node.length,
                    state: run,
                },
            );
        }
        run
    }

    /// The run of all entries of a node that is stored with it.
    fn stored_run(&self, node: &Node) -> Option<Run> {
        let known = node.stored_node()?;
        let id = self.aggregates.run_id(self.condition)?;
        let bytes = known.summary().get(id)?;
        match summary::decode_run(bytes) {
            Ok(run) if run.count <= node.length => Some(run),
            Ok(_) => {
                known.damaged("a run in time has more events than there are");
                None
            }
            Err(error) => {
                known.damaged(&error.to_string());
                None
            }
        }
    }

    /// The run of the entries of a range of ranks.
    pub(super) fn run_of(&self, node: &Node, range: Range<usize>) -> Run {
        if range.is_empty() {
            Run::EMPTY
        } else if range.len() == node.length {
            self.run(node)
        } else {
            self.run_within(node, range)
        }
    }

    fn run_within(&self, node: &Node, range: Range<usize>) -> Run {
        match &node.body {
            Body::Block(leaf) => {
                let block = leaf.block();
                let slots: Slots = self.passing(block, range, true);
                slots
                    .iter()
                    .fold(Run::EMPTY, |run, slot| run.then_at(block.time(slot)))
            }
            Body::Cold(cold) => self.run_of(cold.node(), range),
            Body::Branch(branch) => self.run_of(branch.node(), range),
            Body::Nodes(children) => children
                .overlapping(range)
                .fold(Run::EMPTY, |run, (child, part, _)| {
                    run.then(self.run_of(child, part))
                }),
        }
    }
}
