//! The tree of a history: blocks below, nodes above, as many levels as needed. Children are shared, so that a copy of a history is cheap and a
//! change copies one path only.

use std::sync::Arc;

use evenkeel_types::DataType;

use super::Entry;
use super::block::{Block, EntryView};
use super::bounds::Bounds;
use super::cache::Cache;
use crate::order::EventOrder;
use crate::state::State;

/// Entries of a full block, unless a history is given another [`Shape`].
pub const BLOCK_ENTRIES_MAX: usize = 512;
/// Children of a full node, unless a history is given another [`Shape`].
pub const NODE_FAN_OUT: usize = 64;

/// How large blocks and nodes of a history grow. No answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Entries of a full block; at least 2.
    pub block_entries: usize,
    /// Children of a full node; at least 2.
    pub fan_out: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            block_entries: BLOCK_ENTRIES_MAX,
            fan_out: NODE_FAN_OUT,
        }
    }
}

impl Shape {
    /// Blocks below this many entries keep no states: adding the entries costs as little.
    pub(super) fn keeping_entries(self) -> usize {
        self.block_entries / 8
    }
}

/// What the entries of a node that pass a WHERE condition look like as a run in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) count: usize,
    /// Times of the first and the last; meaningless if there are none.
    pub(super) first: i64,
    pub(super) last: i64,
    /// The longest gap between two neighbours, microseconds.
    pub(super) gap_max: i64,
}

impl Run {
    pub(super) const EMPTY: Run = Run {
        count: 0,
        first: 0,
        last: 0,
        gap_max: 0,
    };

    /// The run of two neighbouring runs.
    pub(super) fn then(self, later: Run) -> Run {
        match (self.count, later.count) {
            (_, 0) => self,
            (0, _) => later,
            (count, more) => Run {
                count: count + more,
                first: self.first,
                last: later.last,
                gap_max: self.gap_max.max(later.gap_max).max(later.first - self.last),
            },
        }
    }

    /// The run with one more entry at its end.
    pub(super) fn then_at(self, time: i64) -> Run {
        self.then(Run {
            count: 1,
            first: time,
            last: time,
            gap_max: 0,
        })
    }
}

/// A block or an inner node with what is known about all its entries.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) length: usize,
    pub(super) bounds: Bounds,
    /// By call; `None` where a state would take too many bytes for what it saves.
    pub(super) states: Cache<Option<State>>,
    /// By WHERE condition.
    pub(super) runs: Cache<Run>,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Block(Block),
    Nodes(Vec<Arc<Node>>),
}

impl Node {
    /// A block of one entry.
    pub(super) fn leaf(types: &[DataType], entry: &Entry<'_>) -> Node {
        let mut block = Block::new(types);
        block.insert(0, entry);
        Node {
            length: 1,
            bounds: Bounds::of(
                entry.time,
                entry.visible_at,
                entry.position,
                entry.contested,
            ),
            states: Cache::default(),
            runs: Cache::default(),
            body: Body::Block(block),
        }
    }

    fn over(block: Block) -> Option<Node> {
        Some(Node {
            length: block.len(),
            bounds: block.bounds()?,
            states: Cache::default(),
            runs: Cache::default(),
            body: Body::Block(block),
        })
    }

    /// A node above others, in order; `None` above none.
    pub(super) fn above(children: Vec<Arc<Node>>) -> Option<Node> {
        let (length, bounds) = sums_of(&children)?;
        Some(Node {
            length,
            bounds,
            states: Cache::default(),
            runs: Cache::default(),
            body: Body::Nodes(children),
        })
    }

    fn first_order(&self) -> EventOrder<'_> {
        match &self.body {
            Body::Block(block) => block.order(0),
            Body::Nodes(children) => children[0].first_order(),
        }
    }

    /// Whether the first entry is at or before a place in the order.
    fn starts_by(&self, order: EventOrder<'_>) -> bool {
        // Times decide nearly always, without a walk down to the first block.
        match self.bounds.first_time.cmp(&order.time) {
            std::cmp::Ordering::Equal => self.first_order() <= order,
            other => other.is_lt(),
        }
    }

    /// The number of entries before a place in the order (at it, too, if `or_equal`).
    pub(super) fn rank_of(&self, order: EventOrder<'_>, or_equal: bool) -> usize {
        match &self.body {
            Body::Block(block) => block.slots_before(order, or_equal),
            Body::Nodes(children) => {
                // Equal entries may begin in the child before.
                let child = children.partition_point(|c| c.starts_by(order)).max(1) - 1;
                let mut child = child;
                while !or_equal && child > 0 && children[child].first_order() >= order {
                    child -= 1;
                }
                let before: usize = children[..child].iter().map(|c| c.length).sum();
                before + children[child].rank_of(order, or_equal)
            }
        }
    }

    /// The number of entries with a time before `t` (at it, too, if `or_equal`).
    pub(super) fn rank_of_time(&self, t: i64, or_equal: bool) -> usize {
        let before = |time: i64| time < t || (or_equal && time == t);
        match &self.body {
            Body::Block(block) => block.times().partition_point(|&time| before(time)),
            Body::Nodes(children) => {
                let mut rank = 0;
                for child in children {
                    if before(child.bounds.last_time) {
                        rank += child.length;
                    } else {
                        return rank + child.rank_of_time(t, or_equal);
                    }
                }
                rank
            }
        }
    }

    /// The entry of a rank below the length.
    pub(super) fn entry(&self, mut rank: usize) -> EntryView<'_> {
        let mut node = self;
        loop {
            match &node.body {
                Body::Block(block) => return block.view(rank),
                Body::Nodes(children) => {
                    let mut child = 0;
                    while rank >= children[child].length {
                        rank -= children[child].length;
                        child += 1;
                    }
                    node = &children[child];
                }
            }
        }
    }

    /// Inserts an entry behind all that are not after it. Answers the rank that it has now,
    /// and the node to the right of this one if it had to be split.
    pub(super) fn insert(
        &mut self,
        entry: &Entry<'_>,
        types: &[DataType],
        shape: Shape,
    ) -> Inserted {
        let order = entry.event_order();
        let inserted = match &mut self.body {
            Body::Block(block) => {
                let slot = block.slots_before(order, true);
                if block.len() < shape.block_entries {
                    block.insert(slot, entry);
                    Inserted {
                        rank: slot,
                        right: None,
                    }
                } else if slot == block.len() {
                    // In order of time, blocks stay full.
                    return Inserted {
                        rank: slot,
                        right: Some(Node::leaf(types, entry)),
                    };
                } else {
                    let middle = block.len() / 2;
                    let mut right = block.split_off(middle);
                    if slot <= middle {
                        block.insert(slot, entry);
                    } else {
                        right.insert(slot - middle, entry);
                    }
                    Inserted {
                        rank: slot,
                        right: Node::over(right),
                    }
                }
            }
            Body::Nodes(children) => {
                let child = children.partition_point(|c| c.starts_by(order)).max(1) - 1;
                let before: usize = children[..child].iter().map(|c| c.length).sum();
                let below = Arc::make_mut(&mut children[child]).insert(entry, types, shape);
                if let Some(right) = below.right {
                    children.insert(child + 1, Arc::new(right));
                }
                let right = (children.len() > shape.fan_out)
                    .then(|| {
                        let at = if child + 2 == children.len() {
                            shape.fan_out
                        } else {
                            children.len() / 2
                        };
                        Node::above(children.split_off(at))
                    })
                    .flatten();
                Inserted {
                    rank: before + below.rank,
                    right,
                }
            }
        };
        self.entry_inserted(entry, &inserted);
        inserted
    }

    /// Brings what is known about all entries up to date.
    fn entry_inserted(&mut self, entry: &Entry<'_>, inserted: &Inserted) {
        if inserted.right.is_some() {
            let sums = match &self.body {
                Body::Block(block) => block.bounds().map(|bounds| (block.len(), bounds)),
                Body::Nodes(children) => sums_of(children),
            };
            if let Some((length, bounds)) = sums {
                (self.length, self.bounds) = (length, bounds);
            }
            self.states.truncate(self.length);
            self.runs.truncate(self.length);
        } else {
            self.length += 1;
            self.bounds.extend(
                entry.time,
                entry.visible_at,
                entry.position,
                entry.contested,
            );
        }
        // Behind by more than an eighth, a kept state no longer saves enough.
        let lag = self.length / 8 + 16;
        self.states.entry_inserted(inserted.rank, self.length, lag);
        self.runs.entry_inserted(inserted.rank, self.length, lag);
    }

    /// Marks the entry of a rank as contested.
    pub(super) fn set_contested(&mut self, mut rank: usize) {
        self.bounds.contested = true;
        match &mut self.body {
            Body::Block(block) => block.set_contested(rank),
            Body::Nodes(children) => {
                let mut child = 0;
                while rank >= children[child].length {
                    rank -= children[child].length;
                    child += 1;
                }
                Arc::make_mut(&mut children[child]).set_contested(rank);
            }
        }
    }
}

/// What an insertion did.
pub(super) struct Inserted {
    pub(super) rank: usize,
    pub(super) right: Option<Node>,
}

fn sums_of(children: &[Arc<Node>]) -> Option<(usize, Bounds)> {
    let (first, rest) = children.split_first()?;
    let mut bounds = first.bounds.clone();
    for child in rest {
        bounds.merge(&child.bounds);
    }
    Some((children.iter().map(|c| c.length).sum(), bounds))
}
