//! The tree of a history: blocks below, nodes above, as many levels as needed. Children are shared, so that a copy of a history is cheap and a
//! change copies one path only.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_types::DataType;

use super::Entry;
use super::block::{Block, EntryView};
use super::bounds::Bounds;
use super::branch::Branch;
use super::cache::Cache;
use super::cold::{Cold, ColdPart};
use super::leaf::Leaf;
use super::source::{BlockSource, Known, StoredNode};
use crate::order::EventOrder;
use crate::state::State;

/// Entries of a full block, unless a history is given another [`Shape`].
pub const BLOCK_ENTRIES_MAX: usize = 256;
/// Children of a full node, unless a history is given another [`Shape`].
pub const NODE_FAN_OUT: usize = 16;

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
                count: count.saturating_add(more),
                first: self.first,
                last: later.last,
                gap_max: self
                    .gap_max
                    .max(later.gap_max)
                    .max(later.first.saturating_sub(self.last)),
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
    Block(Leaf),
    /// Always the first leaf.
    Cold(Cold),
    /// A stored node: what is below it is read when it is needed.
    Branch(Branch),
    Nodes(Children),
}

/// The nodes below a node, in order, and where each ends in ranks.
#[derive(Clone, Debug)]
pub(super) struct Children {
    nodes: Vec<Arc<Node>>,
    ends: Vec<usize>,
}

impl Children {
    fn new(nodes: Vec<Arc<Node>>) -> Self {
        let mut children = Children {
            ends: Vec::with_capacity(nodes.len()),
            nodes,
        };
        children.count();
        children
    }

    fn count(&mut self) {
        self.ends.clear();
        let mut end = 0;
        for node in &self.nodes {
            end += node.length;
            self.ends.push(end);
        }
    }

    /// The rank of the first entry of a child.
    pub(super) fn start(&self, child: usize) -> usize {
        child.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The child that holds a rank below the length.
    pub(super) fn holding(&self, rank: usize) -> usize {
        self.ends.partition_point(|&end| end <= rank)
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The children that overlap a range of ranks, each with the part of it that overlaps
    /// (in ranks of the child) and the rank that it starts at.
    pub(super) fn overlapping(
        &self,
        range: Range<usize>,
    ) -> impl DoubleEndedIterator<Item = (&Node, Range<usize>, usize)> + '_ {
        let first = self.holding(range.start);
        let last = self.ends.partition_point(|&end| end < range.end);
        let last = (last + 1).min(self.nodes.len());
        (first..last.max(first)).filter_map(move |child| {
            let (start, end) = (self.start(child), self.ends[child]);
            let part = range.start.max(start) - start..range.end.min(end).max(start) - start;
            (!part.is_empty()).then(|| (self.nodes[child].as_ref(), part, start))
        })
    }
}

impl Node {
    /// A block of one entry.
    pub(super) fn leaf(types: &[DataType], entry: &Entry<'_>) -> Node {
        let mut block = Block::new(types);
        block.insert(0, entry, types);
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
            body: Body::Block(Leaf::Loaded(block)),
        }
    }

    pub(super) fn over(block: Block) -> Option<Node> {
        Some(Node {
            length: block.len(),
            bounds: block.bounds()?,
            states: Cache::default(),
            runs: Cache::default(),
            body: Body::Block(Leaf::Loaded(block)),
        })
    }

    /// A leaf over a stored block, or over a stored node.
    pub(super) fn stored(
        stored: StoredNode,
        types: &Arc<[DataType]>,
        source: &Arc<dyn BlockSource>,
    ) -> Node {
        let (types, source) = (Arc::clone(types), Arc::clone(source));
        Node {
            length: stored.length,
            bounds: stored.bounds.clone(),
            states: Cache::default(),
            runs: Cache::default(),
            body: if stored.level == 0 {
                Body::Block(Leaf::stored(stored, types, source))
            } else {
                Body::Branch(Branch::new(stored, types, source))
            },
        }
    }

    /// The stored node that this still is.
    pub(super) fn stored_node(&self) -> Option<Known<'_>> {
        match &self.body {
            Body::Block(leaf) => leaf.stored_block(),
            Body::Branch(branch) => Some(branch.stored()),
            Body::Cold(_) | Body::Nodes(_) => None,
        }
    }

    /// A leaf over entries that the store does not keep.
    pub(super) fn cold(
        part: ColdPart,
        types: &Arc<[DataType]>,
        source: &Arc<dyn BlockSource>,
    ) -> Node {
        Node {
            length: part.length,
            bounds: part.bounds.clone(),
            states: Cache::default(),
            runs: Cache::default(),
            body: Body::Cold(Cold::new(part, types, source)),
        }
    }

    /// A tree over leaves in order; `None` over none.
    pub(super) fn tree(mut level: Vec<Node>, fan_out: usize) -> Option<Node> {
        while level.len() > 1 {
            let mut nodes = level.into_iter().map(Arc::new).peekable();
            let mut above = Vec::new();
            while nodes.peek().is_some() {
                above.extend(Node::above(nodes.by_ref().take(fan_out).collect()));
            }
            level = above;
        }
        level.pop()
    }

    /// What stands in for entries that could not be read: as many without values, at the
    /// first of their times. Its parts are the same ones again and again, so that many
    /// entries take no more room than few.
    pub(super) fn blank(types: &[DataType], length: usize, bounds: &Bounds) -> Node {
        let Shape {
            block_entries,
            fan_out,
        } = Shape::default();
        let leaf = |length| {
            let block = Block::blank(types, length, bounds);
            Node::over(block).expect("what stands in has an entry")
        };
        if length <= block_entries {
            return leaf(length);
        }
        let mut whole = Arc::new(leaf(block_entries));
        let rest = length % block_entries;
        // What does not fill a node of the level below.
        let mut behind = (rest > 0).then(|| Arc::new(leaf(rest)));
        let mut count = length / block_entries;
        loop {
            let wholes = if count < fan_out {
                count
            } else {
                count % fan_out
            };
            let nodes = std::iter::repeat_n(&whole, wholes).cloned();
            let level: Vec<Arc<Node>> = nodes.chain(behind.take()).collect();
            if count < fan_out {
                return Node::above(level).expect("there is a whole one");
            }
            behind = Node::above(level).map(Arc::new);
            whole = Arc::new(Node::above(vec![whole; fan_out]).expect("they are some"));
            count /= fan_out;
        }
    }

    /// Calls `visit` with every leaf and every stored node, in order.
    pub(super) fn each_part<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match &self.body {
            Body::Block(_) | Body::Cold(_) | Body::Branch(_) => visit(self),
            Body::Nodes(children) => {
                for node in children.nodes() {
                    node.each_part(visit);
                }
            }
        }
    }

    /// A node above others, in order; `None` above none.
    pub(super) fn above(nodes: Vec<Arc<Node>>) -> Option<Node> {
        let children = Children::new(nodes);
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
            Body::Block(leaf) => leaf.block().order(0),
            Body::Cold(cold) => cold.node().first_order(),
            Body::Branch(branch) => branch.node().first_order(),
            Body::Nodes(children) => children.nodes[0].first_order(),
        }
    }

    /// Whether the first entry is at or before a place in the order.
    fn starts_by(&self, order: EventOrder<'_>) -> bool {
        // Times decide nearly always, without a walk down to the first block.
        match self.bounds.first_time.cmp(&order.time) {
            std::cmp::Ordering::Equal => match &self.body {
                Body::Block(leaf) => leaf.block().order(0) <= order,
                // The first leaf holds whatever is of its times.
                Body::Cold(_) => true,
                Body::Branch(branch) => branch.node().starts_by(order),
                Body::Nodes(children) => children.nodes[0].starts_by(order),
            },
            other => other.is_lt(),
        }
    }

    /// The number of entries before a place in the order (at it, too, if `or_equal`).
    pub(super) fn rank_of(&self, order: EventOrder<'_>, or_equal: bool) -> usize {
        match &self.body {
            Body::Block(leaf) => leaf.block().slots_before(order, or_equal),
            Body::Cold(_) | Body::Branch(_) if self.bounds.last_time < order.time => self.length,
            Body::Cold(_) | Body::Branch(_) if self.bounds.first_time > order.time => 0,
            Body::Cold(cold) => cold.node().rank_of(order, or_equal),
            Body::Branch(branch) => branch.node().rank_of(order, or_equal),
            Body::Nodes(children) => {
                let nodes = &children.nodes;
                let mut child = nodes.partition_point(|c| c.starts_by(order)).max(1) - 1;
                // Equal entries may begin in a child before.
                while !or_equal
                    && child > 0
                    && nodes[child].bounds.first_time >= order.time
                    && nodes[child].first_order() >= order
                {
                    child -= 1;
                }
                children.start(child) + nodes[child].rank_of(order, or_equal)
            }
        }
    }

    /// The number of entries with a time before `t` (at it, too, if `or_equal`).
    pub(super) fn rank_of_time(&self, t: i64, or_equal: bool) -> usize {
        let before = |time: i64| time < t || (or_equal && time == t);
        match &self.body {
            // The ends are known without the block.
            Body::Block(_) | Body::Cold(_) | Body::Branch(_) if before(self.bounds.last_time) => {
                self.length
            }
            Body::Block(_) | Body::Cold(_) | Body::Branch(_) if !before(self.bounds.first_time) => {
                0
            }
            Body::Block(leaf) => leaf.block().slots_until(before),
            Body::Cold(cold) => cold.node().rank_of_time(t, or_equal),
            Body::Branch(branch) => branch.node().rank_of_time(t, or_equal),
            Body::Nodes(children) => {
                let nodes = &children.nodes;
                let child = nodes.partition_point(|c| before(c.bounds.last_time));
                nodes.get(child).map_or(self.length, |node| {
                    children.start(child) + node.rank_of_time(t, or_equal)
                })
            }
        }
    }

    /// The entry of a rank below the length.
    pub(super) fn entry(&self, mut rank: usize) -> EntryView<'_> {
        let mut node = self;
        loop {
            match &node.body {
                Body::Block(leaf) => return leaf.block().view(rank),
                Body::Cold(cold) => node = cold.node(),
                Body::Branch(branch) => node = branch.node(),
                Body::Nodes(children) => {
                    let child = children.holding(rank);
                    rank -= children.start(child);
                    node = &children.nodes[child];
                }
            }
        }
    }

    /// Inserts an entry into a tree, which may become one level higher.
    pub(super) fn insert_at_root(
        root: &mut Arc<Node>,
        entry: &Entry<'_>,
        types: &[DataType],
        shape: Shape,
    ) {
        let inserted = Arc::make_mut(root).insert(entry, types, shape);
        if let Some(right) = inserted.right {
            let children = vec![Arc::clone(root), Arc::new(right)];
            if let Some(above) = Node::above(children) {
                *root = Arc::new(above);
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
        if entry.time <= self.bounds.last_time {
            self.open();
        }
        let inserted = match &mut self.body {
            // In order of time, blocks stay full, and stored ones stay unread.
            Body::Block(leaf)
                if leaf.stored_block().is_some()
                    && self.length >= shape.block_entries
                    && entry.time > self.bounds.last_time =>
            {
                return Inserted {
                    rank: self.length,
                    right: Some(Node::leaf(types, entry)),
                };
            }
            Body::Branch(_) => {
                return Inserted {
                    rank: self.length,
                    right: Some(Node::leaf(types, entry)),
                };
            }
            Body::Cold(_) if entry.time > self.bounds.last_time => {
                return Inserted {
                    rank: self.length,
                    right: Some(Node::leaf(types, entry)),
                };
            }
            Body::Cold(cold) => {
                cold.insert(entry, shape);
                // Somewhere among its entries: nothing that is kept of them holds.
                Inserted {
                    rank: 0,
                    right: None,
                }
            }
            Body::Block(leaf) => {
                let block = leaf.block_mut();
                let slot = block.slots_before(order, true);
                if block.len() < shape.block_entries {
                    block.insert(slot, entry, types);
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
                        block.insert(slot, entry, types);
                    } else {
                        right.insert(slot - middle, entry, types);
                    }
                    Inserted {
                        rank: slot,
                        right: Node::over(right),
                    }
                }
            }
            Body::Nodes(children) => {
                let nodes = &mut children.nodes;
                let child = nodes.partition_point(|c| c.starts_by(order)).max(1) - 1;
                let below = Arc::make_mut(&mut nodes[child]).insert(entry, types, shape);
                if let Some(right) = below.right {
                    nodes.insert(child + 1, Arc::new(right));
                }
                let right = (nodes.len() > shape.fan_out)
                    .then(|| {
                        let at = if child + 2 == nodes.len() {
                            shape.fan_out
                        } else {
                            nodes.len() / 2
                        };
                        Node::above(nodes.split_off(at))
                    })
                    .flatten();
                let before = children.start(child);
                children.count();
                Inserted {
                    rank: before + below.rank,
                    right,
                }
            }
        };
        self.entry_inserted(entry, &inserted);
        inserted
    }

    /// Makes a stored node one in memory above what is stored below it, to be changed.
    fn open(&mut self) {
        // A node above a single one is nothing but that in memory.
        while let Body::Branch(branch) = &mut self.body {
            self.body = branch.open().body;
        }
    }

    /// Forgets the states that were kept here and below.
    pub(super) fn forget_states(&mut self) {
        self.states = Cache::default();
        self.runs = Cache::default();
        match &mut self.body {
            Body::Block(_) => {}
            Body::Cold(cold) => cold.forget_states(),
            Body::Branch(branch) => branch.forget_states(),
            Body::Nodes(children) => {
                for node in &mut children.nodes {
                    Arc::make_mut(node).forget_states();
                }
            }
        }
    }

    /// Brings what is known about all entries up to date.
    fn entry_inserted(&mut self, entry: &Entry<'_>, inserted: &Inserted) {
        if inserted.right.is_some() {
            let sums = match &self.body {
                Body::Block(leaf) => {
                    let block = leaf.block();
                    block.bounds().map(|bounds| (block.len(), bounds))
                }
                Body::Cold(_) | Body::Branch(_) => None,
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

    /// Marks the entry with a place as contested; whether there is one.
    pub(super) fn contest(root: &mut Arc<Node>, place: EventOrder<'_>) -> bool {
        if root.first_is_cold_at(place.time) {
            Arc::make_mut(root).contest_cold(place);
            return true;
        }
        let rank = root.rank_of(place, false);
        if rank == root.length || root.entry(rank).order() != place {
            return false;
        }
        Arc::make_mut(root).set_contested(rank);
        true
    }

    /// Whether a time is one of those of a cold leaf.
    fn first_is_cold_at(&self, time: i64) -> bool {
        match &self.body {
            Body::Block(_) | Body::Branch(_) => false,
            Body::Cold(_) => (self.bounds.first_time..=self.bounds.last_time).contains(&time),
            Body::Nodes(children) => children.nodes[0].first_is_cold_at(time),
        }
    }

    /// Marks an entry of the cold leaf.
    fn contest_cold(&mut self, place: EventOrder<'_>) {
        self.bounds.contested = true;
        match &mut self.body {
            Body::Block(_) | Body::Branch(_) => {}
            Body::Cold(cold) => cold.contest(place),
            Body::Nodes(children) => Arc::make_mut(&mut children.nodes[0]).contest_cold(place),
        }
    }

    /// Marks the entry of a rank as contested.
    pub(super) fn set_contested(&mut self, mut rank: usize) {
        self.bounds.contested = true;
        self.open();
        match &mut self.body {
            Body::Branch(_) => {}
            Body::Block(leaf) => leaf.block_mut().set_contested(rank),
            Body::Cold(cold) => {
                let place = cold.node().entry(rank).order();
                let (time, order) = (place.time, place.order.to_vec());
                cold.contest(EventOrder::new(time, &order));
            }
            Body::Nodes(children) => {
                let child = children.holding(rank);
                rank -= children.start(child);
                Arc::make_mut(&mut children.nodes[child]).set_contested(rank);
            }
        }
    }
}

/// What an insertion did.
pub(super) struct Inserted {
    pub(super) rank: usize,
    pub(super) right: Option<Node>,
}

fn sums_of(children: &Children) -> Option<(usize, Bounds)> {
    let (first, rest) = children.nodes.split_first()?;
    let mut bounds = first.bounds.clone();
    for child in rest {
        bounds.merge(&child.bounds);
    }
    Some((*children.ends.last()?, bounds))
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{Offset, Partition, Position};

    use super::*;

    #[test]
    fn what_stands_in_for_many_entries_is_as_long_as_they_are() {
        let position = Position {
            partition: Partition(0),
            offset: Offset(7),
        };
        let bounds = Bounds::of(5, 6, position, true);
        let types = [DataType::BigInt];
        let lengths = (1..=BLOCK_ENTRIES_MAX * 3).chain([
            BLOCK_ENTRIES_MAX * NODE_FAN_OUT - 1,
            BLOCK_ENTRIES_MAX * NODE_FAN_OUT,
            BLOCK_ENTRIES_MAX * NODE_FAN_OUT * 3 + 1,
            1_000_003,
            (1 << 48) - 1,
        ]);
        for length in lengths {
            let node = Node::blank(&types, length, &bounds);
            assert_eq!(node.length, length);
            for rank in [0, length / 2, length - 1] {
                let entry = node.entry(rank);
                assert_eq!((entry.time(), entry.position()), (5, position));
            }
            assert_eq!(node.rank_of_time(5, true), length);
            assert_eq!(node.rank_of_time(5, false), 0);
        }
    }
}
