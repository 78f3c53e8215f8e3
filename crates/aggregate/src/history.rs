//! The events of one key of one source, in order, with summaries.
//!
//! Owns blocks, summary nodes and the states kept in them, and answers windows and as-of
//! look-ups over the entries that a read may see. Does not know why an entry may be seen
//! (cuts, corrections, identities: the caller's [`Visibility`]), where entries are stored,
//! or what they mean.
//!
//! Invariant: an answer depends on the set of visible entries alone, not on the order of
//! insertion, on blocks, or on what happens to be kept. The levels of summaries follow the
//! B-trees with aggregates of databases; opening only the ragged edges is from Cutty and
//! Scotty (Traub et al., "Scotty: General and Efficient Open-source Window Aggregation for
//! Stream Processing Systems", TODS 2021).

mod block;
mod bounds;
mod branch;
mod cache;
mod codec;
mod cold;
mod fold;
mod leaf;
mod members;
mod node;
mod scan;
mod sorted;
mod source;
mod stored;
mod summary;
mod window;

use std::sync::Arc;

use evenkeel_types::{DataType, Frame, Position, SourceCut, Value};

pub use block::EntryView;
pub use bounds::{Bounds, OffsetSpan};
pub use cold::ColdPart;
pub use members::Members;
pub use node::{BLOCK_ENTRIES_MAX, NODE_FAN_OUT, Shape};
pub use scan::Descending;
pub use sorted::BlockEncoder;
pub use source::{BlockSource, Stated, StoredNode};
pub use stored::{Footprint, Piece};
pub use summary::{Summary, SummaryId};

use crate::aggregates::{Aggregates, SpecId};
use crate::order::EventOrder;
use crate::state::State;
use leaf::Leaf;
use node::{Body, Node};

/// An entry to insert.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The event time, microseconds.
    pub time: i64,
    /// The order among the events of one time. Two different entries of a key never have
    /// the same time and order.
    pub order: &'a [u8],
    /// The place in the log.
    pub position: Position,
    /// When reads could see it, microseconds.
    pub visible_at: i64,
    /// Whether more than position and visible time decides if it is seen: a correction
    /// may replace it, another event may have its identity.
    pub contested: bool,
    /// The caller's handle.
    pub id: u64,
    /// One value per column of the history.
    pub values: &'a [Value],
}

impl<'a> Entry<'a> {
    pub(crate) fn event_order(&self) -> EventOrder<'a> {
        EventOrder::new(self.time, self.order)
    }
}

/// Which entries a read sees.
///
/// `sees_all` and `sees_none` may answer `false` when in doubt; then the entries are asked
/// for one by one. If `sees_all` answers `true`, `sees` must be true for every entry within
/// the bounds, and the other way round for `sees_none`.
pub trait Visibility {
    /// Whether this entry counts.
    fn sees(&self, entry: &EntryView<'_>) -> bool;
    /// Whether every entry within the bounds counts.
    fn sees_all(&self, bounds: &Bounds) -> bool;
    /// Whether no entry within the bounds counts.
    fn sees_none(&self, bounds: &Bounds) -> bool;
}

/// Sees every entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Visibility for Everything {
    fn sees(&self, _: &EntryView<'_>) -> bool {
        true
    }

    fn sees_all(&self, _: &Bounds) -> bool {
        true
    }

    fn sees_none(&self, _: &Bounds) -> bool {
        false
    }
}

/// Sees the entries within a cut that were visible by a time, contested or not.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The cut.
    pub cut: &'a SourceCut,
    /// The latest visible time that counts, microseconds; `None`: any.
    pub known_at: Option<i64>,
}

impl Visibility for Known<'_> {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        self.cut.contains(entry.position()) && self.known_at.is_none_or(|t| entry.visible_at() <= t)
    }

    fn sees_all(&self, bounds: &Bounds) -> bool {
        self.known_at.is_none_or(|t| bounds.last_visible_at <= t)
            && bounds
                .offsets
                .iter()
                .all(|span| span.last < self.cut.end(span.partition))
    }

    fn sees_none(&self, bounds: &Bounds) -> bool {
        self.known_at.is_some_and(|t| bounds.first_visible_at > t)
            || bounds
                .offsets
                .iter()
                .all(|span| span.first >= self.cut.end(span.partition))
    }
}

/// The events of one key of one source. Cloning is cheap: blocks are shared until one of
/// the copies changes, so a copy serves as a snapshot, or as the place to lay a few more
/// events over what is stored.
#[derive(Clone, Debug)]
pub struct History {
    types: Arc<[DataType]>,
    shape: Shape,
    root: Option<Arc<Node>>,
    /// Where blocks that are not in memory come from.
    source: Option<Arc<dyn BlockSource>>,
}

impl History {
    /// A history of entries with columns of these types.
    pub fn new(types: Arc<[DataType]>) -> Self {
        History::with_shape(types, Shape::default())
    }

    /// The same with blocks and nodes of other sizes than usual.
    ///
    /// # Panics
    /// If a size is below 2.
    pub fn with_shape(types: Arc<[DataType]>, shape: Shape) -> Self {
        assert!(
            shape.block_entries >= 2 && shape.fan_out >= 2,
            "blocks and nodes can be split"
        );
        History {
            types,
            shape,
            root: None,
            source: None,
        }
    }

    /// The types of the columns.
    pub fn types(&self) -> &Arc<[DataType]> {
        &self.types
    }

    /// The number of entries, seen or not.
    pub fn len(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.length)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The bounds of all entries; `None` if there are none.
    pub fn bounds(&self) -> Option<&Bounds> {
        self.root.as_ref().map(|root| &root.bounds)
    }

    /// Inserts an entry, wherever it belongs in the order.
    ///
    /// # Panics
    /// If there is not one value of the right type (or missing) per column.
    pub fn insert(&mut self, entry: &Entry<'_>) {
        self.check(entry);
        let Some(root) = &mut self.root else {
            self.root = Some(Arc::new(Node::leaf(&self.types, entry)));
            return;
        };
        Node::insert_at_root(root, entry, &self.types, self.shape);
    }

    fn check(&self, entry: &Entry<'_>) {
        assert_eq!(entry.values.len(), self.types.len(), "one value per column");
    }

    /// Marks the entry with this place and handle as contested, because something that
    /// competes with it has arrived. Answers whether there is such an entry.
    pub fn set_contested(&mut self, order: EventOrder<'_>, id: u64) -> bool {
        let Some(root) = &mut self.root else {
            return false;
        };
        let first = root.rank_of(order, false);
        let end = root.rank_of(order, true);
        let Some(rank) = (first..end).find(|&rank| root.entry(rank).id() == id) else {
            return false;
        };
        Arc::make_mut(root).set_contested(rank);
        true
    }

    /// Marks the entry with exactly this place as contested. Answers whether there is one;
    /// of what is not in the store any more, it is taken for granted.
    pub fn contest(&mut self, time: i64, order: &[u8]) -> bool {
        let root = self.root.as_mut();
        root.is_some_and(|root| Node::contest(root, EventOrder::new(time, order)))
    }

    /// The aggregates of calls that share a frame, read at `t`: one value per call, in
    /// order. `retain` is the entity's `RETAIN`, microseconds.
    ///
    /// Cost: logarithmic in the entries where summaries are kept (the first read keeps
    /// them), plus the entries of at most two blocks at the edges.
    pub fn fold<V: Visibility + ?Sized>(
        &self,
        aggregates: &Aggregates,
        specs: &[SpecId],
        frame: &Frame,
        retain: Option<i64>,
        t: i64,
        visibility: &V,
    ) -> Vec<Value> {
        self.fold_states(aggregates, specs, frame, retain, t, visibility)
            .iter()
            .zip(specs)
            .map(|(state, &spec)| aggregates.aggregator(spec).finish(state))
            .collect()
    }

    /// Like [`History::fold`], not yet finished: to merge with the states of other events.
    pub fn fold_states<V: Visibility + ?Sized>(
        &self,
        aggregates: &Aggregates,
        specs: &[SpecId],
        frame: &Frame,
        retain: Option<i64>,
        t: i64,
        visibility: &V,
    ) -> Vec<State> {
        let mut states: Vec<State> = specs
            .iter()
            .map(|&spec| aggregates.aggregator(spec).empty())
            .collect();
        let Some(root) = &self.root else {
            return states;
        };
        let mut conditions: Vec<_> = specs.iter().map(|&s| aggregates.condition(s)).collect();
        conditions.sort_unstable();
        conditions.dedup();
        for condition in conditions {
            let reader = fold::Reader {
                aggregates,
                condition,
                visibility,
                keeping_entries: self.shape.keeping_entries(),
            };
            let window = reader.window(root, frame, retain, t);
            if window.is_empty() {
                continue;
            }
            let mut wanted: Vec<(SpecId, &mut State)> = specs
                .iter()
                .copied()
                .zip(&mut states)
                .filter(|(spec, _)| aggregates.condition(*spec) == condition)
                .collect();
            reader.fold(root, window, &mut wanted);
        }
        states
    }

    /// The events inside the window of a call, read at `t`: how many, and the newest `limit`
    /// of those that pass its FILTER.
    ///
    /// Cost: linear in the events inside the window.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of `fold`, and how many to list"
    )]
    pub fn members<V: Visibility + ?Sized>(
        &self,
        aggregates: &Aggregates,
        spec: SpecId,
        frame: &Frame,
        retain: Option<i64>,
        t: i64,
        visibility: &V,
        limit: usize,
    ) -> Members<'_> {
        let mut found = Members::default();
        if let Some(root) = &self.root {
            let reader = fold::Reader {
                aggregates,
                condition: aggregates.condition(spec),
                visibility,
                keeping_entries: self.shape.keeping_entries(),
            };
            let window = reader.window(root, frame, retain, t);
            reader.members(root, window, spec, limit, &mut found);
        }
        found
    }

    /// The last visible entry before `t` (at it, too, unless `strict`) that the predicate
    /// takes, and that is not before `min_time` (a time, and whether an entry at exactly
    /// that time still counts).
    pub fn last_before<V: Visibility + ?Sized>(
        &self,
        t: i64,
        strict: bool,
        min_time: Option<(i64, bool)>,
        mut predicate: impl FnMut(&EntryView<'_>) -> bool,
        visibility: &V,
    ) -> Option<EntryView<'_>> {
        self.descending(t, strict, visibility)
            .take_while(|entry| match min_time {
                Some((least, true)) => entry.time() >= least,
                Some((least, false)) => entry.time() > least,
                None => true,
            })
            .find(|entry| predicate(entry))
    }

    /// The visible entries before `t` (at it, too, unless `strict`), last first.
    pub fn descending<'a, 'v, V: Visibility + ?Sized>(
        &'a self,
        t: i64,
        strict: bool,
        visibility: &'v V,
    ) -> Descending<'a, 'v, V> {
        let root = self.root.as_deref();
        let end = root.map_or(0, |root| root.rank_of_time(t, !strict));
        Descending::new(root, end, visibility)
    }

    /// How many levels [`History::touch`] has.
    pub const TOUCHED_LEVELS: usize = 3;

    /// Looks at what a read of the latest entries begins with, a pointer further with each
    /// level: reads of many keys have it brought closer for all of them at once. What it answers
    /// means nothing.
    pub fn touch(&self, level: usize) -> usize {
        match (level, &self.root) {
            (_, None) => 0,
            (0, Some(root)) => root.length,
            (1, Some(root)) => root.bounds.offsets.first().map_or(0, |s| s.last.0 as usize),
            (_, Some(root)) => match &root.body {
                Body::Block(Leaf::Loaded(block)) => block.touch(),
                _ => 0,
            },
        }
    }

    /// Forgets the states that reads have kept, because their calls have other numbers from
    /// now on ([`Aggregates`]).
    pub fn forget_states(&mut self) {
        if let Some(root) = &mut self.root {
            Arc::make_mut(root).forget_states();
        }
    }

    /// All entries, seen or not, in order.
    pub fn iter(&self) -> impl Iterator<Item = EntryView<'_>> + '_ {
        let root = self.root.as_deref();
        (0..self.len()).filter_map(move |rank| Some(root?.entry(rank)))
    }
}
