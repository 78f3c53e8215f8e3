//! A leaf for the earliest entries of a key that its store does not keep any more: how many
//! there are and within which bounds, and where they come from when a read needs them.
//!
//! Owns what arrived for its times since: entries and marks are remembered beside it, so
//! that a late event brings nothing back. Does not know where entries come from.
//!
//! Invariant: every entry of the history with a time up to the leaf's last is in it, so it
//! is the first leaf, and bounds answer whatever is asked by time.

use std::sync::{Arc, OnceLock};

use evenkeel_types::DataType;

use super::bounds::Bounds;
use super::node::{Node, Shape};
use super::source::BlockSource;
use super::{Entry, History};
use crate::order::EventOrder;

/// Entries that a store does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdPart {
    /// The number of the entries; at least 1.
    pub length: usize,
    /// What they are within.
    pub bounds: Bounds,
}

impl ColdPart {
    /// Whether so many entries within such bounds are its entries, as far as these can tell.
    /// More of them may have become contested since.
    pub fn fits(&self, length: usize, bounds: Option<&Bounds>) -> bool {
        length == self.length
            && bounds.is_some_and(|found| {
                (found.contested || !self.bounds.contested)
                    && Bounds {
                        contested: self.bounds.contested,
                        ..found.clone()
                    } == self.bounds
            })
    }

    /// Whether these are its entries.
    pub fn is_of(&self, entries: &History) -> bool {
        self.fits(entries.len(), entries.bounds())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Cold {
    part: ColdPart,
    source: Arc<dyn BlockSource>,
    /// Entries of its times that came since.
    late: History,
    /// Entries of the part that have become contested since.
    marks: Vec<(i64, Box<[u8]>)>,
    /// Everything, once a read needed it.
    loaded: OnceLock<Arc<Node>>,
}

impl Cold {
    pub(super) fn new(
        part: ColdPart,
        types: &Arc<[DataType]>,
        source: &Arc<dyn BlockSource>,
    ) -> Self {
        Cold {
            part,
            source: Arc::clone(source),
            late: History::new(Arc::clone(types)),
            marks: Vec::new(),
            loaded: OnceLock::new(),
        }
    }

    /// The entries as a tree; brought back now if they have not been.
    pub(super) fn node(&self) -> &Node {
        self.loaded.get_or_init(|| self.load())
    }

    fn load(&self) -> Arc<Node> {
        let found = self.source.reheat(&self.part);
        let fitting = found.filter(|entries| {
            let fits = self.part.is_of(entries);
            if !fits {
                let why = "what came back is not what left";
                self.source.damaged(None, why);
            }
            fits
        });
        let mut entries = fitting.unwrap_or_else(|| self.blank());
        entries.absorb(&self.late);
        for (time, order) in &self.marks {
            entries.contest(*time, order);
        }
        entries.root.expect("a part has an entry")
    }

    /// What stands in for entries that cannot be had; the source remembers why.
    fn blank(&self) -> History {
        let types = self.late.types();
        let ColdPart { length, bounds } = &self.part;
        History {
            root: Some(Arc::new(Node::blank(types, *length, bounds))),
            ..History::new(Arc::clone(types))
        }
    }

    /// Takes an entry of its times.
    pub(super) fn insert(&mut self, entry: &Entry<'_>, shape: Shape) {
        self.late.insert(entry);
        if let Some(loaded) = self.loaded.get_mut() {
            Node::insert_at_root(loaded, entry, self.late.types(), shape);
        }
    }

    /// Takes note that the entry with this place is contested.
    pub(super) fn contest(&mut self, place: EventOrder<'_>) {
        if !self.late.contest(place.time, place.order) {
            self.marks.push((place.time, place.order.into()));
        }
        if let Some(loaded) = self.loaded.get_mut() {
            Node::contest(loaded, place);
        }
    }

    pub(super) fn forget_states(&mut self) {
        self.late.forget_states();
        if let Some(node) = self.loaded.get_mut() {
            Arc::make_mut(node).forget_states();
        }
    }

    /// The entries that are in memory.
    pub(super) fn entries_in_memory(&self) -> usize {
        self.late.len() + self.loaded.get().map_or(0, |node| node.length)
    }
}
